"""The rules about numbers, on either side of each of their edges."""

from dataclasses import replace

import numpy as np
import pytest
from rule_cases import CLEAN, XYLO, edit, set_first, with_weights

from snnmap.chip import Chip, load_chip
from snnmap.core.diagnostics import Diagnostic
from snnmap.lif.drc import check_network, check_quantised
from snnmap.lif.program import QuantisedNetwork, TensorError
from snnmap.network import Network
from snnmap.pipeline import check_model

FACTOR = load_chip("generic-1024-factor")
LOST, SLOW = {"name": "recurrent_weights", "n_values": 20, "n_lost": 5, "lost_share": 0.011}, 1 - 2.0**-15


def find(network: Network, chip: Chip = XYLO) -> list[tuple[str, float | None, float | None]]:
    """Return rule, measured value and limit of what the rules about numbers say."""
    found = check_network(network, chip).diagnostics
    assert "SNN001" not in {diagnostic.rule for diagnostic in found}
    return [(d.rule, d.measured_value, d.limit_value) for d in found if d.rule.startswith("SNN5")]


def set_second(name: str, value: float) -> Network:
    """Set one parameter of one neuron, the second."""
    values = getattr(CLEAN.population("h1"), name).copy()
    values[..., 1] = value
    return edit("populations", "h1", **{name: values})


def quantise() -> QuantisedNetwork:
    quantised = check_model(CLEAN, XYLO).quantised
    assert quantised is not None
    return quantised


def find_quantised(quantised: QuantisedNetwork, rule: str) -> list[Diagnostic]:
    return [diagnostic for diagnostic in check_quantised(quantised).diagnostics if diagnostic.rule == rule]


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        (0.0, None), (1e-30, None), (0.99e-30, 1e-30), (-1e-31, None), (1e30, None), (1.01e30, 1e30), (-1e30, None),
        (np.inf, None), (-np.inf, 1e30), (np.nan, 1e30),
    ],
)  # fmt: skip
def test_thresholds_that_are_too_large_or_small_to_calculate_with(value: float, limit: float | None) -> None:
    told = [found_limit for rule, _, found_limit in find(set_second("threshold", value)) if rule == "SNN501"]
    assert told == ([] if limit is None else [limit])


@pytest.mark.parametrize("name", ["alpha", "beta", "bias"])
def test_other_parameters_may_be_small_and_infinite_ones_are_told(name: str) -> None:
    assert "SNN501" not in [rule for rule, *_ in find(set_second(name, 1e-31))]
    assert ("SNN501", np.inf, 1e30) in find(set_second(name, np.inf))


def test_the_first_weight_that_is_not_finite_is_told() -> None:
    network = with_weights("h1->h2", lambda weights: np.where(weights > 0.3, np.inf, weights))
    assert find(with_weights("h1->h2", set_first(-np.inf), network)) == [("SNN501", -np.inf, 1e30)]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("alpha", 0.24, [("SNN502", 0.24, 0.25)]), ("alpha", 0.25, [("SNN503", 0.25, 0.5)]),
        ("alpha", 1.0, [("SNN503", 1.0, SLOW)]), ("alpha", 1.01, []),
        ("beta", -0.1, []), ("beta", 0.0, []), ("beta", 0.1, [("SNN503", 0.1, 0.0)]),
        ("beta", 0.9368, [("SNN503", 0.9368, 0.9375)]), ("beta", 0.9369, []),
        ("beta", 0.9381, []), ("beta", 0.9382, [("SNN503", 0.9382, 0.9375)]),
        ("beta", SLOW, []), ("beta", 1.0, [("SNN503", 1.0, SLOW)]), ("beta", 1.01, []),
    ],
)  # fmt: skip
def test_decays_are_told_where_their_gain_is_off_by_more_than_a_hundredth(
    name: str, value: float, told: list[tuple[str, float, float]]
) -> None:
    assert find(set_second(name, value)) == told


def test_decays_that_only_other_chips_code_are_not_told_there() -> None:
    assert find(set_second("beta", 1.0), FACTOR) == []
    for value in (-0.1, 0.0, 0.1, 0.24):
        assert find(set_second("alpha", value), FACTOR) == []
    assert find(set_second("alpha", 0.9999), FACTOR) == [("SNN503", 0.9999, 1 - 2.0**-12)]


def test_the_decay_that_is_furthest_off_is_told_of_a_run() -> None:
    network = edit("populations", "h1", beta=np.array([0.9375, 0.94, 0.96, 0.94, 0.9375]))
    assert [measured for _, measured, _ in find(network)] == [0.96]


def test_the_smallest_current_is_told_of_a_run() -> None:
    network = edit("populations", "h1", alpha=np.array([[0.5, 0.2, 0.1, 0.2, 0.5]]))
    assert find(network) == [("SNN502", 0.1, 0.25)]


def test_synapses_that_receive_nothing_are_let_be() -> None:
    assert find(edit("populations", "h1", alpha=np.array([[0.5] * 5, [0.1] * 5]))) == []
    alone = with_weights("in->h1", lambda weights: np.where(np.arange(5) == 1, 0.0, weights))
    for value in (0.1, 0.6):
        alpha = np.array([[0.5, value, 0.5, 0.5, 0.5]])
        assert find(edit("populations", "h1", alone, alpha=alpha)) == []


def test_weights_onto_neurons_that_are_not_there_crash_no_rule() -> None:
    wide = with_weights("in->h1", lambda weights: np.hstack([weights, weights]))
    assert find(edit("populations", "h1", wide, alpha=np.zeros((1, 5)))) == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "warning"), ({"lost_share": 0.01}, ""), ({"n_lost": 19, "lost_share": 0.01}, ""),
        ({"n_lost": 20, "lost_share": 0.0}, "error"), ({"n_lost": 20}, "error"),
        ({"n_values": 0, "n_lost": 0, "lost_share": 0.0}, ""), ({"n_values": 1, "n_lost": 1, "lost_share": 0.0}, "error"),
        ({"n_lost": 20, "lost_share": 0.0, "name": "hidden.bias"}, ""),
    ],
)  # fmt: skip
def test_weights_that_are_lost(fields: dict[str, float | str], told: str) -> None:
    error = TensorError(**{"relative_rms": 0.0, "largest": 0.0, "n_clipped": 0, **LOST, **fields})
    found = find_quantised(replace(quantise(), errors=(error,)), "SNN504")
    assert [diagnostic.severity for diagnostic in found] == told.split()
    assert [(d.measured_value, d.limit_value) for d in found] == [(error.lost_share, 0.01)] * len(found)


@pytest.mark.parametrize(("field", "place"), [("hidden_input_error", "h1"), ("output_input_error", "out")])
def test_potentials_that_are_moved_by_more_than_a_quarter(field: str, place: str) -> None:
    quantised = quantise()
    errors = np.zeros_like(getattr(quantised, field))
    errors[:2] = 0.25
    assert find_quantised(replace(quantised, **{field: errors}), "SNN506") == []
    errors[:2] = 0.26, 0.27
    (found,) = find_quantised(replace(quantised, **{field: errors}), "SNN506")
    assert (found.location.population, found.location.source) == (place, f"model.{place}")
    assert (found.measured_value, found.limit_value, found.location.neurons) == (0.27, 0.25, (0, 2))

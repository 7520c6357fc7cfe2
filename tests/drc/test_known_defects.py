"""Where rules misbehave today: each test states what should hold, and fails the suite once it does.

Whoever mends one takes its mark away; the test stays.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from random_networks import random_network
from rule_cases import CLEAN, GENERIC, XYLO, chain, check, draw, edit, extend, limit, make_projection, residual, with_weights

from snnmap.chip import Chip, load_chip
from snnmap.diagnostics import Diagnostic, Location
from snnmap.drc import RULES, check_network
from snnmap.drc.engine import Finding
from snnmap.errors import FormatError, NetworkError
from snnmap.ir import Network
from snnmap.pipeline import check_model, compile_model

NO_BIAS = limit(XYLO, "hidden", bias=False)
NARROW = replace(XYLO, bits=replace(XYLO.bits, state=8, threshold=8, bias=8))


def defect(reason: str, *, raises: type[Exception] = AssertionError) -> pytest.MarkDecorator:
    return pytest.mark.xfail(strict=True, reason=reason, raises=raises)


def find(network: Network, rule: str, chip: Chip = XYLO) -> list[Diagnostic]:
    return [diagnostic for diagnostic in check((network, chip)).diagnostics if diagnostic.rule == rule]


def require_clean_builds(network: Network, chip: Chip) -> None:
    if check_model(network, chip).report.is_clean:
        compile_model(network, chip)


def skip_around_one(size: int) -> Network:
    """One neuron, one neuron, then many that the first also reaches, through a relay."""
    return extend(make_projection("h1", "h3", draw(1, size)), network=chain(1, 1, 1, size, 2))


def one_to_one() -> Network:
    """A residual block in which each neuron has one input."""
    return with_weights("h1->h2", lambda weights: np.eye(*weights.shape), residual())


@defect("a relay's synapse onto itself is added after the rules have counted", raises=FormatError)
@pytest.mark.parametrize(
    ("network", "chip"),
    [
        pytest.param(one_to_one(), limit(GENERIC, "recurrent_weights", max_fan_in=1), id="SNN204"),
        pytest.param(skip_around_one(64), load_chip("xylo-audio-2"), id="SNN205"),
        pytest.param(residual(), limit(XYLO, "recurrent_weights", max_words=30), id="SNN206"),
    ],
)
def test_a_relays_own_synapse_is_counted(network: Network, chip: Chip) -> None:
    require_clean_builds(network, chip)


@defect("SNN302 proves the relay cell for weight shift 0, the quantiser needs it for another", raises=NetworkError)
def test_a_relay_that_exists_for_no_large_shift_is_a_finding() -> None:
    require_clean_builds(with_weights("h1->h2", lambda weights: 20 * weights, residual()), NARROW)


@defect("match_decays raises where the chip has one synaptic decay and two synapses", raises=ValueError)
def test_a_chip_with_a_single_decay_can_be_checked() -> None:
    require_clean_builds(edit("populations", "h1", beta=np.full(5, 0.94)), limit(XYLO, "bits", decay=1))


@defect("a synapse that decay matching adds breaks a limit that the user's network keeps")
def test_a_warning_about_decays_does_not_become_an_error_about_fan_out() -> None:
    chip = limit(XYLO, "recurrent_weights", max_fan_out=4)
    network = edit("populations", "h1", beta=np.full(5, 0.94))
    assert check((CLEAN, chip)).is_clean
    assert check((network, chip)).is_clean


@defect("the bias that makes up for integer decays is clipped, which is told as an error of the user's values")
def test_a_network_without_biases_is_not_refused_for_its_biases() -> None:
    assert find(random_network(1, biases=False), "SNN505", limit(XYLO, "bits", bias=2)) == []


@defect("negative counts only warn that the chip may send more, and the build succeeds")
def test_a_negative_spike_count_is_an_error() -> None:
    assert not check((edit("populations", "h1", max_count=np.full(5, -1)), XYLO)).is_clean


@defect("a loop of projections without weights is refused, though folding drops it")
def test_a_loop_without_weights_is_no_loop() -> None:
    assert find(extend(make_projection("h2", "h1", np.zeros((4, 5)), delay_steps=1)), "SNN301") == []


@defect("only one loop of a set of populations is told; the second appears once the first is mended")
def test_all_short_loops_are_told() -> None:
    network = extend(
        make_projection("h2", "h1", draw(4, 5), delay_steps=1),
        make_projection("h3", "h2", draw(4, 4), delay_steps=1),
        network=chain(3, 5, 4, 4, 2),
    )
    assert len(find(network, "SNN301")) == 2


@defect("the message lists the loop's populations by name, with arrows that are no projections")
def test_a_loop_within_a_step_is_told_in_its_order() -> None:
    edges = [("in", "h1", 3), ("h1", "h3", 5), ("h3", "h2", 5), ("h2", "h1", 5)]
    projections = tuple(make_projection(pre, post, draw(size, 5)) for pre, post, size in edges)
    network = replace(chain(3, 5, 5, 5, 2), projections=(*projections, make_projection("h2", "out", draw(5, 2))))
    (loop,) = find(network, "SNN103")
    assert "h1 -> h3 -> h2 -> h1" in loop.message


@defect("neurons above and below the limit are one run: one error that covers both, and no warning")
def test_spike_counts_above_and_below_are_told_apart() -> None:
    found = find(edit("populations", "h1", max_count=np.array([40, 40, 5, 5, 31])), "SNN404")
    assert [diagnostic.location.neurons for diagnostic in found] == [(0, 2), (2, 4)]


@defect("the range goes from the first to the last neuron with a bias, over those without")
def test_biases_are_told_by_runs() -> None:
    found = find(edit("populations", "h1", bias=np.array([0.5, 0, 0, 0, 0.5])), "SNN210", NO_BIAS)
    assert [diagnostic.location.neurons for diagnostic in found] == [(0, 1), (4, 5)]


@defect("nanmax of nothing but NaN warns; where warnings are errors that is SNN001")
def test_a_population_of_nan_biases_crashes_no_rule() -> None:
    assert find(edit("populations", "h1", bias=np.full(5, np.nan)), "SNN001", NO_BIAS) == []


@defect("the message does not name the synapse, and Report.merge drops the second of two equal texts")
def test_both_synapses_are_told() -> None:
    assert len(find(edit("populations", "h1", alpha=np.full((2, 5), 2.0)), "SNN402")) == 2


@defect("measured 1, limit 0..1: rounded to six digits")
def test_a_decay_just_above_1_is_measured_as_such() -> None:
    (found,) = find(edit("populations", "h1", beta=np.full(5, 1 + 1e-9)), "SNN402")
    assert float(found.measured) > 1


@defect("the limit is given as 0.5, but the rule fires below 0.25")
def test_the_limit_of_a_vanishing_current_is_where_the_rule_fires() -> None:
    (found,) = find(edit("populations", "h1", alpha=np.full((1, 5), 0.2)), "SNN502")
    below = np.full((1, 5), float(found.limit) - 0.01)
    assert find(edit("populations", "h1", alpha=below), "SNN502")


@defect("'add an hidden population'")
def test_the_article_fits() -> None:
    network = extend(outputs=(replace(CLEAN.outputs[0], populations=("h1", "h2", "out")),))
    assert [diagnostic.fix for diagnostic in find(network, "SNN110")] == ["add a hidden population"]


@defect("relays are 'population h1 (relay 1)', without the module")
def test_relays_are_told_with_the_users_module() -> None:
    reach = replace(XYLO, outputs=replace(XYLO.outputs, reach=replace(XYLO.outputs.reach, count=8)))
    assert [diagnostic.location.source for diagnostic in find(residual(), "SNN209", reach)] == ["model.h1"]


@defect("an input port is told as population 'in'")
def test_a_port_is_told_as_a_port() -> None:
    (found,) = find(CLEAN, "SNN205", limit(XYLO, "input_weights", max_fan_out=4))
    assert (found.location.port, found.location.population) == ("in", "")


@defect("Location leaves neurons out of ==, so findings about different neurons are equal")
def test_places_of_other_neurons_differ() -> None:
    assert Location(population="h1", neurons=(0, 1)) != Location(population="h1", neurons=(3, 4))


@defect("what a rule found before it crashed is lost")
def test_a_crash_keeps_what_was_found_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash_late(_: Any) -> Iterator[Finding]:
        yield Finding(location=Location(population="h1"), message="found before")
        raise ZeroDivisionError

    monkeypatch.setitem(RULES, "SNN402", replace(RULES["SNN402"], check=crash_late))
    assert [diagnostic.rule for diagnostic in check_network(CLEAN, XYLO).diagnostics] == ["SNN001", "SNN402"]

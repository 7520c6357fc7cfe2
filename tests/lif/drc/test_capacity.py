"""The rules of what fits a chip, where no limit is counted up to: aliases, and what would be enough."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from rule_cases import (
    CLEAN,
    GENERIC,
    XYLO,
    chain,
    check,
    check_aliases,
    edit,
    limit,
    with_reach,
    with_slots,
    with_weights,
)

from snnmap.chip import Chip, SlotReach
from snnmap.lif.drc import check_mapped, check_network
from snnmap.lif.mapping import fold_network
from snnmap.network import Network, sketch_network

Told = list[tuple[str, tuple[tuple[int, int], ...], float]]
"""Rule, neurons, and how many aliases."""

DELAYED, SLIM = (edit("projections", "h1->h2", chain(*sizes), delay_steps=4) for sizes in ((5, 3, 4, 2), (1, 1, 1, 1)))
"""With 3 relays for each of 3 neurons, and for the one neuron."""


@pytest.mark.parametrize(
    ("chip", "aliases", "told"),
    [
        (GENERIC, {1: 0, 3: 2}, [("SNN211", ((1, 4),), 2)]), (GENERIC, {2: 0}, [("SNN211", ((2, 3),), 1)]), (GENERIC, {}, []),
        (GENERIC, {0: 5, 2: 5}, [("SNN211", ((0, 3),), 2)]),
        (XYLO, {}, []), (XYLO, {1: 0, 0: 8}, []), (XYLO, {0: 9}, [("SNN213", ((0, 1),), 1)]),
        (XYLO, {3: -2, 4: 10, 8: 11}, [("SNN213", ((3, 5), (8, 9)), 3)]),
        (XYLO, {0: 0}, [("SNN213", ((0, 1),), 1)]), (XYLO, {8: 8}, [("SNN213", ((8, 9),), 1)]),
        (XYLO, {1: 0, 2: 0, 4: 0, 5: 3}, [("SNN213", ((1, 3), (4, 5)), 3)]),
    ],
)  # fmt: skip
def test_aliases_are_told_with_their_number(chip: Chip, aliases: Mapping[int, int], told: Told) -> None:
    found = check_aliases(chip, aliases).diagnostics
    assert [(d.rule, d.location.runs, d.measured_value) for d in found] == told
    assert {d.limit_value for d in found} <= {0}


@pytest.mark.parametrize(
    ("network", "over", "instead"),
    [
        (DELAYED, 1, "shorten the connection 'h1->h2[0]@4' by 1 step (up to 3 relays fewer)"),
        (DELAYED, 3, "shorten the connection 'h1->h2[0]@4' by 1 step (up to 3 relays fewer)"),
        (DELAYED, 9, "shorten the connection 'h1->h2[0]@4' by 3 steps (up to 9 relays fewer)"),
        (DELAYED, 10, ""),
        (SLIM, 2, "shorten the connection 'h1->h2[0]@4' by 2 steps (up to 2 relays fewer)"),
        (SLIM, 3, "shorten the connection 'h1->h2[0]@4' by 3 steps (up to 3 relays fewer)"),
        (SLIM, 4, ""),
    ],
)
def test_the_one_connection_of_a_source_is_shortened_as_far_as_needed(network: Network, over: int, instead: str) -> None:
    chip = with_slots(fold_network(network, XYLO).hidden.size - over)
    (found,) = [d for d in check_mapped(fold_network(network, chip)).errors if d.rule == "SNN202"]
    assert found.least is not None
    assert (found.least.n, found.least.instead) == (over, instead)


@pytest.mark.parametrize(
    ("rule", "reach", "told"), [("SNN208", {"inputs": 3}, [(3, 2, (3, 5))]), ("SNN209", {"outputs": 2}, [(5, 8, (0, 2))])]
)
def test_the_first_slot_out_of_reach_is_measured(rule: str, reach: Mapping[str, int], told: list[object]) -> None:
    """Beside the last that is within: outputs read the last two of nine slots."""
    found = [d for d in check((CLEAN, with_reach(XYLO, **reach))).errors if d.rule == rule]
    assert [(d.measured_value, d.limit_value, d.location.neurons) for d in found] == told


def test_the_largest_bias_of_a_run_is_measured() -> None:
    network = edit("populations", "h1", bias=np.array([0.0, 0.25, -0.5, 0.125, 0.0]))
    (found,) = [d for d in check_network(network, limit(XYLO, "hidden", bias=False)).errors if d.rule == "SNN210"]
    assert (found.location.neurons, found.measured_value, found.limit_value) == ((1, 4), 0.5, 0)


def test_populations_that_are_not_there_are_no_outputs() -> None:
    network = edit("outputs", "port", chain(3, 5, 4, 33), populations=("out", "missing"))
    assert [(d.measured_value, d.limit_value) for d in check_network(network, XYLO).errors if d.rule == "SNN203"] == [(33, 32)]


def test_where_placing_neurons_otherwise_may_do_no_number_of_them_is_told() -> None:
    """The five that take inputs are behind the four others, and inputs reach just as many."""
    turned = replace(CLEAN, populations=CLEAN.populations[::-1])
    mapped = replace(fold_network(turned, with_slots(9)), chip=with_reach(XYLO, inputs=5))
    (found,) = [d for d in check_mapped(mapped).errors if d.rule == "SNN208"]
    assert (found.location.n_neurons, found.least) == (4, None)


def test_the_most_weights_of_a_run_of_neurons_are_measured() -> None:
    sparse = with_weights("h1->h2", lambda weights: np.where(np.add.outer(np.arange(5), np.arange(4)) > 5, 0.0, weights))
    (found,) = [d for d in check((sparse, limit(GENERIC, "recurrent_weights", max_fan_in=2))).errors if d.rule == "SNN204"]
    assert (found.location.neurons, found.measured_value, str(found.least)) == ((0, 4), 5, "prune 9 of 17 weights (52.9%)")


def test_scattered_neurons_of_one_layer_with_too_many_weights_are_one_finding_with_the_worst() -> None:
    """Of four neurons, the first keeps all weights, the third all but one, and the others one."""
    kept = np.array([np.arange(5) < n for n in (5, 1, 4, 1)]).T
    uneven = with_weights("h1->h2", lambda weights: np.where(kept, weights, 0.0))
    report = check((uneven, limit(GENERIC, "recurrent_weights", max_fan_in=3)))
    (found,) = [d for d in report.errors if d.rule == "SNN204" and d.location.population == "h2"]
    assert (found.location.runs, found.measured_value, found.least and found.least.n) == (((0, 1), (2, 3)), 5, 3)


@pytest.mark.parametrize(
    ("read", "anchor", "told"),
    [
        ("a", "last", "3 neurons take inputs and are read by outputs as well, for which there are 1 slots"),
        ("a", "first", ""),
        ("b", "first", "5 neurons take inputs or are read by outputs, and 3 slots are within reach of one or the other"),
        ("b", "last", ""),
    ],
)
def test_slots_that_two_memories_need_are_told_where_each_alone_reaches_enough(
    read: str, anchor: Literal["first", "last"], told: str
) -> None:
    """Of five slots inputs reach the first three, and outputs the first or the last three."""
    onto = {"a->out": 0.3, "b->out": np.zeros((2, 2))} if read == "a" else {}
    network = sketch_network({"in": 2, "a": 3, "b": 2, "out": 2}, weights=onto)
    chip = with_reach(XYLO, inputs=3)
    chip = replace(chip, outputs=replace(chip.outputs, reach=SlotReach(anchor=anchor, count=3)))
    found = [d for d in check_mapped(fold_network(network, chip)).errors if d.rule in ("SNN208", "SNN209")]
    assert bool(found) == bool(told)
    assert all(told in d.message and d.least is None for d in found)

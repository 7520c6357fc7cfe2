"""The least that would do: as much as is beyond a limit, and where another change is named, that does too."""

import re
from dataclasses import replace

import numpy as np
import pytest
from random_networks import random_network
from rule_cases import CASES, GENERIC, XYLO, check, extend, limit, make_projection, residual, with_slots

from snnmap.chip import Chip
from snnmap.core.diagnostics import Diagnostic, Least
from snnmap.lif.drc import check_mapped
from snnmap.lif.mapping import fold_network, lower_network
from snnmap.network import Network

COUNTED = ["SNN111", "SNN201", "SNN202", "SNN203", "SNN206", "SNN207"]


def find(network: Network, chip: Chip, rule: str) -> Diagnostic:
    (found,) = [diagnostic for diagnostic in check((network, chip)).diagnostics if diagnostic.rule == rule]
    return found


@pytest.mark.parametrize("rule", COUNTED)
def test_it_is_what_is_beyond_the_limit_of_all_that_there_is(rule: str) -> None:
    found = find(*CASES[rule][0], rule)
    assert found.least is not None
    assert found.measured_value is not None
    assert found.limit_value is not None
    assert (found.least.n, found.least.of) == (found.measured_value - found.limit_value, found.measured_value)


def test_it_adds_up_over_neurons_and_runs() -> None:
    """The first and the last of four neurons have a weight too many."""
    weights = np.where(np.isin(np.arange(4), (0, 3)) & (np.arange(5) == 0)[:, np.newaxis], 0.3, 0.0)
    skip = replace(make_projection("h1", "h2", weights, delay_steps=2), name="skip")
    found = find(extend(skip), limit(GENERIC, "recurrent_weights", max_fan_in=5), "SNN204")
    assert found.location.runs == ((0, 1), (3, 4))
    assert str(found.least) == "prune 2 of 12 weights (16.7%)"


def test_neurons_out_of_reach_are_counted_where_placement_cannot_help() -> None:
    assert str(find(*CASES["SNN208"][0], "SNN208").least) == "let 1 neurons fewer take inputs"


def test_it_is_told_in_text_but_not_of_what_is_waived() -> None:
    found = find(*CASES["SNN203"][0], "SNN203")
    assert "    least: drop 1 of 33 outputs (3.03%)" in str(found).splitlines()


def test_parts_add_up() -> None:
    both = Least(do="prune", n=1, what="weights", of=10).add(Least(do="prune", n=2, what="weights", of=5))
    assert str(both) == "prune 3 of 15 weights (20%)"


def shorten(network: Network, instead: str) -> Network:
    """Do what a finding names: take steps from a connection's delay, or leave it out where it has none."""
    name, steps = re.fullmatch(r"shorten the connection '(.*)' by (\d+) steps? \(up to \d+ relays? fewer\)", instead).groups()  # type: ignore[union-attr]
    lowered = lower_network(network)
    (found,) = [part for part in lowered.projections if part.name == name]
    left = found.delay_steps - int(steps)
    kept = [replace(found, delay_steps=left)] if left >= 0 else []
    return replace(lowered, projections=tuple(new for part in lowered.projections for new in (kept if part is found else [part])))


def test_a_shorter_connection_saves_relays() -> None:
    found = find(residual(5), with_slots(14), "SNN202")
    assert found.least is not None
    assert found.least.instead == "shorten the connection 'h1->out[0]@0' by 1 step (up to 5 relays fewer)"
    assert fold_network(shorten(residual(5), found.least.instead), with_slots(14)).hidden.size <= 14


def test_of_random_networks_what_is_named_is_enough() -> None:
    named = 0
    for seed in range(40):
        network = random_network(seed, biases=False)
        size = fold_network(network, XYLO).hidden.size
        chip = replace(with_slots(size - 1))
        (found,) = [d for d in check_mapped(fold_network(network, chip)).errors if d.rule == "SNN202"]
        assert found.least is not None
        if found.least.instead:
            named += 1
            assert fold_network(shorten(network, found.least.instead), chip).hidden.size < size
    assert named > 10

"""The engine: everything is reported, in a stable order; a rule that crashes is itself a finding."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_cases import CASES, CLEAN, XYLO, check, edit, extend, make_projection

from snnmap.core import Report
from snnmap.core.diagnostics import Diagnostic, Location, Severity
from snnmap.core.errors import DesignRuleError
from snnmap.core.rules import Finding
from snnmap.lif.drc import RULES, Rule, check_network, find_rule
from snnmap.network import Network
from snnmap.pipeline import compile_model

ABOUT_THE_WHOLE = {"SNN110", "SNN202", "SNN302", "SNN613"}
ABOUT_SEVERAL = {"SNN103", "SNN104", "SNN203", "SNN301"}

FOUND = Diagnostic(rule="SNN402", name="decay-out-of-range", severity=Severity.ERROR, location=Location(), message="found")


def crash(_: Any) -> Iterable[Finding]:
    raise ZeroDivisionError("on purpose")


def several_violations() -> Network:
    """A network that breaks five rules, one of them in two places."""
    broken = edit("populations", "h1", threshold=np.array([0.0, 1, 0, 0, 1]), beta=np.array([0.94, 2, 0.5, 0.5, 0.5]))
    broken = edit("projections", "h1->h2", broken, weights=CLEAN.projections[1].weights.with_data(np.full(20, -1.0)))
    return extend(make_projection("in", "out", np.ones((3, 2))), network=broken)


@pytest.mark.parametrize("rule", RULES)
def test_a_crashing_rule_is_a_finding_and_its_stage_runs_on(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = RULES[rule]
    monkeypatch.setitem(RULES, rule, replace(entry, check=crash))
    report = check((CLEAN, XYLO))
    (found,) = report.errors
    assert (found.rule, found.name) == ("SNN001", "rule-crashed")
    assert f"{rule} [{entry.name}] crashed: ZeroDivisionError: on purpose" in str(found)
    assert {other.id for other in RULES.values() if other.subject is entry.subject} <= set(report.rules_run)
    with pytest.raises(DesignRuleError, match="SNN001"):
        compile_model(CLEAN, XYLO)


def test_a_finding_has_its_rule_and_a_crash_has_none() -> None:
    assert find_rule(FOUND) is RULES["SNN402"]
    assert find_rule(replace(FOUND, rule="SNN001")) is None


@pytest.mark.parametrize("rule", ["SNN101", "SNN402", "SNN503"])
def test_a_crash_hides_no_finding_of_another_rule(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [str(diagnostic) for diagnostic in check_network(several_violations(), XYLO).diagnostics]
    monkeypatch.setitem(RULES, rule, replace(RULES[rule], check=crash))
    crashed, *others = [str(diagnostic) for diagnostic in check_network(several_violations(), XYLO).diagnostics]
    assert "SNN001" in crashed
    assert others == [text for text in before if rule not in text]


def test_all_crashes_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network_rules = sorted(entry.id for entry in RULES.values() if entry.subject is Network)
    for rule in network_rules:
        monkeypatch.setitem(RULES, rule, replace(RULES[rule], check=crash))
    diagnostics = check((CLEAN, XYLO)).diagnostics
    assert [diagnostic.message.split()[1] for diagnostic in diagnostics] == network_rules


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_is_no_crash_is_not_caught(stop: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: Any) -> Iterable[Finding]:
        raise stop

    monkeypatch.setitem(RULES, "SNN402", replace(RULES["SNN402"], check=interrupt))
    with pytest.raises(stop):
        check_network(CLEAN, XYLO)


def test_all_violations_at_once_errors_first_and_sorted() -> None:
    report = check((several_violations(), XYLO))
    places = [(d.rule, d.location.neurons) for d in report.diagnostics]
    assert places == [
        ("SNN108", None), ("SNN401", (0, 4)), ("SNN402", (1, 2)),
        ("SNN106", (0, 4)), ("SNN503", (0, 1)),
    ]  # fmt: skip
    assert [d.sort_key for d in report.diagnostics] == sorted(d.sort_key for d in report.diagnostics)
    assert report.diagnostics == (*report.errors, *report.warnings)
    assert all(d.fix and d.name and d.location.source for d in report.diagnostics)


def test_the_order_of_rules_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [str(diagnostic) for diagnostic in check((several_violations(), XYLO)).diagnostics]
    turned: dict[str, Rule] = dict(reversed(RULES.items()))
    monkeypatch.setattr("snnmap.lif.drc.engine.RULES", turned)
    assert [str(diagnostic) for diagnostic in check((several_violations(), XYLO)).diagnostics] == before


@pytest.mark.parametrize("rule", CASES)
def test_the_order_of_parts_changes_nothing(rule: str) -> None:
    network, chip = CASES[rule][0]
    turned = {part: getattr(network, part)[::-1] for part in ("populations", "projections", "sums")}
    before, after = (check((either, chip)) for either in (network, replace(network, **turned)))
    assert [str(d) for d in before.diagnostics] == [str(d) for d in after.diagnostics]


def describe_cases() -> str:
    return "\n".join(str(diagnostic) for case, _ in CASES.values() for diagnostic in check(case).diagnostics)


DESCRIBE_CASES = """
import sys; sys.path[:0] = sys.argv[1:]
from rule_cases import CASES, check
print("\\n".join(str(diagnostic) for case, _ in CASES.values() for diagnostic in check(case).diagnostics))
"""


def test_another_process_says_the_same() -> None:
    """Names go through sets and graphs: their order must not follow the hash of a string."""
    command = [sys.executable, "-c", DESCRIBE_CASES, str(Path(__file__).parents[2])]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    text = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert text == describe_cases() + "\n"


@pytest.mark.parametrize("rule", CASES)
def test_every_place_exists(rule: str) -> None:
    network, chip = CASES[rule][0]
    for diagnostic in check((network, chip)).diagnostics:
        is_whole = diagnostic.rule in ABOUT_THE_WHOLE or diagnostic.severity == "advice"
        assert (str(diagnostic.location) == "network") == is_whole
        require_place(network, diagnostic)


def require_place(network: Network, diagnostic: Diagnostic) -> None:
    """Check that a place names parts of the network, neurons that its population has, and the user's module."""
    place = diagnostic.location
    populations = {population.name: population for population in network.populations}
    projections = {projection.name: projection.source for projection in network.projections}
    assert place.port in {"", *(port.name for port in network.inputs), *(port.name for port in network.outputs)}
    assert place.population in {"", *populations, *(total.name for total in network.sums)}
    assert place.projection in {"", *projections}
    if place.population and place.neurons is not None:
        assert 0 <= place.neurons[0] < place.neurons[1] <= populations[place.population].size
    if place.projection:
        assert place.source == projections[place.projection]
    if place.population in populations and diagnostic.rule not in ABOUT_SEVERAL:
        assert place.source == populations[place.population].source


def test_a_place_is_written_from_coarse_to_fine() -> None:
    place = Location(port="p", population="h", projection="w", block="b", neurons=(2, 5), source="model.h")
    assert str(place) == "port 'p' population 'h' projection 'w' block 'b' neurons 2..4 (module model.h)"
    assert str(Location(neurons=(3, 4))) == "neuron 3"
    assert str(Location()) == "network"


def test_places_of_other_neurons_differ() -> None:
    assert Location(population="h1", neurons=(0, 1)) != Location(population="h1", neurons=(3, 4))


def test_a_crash_keeps_what_was_found_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash_late(_: Any) -> Iterator[Finding]:
        yield Finding(location=Location(population="h1"), message="found before")
        raise ZeroDivisionError

    monkeypatch.setitem(RULES, "SNN402", replace(RULES["SNN402"], check=crash_late))
    assert [diagnostic.rule for diagnostic in check_network(CLEAN, XYLO).diagnostics] == ["SNN001", "SNN402"]


def test_merging_reports_keeps_findings_that_differ_and_tells_equal_ones_once() -> None:
    one, other = (Report(diagnostics=(replace(FOUND, measured=value),), rules_run=("SNN402",)) for value in ("2", "3"))
    assert one.merge(one) == one
    assert [found.measured for found in other.merge(one).diagnostics] == ["2", "3"]


@settings(deadline=None, max_examples=50)
@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(["beta", "threshold", "bias", "weight"]))
def test_no_value_crashes_a_rule(value: float, where: str) -> None:
    if where == "weight":
        network = edit("projections", "h1->h2", weights=replace(CLEAN.projections[1].weights, data=np.full(20, value)))
    else:
        population = CLEAN.populations[0]
        changed = getattr(population, where).copy()
        changed[0] = value
        network = replace(CLEAN, populations=(replace(population, **{where: changed}), *CLEAN.populations[1:]))
    assert not [d for d in check((network, XYLO)).diagnostics if d.rule == "SNN001"]

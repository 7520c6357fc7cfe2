"""The engine: everything is reported, in a stable order; a rule that crashes is itself a finding."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_networks import random_network
from rule_cases import CLEAN, XYLO, check, edit, extend, make_projection

from snnmap.chip import list_chips, load_chip
from snnmap.diagnostics import Severity
from snnmap.drc import RULES, Rule, check_network
from snnmap.errors import DesignRuleError
from snnmap.pipeline import check_model, compile_model


def crash(_: object) -> list[object]:
    raise ZeroDivisionError("on purpose")


def test_a_crashing_rule_is_a_finding_and_the_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = edit("populations", "h1", threshold=np.zeros(5))
    monkeypatch.setitem(RULES, "SNN402", replace(RULES["SNN402"], check=crash))
    report = check_network(broken, XYLO)
    assert [diagnostic.rule for diagnostic in report.errors] == ["SNN001", "SNN401"]
    assert "SNN402 [decay-out-of-range] crashed: ZeroDivisionError: on purpose" in str(report.errors[0])
    assert "SNN402" in report.rules_run


def test_a_crashing_rule_stops_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "SNN402", replace(RULES["SNN402"], check=crash))
    with pytest.raises(DesignRuleError, match="SNN001"):
        compile_model(CLEAN, XYLO)


def test_all_violations_at_once_errors_first_and_sorted() -> None:
    broken = edit("populations", "h1", threshold=np.array([0.0, 1, 0, 0, 1]), beta=np.array([0.94, 2, 0.5, 0.5, 0.5]))
    report = check((extend(make_projection("in", "out", np.ones((3, 2))), network=broken), XYLO))
    places = [(d.rule, d.location.neurons) for d in report.diagnostics]
    assert places == [
        ("SNN108", None), ("SNN401", (0, 1)), ("SNN401", (2, 4)), ("SNN402", (1, 2)), ("SNN503", (0, 1)),
    ]  # fmt: skip
    assert [d.sort_key for d in report.diagnostics] == sorted(d.sort_key for d in report.diagnostics)
    assert all(d.fix and d.name and d.location.source for d in report.diagnostics)


def test_the_order_of_rules_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (edit("populations", "h1", threshold=np.zeros(5), beta=np.full(5, 2.0)), XYLO)
    before = check(broken).diagnostics
    turned: dict[str, Rule] = dict(reversed(RULES.items()))
    monkeypatch.setattr("snnmap.drc.engine.RULES", turned)
    assert check(broken).diagnostics == before


@pytest.mark.parametrize("name", list_chips())
@pytest.mark.parametrize("seed", range(10))
def test_clean_means_that_the_build_succeeds(seed: int, name: str) -> None:
    network, chip = random_network(seed), load_chip(name)
    errors = check_model(network, chip).report.errors
    if not errors:
        compile_model(network, chip)
        return
    with pytest.raises(DesignRuleError) as caught:
        compile_model(network, chip)
    assert caught.value.diagnostics == errors
    assert all(diagnostic.severity is Severity.ERROR for diagnostic in errors)


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

"""The rules of agreement: each fires on its cases, says what its golden file says, and is silent at its limit."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from agreement_cases import (
    AGREEMENT_CASES,
    AGREEMENT_EDGES,
    AGREEMENT_NUMBERS,
    XYLO,
    agreeing,
    agreement,
    comparison,
    of_population,
    of_port,
)
from golden import require_golden
from scipy.stats import binom

from snnmap.core.diagnostics import Diagnostic, Severity
from snnmap.lif.drc import RULES, check_comparison
from snnmap.lif.program import Comparison, SourceOutputs

MESSAGES = Path(__file__).parent / "messages"


def list_findings(of: Comparison, rule: str) -> list[Diagnostic]:
    report = check_comparison(of, XYLO)
    assert "SNN001" not in {diagnostic.rule for diagnostic in report.diagnostics}
    return [diagnostic for diagnostic in report.diagnostics if diagnostic.rule == rule]


def find(of: Comparison, rule: str) -> list[str]:
    return [str(diagnostic) for diagnostic in list_findings(of, rule)]


@pytest.mark.parametrize("rule", AGREEMENT_CASES)
def test_rule_fires_with_its_message(rule: str) -> None:
    found = [find(case, rule) for case in AGREEMENT_CASES[rule][0]]
    assert all(found)
    require_golden(MESSAGES / f"{rule}.txt", "".join(text + "\n" for texts in found for text in texts))


@pytest.mark.parametrize("rule", AGREEMENT_CASES)
def test_rule_is_silent_at_its_limit(rule: str) -> None:
    assert find(AGREEMENT_CASES[rule][1], rule) == []
    assert check_comparison(AGREEMENT_CASES[rule][1], XYLO).is_clean


@pytest.mark.parametrize(("rule", "of", "told"), AGREEMENT_EDGES)
def test_a_rule_changes_its_mind_at_its_edges(rule: str, of: Comparison, told: str) -> None:
    assert [found.severity for found in list_findings(of, rule)] == told.split()


@pytest.mark.parametrize(("rule", "of", "measured", "limit"), AGREEMENT_NUMBERS)
def test_what_is_measured_and_its_limit_are_numbers(rule: str, of: Comparison, measured: float, limit: float) -> None:
    (found,) = [found for found in list_findings(of, rule) if found.severity is not Severity.ADVICE]
    assert (found.measured_value, found.limit_value) == pytest.approx((measured, limit))


@pytest.mark.parametrize("n", [20, 66, 499, 500, 501, 2000])
def test_too_few_agree_to_be_an_accident(n: int) -> None:
    """At the count where the chance of so few, with 95% agreeing, falls below 1%."""
    most = int(binom.ppf(0.01, n, 0.95))  # the least count whose chance is 1% or more
    weighs = [
        [found.severity for found in list_findings(agreeing(k, n_samples=n, classifies=True), "SNN604")] for k in (most - 1, most)
    ]
    assert weighs == [["error"], ["warning"]]


def test_a_bitstream_that_does_what_the_model_does_is_clean() -> None:
    report = check_comparison(comparison(), XYLO)
    assert report.diagnostics == ()
    assert set(report.rules_run) == set(AGREEMENT_CASES) <= set(RULES)


def test_samples_that_were_too_many_to_compare_are_not_asked_for() -> None:
    few = {"n_samples": 58, "n_given": 400}
    assert "score the bitstream on test data" in find(replace(of_port(agreements=(agreement(agreeing=58),)), **few), "SNN607")[0]
    (told,) = find(replace(of_port(agreements=(agreement(agreeing=58),)), **few, held_back=True), "SNN607")
    assert "of which a quarter is compared" in told
    (told,) = find(replace(of_port(agreements=(agreement(agreeing=58),)), n_samples=58, n_given=58), "SNN607")
    assert told.endswith("give more calibration data of typical use (`--calibration`)")


@pytest.mark.parametrize(("integers", "weighs"), [(False, "error"), (True, "warning")])
def test_a_readout_that_is_lost_on_drawn_inputs_asks_for_data(integers: bool, weighs: str) -> None:
    (told,) = find(replace(of_port(spikes=1), drawn=True, integers=integers), "SNN603")
    assert told.startswith(weighs)
    assert "give calibration data" in told


def test_rates_of_samples_at_half_the_difference_are_let_be() -> None:
    at = of_population(lowest_rate=math.sqrt(0.8), highest_rate=math.sqrt(1.25))
    assert find(replace(at, drawn=True), "SNN601") == []
    for beyond in ({"lowest_rate": 0.89}, {"highest_rate": 1.13}):
        assert find(replace(of_population(**beyond), drawn=True), "SNN601")


def test_a_conversion_at_its_limit_may_saturate() -> None:
    source = SourceOutputs(what="torch", error=0.3, agreeing=100, n_samples=100)
    assert find(replace(of_population(saturated=300), converted=source), "SNN606") == []
    assert find(replace(of_population(saturated=300), converted=replace(source, error=0.31)), "SNN606")


def test_outputs_that_never_decide_are_all_samples_where_one_may_be_left() -> None:
    silent = of_port(agreements=(agreement(undecided=100),))
    (found,) = [d for d in check_comparison(silent, XYLO).diagnostics if "never decides" in d.message]
    assert (found.measured_value, found.limit_value) == (100, 99)

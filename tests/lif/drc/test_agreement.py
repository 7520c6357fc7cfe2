"""The rules of agreement: each fires on its cases, says what its golden file says, and is silent at its limit."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from agreement_cases import AGREEMENT_CASES, XYLO, agreement, comparison, of_population, of_port
from golden import require_golden

from snnmap.lif.drc import RULES, check_comparison
from snnmap.lif.program import Comparison, SourceOutputs

MESSAGES = Path(__file__).parent / "messages"


def find(of: Comparison, rule: str) -> list[str]:
    return [str(diagnostic) for diagnostic in check_comparison(of, XYLO).diagnostics if diagnostic.rule == rule]


@pytest.mark.parametrize("rule", AGREEMENT_CASES)
def test_rule_fires_with_its_message(rule: str) -> None:
    found = [find(case, rule) for case in AGREEMENT_CASES[rule][0]]
    assert all(found)
    require_golden(MESSAGES / f"{rule}.txt", "".join(text + "\n" for texts in found for text in texts))


@pytest.mark.parametrize("rule", AGREEMENT_CASES)
def test_rule_is_silent_at_its_limit(rule: str) -> None:
    assert find(AGREEMENT_CASES[rule][1], rule) == []
    assert check_comparison(AGREEMENT_CASES[rule][1], XYLO).is_clean


def test_a_bitstream_that_does_what_the_model_does_is_clean() -> None:
    report = check_comparison(comparison(), XYLO)
    assert report.diagnostics == ()
    assert set(report.rules_run) == set(AGREEMENT_CASES) <= set(RULES)


def test_samples_that_were_too_many_to_compare_are_not_asked_for() -> None:
    few = {"n_samples": 58, "n_given": 400}
    assert "score the bitstream on test data" in find(replace(of_port(agreements=(agreement(agreeing=58),)), **few), "SNN607")[0]
    (told,) = find(replace(of_port(agreements=(agreement(agreeing=58),)), **few, held_back=True), "SNN607")
    assert "of which a quarter is compared" in told


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

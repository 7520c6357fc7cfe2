"""A rule has one place: what is written there is all that a build goes by."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import pytest
from rule_cases import CLEAN, XYLO, feedback

from snnmap.core.diagnostics import Location, Severity
from snnmap.core.errors import DesignRuleError
from snnmap.core.rules import Finding, rule
from snnmap.lif.drc import RULES, OnChip, check_network, explain_rule
from snnmap.lif.mapping import FoldOptions
from snnmap.network import Network, simulate_network
from snnmap.pipeline import CompileOptions, check_model

STOPS = {"SNN101", "SNN102", "SNN103", "SNN104", "SNN108", "SNN109", "SNN110", "SNN111", "SNN301", "SNN403"}


@pytest.mark.parametrize("rule_id", RULES)
def test_a_rule_takes_what_it_says_that_it_judges(rule_id: str) -> None:
    entry = RULES[rule_id]
    assert get_args(get_type_hints(entry.check)["subject"]) == (entry.subject,)


def test_what_leaves_nothing_to_fold() -> None:
    assert {entry.id for entry in RULES.values() if entry.stops_folding} == STOPS


def test_what_mends_a_rule_is_a_choice_of_the_mapping() -> None:
    mended = {entry.id: entry.mended_by for entry in RULES.values() if entry.mended_by}
    assert mended == {"SNN301": "stretch_loops"}
    assert set(mended.values()) <= {field.name for field in fields(FoldOptions)}


def refuse_all(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it does: refuses every network."""
    yield Finding(location=Location(population="h1"), message=f"not on {subject.chip.name}")


@pytest.mark.parametrize("choices", [{}, {"stops_folding": True}, {"stops_folding": True, "mended_by": "stretch_loops"}])
def test_a_build_goes_by_what_a_rule_says_of_itself(choices: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "SNN199", None)  # gone again after the test
    rule("SNN199", "own-rule", Network, **choices)(refuse_all)
    (found,) = check_network(CLEAN, XYLO).diagnostics
    assert (found.rule, found.name, found.severity) == ("SNN199", "own-rule", Severity.ERROR)
    assert "refuses every network" in explain_rule("own-rule")
    checked = check_model(CLEAN, XYLO)
    assert (checked.mapped is None) == bool(choices)
    assert not checked.report.is_clean
    stretched = check_model(CLEAN, XYLO, options=CompileOptions(fold=FoldOptions(stretch_loops=True)))
    assert stretched.report.is_clean == ("mended_by" in choices)


def test_a_run_is_refused_in_the_words_of_the_rule() -> None:
    found = [diagnostic for diagnostic in check_network(feedback(0), XYLO).errors if diagnostic.rule == "SNN103"]
    with pytest.raises(DesignRuleError) as refused:
        simulate_network(feedback(0), [[[0, 0, 0]]])
    assert list(refused.value.diagnostics) == found

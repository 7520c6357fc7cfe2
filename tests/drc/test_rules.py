"""Each rule fires on its case, says what its golden file says, and is silent at its limit."""

from pathlib import Path

import pytest
from golden import require_golden
from rule_cases import CASES, CLEAN, GENERIC, XYLO, check, check_aliases

from snnmap.drc import RULES, explain_rule, format_rules
from snnmap.errors import InputError
from snnmap.ir import Report

MESSAGES = Path(__file__).parent / "messages"
HEADINGS = ("What it does:", "Why it matters:", "Example:", "How to fix:")


def findings(report: Report, rule: str) -> list[str]:
    return [str(diagnostic) for diagnostic in report.diagnostics if diagnostic.rule == rule]


def test_every_rule_has_a_case() -> None:
    assert set(CASES) | {"SNN211"} == set(RULES)


def test_the_clean_network_is_clean() -> None:
    assert check((CLEAN, XYLO)).diagnostics == ()
    assert check((CLEAN, GENERIC)).diagnostics == ()


@pytest.mark.parametrize("rule", CASES)
def test_rule_fires_with_its_message(rule: str) -> None:
    found = findings(check(CASES[rule][0]), rule)
    assert found
    require_golden(MESSAGES / f"{rule}.txt", "\n".join(found) + "\n")


@pytest.mark.parametrize("rule", CASES)
def test_rule_is_silent_at_its_limit(rule: str) -> None:
    assert findings(check(CASES[rule][1]), rule) == []


def test_alias_on_a_chip_without() -> None:
    found = findings(check_aliases(GENERIC), "SNN211")
    require_golden(MESSAGES / "SNN211.txt", "\n".join(found) + "\n")
    assert findings(check_aliases(XYLO), "SNN211") == []


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_documented_under_the_same_headings(rule: str) -> None:
    text = explain_rule(rule)
    assert text == explain_rule(RULES[rule].name)
    places = [text.find(heading) for heading in HEADINGS]
    assert -1 not in places
    assert places == sorted(places)


def test_unknown_rule() -> None:
    with pytest.raises(InputError, match="SNN101"):
        explain_rule("SNN999")


def test_the_rule_table_is_up_to_date() -> None:
    require_golden(Path(__file__).parents[2] / "snnmap" / "drc" / "RULES.md", format_rules())


def test_messages_belong_to_rules() -> None:
    assert {path.stem for path in MESSAGES.glob("*.txt")} == set(RULES)

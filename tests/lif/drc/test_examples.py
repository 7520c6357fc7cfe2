"""The bad and the good example of each rule's documentation run, and show what they say."""

import ast
import re
from typing import Any

import pytest

from snnmap.core import Report
from snnmap.lif.drc import HEADINGS, RULES, explain_rule, format_rule, look_up_rule

ALSO = {
    "SNN103": {"SNN301"},
    "SNN505": {"SNN506"},
    "SNN506": {"SNN601"},
    "SNN602": {"SNN404", "SNN606"},
    "SNN603": {"SNN608"},
    "SNN605": {"SNN506"},
    "SNN611": {"SNN604"},
}
"""What the bad example of a rule breaks besides it, where one cannot be without the other."""


def run(code: str, names: dict[str, Any]) -> Report:
    """Run code, and return the report that its last line stands for."""
    *lines, last = ast.parse(code).body
    assert isinstance(last, ast.Expr)
    exec(compile(ast.Module(lines, []), "example", "exec"), names)
    found = eval(compile(ast.Expression(last.value), "example", "eval"), names)
    return found if isinstance(found, Report) else found.report


@pytest.mark.filterwarnings("ignore:the converted network's outputs are not the ANN's")
@pytest.mark.parametrize("rule", RULES)
def test_the_bad_example_breaks_its_rule_and_the_good_one_does_not(rule: str) -> None:
    names: dict[str, Any] = {}
    bad, good = (run(code, names) for code in RULES[rule].examples)
    told = {found.rule for found in bad.diagnostics if found.severity != "advice" or found.rule == rule}
    assert told == {rule} | ALSO.get(rule, set())
    assert rule in good.rules_run
    assert rule not in {found.rule for found in good.diagnostics}
    assert good.errors == ()


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_documented_under_the_same_headings(rule: str) -> None:
    entry = RULES[rule]
    assert tuple(entry.sections) == HEADINGS
    assert all(entry.sections.values())
    assert entry.summary
    assert "|" not in entry.summary
    assert "\n" not in entry.summary
    text = explain_rule(rule)
    assert text == explain_rule(entry.name)
    assert text.startswith(f"{rule} {entry.name} (")


@pytest.mark.parametrize("rule", RULES)
def test_a_page_holds_all_that_is_written(rule: str) -> None:
    entry = RULES[rule]
    page = format_rule(entry)
    assert page.startswith(f"# {rule} {entry.name}\n")
    assert re.findall(r"^## (.*)$", page, flags=re.MULTILINE) == list(HEADINGS)
    assert tuple(code.strip("\n") for code in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)) == entry.examples
    assert entry.to_plain()["how_to_fix"][1:] in page


@pytest.mark.parametrize("key", ["snn204", "SNN204", "Fan-In-Exceeded"])
def test_a_rule_is_found_in_any_case(key: str) -> None:
    assert look_up_rule(key).id == "SNN204"

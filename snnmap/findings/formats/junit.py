"""For build servers: JUnit XML, a suite a chip and a test case a rule; a rule whose findings are all waived is skipped."""

from xml.etree import ElementTree

from snnmap.core.diagnostics import Diagnostic
from snnmap.core.rules import RULES
from snnmap.core.xml import clean_text
from snnmap.findings.run import Checked, CheckRun

__all__ = ["render"]


def render(run: CheckRun) -> str:
    """Return the findings as the JUnit XML of Jenkins: what fails the check fails its rule's test case, the rest is output."""
    suites = ElementTree.Element("testsuites", name=clean_text(f"snnmap check {run.model}"))
    for checked in run.checked:
        _add_suite(suites, run, checked)
    for key in ("tests", "failures", "errors"):
        suites.set(key, str(sum(int(suite.get(key, "0")) for suite in suites)))
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, encoding="unicode")


def _add_suite(suites: ElementTree.Element, run: CheckRun, checked: Checked) -> None:
    by_rule: dict[str, list[Diagnostic]] = {rule: [] for rule in checked.report.rules_run}
    for diagnostic in checked.report.diagnostics:
        by_rule.setdefault(diagnostic.rule, []).append(diagnostic)
    suite = ElementTree.SubElement(suites, "testsuite", name=clean_text(checked.chip))
    for rule, found in sorted(by_rule.items()):
        _add_case(suite, run, checked.chip, rule, found)
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", "0")
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))


def _add_case(suite: ElementTree.Element, run: CheckRun, chip: str, rule: str, found: list[Diagnostic]) -> None:
    name = RULES[rule].name if rule in RULES else found[0].name
    case = ElementTree.SubElement(suite, "testcase", classname=clean_text(chip), name=f"{rule} {name}")
    failing = [d for d in found if run.fails(d)]
    open_ones = [d for d in found if not d.waived]
    if failing:
        failure = ElementTree.SubElement(case, "failure", type=rule, message=clean_text(failing[0].message))
        failure.text = clean_text("\n".join(map(str, found)))
    elif open_ones:
        ElementTree.SubElement(case, "system-out").text = clean_text("\n".join(map(str, found)))
    elif found:
        reasons = "; ".join(str(diagnostic.waived) for diagnostic in found)
        ElementTree.SubElement(case, "skipped", message=clean_text(f"waived: {reasons}"))

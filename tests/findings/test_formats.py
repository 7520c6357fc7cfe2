"""Each form of a report says everything, and is what its standard wants, whatever the names in it."""

import json
import re
import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import xmlschema
from schemas import SARIF, find_schema, read_junit_schema, require_valid

from snnmap.core import Report
from snnmap.core.diagnostics import Diagnostic, Location, Severity, Waived
from snnmap.findings import Checked, CheckRun, WaiverError, apply_waivers, list_formats, read_config, render
from snnmap.findings.formats import sarif
from snnmap.lif.drc import RULES

ODD = "h[1] | \x00\x1b `a,b:100%`\n</failure>\u2028é"


def make(rule: str, severity: Severity, place: Location, **fields: Any) -> Diagnostic:
    values = {"measured": "5", "limit": "4", "unit": "words", "measured_value": 5, "limit_value": 4, **fields}
    return Diagnostic(
        rule=rule, name=RULES[rule].name, severity=severity, location=place, message="what, is: wrong", fix="mend it", **values
    )


PLACE = Location(population="h1", source="net.h1", file="models/net.py", line=12)
FOUND = (
    make("SNN206", Severity.ERROR, Location(block="recurrent_weights[0]")),
    make("SNN204", Severity.ERROR, replace(PLACE, neurons=(0, 9), ranges=((0, 1), (3, 9)))),
    make("SNN503", Severity.WARNING, replace(PLACE, population=ODD), measured_value=float("nan")),
    make("SNN106", Severity.WARNING, PLACE, waived=Waived(reason="a | reason", author="me", until="2027-01-01", where="x.toml")),
)
REPORT = Report(diagnostics=FOUND, rules_run=tuple(sorted(RULES)))
CLEAN = Report(diagnostics=(), rules_run=REPORT.rules_run)
RUN = CheckRun(
    model="models/net.py:make",
    digest="0" * 64,
    version="1.2.3",
    file="models/net.py",
    checked=(
        Checked(chip="xylo-audio-3", digest="1" * 64, report=REPORT, n_left_out=3, n_errors_left_out=1, comparison={"a": 1}),
        Checked(chip="toy-4", digest="2" * 64, report=CLEAN, n_known=2),
    ),
)


def read_own_schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((resources.files("snnmap.findings") / "check.schema.json").read_text(encoding="utf-8"))
    return schema


@pytest.mark.parametrize("form", list_formats())
def test_every_form_tells_every_finding(form: str) -> None:
    text = render(RUN, form)
    assert text.endswith("\n")
    for diagnostic in FOUND:
        assert (form == "sarif" and diagnostic.waived) or diagnostic.rule in text
    assert "xylo-audio-3" in text


def test_the_forms() -> None:
    assert list_formats() == ["text", "github", "json", "junit", "markdown", "sarif", "waivers"]


@pytest.mark.parametrize("run", [RUN, replace(RUN, checked=()), replace(RUN, checked=RUN.checked[1:])])
def test_json_is_as_its_schema_says(run: CheckRun) -> None:
    require_valid(json.loads(render(run, "json")), read_own_schema())


@pytest.mark.parametrize(
    "harm", [{"clean": "yes"}, {"snnmap_check": 2}, {"chips": [{}]}, {"more": 1}, {"diagnostics": [{"rule": "SNN1"}]}]
)
def test_the_schema_refuses_what_it_does_not_say(harm: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        require_valid({**json.loads(render(RUN, "json")), **harm}, read_own_schema())


def test_json_has_numbers_and_waivers() -> None:
    plain = json.loads(render(RUN, "json"))
    assert (plain["errors"], plain["warnings"], plain["waived"], plain["clean"]) == (2, 1, 1, False)
    assert [chip["in_baseline"] for chip in plain["chips"]] == [0, 2]
    assert [entry["measured_value"] for entry in plain["diagnostics"]] == [5, 5, None, 5]
    assert [entry["waived"] is None for entry in plain["diagnostics"]] == [True, True, True, False]


@pytest.mark.parametrize("run", [RUN, replace(RUN, checked=()), replace(RUN, checked=RUN.checked[1:])])
def test_sarif_is_as_oasis_says(run: CheckRun) -> None:
    require_valid(json.loads(render(run, "sarif")), find_schema(SARIF))


def test_every_sarif_result_has_a_file_a_line_and_its_rule() -> None:
    (log,) = json.loads(render(RUN, "sarif"))["runs"]
    rules = log["tool"]["driver"]["rules"]
    assert [result["ruleId"] for result in log["results"]] == ["SNN206", "SNN204", "SNN503"]  # the waived one is left out
    for result in log["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        (place,) = result["locations"]
        assert place["physicalLocation"]["artifactLocation"]["uri"] == "models/net.py"
        assert place["physicalLocation"]["region"]["startLine"] == (1 if result["ruleId"] == "SNN206" else 12)
        assert result["partialFingerprints"]
    assert len({result["partialFingerprints"]["snnmap/v1"] for result in log["results"]}) == 3
    assert all(RULES[rule["id"]].text == rule["help"]["text"] for rule in rules)
    notes = [note["message"]["text"] for note in log["invocations"][0]["toolExecutionNotifications"]]
    assert notes == [
        "xylo-audio-3: 3 findings are left out by choice (1 of them errors, which a build refuses)",
        "toy-4: 2 findings are in the baseline",
    ]


def test_sarif_addresses_are_those_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def address(file: str) -> str:
        run = replace(RUN, file=file, checked=(replace(RUN.checked[0], report=Report(diagnostics=FOUND[:1], rules_run=())),))
        (result,) = json.loads(render(run, "sarif"))["runs"][0]["results"]
        uri: str = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        return uri

    assert address(str(tmp_path / "a b" / "ü.py")) == "a%20b/%C3%BC.py"
    assert address("/elsewhere/m.py") == "file:///elsewhere/m.py"
    assert address("m.json") == "m.json"


def test_sarif_stays_within_githubs_limit_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MOST_RESULTS", 2)
    (log,) = json.loads(render(RUN, "sarif"))["runs"]
    assert [result["level"] for result in log["results"]] == ["error", "error"]
    assert "1 finding is beyond" in log["invocations"][0]["toolExecutionNotifications"][-1]["message"]["text"]


def test_sarif_links_the_rules_pages_where_the_project_says_where_they_are() -> None:
    log = json.loads(render(replace(RUN, rules_url="https://docs.example.com/rules/"), "sarif"))
    require_valid(log, find_schema(SARIF))
    links = [rule.get("helpUri") for rule in log["runs"][0]["tool"]["driver"]["rules"] if rule["id"] in RULES]
    assert links == [f"https://docs.example.com/rules/{rule}/" for rule in ("SNN204", "SNN206", "SNN503")]
    assert "helpUri" not in render(RUN, "sarif")


def test_junit_has_a_case_a_rule_and_skips_what_is_waived() -> None:
    root = ElementTree.fromstring(render(RUN, "junit"))
    assert (root.get("tests"), root.get("failures")) == (str(2 * len(RULES)), "2")
    first, second = root.findall("testsuite")
    assert (first.get("skipped"), second.get("skipped")) == ("1", "0")
    assert (first.get("name"), second.get("name")) == ("xylo-audio-3", "toy-4")
    cases = {str(case.get("name")).split()[0]: case for case in first}
    assert {rule for rule, case in cases.items() if case.find("failure") is not None} == {"SNN206", "SNN204"}
    (skipped,) = cases["SNN106"]
    assert skipped.get("message") == "waived: a | reason (me, until 2027-01-01, x.toml)"
    assert "h[1] | \ufffd\ufffd `a,b:100%`" in str(cases["SNN503"].findtext("system-out"))
    assert all(len(case) == 0 for case in second)


def test_junit_fails_what_a_strict_check_fails() -> None:
    suite = ElementTree.fromstring(render(replace(RUN, strict=True), "junit"))[0]
    failed = [str(case.get("name")).split()[0] for case in suite if case.find("failure") is not None]
    assert (failed, suite.get("failures"), suite.get("skipped")) == (["SNN204", "SNN206", "SNN503"], "3", "1")


def test_the_waivers_that_are_printed_hold_once_they_have_a_reason(tmp_path: Path) -> None:
    percent = make("SNN506", Severity.WARNING, PLACE, measured="27.8%", measured_value=0.27841706, limit_value=0.25)
    report = Report(diagnostics=(*FOUND, percent), rules_run=REPORT.rules_run)
    unwaivable = frozenset({FOUND[0].fingerprint})
    checked = replace(RUN.checked[0], report=report, unwaivable=unwaivable)
    text = render(replace(RUN, checked=(checked, RUN.checked[1])), "waivers")
    assert ("value = 0.27841706  # 27.8%" in text, "cannot be waived: mend it" in text) == (True, True)
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(WaiverError, match="has no reason"):
        read_config(tmp_path / "pyproject.toml")
    (tmp_path / "pyproject.toml").write_text(text.replace('reason = ""', 'reason = "so"'))
    waivers = read_config(tmp_path / "pyproject.toml").waivers
    places = {kind: frozenset({ODD, "h1"}) for kind in PLACE.names}
    told = apply_waivers(
        report, waivers, chip="xylo-audio-3", network="n", places=places, may_waive=lambda d: d.fingerprint not in unwaivable
    )
    assert [d.rule for d in told.diagnostics if not d.waived] == ["SNN206"]
    assert [waiver.chip for waiver in waivers] == ["xylo-audio-3"] * 3
    assert render(replace(RUN, checked=RUN.checked[1:]), "waivers") == "# nothing to waive\n"


def read_command(line: str) -> tuple[str, dict[str, str], str]:
    """Read a workflow command as GitHub's runner does."""
    found = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
    assert found is not None
    kind, named, message = found.groups()
    pairs = dict(part.split("=", 1) for part in named.split(","))

    def read(text: str) -> str:
        for code, letter in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
            text = text.replace(code, letter)
        return text

    return kind, {key: read(value) for key, value in pairs.items()}, read(message)


def test_github_commands_are_read_back_as_the_findings() -> None:
    lines = render(RUN, "github").split("\n")[: len(FOUND)]
    for diagnostic, line in zip(FOUND, lines, strict=True):
        kind, named, message = read_command(line)
        assert kind == ("notice" if diagnostic.waived else diagnostic.severity)
        assert named["file"] == "models/net.py"
        assert int(named["line"]) == (diagnostic.location.line or 1)
        assert str(diagnostic).endswith(message)


def test_junit_is_as_jenkins_wants_it() -> None:
    schema = xmlschema.XMLSchema(read_junit_schema())
    schema.validate(render(RUN, "junit"))
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        schema.validate(render(RUN, "junit").replace("<testsuite ", '<testsuite color="red" ', 1))


def test_markdown_rows_have_as_many_cells_as_the_head() -> None:
    rows = [line for line in render(RUN, "markdown").splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {8}
    assert len(rows) == 2 + len(FOUND)


def test_text_of_one_chip_is_the_report() -> None:
    one = replace(RUN, checked=(replace(RUN.checked[0], n_left_out=0, comparison_text="compared"),))
    assert render(one, "text") == f"{REPORT}\ncompared\n"
    assert "2 errors, 1 warning, 1 waived, " in render(one, "text")


def test_text_of_several_chips_ends_in_a_table() -> None:
    table = render(RUN, "text").rstrip().splitlines()[-3:]
    assert [line.split() for line in table] == [
        ["chip", "errors", "warnings", "advice", "waived", "rules"],
        ["xylo-audio-3", "2", "1", "0", "1", "SNN204,", "SNN206"],
        ["toy-4", "0", "0", "0", "0", "-"],
    ]


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_statistics_sum_by_rule_and_place(form: str) -> None:
    text = render(replace(RUN, statistics=True), form)
    (line,) = [line for line in text.splitlines() if "SNN204" in line and "neurons 0" not in line and line.strip("| ")[0] == "1"]
    assert [word for word in re.split(r"[\s|]+", line) if word][:3] == ["1", "7", "SNN204"]


def test_a_form_is_a_module_that_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def render(run):\n    return f'{run.model} as I like it'\n")
    monkeypatch.setattr("snnmap.findings.formats.__path__", [*sys.modules["snnmap.findings.formats"].__path__, str(tmp_path)])
    assert "mine" in list_formats()
    assert render(RUN, "mine") == "models/net.py:make as I like it\n"

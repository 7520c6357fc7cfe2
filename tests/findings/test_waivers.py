"""Waivers, baselines and configuration: what they accept, what they do not, and what is wrong with them."""

import datetime
import json
from dataclasses import replace
from pathlib import Path

import pytest

from snnmap.core import Report
from snnmap.core.diagnostics import Diagnostic, Location, Severity
from snnmap.core.errors import InputError
from snnmap.findings import Checked, CheckRun, Waiver, apply_waivers, find_config, format_baseline, read_baseline, read_config
from snnmap.findings.worse import got_worse
from snnmap.lif.drc import RULES

PLACES = {key: frozenset({"h1", "h2"}) for key in ("port", "population", "projection", "block")}
TODAY = datetime.date(2026, 6, 1)


def make(rule: str = "SNN503", **fields: object) -> Diagnostic:
    values = {
        "severity": Severity.WARNING,
        "location": Location(population="h1", neurons=(2, 6)),
        "measured": "0.94",
        "limit": "0.9375",
        "measured_value": 0.94,
        "limit_value": 0.9375,
        "fix": "train anew",
        **fields,
    }
    return Diagnostic(rule=rule, name=RULES[rule].name, message="wrong", **values)  # type: ignore[arg-type]


FOUND = make()
WAIVER = Waiver(rule="SNN503", population="h1", reason="measured: no accuracy lost", value=0.94, where="x.toml, waiver 1")


def apply(*waivers: Waiver, found: Diagnostic = FOUND, chip: str = "c", network: str = "n", may: bool = True) -> Report:
    report = Report(diagnostics=(found,), rules_run=tuple(RULES))
    return apply_waivers(report, waivers, chip=chip, network=network, places=PLACES, may_waive=lambda _: may)


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnmap.findings.waivers._today", lambda: TODAY)


def test_a_waived_finding_is_still_told_and_counts_no_more() -> None:
    for found in (FOUND, replace(FOUND, severity=Severity.ERROR)):
        report = apply(WAIVER, found=found)
        assert (report.errors, report.warnings, len(report.waived), report.is_clean) == ((), (), 1, True)
        assert "waived: measured: no accuracy lost (x.toml, waiver 1)" in str(report)


@pytest.mark.parametrize(
    "change",
    [
        {"neurons": "2..5"}, {"neurons": "0, 2..9"}, {"chip": "c"}, {"network": "n"}, {"until": TODAY}, {"value": 0.95},
    ],
)  # fmt: skip
def test_a_waiver_holds(change: dict[str, object]) -> None:
    assert len(apply(replace(WAIVER, **change)).waived) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"neurons": "2..4"}, "there is no such finding"),
        ({"neurons": "0..2, 4..9"}, "there is no such finding"),
        ({"rule": "SNN502"}, "there is no such finding"),
        ({"population": "h2"}, "there is no such finding"),
        ({"block": "h1"}, "there is no such finding"),
        ({"until": TODAY - datetime.timedelta(days=1)}, "ended on 2026-05-31"),
        ({"value": 0.939}, "it was waived at 0.939, and 0.94 is found now"),
    ],
)
def test_a_waiver_that_does_not_hold_is_told_beside_the_finding(change: dict[str, object], told: str) -> None:
    report = apply(replace(WAIVER, file="x.toml", line=7, **change))  # type: ignore[arg-type]
    assert report.waived == ()
    assert FOUND in report.diagnostics
    (stale,) = [diagnostic for diagnostic in report.warnings if diagnostic.rule == "SNN002"]
    assert told in stale.message
    assert str(stale.location) == "(x.toml:7)"


def test_waivers_of_other_chips_and_networks_and_of_rules_that_did_not_run_are_passed_over() -> None:
    for other in (replace(WAIVER, chip="other"), replace(WAIVER, network="other")):
        assert apply(other).diagnostics == (FOUND,)
    report = Report(diagnostics=(FOUND,), rules_run=("SNN503",))
    later = replace(WAIVER, rule="SNN601")
    told = apply_waivers(report, [later], chip="c", network="n", places=PLACES, may_waive=lambda _: True)
    assert told.diagnostics == (FOUND,)


def test_what_a_build_cannot_do_without_is_not_waived() -> None:
    with pytest.raises(InputError, match=r"cannot be waived(.|\n)*x.toml, waiver 1"):
        apply(WAIVER, may=False)


def test_two_waivers_of_one_finding_and_places_that_do_not_exist() -> None:
    with pytest.raises(InputError, match=r"x.toml, waiver 1 and x.toml, waiver 2"):
        apply(WAIVER, replace(WAIVER, neurons="2..5", where="x.toml, waiver 2"))
    with pytest.raises(InputError, match=r"no population 'h11'(.|\n)*did you mean 'h[12]'"):
        apply(replace(WAIVER, population="h11"))


def test_a_waiver_without_value_says_which_to_write() -> None:
    with pytest.raises(InputError, match=r"write value = 0.94"):
        apply(replace(WAIVER, value=None))
    assert apply(replace(WAIVER, value=None), found=replace(FOUND, measured_value=None)).waived


def test_a_waiver_in_per_cent_would_hold_for_ever_and_is_refused() -> None:
    found = make(measured="27.8%", measured_value=0.278, limit_value=0.25)
    for value in (27.8, 28, 30):
        with pytest.raises(InputError, match=r"not per cent(.|\n)*write value = 0.278"):
            apply(replace(WAIVER, value=value), found=found)
    assert apply(replace(WAIVER, value=3.0), found=found).waived
    assert apply(replace(WAIVER, value=300), found=replace(found, measured="2", measured_value=2)).waived


def test_a_waiver_beside_its_finding_names_where_that_is() -> None:
    (stale,) = [d for d in apply(replace(WAIVER, neurons="2..4")).warnings if d.rule == "SNN002"]
    assert "SNN503 is found at population 'h1' neurons 2..5" in stale.message
    assert "`snnmap check --format waivers`" in stale.fix
    (unused,) = [d for d in apply(replace(WAIVER, rule="SNN502")).warnings if d.rule == "SNN002"]
    assert unused.fix == "remove the waiver"


@pytest.mark.parametrize(
    ("measured", "limit", "accepted", "worse"),
    [
        (5.0, 4.0, 5, False), (6.0, 4.0, 5, True), (5.0, 4.0, 6, False), (3.0, 4.0, 3, False), (2.0, 4.0, 3, True),
        (0.94004, 0.9375, 0.94, False), (0.9451, 0.9375, 0.945, False), (0.946, 0.9375, 0.945, True),
        (float("nan"), 1.0, 5, True), (float("nan"), 1.0, float("nan"), False), (float("inf"), 1.0, 5, True),
        (5.0, None, 5, False), (4.0, None, 5, True), (1e-31, 1e-30, 1e-31, False), (1e-33, 1e-30, 1e-31, True),
    ],
)  # fmt: skip
def test_worse_is_further_beyond_the_limit(measured: float, limit: float | None, accepted: float, worse: bool) -> None:
    assert got_worse(make(measured_value=measured, limit_value=limit), accepted) == worse


HEAD = '[tool.snnmap]\nchips = ["toy-4", "own.toml"]\nselect = ["SNN5", "SNN204"]\nstrict = true\nbaseline = "b.json"\n\n'
TABLE = '[[tool.snnmap.waivers]]\nrule = "decay-not-codable"\npopulation = "h1"\nreason = "so"\nvalue = 1\nuntil = 2027-01-01\n'


def write(folder: Path, text: str, name: str = "pyproject.toml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_the_nearest_configuration_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    write(tmp_path, HEAD + TABLE + TABLE)
    write(tmp_path / "a", "[project]\nname = 'x'\n")
    config = find_config(tmp_path / "a" / "b")
    assert (config.chips, config.select, config.strict) == (("toy-4", "own.toml"), ("SNN5", "SNN204"), True)
    assert (config.baseline, [waiver.line for waiver in config.waivers]) == ("b.json", [7, 13])
    assert (config.waivers[0].rule, config.waivers[0].until) == ("SNN503", datetime.date(2027, 1, 1))
    assert config.waivers[1].where == "pyproject.toml, [tool.snnmap], waiver 2, line 13"
    write(tmp_path / "a", 'ignore = ["SNN1"]\n', "snnmap.toml")
    assert find_config(tmp_path / "a" / "b").ignore == ("SNN1",)
    assert find_config(Path("/")).waivers == ()
    write(tmp_path / "a", HEAD)
    with pytest.raises(InputError, match=r"(?s)two files beside each other.*snnmap.toml, .*pyproject.toml"):
        find_config(tmp_path / "a" / "b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.snnmap]\nselekt = []\n", "did you mean 'select'"),
        ('[tool.snnmap]\nselect = ["SNN9"]\n', "no rule is called 'SNN9'"),
        ("[tool.snnmap]\nselect = [1]\n", "'select' is a list of texts"),
        ("[tool.snnmap]\nselect = 'SNN1'\n", "'select' is a list of texts"),
        ("[tool.snnmap]\nstrict = 1\n", "'strict' is true or false"),
        ("[tool.snnmap]\nrules_url = 'docs/rules'\n", "'rules_url' is no address"),
        ("[tool.snnmap]\nseverity = 'info'\n", "'severity' is error, warning or advice"),
        ("[tool]\nsnnmap = 3\n", "the configuration is a table"),
        ("[tool.snnmap\n", "the configuration is no TOML"),
        ("[tool.snnmap]\nwaivers = [1]\n", "a waiver is a table"),
        (TABLE.replace("reason", "raeson"), "did you mean 'reason'"),
        (TABLE.replace('"so"', '" "'), "a waiver has no reason"),
        (TABLE.replace('"so"', "3"), "'reason' of a waiver is text"),
        (TABLE.replace("value = 1", "value = true"), "'value' of a waiver is a number"),
        (TABLE.replace("2027-01-01", '"2027-01-01"'), "'until' of a waiver is a date"),
        (TABLE.replace("decay-not-codable", "decay-not-codeable"), "did you mean 'decay-not-codable'"),
        (TABLE.replace("decay-not-codable", "SNN5"), "a waiver is of one rule"),
        (TABLE + 'neurons = "4..2"\n', "these are no neurons"),
        (TABLE + 'neurons = "1..2..3"\n', "these are no neurons"),
        (TABLE + 'where = "h1"\n', "a waiver has no 'where'"),
    ],
)
def test_a_mistake_in_the_configuration_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        read_config(write(tmp_path, text))
    assert said in str(refused.value)
    assert "pyproject.toml" in refused.value.where
    assert refused.value.fix


def run_of(*found: Diagnostic, chip: str = "c", digest: str = "1" * 64) -> CheckRun:
    checked = Checked(chip=chip, digest=digest, report=Report(diagnostics=found, rules_run=tuple(RULES)))
    return CheckRun(model="m", digest="0" * 64, version="1", checked=(checked,))


def known_of(tmp_path: Path, *before: Diagnostic, now: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    (tmp_path / "b.json").write_text(format_baseline(run_of(*before)))
    report, n_known = read_baseline(tmp_path / "b.json").split(run_of(*now).checked[0].report, "c", "1" * 64)
    assert n_known + len(report.diagnostics) == len(now)
    return report.diagnostics


def test_a_baseline_knows_what_was_there_and_tells_what_is_new_or_worse(tmp_path: Path) -> None:
    moved = replace(FOUND, location=replace(FOUND.location, neurons=(0, 1)), measured_value=0.939)
    worse, other = replace(FOUND, measured_value=0.95), replace(FOUND, location=Location(population="h2"))
    assert known_of(tmp_path, FOUND, now=(FOUND,)) == ()
    assert known_of(tmp_path, FOUND, now=(moved,)) == ()
    assert known_of(tmp_path, FOUND, now=(worse, other)) == (worse, other)
    assert known_of(tmp_path, FOUND, now=(FOUND, FOUND)) == (FOUND,)
    assert known_of(tmp_path, now=(FOUND,)) == (FOUND,)
    nan = replace(FOUND, measured_value=float("nan"))
    assert known_of(tmp_path, nan, now=(nan,)) == ()


@pytest.mark.parametrize(("chip", "digest"), [("other", "1" * 64), ("c", "2" * 64)])
def test_a_baseline_of_another_chip(tmp_path: Path, chip: str, digest: str) -> None:
    (tmp_path / "b.json").write_text(format_baseline(run_of(FOUND)))
    with pytest.raises(InputError, match="the baseline is of another chip"):
        read_baseline(tmp_path / "b.json").split(Report(diagnostics=(FOUND,), rules_run=()), chip, digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "{}",
        '{"snnmap_baseline 1": 3}',
        '{"snnmap_baseline 2": {}}',
        '{"snnmap_baseline 1": {"c": {}}}',
        "[" * 99_999,
    ]
    + [
        json.dumps({"snnmap_baseline 1": {"c": {"digest": "1", "findings": [finding]}}})
        for finding in (3, {}, {"fingerprint": 1})
    ],
)
def test_what_is_no_baseline(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(InputError, match="this is no baseline"):
        read_baseline(tmp_path / "b.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_baseline(tmp_path / "none.json")

"""snnmap check: chips, forms, where the report goes, what is told."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from command_line import Run
from rule_cases import CASES, chain, feedback

from snnmap.chip import list_chips
from snnmap.findings import list_formats
from snnmap.network import save_network

XYLO = ("--chip", "xylo-audio-3")


@pytest.fixture
def scattered(tmp_path: Path) -> Path:
    """A network with one warning: neurons that nothing leads to, here and there."""
    network = chain(3, 50, 4, 2)
    first = network.projections[0]
    weights = np.where(np.arange(50) % 3 == 0, 0.0, first.weights.to_dense())
    changed = replace(first, weights=type(first.weights).from_dense(weights))
    save_network(replace(network, projections=(changed, *network.projections[1:])), tmp_path / "scattered.json")
    return tmp_path / "scattered.json"


@pytest.mark.parametrize("form", list_formats())
def test_each_form_goes_to_stdout_or_to_a_file(run: Run, model: Path, tmp_path: Path, form: str) -> None:
    shown = run("check", model, "--chip", "toy-4", "--format", form)
    written = run("check", model, "--chip", "toy-4", "--format", form, "-o", tmp_path / "report")
    assert (shown.code, written.code, written.out) == (1, 1, "")
    assert (tmp_path / "report").read_text() == shown.out
    assert "SNN202" in shown.out


def test_quiet_prints_what_is_to_be_mended_and_nothing_else(run: Run, model: Path) -> None:
    clean = run("check", model, *XYLO, "-q")
    assert (clean.code, clean.out, clean.err) == (0, "", "")
    broken = run("check", model, "-c", "toy-4", "-q")
    assert (broken.code, "SNN202" in broken.out, broken.err) == (1, True, "")


def test_several_chips_are_all_checked_and_told_in_one_table(run: Run, model: Path) -> None:
    result = run("check", model, "-c", "xylo-audio-3", "-c", "toy-4", "-c", "xylo-audio-3")
    assert result.code == 1
    assert [line.split()[:2] for line in result.out.splitlines()[-3:]] == [
        ["chip", "errors"], ["xylo-audio-3", "0"], ["toy-4", str(result.out.count("\nerror "))],
    ]  # fmt: skip


def test_all_chips(run: Run, model: Path) -> None:
    found = json.loads(run("check", model, "-c", "all", "--format", "json").out)
    assert [chip["name"] for chip in found["chips"]] == list(list_chips())


def test_a_check_is_of_a_chip(run: Run, model: Path) -> None:
    result = run("check", model)
    assert (result.code, "--chip" in result.err) == (2, True)


def test_a_place_of_many_neurons_is_one_finding(run: Run, scattered: Path) -> None:
    result = run("check", scattered, *XYLO, "--statistics")
    assert result.code == 0
    assert "neurons 0, 3, 6, 9, 12, 15 and 11 more" in result.out
    rows = [line.split() for line in result.out.splitlines()]
    assert ["1", "17", "SNN105", "unreachable-neuron", "population", "'h1'"] in rows


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_the_least_that_would_do_is_a_table(run: Run, model: Path, form: str) -> None:
    result = run("check", model, "-c", "toy-4", "--least", "--format", form)
    rows = [line.replace("\\", "").replace("|", " ").split() for line in result.out.splitlines()]
    assert ["toy-4", "SNN201", "port", "'in'", "drop", "1", "channels", "33.3%"] in rows
    found = json.loads(run("check", model, "-c", "toy-4", "--format", "json").out)["diagnostics"]
    least = {entry["rule"]: entry["least"] for entry in found}
    assert least["SNN201"] == {"do": "drop", "n": 1, "what": "channels", "of": 3, "instead": ""}


def test_strict_fails_on_warnings(run: Run, scattered: Path) -> None:
    assert [run("check", scattered, *XYLO, *strict).code for strict in ((), ("--strict",))] == [0, 1]


@pytest.mark.parametrize(
    ("choice", "rules"),
    [
        ((), {"SNN105", "SNN106", "SNN107", "SNN201", "SNN301"}),
        (("--select", "SNN2"), {"SNN201"}),
        (("--select", "too-many-inputs"), {"SNN201"}),
        (("--select", "snn201", "--select", "SNN301"), {"SNN201", "SNN301"}),
        (("--select", "Too-Many-Inputs, snn3"), {"SNN201", "SNN301"}),
        (("--ignore", "SNN2"), {"SNN105", "SNN106", "SNN107", "SNN301"}),
        (("--ignore", "SNN2", "--severity", "error"), {"SNN301"}),
        (("--ignore", "snn2", "--severity", "ERROR"), {"SNN301"}),
        (("--select", "SNN5"), set()),
    ],
)
def test_what_is_told_is_chosen(run: Run, tmp_path: Path, choice: tuple[str, ...], rules: set[str]) -> None:
    network = feedback(1)
    lonely = replace(network.populations[0], name="lonely", size=5)
    save_network(replace(network, populations=(*network.populations, lonely)), tmp_path / "m.json")
    found = json.loads(run("check", tmp_path / "m.json", "-c", "toy-4", "--format", "json", *choice).out)
    assert {entry["rule"] for entry in found["diagnostics"]} == rules
    assert (found["chips"][0]["left_out"] > 0) == bool(choice)


def test_errors_that_are_left_out_are_counted(run: Run, model: Path) -> None:
    result = run("check", model, "-c", "toy-4", "--select", "SNN5")
    assert result.code == 0
    assert "of them errors, which a build refuses)" in result.out


@pytest.mark.parametrize(
    ("option", "name", "meant"), [("--select", "too-many-input", "too-many-inputs"), ("--ignore", "SNN9", "SNN")]
)
def test_a_rule_that_does_not_exist(run: Run, model: Path, option: str, name: str, meant: str) -> None:
    result = run("check", model, *XYLO, option, name)
    assert (result.code, meant in result.err, f"'{name}'" in result.err) == (2, True, True)


def test_a_waiver_that_is_refused_names_its_own_file(run: Run, project: Path) -> None:
    np.save(project / "counts.npy", np.ones((4, 20, 3), int))
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace('"h1"', '"h11"'))
    refused = run("check", project / "m.json", "--calibration", project / "counts.npy")
    assert (refused.code, "did you mean 'h1'?" in refused.err, "counts.npy" in refused.err) == (2, True, False)


def test_a_chip_that_the_project_misspells_is_told_with_its_place(run: Run, project: Path) -> None:
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace("xylo-audio-3", "Xylo-Audio3"))
    refused = run("check", project / "m.json")
    assert (refused.code, "pyproject.toml, chips" in refused.err, "'xylo-audio-3'?" in refused.err) == (2, True, True)


def test_the_report_of_a_full_check_is_as_its_schema_says(run: Run, model: Path) -> None:
    from importlib import resources

    schema = json.loads((resources.files("snnmap.findings") / "check.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(run("check", model, "-c", "all", "--format", "json").out), schema)


def test_two_processes_say_the_same(run: Run, tmp_path: Path) -> None:
    (network, chip), _ = CASES["SNN401"]
    save_network(network, tmp_path / "m.json")
    told = run("check", tmp_path / "m.json", "-c", chip.name, "--format", "json").out
    command = [sys.executable, "-m", "snnmap", "check", str(tmp_path / "m.json"), "-c", chip.name, "--format", "json"]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout == told


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a network of one warning, and a configuration that waives it."""
    (network, _), _ = CASES["SNN503"]
    save_network(network, tmp_path / "m.json")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.snnmap]\nchips = ["xylo-audio-3"]\nignore = ["SNN6", "SNN506"]\nstrict = true\n\n[[tool.snnmap.waivers]]\n'
        'rule = "SNN503"\npopulation = "h1"\nvalue = 0.94\nreason = "rebuilt by the build"\nauthor = "me"\n'
    )
    return tmp_path


def change(project: Path, old: str, new: str) -> None:
    text = (project / "pyproject.toml").read_text()
    assert old in text
    (project / "pyproject.toml").write_text(text.replace(old, new))


def test_a_project_says_chips_strictness_and_waivers(run: Run, project: Path) -> None:
    result = run("check", project / "m.json")
    assert (result.code, "waived: rebuilt by the build (me, " in result.out) == (0, True)
    change(project, "0.94", "0.939")
    worse = run("check", project / "m.json")
    assert (worse.code, "it was waived at 0.939" in worse.out) == (1, True)
    assert run("check", project / "m.json", "--config", project / "other.toml").code == 2


def test_a_waiver_travels_in_the_report_of_the_build(run: Run, project: Path) -> None:
    built = run("build", project / "m.json", "-c", "xylo-audio-3", "-o", project / "a")
    assert (built.code, "waived: rebuilt by the build" in built.err) == (0, True)
    report = json.loads((project / "a" / "report.json").read_text())
    (entry,) = [entry for entry in report["diagnostics"] if entry["rule"] == "SNN503"]
    assert (report["waived"], entry["waived"]["reason"], entry["waived"]["author"]) == (1, "rebuilt by the build", "me")


def test_an_error_of_agreement_that_is_waived_is_built(run: Run, tmp_path: Path) -> None:
    network = chain(3, 12, 8, 2)
    single = replace(network.populations[0], max_count=np.ones(12, np.int64))
    save_network(replace(network, populations=(single, *network.populations[1:])), tmp_path / "m.json")
    np.save(tmp_path / "c.npy", np.random.default_rng(0).poisson(3.0, (6, 40, 3)).clip(0, 15))
    command = (tmp_path / "m.json", *XYLO, "--calibration", tmp_path / "c.npy")
    errors = [
        entry
        for entry in json.loads(run("check", *command, "--format", "json").out)["diagnostics"]
        if entry["severity"] == "error"
    ]
    assert errors
    assert run("build", *command, "-o", tmp_path / "a").code == 1
    tables = []
    for entry in errors:
        kinds = [f'{kind} = "{entry["location"][kind]}"' for kind in ("port", "population") if entry["location"][kind]]
        tables.append(
            "\n".join(["[[waivers]]", f'rule = "{entry["rule"]}"', *kinds, f"value = {entry['measured_value']}", 'reason = "r"'])
        )
    (tmp_path / "snnmap.toml").write_text("\n\n".join(tables))
    assert run("check", *command).code == 0
    assert run("build", *command, "-o", tmp_path / "a").code == 0
    assert json.loads((tmp_path / "a" / "report.json").read_text())["waived"] == len(errors)


def test_a_memory_that_overflows_is_not_waived(run: Run, project: Path) -> None:
    change(project, '"SNN503"\npopulation = "h1"', '"SNN201"\nport = "in"')
    result = run("check", project / "m.json", "-c", "toy-4")
    assert (result.code, "cannot be waived" in result.err, result.out) == (2, True, "")


def test_a_baseline_is_written_and_then_only_what_is_new_is_told(run: Run, project: Path) -> None:
    change(project, "value = 0.94", "value = 0.93751")  # which does not hold
    written = run("check", project / "m.json", "--write-baseline", project / "b.json")
    assert (written.code, "2 findings are in the baseline" in written.out) == (0, True)
    change(project, "strict = true", 'strict = true\nbaseline = "b.json"')
    assert run("check", project / "m.json").code == 0
    (network, _), _ = CASES["SNN401"]
    save_network(network, project / "m.json")
    assert run("check", project / "m.json").code == 1
    other = run("check", project / "m.json", "-c", "toy-4")
    assert (other.code, "the baseline is of another chip" in other.err) == (2, True)

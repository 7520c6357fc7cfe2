"""docs/ci.md and what it sets up: the page's own files are an example repository, which is checked as its users would."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import Run, make_runner
from schemas import SARIF, find_schema, require_valid

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs" / "ci.md").read_text(), flags=re.DOTALL)
MODEL, CONSOLE, PROJECT, HOOKS, WORKFLOW, TEST = (text for _, text in BLOCKS)
STORE = "https://json.schemastore.org"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return make_runner(capsys)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the page, at their places."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "model.py": MODEL,
        "pyproject.toml": PROJECT,
        ".pre-commit-config.yaml": HOOKS,
        ".github/workflows/check.yml": WORKFLOW,
        ".github/actions/snnmap/action.yml": (ROOT / "action.yml").read_text(),
        "test_chip.py": TEST,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def execute(command: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program as the repository's users do, with this snnmap on its paths."""
    folder = folder.resolve()
    shims = folder / "bin"
    shims.mkdir(exist_ok=True)
    (shims / "snnmap").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m snnmap "$@"\n')
    (shims / "snnmap").chmod(0o755)
    paths = {"PATH": f"{shims}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return subprocess.run(
        command, cwd=folder, env={**environment, **paths, **variables}, capture_output=True, text=True, check=False
    )


def read_yaml(text: str) -> Any:
    """Read YAML as GitHub does, to which ``on`` is a word."""
    return yaml.safe_load(re.sub(r"^on:", '"on":', text, flags=re.MULTILINE))


def test_the_page_stays_short() -> None:
    assert len((ROOT / "docs" / "ci.md").read_text().splitlines()) <= 63


def test_the_commands_of_the_page_run(repository: Path, run: Run) -> None:
    (repository / "pyproject.toml").unlink()
    commands = [line.removeprefix("$ ") for line in CONSOLE.splitlines()]
    assert [run(*re.sub('"', "", command).split()[1:]).code for command in commands] == [0, 0, 0]


def test_a_waived_finding_passes_and_a_new_one_fails(repository: Path, run: Run) -> None:
    waived = run("check", "model.py:make")
    assert (waived.code, "waived: it may wake up when training goes on (until 2099-12-31, " in waived.out) == (0, True)
    (repository / "model.py").write_text(MODEL.replace("LIF(size,", "LIF(size, threshold=-1.0,"))
    broken = run("check", "model.py:make", "--format", "sarif", "-o", "new.sarif")
    assert broken.code == 1
    log = json.loads((repository / "new.sarif").read_text())
    require_valid(log, find_schema(SARIF))
    (found,) = log["runs"][0]["results"]
    place = found["locations"][0]["physicalLocation"]
    assert (found["ruleId"], place["artifactLocation"]["uri"]) == ("SNN401", "model.py")
    assert "LIF(size" in MODEL.splitlines()[place["region"]["startLine"] - 1]


def test_a_finding_is_fixed_on_request(repository: Path, run: Run) -> None:
    project, _, _ = PROJECT.partition("[[tool.snnmap.waivers]]")
    (repository / "pyproject.toml").write_text(project)
    assert run("check", "model.py:make").code == 1
    fixed = run("check", "model.py:make", "--fix")
    told = fixed.out + fixed.err
    assert fixed.code == 0
    assert "drop-neurons (exact): neurons that change nothing are gone: 1 of 8 of '1'; 0 of " in told
    (written,) = repository.glob("*.fixed.json")
    checked = run("check", written.name, "--format", "sarif", "-o", "fixed.sarif")
    assert checked.code == 0
    log = json.loads((repository / "fixed.sarif").read_text())
    require_valid(log, find_schema(SARIF))
    assert log["runs"][0]["results"] == []
    assert (repository / "model.py").read_text() == MODEL


def test_the_hook_runs_as_pre_commit_runs_it(repository: Path) -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    require_valid(hooks, find_schema(f"{STORE}/pre-commit-hooks.json"))
    (used,) = yaml.safe_load(HOOKS)["repos"][0]["hooks"]
    (hook,) = [hook for hook in hooks if hook["id"] == used["id"]]
    assert hook["pass_filenames"] is False
    finished = execute([*hook["entry"].split(), *used["args"]], repository)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


@pytest.mark.parametrize("broken", [False, True])
def test_the_action_checks_annotates_and_leaves_sarif_and_a_summary(repository: Path, broken: bool) -> None:
    require_valid(read_yaml(WORKFLOW), find_schema(f"{STORE}/github-workflow.json"))
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    require_valid(action, find_schema(f"{STORE}/github-action.json"))
    (used,) = [step for step in read_yaml(WORKFLOW)["jobs"]["check"]["steps"] if step["uses"] == "./.github/actions/snnmap"]
    assert used["with"].keys() <= action["inputs"].keys()
    given = {name: used["with"].get(name, entry.get("default", "")) for name, entry in action["inputs"].items()}
    step = action["runs"]["steps"][-1]
    variables = {key: given[re.fullmatch(r"\$\{\{ inputs\.(\w+) }}", value)[1]] for key, value in step["env"].items()}  # type: ignore[index]
    if broken:
        (repository / "model.py").write_text(MODEL.replace("LIF(size,", "LIF(size, threshold=-1.0,"))
    shell = ["bash", "-eo", "pipefail", "-c", step["run"]]
    finished = execute(shell, repository, GITHUB_STEP_SUMMARY=str(repository / "summary.md"), **variables)
    assert (finished.returncode, finished.stderr) == (int(broken), "")
    line = 1 + next(number for number, text in enumerate(MODEL.splitlines()) if "LIF(size" in text)
    assert (f"::error file=model.py,line={line},title=SNN401" in finished.stdout) == broken
    assert ("SNN401" in (repository / "summary.md").read_text()) == broken
    log = json.loads((repository / "snnmap.sarif").read_text())
    require_valid(log, find_schema(SARIF))
    assert len(log["runs"][0]["results"]) == int(broken)


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    is_installed = bool(importlib.metadata.entry_points(group="pytest11", name="snnmap"))
    plugin = [] if is_installed else ["-p", "snnmap.pytest_plugin"]
    quiet = ["-q", "-p", "no:cacheprovider", "-p", "no:nengo"]
    return execute([sys.executable, "-m", "pytest", *plugin, *quiet, *arguments], folder)


def test_the_test_of_the_page_passes_and_fails_with_the_findings(repository: Path) -> None:
    assert run_pytest(repository).returncode == 0
    (repository / "model.py").write_text(MODEL.replace("LIF(size,", "LIF(size, threshold=-1.0,"))
    failed = run_pytest(repository)
    assert (failed.returncode, "SNN401" in failed.stdout) == (1, True)


def test_the_fixture_knows_what_is_in_the_baseline(repository: Path, run: Run) -> None:
    project, _, _ = PROJECT.partition("[[tool.snnmap.waivers]]")
    (repository / "pyproject.toml").write_text(project)
    failed = run_pytest(repository)
    assert (failed.returncode, "xylo-audio-3: 0 errors, 1 warning" in failed.stdout) == (1, True)
    assert run("check", "model.py:make", "--write-baseline", "known.json").code == 0
    (repository / "pyproject.toml").write_text(f'{project}baseline = "known.json"\n')
    assert run_pytest(repository).returncode == 0


def test_the_fixture_takes_its_chips_from_the_option_or_the_project(repository: Path) -> None:
    (repository / "test_chip.py").write_text(
        "from model import make\n\ndef test_it(drc_clean):\n    found = drc_clean(make())\n    assert len(found) == 1\n"
    )
    assert run_pytest(repository).returncode == 0
    other = run_pytest(repository, "--snnmap-chip", "toy-4")
    assert (other.returncode, "SNN201" in other.stdout) == (1, True)
    (repository / "pyproject.toml").unlink()
    without = run_pytest(repository)
    assert (without.returncode, "drc_clean needs a chip" in without.stdout) == (1, True)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["check", "m.py:make", "-c", "xylo-a"], ["xylo-audio-2", "xylo-audio-3"]),
        (["check", "m.py:make", "--select", "snn10"], [f"SNN10{number}" for number in range(1, 10)]),
        (["check", "m.py:make", "--format", "s"], ["sarif"]),
        (["build", "m.py:make", "--allow", "rate"], ["rate-differs"]),
        (["explain", "fan-"], ["fan-in-exceeded", "fan-out-exceeded"]),
        (["crossbar", "build", "m.onnx", "-c", "fi"], ["fixed-128"]),
        (["dataflow", "build", "m.onnx", "-c", "dsp-8"], ["dsp-830"]),
    ],
)
def test_the_shell_completes(words: list[str], offered: list[str], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_SNNMAP_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(["snnmap", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    assert run().out.split() == [f"plain,{word}" for word in offered]


@pytest.mark.parametrize(("name", "runs"), [("net/model.py", True), ("c.npy", True), ("a.onnx", True), ("README.md", False)])
def test_the_hook_runs_where_a_model_or_its_data_changed(name: str, runs: bool) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert bool(re.search(hook["files"], name)) == runs

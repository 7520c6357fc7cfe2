"""What holds for every verb: exit codes, and data on stdout apart from progress and errors on stderr."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Result, Run
from rule_cases import chain, residual

from snnmap.cli import verbs
from snnmap.core import errors
from snnmap.core.errors import DesignRuleError, NoRoomError, SnnmapError
from snnmap.network import format_network, save_network

HEAVY = ("torch", "numba", "scipy", "networkx", "matplotlib", "rich", "snnmap.convert", "snnmap.graph", "snnmap.nn")
STAGE = re.compile(r"\[ *\d+\.\d s\] [a-z ]+")


def fail_with(monkeypatch: pytest.MonkeyPatch, run: Run, model: Path, error: BaseException) -> Result:
    def fail(*_: object, **__: object) -> object:
        raise error

    monkeypatch.setattr("snnmap.cli.verbs.check.check_model", fail)
    return run("check", model, "--chip", "toy-4")


def list_heavy_imports(*arguments: object) -> set[str]:
    """Run a command in a process of its own; give what it imported of the packages that take long."""
    code = "import sys; from snnmap.cli import main\ntry: main(sys.argv[1:])\nfinally: print(*sys.modules, file=sys.stderr)"
    words = [str(argument) for argument in arguments]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(HEAVY) & set(done.stderr.split())


def test_a_small_saved_network_is_checked_from_a_cold_start_without_what_takes_long(model: Path) -> None:
    assert list_heavy_imports("check", model, "--chip", "xylo-audio-3", "--quiet") == set()
    assert list_heavy_imports("--help") == set()


def test_what_needs_the_solver_imports_it(tmp_path: Path) -> None:
    save_network(residual(), tmp_path / "residual.json")
    assert {"scipy"} <= list_heavy_imports("check", tmp_path / "residual.json", "--chip", "xylo-audio-3", "--quiet") <= {"scipy"}


def test_exit_codes_are_those_of_the_errors(run: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [kind for kind in (getattr(errors, name) for name in errors.__all__) if issubclass(kind, errors.SnnmapError)]
    own = {DesignRuleError: ([],), NoRoomError: ("model", "digest", [])}
    for kind in kinds:
        error = kind(*own[kind]) if kind in own else kind("it is wrong", where="here", fix="mend it")
        result = fail_with(monkeypatch, run, model, error)
        assert (result.code, result.out) == (1 if issubclass(kind, DesignRuleError) else 2, "")
        assert result.err.endswith(f"snnmap: {error}\n")


def test_a_message_has_what_where_measured_limit_and_fix(run: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = SnnmapError("it is too large", where="block 'a'", measured="5", limit="4", fix="make it smaller")
    said = fail_with(monkeypatch, run, model, error).err.splitlines()[-4:]
    assert said == [
        "snnmap: it is too large",
        "  where: block 'a'",
        "  measured: 5   limit: 4",
        "  fix: make it smaller",
    ]


@pytest.mark.parametrize("error", [ZeroDivisionError("ours"), MemoryError(), KeyError("name"), AssertionError()])
def test_a_defect_of_ours_says_so_and_exits_3(run: Run, model: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    result = fail_with(monkeypatch, run, model, error)
    assert (result.code, result.out) == (3, "")
    assert "snnmap: internal error: please report this with the traceback below\nTraceback" in result.err
    assert result.err.splitlines()[-1].startswith(type(error).__name__)


def test_an_interruption_exits_130(run: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = fail_with(monkeypatch, run, model, KeyboardInterrupt())
    assert (result.code, result.out) == (130, "")
    assert result.err.endswith("snnmap: interrupted\n")


def test_a_file_that_cannot_be_written_is_named(run: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = fail_with(monkeypatch, run, model, PermissionError(13, "Permission denied", "a/b.bin"))
    assert result.code == 2
    assert result.err.splitlines()[-3:] == [
        "snnmap: a file cannot be read or written: Permission denied",
        "  where: a/b.bin",
        "  fix: check path, permissions and free space",
    ]


def test_stdout_is_data_alone(run: Run, model: Path, tmp_path: Path) -> None:
    checked = run("check", model, "--chip", "toy-4", "--format", "json")
    assert json.loads(checked.out)["clean"] is False
    built = run("build", model, "--chip", "xylo-audio-3", "-o", tmp_path / "out")
    inspected = run("inspect", model, "--chip", "xylo-audio-3")
    for result in (checked, built, inspected):
        assert not STAGE.search(result.out)
        assert all(STAGE.fullmatch(line) for line in result.err.partition("advice SNN607 ")[0].splitlines())
        assert "reading the model" in result.err


def test_version_and_usage(run: Run) -> None:
    assert run("--version").out.startswith("snnmap, version ")
    assert (run("--help").code, run("-h").code, run().code) == (0, 0, 2)
    assert "Exit codes: 0 clean, 1 design rule violations, 2 wrong use or bad input" in run("--help").out


@pytest.mark.parametrize("arguments", [("explain",), ("explain", "SNN101"), ("chips",), ("--help",)])
def test_a_reader_that_goes_away_is_no_error(arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "snnmap", *arguments]
    finished = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (finished.returncode, finished.stderr) == (0, b"")


def test_names_are_printed_as_they_are(run: Run, tmp_path: Path) -> None:
    odd = "[/red]h1 [bold] :smile:"
    text = format_network(chain(3, 5, 4, 2)).replace('"h1"', json.dumps(odd))
    (tmp_path / "model.json").write_text(text)
    result = run("inspect", tmp_path / "model.json", "--chip", "xylo-audio-3")
    assert result.code == 0
    assert odd in result.out


def test_a_module_makes_a_verb(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hello.py").write_text(
        "import click\n@click.command('hello')\ndef command():\n    'Greet.'\n    click.echo('hi')\n"
    )
    monkeypatch.setattr(verbs, "__path__", [*verbs.__path__, str(tmp_path)])
    assert (run("hello").out, run("hello").code) == ("hi\n", 0)
    assert "hello" in run("--help").out

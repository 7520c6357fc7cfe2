"""Each notebook's source runs and its assertions hold; the .ipynb beside it is that source, executed."""

import importlib.util
import os
import resource
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
LIMIT_S = 60
"""Processor time of one notebook; unlike time on the clock it does not grow where other tests share the cores."""


def _load_runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("execute_notebooks", FOLDER / "_execute.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RUNNER = _load_runner()
SOURCES = RUNNER.find_sources()
each_source = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)


def test_there_are_notebooks_to_run() -> None:
    assert [source.stem for source in SOURCES] == [
        "convert_relu",
        "crossbar_digits",
        "dataflow_digits",
        "delta_network",
        "digits_in_verilog",
        "inside_a_bitstream",
        "train_chip_exact",
        "which_chip",
    ]
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {source.stem for source in SOURCES}


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@each_source
def test_source_runs_in_any_folder(source: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    command = [sys.executable, "-W", "error", str(source)]
    before = _children_s()
    run = subprocess.run(command, cwd=tmp_path, env=environment, timeout=600, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert _children_s() - before < LIMIT_S


@each_source
def test_notebook_is_its_source(source: Path) -> None:
    expected = [(cell.cell_type, cell.source) for cell in RUNNER.read_source(source).cells]
    written = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert [(cell.cell_type, cell.source) for cell in written.cells] == expected, "run make notebooks"


@each_source
def test_notebook_was_executed_without_error(source: Path) -> None:
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]


@each_source
def test_source_begins_with_what_it_shows_and_ends_in_assertions(source: Path) -> None:
    cells = RUNNER.read_source(source).cells
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    assert all(line.startswith("assert ") for line in cells[-1].source.splitlines())

"""The verbs of ``snnmap dataflow``, against the library."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import Run, make_runner
from pipeline_cases import build, draw_inputs
from quantised_networks import make_small

from snnmap.dataflow import format_pipeline, simulate_timing
from snnmap.dataflow.pack import list_files


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return make_runner(capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    onnx.save(make_small(), str(tmp_path / "net.onnx"))
    return tmp_path


def test_build_simulate_inspect(run: Run, folder: Path) -> None:
    pipeline = build(make_small(), multipliers=90)
    made = run("dataflow", "build", folder / "net.onnx", "-c", "dsp-256", "-o", folder / "out", "--multipliers", "90")
    assert made.code == 0, made.err
    assert format_pipeline(pipeline, simulate_timing(pipeline)) in made.out
    for name, data in list_files(pipeline).items():
        assert (folder / "out" / name).read_bytes() == data
    report = json.loads((folder / "out" / "report.json").read_text())
    assert report["simulated"]["stalled_cycles"] == 0
    assert report["interval_cycles"] == pipeline.interval
    assert "<svg" in (folder / "out" / "report.html").read_text()
    np.save(folder / "x.npy", draw_inputs(pipeline))
    ran = run(
        *("dataflow", "simulate", folder / "net.onnx", "-c", "dsp-256", "--multipliers", "90", "--files", folder / "out"),
        *("-i", folder / "x.npy", "--timeline", folder / "t.svg"),
    )
    assert (ran.code, "0 values of 11 tensors differ" in ran.out) == (0, True), ran.err
    assert "conv6" in (folder / "t.svg").read_text()
    seen = run("dataflow", "inspect", folder / "out")
    assert seen.code == 0
    assert all(stage.layer.name in seen.out for stage in pipeline.stages)


def test_a_build_takes_the_place_of_an_older_one(run: Run, folder: Path) -> None:
    (folder / "out").mkdir()
    for name in ("17-older.weights", "notes.txt"):
        (folder / "out" / name).write_text("x")
    assert run("dataflow", "build", folder / "net.onnx", "-c", "dsp-256", "-o", folder / "out").code == 0
    files = {path.name for path in (folder / "out").iterdir()}
    assert files - {"notes.txt"} == {*list_files(build(make_small())), "report.json", "report.html"}
    assert "notes.txt" in files


def test_files_of_other_options_are_refused(run: Run, folder: Path) -> None:
    run("dataflow", "build", folder / "net.onnx", "-c", "dsp-256", "-o", folder / "out")
    words = ("simulate", folder / "net.onnx", "-c", "dsp-256", "--multipliers", "90", "--files", folder / "out")
    refused = run("dataflow", *words)
    assert (refused.code, "the files are of another pipeline" in refused.err) == (2, True)


def test_a_changed_file_is_found_by_inspect_and_simulate(run: Run, folder: Path) -> None:
    run("dataflow", "build", folder / "net.onnx", "-c", "dsp-256", "-o", folder / "out")
    (folder / "out" / "00-conv1.weights").write_bytes(b"\0" * 240)
    for words in (("inspect", folder / "out"), ("simulate", folder / "net.onnx", "-c", "dsp-256", "--files", folder / "out")):
        refused = run("dataflow", *words)
        assert (refused.code, "another than its manifest tells" in refused.err) == (2, True)


def test_a_budget_that_nothing_meets(run: Run, folder: Path) -> None:
    refused = run("dataflow", "build", folder / "net.onnx", "-c", "dsp-256", "-o", folder / "out", "--multipliers", "2")
    assert (refused.code, (folder / "out").exists()) == (2, False)
    assert "measured: 5 multipliers" in refused.err


def test_devices(run: Run, folder: Path) -> None:
    assert run("dataflow", "chips").out.count("dsp-") == 2
    (folder / "mine.toml").write_text(run("dataflow", "chips", "show", "dsp-256").out)
    assert run("dataflow", "build", folder / "net.onnx", "-c", folder / "mine.toml", "-o", folder / "out").code == 0

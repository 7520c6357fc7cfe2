"""Each verb on good input, against the library."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from rule_cases import chain

from snnmap.bitstream import decode
from snnmap.chip import list_chips
from snnmap.drc import RULES, explain_rule
from snnmap.ir import load_network
from snnmap.pipeline import compile_model
from snnmap.simulator import simulate_image

MODEL_FILE = """
import torch
from snnmap.nn import LIF, LeakyIntegrator, Residual


def make() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(3, 6, bias=False),
        LIF(6, dash_syn=1, dash_mem=2, recurrent=True),
        Residual(torch.nn.Linear(6, 6, bias=False), LIF(6, dash_syn=1, dash_mem=2)),
        torch.nn.Linear(6, 2, bias=False),
        LeakyIntegrator(2, dash_syn=1, dash_mem=4),
    )
"""


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_build_writes_what_the_library_makes(run: Run, model: Path, tmp_path: Path) -> None:
    result = run("build", model, "--chip", "xylo-audio-3", "-o", tmp_path / "a")
    assert result.code == 0
    assert "folded against source: 0 of" in result.out
    files = files_below(tmp_path / "a")
    assert {"chain.bin", "chain.txt", "slots.csv", "network.json", "report.json"} < set(files)
    assert files["chain.bin"] == compile_model(chain(3, 5, 4, 2), "xylo-audio-3").bitstream
    assert load_network(tmp_path / "a" / "network.json") == chain(3, 5, 4, 2)
    assert json.loads(files["report.json"])["verification"]["mismatches"] == 0


def test_two_processes_write_the_same_bytes(run: Run, bitstream: Path, model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "snnmap", "build", str(model), "--chip", "xylo-audio-3", "-o", str(tmp_path / "other")]
    environment = {"PYTHONHASHSEED": "7", "NUMBA_NUM_THREADS": "1", "PATH": ""}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert files_below(tmp_path / "other") == files_below(bitstream.parent)


def test_build_of_a_torch_module_over_an_older_build(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL_FILE)
    for _ in range(2):
        assert run("build", f"{tmp_path / 'model.py'}:make", "--chip", "xylo-audio-3", "-o", tmp_path / "a").code == 0
    assert decode((tmp_path / "a" / "Sequential.bin").read_bytes()).chip.name == "xylo-audio-3"
    assert not list((tmp_path / "a").glob(".*"))


def test_check_says_how_much_was_looked_at(run: Run, model: Path) -> None:
    result = run("check", model, "--chip", "xylo-audio-3")
    assert (result.code, result.out) == (0, "0 errors, 0 warnings, 34 rules run\n")


def test_check_lists_violations_as_text_and_json(run: Run, model: Path) -> None:
    text = run("check", model, "--chip", "toy-4")
    found = json.loads(run("check", model, "--chip", "toy-4", "--format", "json").out)
    assert text.code == 1
    assert [entry["rule"] for entry in found["diagnostics"]] == [
        line.split()[1] for line in text.out.splitlines() if line.startswith(("error", "warning"))
    ]
    assert {"rule", "severity", "message", "measured", "limit", "fix"} <= set(found["diagnostics"][0])
    assert "SNN201" in found["rules_run"]


def test_simulate_is_the_library(run: Run, bitstream: Path, raster: Path, tmp_path: Path) -> None:
    result = run("simulate", bitstream, "-i", raster, "-r", "hidden", "-o", tmp_path / "run.npz")
    expected = simulate_image(
        decode(bitstream.read_bytes()), np.load(raster), counts_of=("hidden", "outputs"), states_of=("hidden",)
    )
    totals = expected.counts["outputs"].sum(axis=1)
    assert result.out.splitlines() == [f"{k}: {' '.join(map(str, row))}" for k, row in enumerate(totals.tolist())]
    saved = np.load(tmp_path / "run.npz")
    assert any(np.array_equal(saved[name], expected.counts["hidden"]) for name in saved.files)
    assert expected.counts["hidden"].any()


def test_simulate_reads_text_and_both_engines_agree(run: Run, bitstream: Path, tmp_path: Path) -> None:
    (tmp_path / "counts.txt").write_text("3 0 2\n0 0 9\n15 1 0\n0 0 0\n0 0 0\n")
    outs = [
        run("simulate", bitstream, "-i", tmp_path / "counts.txt", "--engine", engine).out for engine in ("batch", "reference")
    ]
    assert outs[0] == outs[1]
    assert outs[0].startswith("0: ")


def test_inspect_a_bitstream_and_a_model(run: Run, bitstream: Path, model: Path) -> None:
    stored = run("inspect", bitstream)
    assert (stored.code, "recurrent_weights" in stored.out, "crc-32" in stored.out) == (0, True, True)
    mapped = run("inspect", model, "--chip", "xylo-audio-3")
    assert (mapped.code, "h2" in mapped.out, "lag" in mapped.out) == (0, True, True)


def test_text_twin_goes_all_the_way_round(run: Run, bitstream: Path, tmp_path: Path) -> None:
    assert run("disasm", bitstream, "-o", tmp_path / "twin.txt").code == 0
    assert run("disasm", bitstream).out == (tmp_path / "twin.txt").read_text() == bitstream.with_suffix(".txt").read_text()
    assert run("asm", tmp_path / "twin.txt", "-o", tmp_path / "again.bin").code == 0
    assert (tmp_path / "again.bin").read_bytes() == bitstream.read_bytes()


def test_explain_one_rule_and_list_all(run: Run) -> None:
    assert run("explain", "SNN205").out == explain_rule("fan-out-exceeded")
    assert [line.split()[0] for line in run("explain").out.splitlines()] == sorted(RULES)


def test_chips_and_a_chip_of_ones_own(run: Run, model: Path, tmp_path: Path) -> None:
    listed = run("chips").out
    assert all(name in listed for name in list_chips())
    shown = run("chips", "show", "xylo-imu")
    assert (shown.code, "496" in shown.out) == (0, True)
    own = Path(__import__("snnmap").__file__).parent / "chip" / "catalog" / "xylo-imu.toml"
    text = own.read_text().replace("xylo-imu", "mine").replace("chip_id = 4", "chip_id = 900")
    (tmp_path / "mine.toml").write_text(text)
    assert "mine" in run("chips", "show", tmp_path / "mine.toml").out
    assert run("build", model, "--chip", tmp_path / "mine.toml", "-o", tmp_path / "own").code == 0
    assert run("inspect", tmp_path / "own" / "chain.bin", "--chip", tmp_path / "mine.toml").code == 0


@pytest.mark.parametrize("verb", ["asm", "build", "check", "chips", "demo", "disasm", "explain", "inspect", "simulate"])
def test_help(run: Run, verb: str) -> None:
    result = run(verb, "--help")
    assert (result.code, "Usage: snnmap" in result.out) == (0, True)


def test_stretching_a_loop_is_asked_for(run: Run, tmp_path: Path) -> None:
    from rule_cases import feedback

    from snnmap.ir import save_network

    save_network(feedback(1), tmp_path / "loop.json")
    refused = run("build", tmp_path / "loop.json", "--chip", "xylo-audio-3", "-o", tmp_path / "a")
    assert (refused.code, "SNN301" in refused.err, (tmp_path / "a").exists()) == (1, True, False)
    assert run("build", tmp_path / "loop.json", "--chip", "xylo-audio-3", "-o", tmp_path / "a", "--stretch-loops").code == 0
    assert json.loads((tmp_path / "a" / "report.json").read_text())["stretched"]

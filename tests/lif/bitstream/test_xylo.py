"""Exports for Xylo's loaders, beside the vendor's own writer (``xylosim.tools``) and Rockpool's simulator."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, make_runner
from random_programs import random_program
from rule_cases import chain

from snnmap.chip import Readout, load_chip
from snnmap.core import CsrMatrix
from snnmap.lif.bitstream import decode, export_specification, export_xylo_ram
from snnmap.lif.program import Program, pack
from snnmap.lif.simulator import simulate_image
from snnmap.network import OutputPort
from snnmap.pipeline import compile_model

CHIPS = ("xylo-audio-2", "xylo-audio-3", "xylo-imu")
SECOND = ("iwt2ram.ini", "rwt2ram.ini", "rds2ram.ini")
SEEDS = [*range(4), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(4, 200))]


def draw_program(name: str, seed: int, *, threshold: tuple[int, int] = (-300, 32767)) -> Program:
    chip, rng = load_chip(name), np.random.default_rng(seed)
    n_inputs, n_outputs = int(rng.integers(1, chip.inputs.count + 1)), int(rng.integers(1, chip.outputs.count + 1))
    shifts = tuple(rng.integers(0, 8, 3).tolist())
    return random_program(
        chip, rng, n_inputs=n_inputs, n_hidden=int(rng.integers(8, 60)), n_outputs=n_outputs,
        density=float(rng.uniform(0.2, 0.9)), shifts=shifts, with_alias=bool(seed % 2), threshold=threshold,
    )  # fmt: skip


def write_by_vendor(program: Program, folder: Path) -> dict[str, bytes]:
    """Let the vendor's writer write a program; its layers always have two synapses, of which a second is empty here."""
    tools, bridge = pytest.importorskip("xylosim.tools"), pytest.importorskip("xylosim_bridge")
    if program.chip.hidden.synapses == 1:
        n = program.hidden.size
        both = replace(program.hidden, dash_syn=np.concatenate([program.hidden.dash_syn, np.zeros((1, n), np.int64)]))
        program = replace(program, hidden=both)
    chip = bridge.XyloChip(program)
    chip.layer.evolve(np.zeros((2, program.n_inputs), np.int64).tolist())
    write = tools.save_to_RAM_files_V2 if program.chip.hidden.bias else tools.save_to_RAM_files_V1
    write(str(folder), chip.layer, np.zeros((2, program.n_inputs), np.int64), 1e-3)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CHIPS)
def test_memory_files_are_those_of_the_vendor_s_writer(name: str, seed: int, tmp_path: Path) -> None:
    program = draw_program(name, seed)
    found, wanted = export_xylo_ram(pack(program)), write_by_vendor(program, tmp_path)
    if program.chip.hidden.synapses == 1:
        assert all(set(line) <= {"0"} for file in SECOND for line in wanted.pop(file).decode().splitlines() if line[:2] != "//")
    ours, vendors = (json.loads(files.pop("basic_config.json")) for files in (found, wanted))
    assert found == wanted
    assert vendors.pop("DT") == 1e-3
    read = np.flatnonzero(program.output_weights[0].column_lengths)
    assert vendors.pop("ON") == read.max() + 1 <= ours.pop("ON")  # the vendor's writer leaves out last outputs that read nothing
    assert {**ours, "BIAS": True} == {"BIAS": True, **vendors, **({"BIAS": True} if "BIAS" in vendors else {})}


def test_a_fan_out_and_biases_that_the_vendor_s_writer_cuts_off_are_written_whole(tmp_path: Path) -> None:
    program = random_program(load_chip("xylo-imu"), np.random.default_rng(0), n_inputs=2, n_hidden=300, n_outputs=2, density=0.1)
    dense = program.recurrent_weights[0].to_dense().astype(np.int64)
    dense[5] = 3
    program = replace(program, recurrent_weights=(CsrMatrix.from_dense(dense),))
    biases = np.where(np.arange(300) == 7, 300, program.hidden.bias)
    program = replace(program, hidden=replace(program.hidden, bias=biases))
    found, wanted = export_xylo_ram(pack(program)), write_by_vendor(program, tmp_path)
    counts = np.diff(program.recurrent_weights[0].indptr)
    for files, fan_out, bias in ((found, counts, 300), (wanted, counts % 256, 300 % 256)):
        assert [int(line, 16) for line in files["refocram.ini"].split()] == fan_out.tolist()
        assert int(files["nbram.ini"].split()[7], 16) == bias
    assert counts.max() > 255
    same = found.keys() & wanted.keys() - {"refocram.ini", "nbram.ini", "basic_config.json"}
    assert all(found[name] == wanted[name] for name in same)


STUBS = """
import importlib, importlib.abc, importlib.machinery, json, sys
from types import SimpleNamespace
from unittest.mock import MagicMock
import numpy as np


class Stub(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        is_missing = name.partition(".")[0] in ("bitstruct", "samna")
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if is_missing else None

    def create_module(self, spec):
        return MagicMock(__path__=[], __spec__=spec)

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, Stub())
simulator = importlib.import_module("rockpool.devices.xylo.syns61201.xylo_sim")


def simulate(arguments, output_mode="Spike"):
    plain = {key: value for key, value in arguments.items() if key not in ("bias_hidden", "bias_out")}
    for name, end in (("bias", "hidden"), ("bias_out", "out")):
        size = arguments["threshold" if end == "hidden" else "threshold_out"].size
        plain[name] = arguments.get(f"bias_{end}", np.zeros(size, int))
    return simulator.XyloSim.from_specification(**plain, verify_config=False, output_mode=output_mode)
"""
ROCKPOOL = """
package, specification, raster, given = sys.argv[1:]
loader = importlib.import_module(f"rockpool.devices.xylo.{package}.xylo_samna")
values = json.load(open(specification))
arguments = {key: np.array(value) if isinstance(value, list) and key != "aliases" else value for key, value in values.items()}


def empty(*_):
    parts = ("debug", "input", "reservoir", "hidden", "readout")
    return SimpleNamespace(bias_enable=False, **{part: SimpleNamespace() for part in parts})


for name in ("XyloConfiguration", "ReservoirNeuron", "HiddenNeuron", "OutputNeuron"):
    setattr(loader, name, empty if name == "XyloConfiguration" else SimpleNamespace)
loader.validate_configuration = lambda config: (True, "")
loader.samna = MagicMock()
for chip in ("xyloAudio3", "xyloImu"):
    getattr(loader.samna, chip).validate_configuration.return_value = (True, "")
loader.config_from_specification(**arguments)
found, *_ = simulate(arguments)(np.load(raster))
np.save(given, found)
"""
BOARD = """
xylo = sys.modules["rockpool.devices.xylo"].syns65302 = SimpleNamespace(
    find_xylo_a3_boards=lambda: ["the board"],
    config_from_specification=lambda **arguments: (arguments, True, ""),
    XyloSamna=lambda board, config, dt, output_mode: simulate(config, output_mode),
)
from board import read
from snnmap.cli import main

np.savez("values.npz", **read(np.load("raster.npy")))
main(["selftest", "chain.bin", "--driver", "board.py:drive"])
"""


def run_script(script: str, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script beside stubs of what no registry holds."""
    command = [sys.executable, "-W", "ignore", "-c", STUBS + script, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", CHIPS)
def test_rockpool_takes_the_specification_and_its_simulator_does_what_we_do(name: str, tmp_path: Path) -> None:
    pytest.importorskip("rockpool")
    package = {"xylo-audio-2": "syns61201", "xylo-audio-3": "syns65302", "xylo-imu": "syns63300"}[name]
    program = draw_program(name, 3, threshold=(20, 400))
    raster = np.random.default_rng(3).poisson(1.0, (30, program.n_inputs)).clip(max=15)
    (tmp_path / "specification.json").write_bytes(export_specification(pack(program)))
    np.save(tmp_path / "raster.npy", raster)
    files = (tmp_path / "specification.json", tmp_path / "raster.npy", tmp_path / "found.npy")
    finished = run_script(ROCKPOOL, package, *files, folder=tmp_path)
    assert finished.returncode == 0, finished.stderr
    expected = simulate_image(pack(program), raster).counts["outputs"][0]
    assert np.array_equal(np.load(tmp_path / "found.npy").reshape(expected.shape), expected)
    assert expected.any()


def test_the_driver_of_a_board_runs_as_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rockpool")
    readouts: tuple[Readout, ...] = ("potential", "spikes", "current")
    ports = tuple(OutputPort(name=readout, populations=("out",), readout=readout) for readout in readouts)
    built = compile_model(replace(chain(3, 5, 4, 2), outputs=ports), "xylo-audio-3")
    built.write(tmp_path)
    raster = np.random.default_rng(0).poisson(2.0, (20, 3))
    np.save(tmp_path / "raster.npy", raster)
    make_runner(capsys)("export", tmp_path / "chain.bin", "--format", "rockpool-json", "-o", tmp_path / "DIR")
    (driver,) = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[3] / "docs" / "programmer.md").read_text(), re.DOTALL)
    (tmp_path / "board.py").write_text(driver)
    finished = run_script(BOARD, folder=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("all as at the build") == 2
    expected, found = built.run(raster), np.load(tmp_path / "values.npz")
    assert all(np.array_equal(found[readout], expected[readout][0]) and found[readout].any() for readout in readouts)


def test_every_export_tells_how_outputs_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run: Run = make_runner(capsys)
    golden = Path(__file__).parents[3] / "bitstreams"
    told = set()
    (tmp_path / "image.bin").write_bytes(compile_model(chain(3, 5, 4, 2), "xylo-audio-3").bitstream)
    for form in ("rockpool-json", "xylo-ram", "readmemh"):
        made = run("export", tmp_path / "image.bin", "--format", form, "-o", tmp_path / form)
        assert "output 'port': 2 values, spikes, class by the highest count, 2 steps behind" in made.out
        told.add((tmp_path / form / "readout.json").read_text())
    (readout,) = map(json.loads, told)
    assert (readout["settle_steps"], readout["max_count"]) == (2, 15)
    assert readout["inputs"] == [{"port": "in", "channels": [0, 1, 2]}]
    port = {"port": "port", "readout": "spikes", "decision": "count", "neurons": [0, 1], "lag_steps": [2, 2], "units": [1, 1]}
    assert readout["outputs"] == [port]
    silent = run("export", golden / "toy-4.bin", "--format", "readmemh", "-o", tmp_path / "readmemh")
    assert "does not tell how its outputs are read" in silent.err
    assert not (tmp_path / "readmemh" / "readout.json").exists()


def test_other_chips_are_told_what_fits_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run: Run = make_runner(capsys)
    golden = Path(__file__).parents[3] / "bitstreams"
    for form in ("rockpool-json", "xylo-ram"):
        refused = run("export", golden / "generic-4096.bin", "--format", form, "-o", tmp_path / "a")
        assert (refused.code, "none of the Xylo family" in refused.err, "--format readmemh" in refused.err) == (2, True, True)
        assert not (tmp_path / "a").exists()
        assert run("export", golden / "xylo-audio-3.bin", "--format", form, "-o", tmp_path / form).code == 0
    assert run("export", golden / "generic-4096.bin", "--format", "readmemh", "-o", tmp_path / "xylo-ram").code == 0
    assert {path.suffix for path in (tmp_path / "xylo-ram").iterdir()} == {".mem"}
    image = decode((golden / "xylo-audio-3.bin").read_bytes())
    assert (tmp_path / "rockpool-json" / "specification.json").read_bytes() == export_specification(image)

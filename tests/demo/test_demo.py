"""The demo as `make demo` runs it: files, keys, figures, and equality where equality is promised."""

import json
from pathlib import Path

import pytest

from snnmap.demo.run import run_demo
from snnmap.lif.bitstream import assemble, decode


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo")
    run_demo(path, seed=0, on_stage=lambda _: None)
    return path


def test_summary(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    accuracy = summary["accuracy"]
    assert set(accuracy) == {"trained", "folded", "quantised", "bitstream"}
    assert {"folded_mismatches", "latency_steps", "relays", "seconds"} <= set(summary)
    assert accuracy["trained"] == accuracy["folded"]
    assert accuracy["quantised"] == accuracy["bitstream"]
    assert accuracy["trained"] >= 0.95
    assert abs(accuracy["bitstream"] - accuracy["trained"]) <= 0.01
    assert (summary["folded_mismatches"], summary["latency_steps"], summary["relays"]) == (0, 3, 64)
    assert summary["folded_compared"] == 360 * 10 * (96 + 64 + 64)


def test_files(folder: Path) -> None:
    image = decode((folder / "Sequential.bin").read_bytes())
    assert assemble((folder / "Sequential.txt").read_text()) == image
    assert image.chip.name == "xylo-audio-3"
    assert (folder / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert 10_000 < (folder / "report.html").stat().st_size < 2_000_000

"""The picture of a run is a PNG that depends on what was run, and on nothing else."""

import struct
import sys
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from rule_cases import residual

from snnmap.errors import SnnmapError
from snnmap.ir import IntArray
from snnmap.pipeline import Artifacts, compile_model
from snnmap.report import draw_run, measure_occupancy
from snnmap.simulator import simulate_image

RASTER = np.random.default_rng(0).poisson(2.0, (1, 20, 3))


@pytest.fixture(scope="module")
def artifacts() -> Artifacts:
    return compile_model(residual(), "xylo-audio-3")


def draw(artifacts: Artifacts, raster: IntArray, **options: Any) -> bytes:
    counts = simulate_image(artifacts.image, raster, counts_of=("hidden", "outputs")).counts
    occupancy = measure_occupancy(artifacts.quantised.program)
    return draw_run(artifacts.mapped, raster[0], counts["hidden"][0], counts["outputs"][0], occupancy, **options)


def test_the_same_run_gives_the_same_png(artifacts: Artifacts) -> None:
    first, second = draw(artifacts, RASTER), draw(artifacts, RASTER)
    assert first == second
    assert first.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack_from(">II", first, 16)
    assert (width, height) == (1300, 910)


def test_spikes_and_potentials_are_seen(artifacts: Artifacts) -> None:
    potentials = simulate_image(artifacts.image, RASTER, states_of=("outputs",)).potentials["outputs"][0]
    assert potentials.any()
    pictures = {draw(artifacts, RASTER), draw(artifacts, 0 * RASTER), draw(artifacts, RASTER, potentials=potentials)}
    assert len(pictures) == 3


def test_a_run_without_spikes_is_drawn(artifacts: Artifacts) -> None:
    silent = np.zeros((1, 20, 3), np.int64)
    potentials = np.zeros((20, 2), np.int64)
    assert draw(artifacts, silent, potentials=potentials).startswith(b"\x89PNG")


def test_the_user_s_settings_of_matplotlib_stay(artifacts: Artifacts) -> None:
    before = dict(mpl.rcParams)
    draw(artifacts, RASTER)
    assert dict(mpl.rcParams) == before


def test_without_matplotlib_the_message_says_what_to_install(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SnnmapError, match=r"pictures need matplotlib\n  fix: pip install 'snnmap\[plot\]'"):
        draw(artifacts, RASTER)

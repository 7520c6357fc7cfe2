"""The picture of a run is a PNG that depends on what was run, and on nothing else."""

import struct
import sys
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from rule_cases import residual

from snnmap.core.errors import InputError, SnnmapError
from snnmap.pipeline import Artifacts, compile_model
from snnmap.report import draw_run

RASTER = np.random.default_rng(0).poisson(2.0, (20, 3))


@pytest.fixture(scope="module")
def artifacts() -> Artifacts:
    return compile_model(residual(), "xylo-audio-3")


def test_the_same_run_gives_the_same_png(artifacts: Artifacts) -> None:
    first, second = draw_run(artifacts, RASTER), draw_run(artifacts, RASTER)
    assert first == second
    assert first.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack_from(">II", first, 16)
    assert (width, height) == (1300, 910)


def test_what_was_run_is_seen(artifacts: Artifacts) -> None:
    assert len({draw_run(artifacts, raster) for raster in (RASTER, 0 * RASTER, RASTER[::-1])}) == 3


def test_a_wrong_raster_is_refused(artifacts: Artifacts) -> None:
    with pytest.raises(InputError, match="wrong shape"):
        draw_run(artifacts, RASTER[:, :2])


def test_the_user_s_settings_of_matplotlib_stay(artifacts: Artifacts) -> None:
    before = dict(mpl.rcParams)
    draw_run(artifacts, RASTER)
    assert dict(mpl.rcParams) == before


def test_without_matplotlib_the_message_says_what_to_install(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SnnmapError, match=r"pictures need matplotlib\n  fix: pip install 'snnmap\[plot\]'"):
        draw_run(artifacts, RASTER)


def test_the_true_class_is_told(artifacts: Artifacts) -> None:
    right = int(artifacts.run(RASTER[np.newaxis])["port"][0].sum(axis=0).argmax())
    assert len({draw_run(artifacts, RASTER, label=label) for label in (None, right, 1 - right)}) == 3
    with pytest.raises(InputError, match=r"no output stands for this class\n.*label\n.*2   limit: 0..1"):
        draw_run(artifacts, RASTER, label=2)


def test_the_picture_says_names_counts_and_what_is_in_use(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: set[str] = set()

    def read(size: object, fill: Callable[[Figure], None], **style: object) -> bytes:
        figure = Figure()
        fill(figure)
        texts.update(text.get_text() for text in figure.findobj(Text))
        return b""

    monkeypatch.setattr("snnmap.report.picture.draw_figure", read)
    draw_run(artifacts, RASTER, label=0)
    assert {"h1 (model.h1)\n5 neurons, lag 0", "relay 1 of h1\n5 neurons, lag 1"} <= texts
    assert {"input\n'in'", "1 spike a step", "8", "31"} <= texts
    assert any("decides class" in text for text in texts)
    assert not any(text.startswith("input_weights[1]") for text in texts)
    assert "occupancy (2 not in use)" in texts

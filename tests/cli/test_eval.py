"""snnmap eval: a data set on bitstreams."""

from pathlib import Path

import numpy as np
import pytest
from command_line import Run

from snnmap.core.table import read_table
from snnmap.lif.bitstream import decode
from snnmap.pipeline import evaluate_image


def test_eval_is_the_library_and_goes_on(run: Run, bitstream: Path, raster: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.array([0, 1, 1]))
    command = ("eval", bitstream, "-i", raster, "--labels", tmp_path / "labels.npy", "-o", tmp_path / "t.csv", "--workers", 1)
    first = run(*command)
    image = decode(bitstream.read_bytes())
    expected = evaluate_image(image, np.load(raster), labels=np.array([0, 1, 1]), n_workers=1)
    assert first.code == 0
    right, _ = expected.count_right()["port"]
    assert f"3 samples, output 'port' {right} of 3 right" in first.out
    assert tuple(read_table(tmp_path / "t.csv", texts=("image", "data", "tool", "port"))) == expected.rows
    again = run(*command)
    assert again.out == first.out.replace("\n", ", 3 of 3 rows were there\n")


def test_eval_refuses_what_saturates_where_it_shall(run: Run, bitstream: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "loud.npy", np.full((1, 60, 3), 15))
    command = ("eval", bitstream, "-i", tmp_path / "loud.npy", "--workers", 1)
    assert "0 values left their words" not in run(*command).out
    refused = run(*command, "--strict")
    assert (refused.code, "values left their words on the chip" in refused.err) == (2, True)


def test_eval_tells_bad_input(run: Run, bitstream: Path, raster: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "above.npy", np.full((1, 6, 3), 200))
    above = run("eval", bitstream, "-i", tmp_path / "above.npy")
    assert above.code == 2
    assert f"where: {tmp_path / 'above.npy'}, chip 'xylo-audio-3', first in sample 0, step 0, channel 0" in above.err
    both = run("eval", bitstream, "-i", raster, "--cluster", "tcp://127.0.0.1:1", "--workers", 2)
    assert (both.code, "leave --workers out" in both.err) == (2, True)
    form = run("eval", bitstream, "-i", raster, "-o", tmp_path / "t.xlsx")
    assert (form.code, ".parquet, .csv" in form.err) == (2, True)
    pytest.importorskip("distributed")
    nobody = run("eval", bitstream, "-i", raster, "--cluster", "tcp://127.0.0.1:1")
    assert (nobody.code, "where: tcp://127.0.0.1:1\n" in nobody.err, "dask scheduler" in nobody.err) == (2, True, True)

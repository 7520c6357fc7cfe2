"""A data set gives the same table, whoever runs it, and whoever dies on the way."""

import json
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rule_cases import chain

from snnmap.core.errors import InputError
from snnmap.core.jobs import open_cluster
from snnmap.core.table import read_table
from snnmap.lif.compare import run_ports
from snnmap.lif.program import Image
from snnmap.pipeline import compile_model, evaluate_image


@pytest.fixture(scope="module")
def image() -> Image:
    return compile_model(chain(3, 5, 4, 2), "xylo-audio-3").image


@pytest.fixture(scope="module")
def raster() -> np.ndarray:
    return np.random.default_rng(0).poisson(2.0, (50, 20, 3)).clip(0, 15)


@pytest.fixture
def threads() -> Any:
    with ThreadPoolExecutor(2) as executor:
        yield executor


class CutOff(Executor):
    """Runs some jobs and refuses all others."""

    def __init__(self, n_left: int) -> None:
        self.n_left = n_left

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.n_left -= 1
        if self.n_left < 0:
            future.set_exception(OSError("cut off"))
        else:
            future.set_result(function(*args, **kwargs))
        return future


def test_rows_are_what_the_image_gives(image: Image, raster: np.ndarray, threads: Executor) -> None:
    labels = np.arange(50) % 2
    found = evaluate_image(image, raster, labels=labels, executor=threads, chunk=7)
    assert image.manifest is not None
    (port,) = run_ports(image, image.manifest, raster)
    assert port.classes is not None
    assert [row["sample"] for row in found.rows] == list(range(50))
    assert [row["class"] for row in found.rows] == port.classes.tolist()
    assert [[row["value_0"], row["value_1"]] for row in found.rows] == port.decided_by.tolist()
    assert found.count_right() == {"port": (int((port.classes == labels).sum()), 50)}
    assert evaluate_image(image, raster, labels=labels, executor=threads, chunk=50) == found


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_call_that_was_cut_off_goes_on(
    image: Image, raster: np.ndarray, threads: Executor, tmp_path: Path, suffix: str
) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    table = tmp_path / f"t.{suffix}"
    whole = evaluate_image(image, raster, executor=threads, chunk=10)
    with pytest.raises(OSError, match="cut off"), CutOff(3) as executor:
        evaluate_image(image, raster, executor=executor, table=table, chunk=10)
    assert not table.exists()
    assert len(list(tmp_path.glob("*/*.json"))) == 3
    found = evaluate_image(image, raster, executor=threads, table=table, chunk=10)
    assert (found.rows, found.n_kept) == (whole.rows, 30)
    assert list(tmp_path.iterdir()) == [table]
    with CutOff(0) as nobody:
        again = evaluate_image(image, raster, executor=nobody, table=table, chunk=10)
    assert (again.rows, again.n_kept) == (whole.rows, 50)


def test_other_data_are_run_and_added(image: Image, raster: np.ndarray, threads: Executor, tmp_path: Path) -> None:
    first, second = (
        evaluate_image(image, part, executor=threads, table=tmp_path / "t.csv") for part in (raster, raster[:, ::-1])
    )
    assert (len(first.rows), second.n_kept) == (50, 0)
    rows = read_table(tmp_path / "t.csv", texts=("image", "data", "tool", "port"))
    assert tuple(rows) == (*first.rows, *second.rows)


def test_a_damaged_chunk_is_refused(image: Image, raster: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cut off"), CutOff(1) as executor:
        evaluate_image(image, raster, executor=executor, table=tmp_path / "t.csv", chunk=10)
    (part,) = tmp_path.glob("*/*.json")
    part.write_text(json.dumps({"rows": []}))
    with pytest.raises(InputError, match="a finished chunk cannot be read"):
        evaluate_image(image, raster, table=tmp_path / "t.csv", chunk=10)


def test_bad_input_is_refused_before_anything_runs(image: Image, raster: np.ndarray) -> None:
    with CutOff(0) as nobody:
        loud = raster.copy()
        loud[3, 2, 1] = 200
        with pytest.raises(InputError, match="sample 3, step 2, channel 1"):
            evaluate_image(image, loud, executor=nobody)
        with pytest.raises(InputError, match="wrong shape"):
            evaluate_image(image, raster[..., :2], executor=nobody)
        with pytest.raises(InputError, match="labels do not fit"):
            evaluate_image(image, raster, labels=[0, 1], executor=nobody)
        with pytest.raises(InputError, match="no form of a table"):
            evaluate_image(image, raster, executor=nobody, table="t.xlsx")


def kill_one_child(killed: list[int]) -> None:
    """Kill a local process once both are there: Python's pool does not bear that one ends while it starts another."""
    for _ in range(2000):
        children = multiprocessing.active_children()
        if len(children) == 2:
            children[0].kill()
            killed.append(children[0].pid or 0)
            return
        time.sleep(0.005)


def test_a_killed_local_process_changes_nothing(image: Image, raster: np.ndarray, threads: Executor) -> None:
    killed: list[int] = []
    killer = threading.Thread(target=kill_one_child, args=(killed,))
    killer.start()
    found = evaluate_image(image, raster, n_workers=2, chunk=5)
    killer.join()
    assert len(killed) == 1
    assert found == evaluate_image(image, raster, executor=threads)


@pytest.mark.filterwarnings("default")  # of the cluster's own shutdown
def test_a_killed_worker_of_a_cluster_changes_nothing(image: Image, raster: np.ndarray, threads: Executor) -> None:
    distributed = pytest.importorskip("distributed")
    made = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    data = np.repeat(raster, 10, axis=0)
    with made as cluster, open_cluster(cluster.scheduler_address, timeout_s=60) as executor:
        killer = threading.Timer(0.2, os.kill, (cluster.workers[0].pid, signal.SIGKILL))
        killer.start()
        found = evaluate_image(image, data, executor=executor, chunk=5)
        killer.join()
    assert found == evaluate_image(image, data, executor=threads)

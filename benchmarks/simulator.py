"""Time the compiled engine against XyloSim on one image of 16-1000-8 with 32 weights a neuron, at two activities.

All run the same decoded image on the same rasters; counts and states must be equal before anything is timed. XyloSim evolves
without recording. Run with ``make bench``, or ``PYTHONPATH=tests python benchmarks/simulator.py``.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
from random_programs import random_program
from rich.console import Console
from xylosim_bridge import XyloChip

from snnmap.chip import load_chip
from snnmap.core import IntArray
from snnmap.lif.bitstream import decode, encode
from snnmap.lif.program import Image, pack, unpack
from snnmap.lif.simulator import Stream, simulate_image
from snnmap.report import make_table

N_STEPS, N_BATCH, N_ROUNDS, N_NEURONS = 1000, 256, 5, 1008
AREAS = ("hidden", "outputs")
THRESHOLDS = {"1%": (8300, 16600), "10%": (3400, 6800)}
"""Bounds of the thresholds by about the share of hidden neurons that spike in a step."""
GOALS = {"batch, one core": {"1%": ">= 60", "10%": ">= 25"}, "stream": {"1%": ">= 20", "10%": ""}}


def draw_image(threshold: tuple[int, int]) -> Image:
    rng = np.random.default_rng(0)
    program = random_program(
        load_chip("xylo-audio-2"), rng, n_inputs=16, n_hidden=1000, n_outputs=8, density=0.016, threshold=threshold
    )
    return decode(encode(pack(program)))


def draw_raster(seed: int, n_samples: int) -> IntArray:
    rng = np.random.default_rng(seed)
    return rng.poisson(2.0, (n_samples, N_STEPS, 16)).clip(0, 15)


def require_equal(image: Image, raster: IntArray) -> float:
    """Compare every count and state of engine, stream and XyloSim; give the hidden spikes a neuron and step."""
    judge = XyloChip(unpack(image)).run(raster[0])
    runs = [
        simulate_image(image, raster[:35], counts_of=AREAS, states_of=AREAS),
        Stream(image).run(raster[0], counts_of=AREAS, states_of=AREAS),
    ]
    for run in runs:
        for kind in ("counts", "potentials", "currents"):
            for area in AREAS:
                np.testing.assert_array_equal(getattr(run, kind)[area][0], getattr(judge, kind)[area])
    return float(runs[0].counts["hidden"].mean())


@contextmanager
def one_core() -> Iterator[None]:
    with mock.patch("os.cpu_count", return_value=1):
        yield


def time_in_turn(jobs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Run the jobs A B C A B C ...; give the median seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(N_ROUNDS):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def measure(activity: str) -> list[tuple[str, ...]]:
    """Return a row an engine."""
    image, raster = draw_image(THRESHOLDS[activity]), draw_raster(1, N_BATCH)
    rate = require_equal(image, raster)
    xylo, counts, stream = XyloChip(unpack(image)), raster[0].tolist(), Stream(image)

    def run_xylosim() -> None:
        xylo.layer.reset_all()
        xylo.layer.evolve(counts)

    def run_one_core() -> None:
        with one_core():
            simulate_image(image, raster)

    n_cores = os.cpu_count() or 1
    jobs: dict[str, Callable[[], object]] = {
        "XyloSim 0.1.3": run_xylosim,
        "batch, one core": run_one_core,
        f"batch, {n_cores} cores": lambda: simulate_image(image, raster),
        "stream": lambda: stream.run(raster[:1]),
    }
    seconds = time_in_turn(jobs)
    speeds = {name: N_STEPS * N_NEURONS * (N_BATCH if "batch" in name else 1) / spent for name, spent in seconds.items()}
    peer = speeds["XyloSim 0.1.3"]
    return [
        (f"{rate:.3f}", name, f"{speed / 1e6:.1f}", f"{speed / peer:.1f}", GOALS.get(name, {}).get(activity, ""))
        for name, speed in speeds.items()
    ]


def main() -> None:
    rows = [row for activity in THRESHOLDS for row in measure(activity)]
    head = ("spikes a neuron and step#", "engine", "million updates/s#", "ratio to XyloSim#", "goal#")
    Console().print(make_table(f"16-1000-8, {N_BATCH} samples of {N_STEPS} steps, results equal", head, rows))


if __name__ == "__main__":
    main()

"""Time the batch engine against XyloSim and against the plain reference, on one image of 16-1000-8.

All of them run the same decoded image on the same rasters; counts and states must be equal before anything is timed.
Run with ``make bench``, or ``PYTHONPATH=tests python benchmarks/simulator.py``.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
from random_programs import random_program
from rich.console import Console
from xylosim_bridge import XyloChip

from snnmap.chip import load_chip
from snnmap.core import IntArray
from snnmap.lif.bitstream import decode, encode
from snnmap.lif.program import Image, Program, pack, unpack
from snnmap.lif.simulator import simulate_image
from snnmap.report import make_table

N_STEPS, N_BATCH, N_ROUNDS = 1000, 32, 5
AREAS = ("hidden", "outputs")


def draw_program(seed: int = 0) -> Program:
    """Draw 1000 hidden neurons with about 32 recurrent weights each, a percent or two of them active a step."""
    rng = np.random.default_rng(seed)
    return random_program(
        load_chip("xylo-audio-2"), rng, n_inputs=16, n_hidden=1000, n_outputs=8, density=0.03, threshold=(3500, 7000)
    )


def draw_raster(seed: int, n_samples: int) -> IntArray:
    rng = np.random.default_rng(seed)
    return rng.poisson(0.3, (n_samples, N_STEPS, 16)).clip(0, 15)


def require_equal(image: Image, raster: IntArray) -> float:
    """Compare every count and state of the three simulators; give the hidden spikes a neuron and step."""
    judge = XyloChip(unpack(image)).run(raster[0])
    runs = [
        simulate_image(image, raster[:1], counts_of=AREAS, states_of=AREAS, engine=engine) for engine in ("batch", "reference")
    ]
    for run in runs:
        for kind in ("counts", "potentials", "currents"):
            for area in AREAS:
                np.testing.assert_array_equal(getattr(run, kind)[area][0], getattr(judge, kind)[area])
    return float(judge.counts["hidden"].mean())


def time_in_turn(jobs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Run the jobs A B C A B C ...; give the median seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(N_ROUNDS):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    image = decode(encode(pack(draw_program())))
    raster = draw_raster(1, N_BATCH)
    rate = require_equal(image, raster)
    xylo, counts = XyloChip(unpack(image)), raster[0].tolist()

    def run_xylosim() -> None:
        xylo.layer.reset_all()
        xylo.layer.evolve(counts)

    seconds = time_in_turn(
        {
            "XyloSim 0.1.3, 1 sample": run_xylosim,
            "snnmap reference, 1 sample": lambda: simulate_image(image, raster[:1], engine="reference"),
            "snnmap batch, 1 sample": lambda: simulate_image(image, raster[:1]),
            f"snnmap batch, {N_BATCH} samples": lambda: simulate_image(image, raster),
        }
    )
    updates = {name: N_STEPS * 1008 * (N_BATCH if f"{N_BATCH} samples" in name else 1) for name in seconds}
    speeds = {name: updates[name] / seconds[name] for name in seconds}
    peer = speeds["XyloSim 0.1.3, 1 sample"]
    rows = [(name, f"{speed / 1e6:.2f}", f"{speed / peer:.2f}") for name, speed in speeds.items()]
    Console().print(
        make_table(
            f"16-1000-8, {rate:.3f} spikes a neuron and step, results equal",
            ("engine", "million updates/s#", "ratio to XyloSim#"),
            rows,
        )
    )


if __name__ == "__main__":
    main()

"""How many random networks do something else on the chip, with and without a word.

Run with ``make agreement``; about 40 minutes. Half of the networks are built with calibration data, half on drawn inputs; all
are measured on held-out data of the kind that they are used on. A number on the command line is how many;
``--write`` writes the table. What is measured is told as it comes, on the error stream: networks that are off, and how many
are done.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import numpy as np
from measurements import Row, print_rows, write_table
from trained_networks import N_HELD_OUT, Outcome, build_and_measure, draw_trained

FIRST, N_NETWORKS, N_PROCESSES = 10_000, 1000, int(os.environ.get("N_PROCESSES", "2"))


Found = tuple[bool, Outcome, float]
"""Whether there was calibration data, what came of it, and seconds of processor."""


def measure_one(job: tuple[int, bool]) -> Found:
    seed, calibrated = job
    drawn, start = draw_trained(seed), time.process_time()
    return calibrated, build_and_measure(drawn, calibrated=calibrated), time.process_time() - start


def measure_random(n_networks: int) -> Iterator[Row]:
    jobs = list(product(range(FIRST, FIRST + n_networks // 2), (True, False)))
    with ProcessPoolExecutor(N_PROCESSES) as workers:
        found = list(report(workers.map(measure_one, jobs, chunksize=4), len(jobs)))
    built = [(calibrated, outcome, seconds) for calibrated, outcome, seconds in found if not outcome.is_refused]
    silent = [outcome for _, outcome, _ in built if outcome.is_off and not outcome.is_told]
    every = f"{len(built)} of {len(found)} that fit their chip"
    yield f"random networks, {every}: rates outside 0.8..1.25 or readouts lost, without a finding", str(len(silent)), "0"
    undecided = [outcome for _, outcome, _ in built if outcome.agreement < 0.95 and not outcome.is_told]
    unsaid = sum(not outcome.is_open for outcome in undecided)
    yield (
        f"the same: decisions alike on less than 95% (of {N_HELD_OUT} samples) in every way of reading, without a finding",
        f"{unsaid}; {len(undecided) - unsaid} with no more than the word that these inputs do not show it (SNN607)",
        "0",
    )
    for calibrated, limit in ((True, "<= 1 of 64"), (False, "")):
        mine = [outcome for kind, outcome, _ in built if kind is calibrated]
        off = sum(outcome.is_off for outcome in mine)
        what = "with calibration data" if calibrated else "on drawn inputs"
        yield f"the same, {what}: outside, with or without a finding", f"{off} of {len(mine)}", limit
    yield (
        "seconds of processor a build, median and longest",
        "{:.1f}, {:.1f}".format(*np.quantile([s for *_, s in built], (0.5, 1))),
        "",
    )


def report(found: Iterable[Found], n_jobs: int) -> Iterator[Found]:
    """Tell of networks that are off as they come, and from time to time how many are done."""
    for n_done, (calibrated, outcome, seconds) in enumerate(found, 1):
        if not outcome.is_refused and (outcome.is_off or outcome.agreement < 0.95):
            print(f"  {'calibrated' if calibrated else 'drawn inputs'}: {outcome}", file=sys.stderr, flush=True)
        if n_done % 50 == 0:
            print(f"{n_done} of {n_jobs}", file=sys.stderr, flush=True)
        yield calibrated, outcome, seconds


def main(words: list[str]) -> None:
    numbers = [int(word) for word in words if word.isdigit()]
    lines = print_rows(measure_random(numbers[0] if numbers else N_NETWORKS))
    if "--write" in words:
        write_table("agreement", lines)


if __name__ == "__main__":
    main(sys.argv[1:])

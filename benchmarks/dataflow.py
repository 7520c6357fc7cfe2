"""Pipelines of templates beside their bounds: intervals, stalls, values, two budgets, time to build and simulate.

MobileNet V1 and ResNet-18 with seeded weights, random networks. ``make dataflow`` writes the table, and files, table
and pictures of MobileNet V1 to ``build/dataflow``. Words of a row's name measure it alone. About 5 minutes.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from measurements import Row, choose_rows, print_rows, write_table
from pipeline_cases import LARGE, add_costs, build, count_differences, draw_budget, draw_inputs, find_interval, solve_by_merging
from quantised_networks import make_mobilenet, make_resnet
from random_quantised import make_random
from random_wide import make_wide

from snnmap.core.fsio import write_files
from snnmap.dataflow import DeadlockError, Pipeline, format_html, format_pipeline, simulate_timing, simulate_values
from snnmap.dataflow.allocate import raise_slowest, search_exact
from snnmap.dataflow.pack import list_files
from snnmap.dataflow.report import summarise

FOLDER = Path("build/dataflow")


def write_mobilenet(pipeline: Pipeline) -> None:
    """Write files, table and pictures, and print the table."""
    found = simulate_timing(pipeline)
    report = json.dumps(summarise(pipeline, found), indent=2).encode()
    write_files(FOLDER, {**list_files(pipeline), "report.json": report, "report.html": format_html(pipeline, found).encode()})
    sys.stderr.write(f"{format_pipeline(pipeline, found)}\n{FOLDER / 'report.html'}\n")


def measure_intervals() -> Iterator[Row]:
    for multipliers, limit in ((256, 1.09), (830, 1.05)):
        loop, exact = (build(make_mobilenet(), LARGE, multipliers=multipliers, search=name) for name in ("loop", "exact"))
        assert (loop.interval, simulate_timing(loop).interval) == (exact.interval, exact.interval)
        told = f"{loop.interval / loop.bound:.3f}: {loop.interval:,} cycles, simulated too"
        yield (
            f"interval over its bound, MobileNet V1, {multipliers} multipliers",
            told,
            f"<= {limit}; exact optimum {exact.interval:,}",
        )
        mixed = build(make_mobilenet(), LARGE, multipliers=multipliers, cut="auto")
        blocks = [one.weight_blocks + one.buffer_blocks for one in (mixed, loop)]
        told = f"{mixed.interval / mixed.bound:.3f}, {blocks[0]} blocks of memory"
        yield (
            f"the same with the last {len(mixed.all_stages) - len(mixed.stages)} layers on one unit",
            told,
            f"{blocks[1]} blocks without",
        )
    write_mobilenet(loop)
    peer = build(make_mobilenet((240, 320)), LARGE, fps=162.76, parallelism="divisors")
    told = f"{simulate_timing(peer).interval:,} cycles, {peer.samples_per_second:.2f} a second, {peer.multipliers} multipliers"
    yield "the peer's rate, divisors alone, 320 x 240", told, "1,228,800 cycles, 162.76 a second, 794 of 830 multipliers"


def find_end(pipeline: Pipeline, name: str, depth: int) -> str:
    """What a run with a buffer of so many words comes to."""
    try:
        return "stalls" if simulate_timing(pipeline, n_samples=4, depths={name: depth}).blocked_ever.get(name) else "nothing"
    except DeadlockError:
        return "deadlocks"


def measure_buffers() -> Iterator[Row]:
    networks = {"MobileNet V1, 96 x 96": make_mobilenet(96), "ResNet-18, 96 x 96": make_resnet(18, 96)}
    for name, model in networks.items():
        pipeline = build(model, LARGE, memory_blocks=6000)
        found = simulate_timing(pipeline)
        ends = [find_end(pipeline, buffer.name, buffer.depth - 1) for buffer in pipeline.buffers]
        told = ", ".join(f"{ends.count(end)} {end}" for end in ("stalls", "deadlocks", "nothing"))
        yield f"stalled cycles in steady state, {name}", str(found.stalls), "0"
        yield f"one word less in each of {len(ends)} buffers, {name}", told, "all stall or deadlock"


def measure_values() -> Iterator[Row]:
    for name, model in {"MobileNet V1": make_mobilenet(), "ResNet-18": make_resnet(18)}.items():
        found = count_differences(model, build(model, LARGE, memory_blocks=6000), 1)
        yield f"values that differ from onnxruntime's int8, {name}", f"{sum(found.values())} in {len(found)} tensors", "0"
    models = [(make_random, make_wide)[seed % 2](seed) for seed in range(200)]
    found = [
        sum(count_differences(model, build(model, LARGE, multipliers=40 + seed)).values()) for seed, model in enumerate(models)
    ]
    yield "the same, 200 random networks with skips", f"{sum(found)} of {len(found)} networks", "0"


def measure_budgets() -> Iterator[Row]:
    ratios, missed = [], 0
    for seed in range(50):
        choices, budget = draw_budget(seed)
        wanted, numbers = solve_by_merging(choices, budget), raise_slowest(choices, budget)
        assert find_interval(choices, search_exact(choices, budget)) == wanted
        assert numbers is None or (add_costs(choices, numbers) <= budget).all()
        found = find_interval(choices, numbers)
        missed += found is None and wanted is not None
        ratios += [found / wanted] if found is not None and wanted is not None else []
    told = f"{np.max(ratios) - 1:.1%} off at most, {sum(ratio == 1 for ratio in ratios)} of {len(ratios)} exact, {missed} missed"
    yield "loop of returns, two budgets, 50 small graphs", told, "<= 2% off an exact search, 0 missed"


def measure_time() -> Iterator[Row]:
    model, start = make_mobilenet((720, 1280)), time.process_time()
    pipeline = build(model, LARGE)
    built = time.process_time()
    simulate_timing(pipeline)
    timed = time.process_time()
    simulate_values(pipeline, draw_inputs(pipeline, 1), order="matrix")
    done = time.process_time()
    told = f"{done - start:.1f} s: build {built - start:.1f}, time {timed - built:.1f}, values {done - timed:.1f}"
    yield "MobileNet V1 at 1280 x 720, processor time", told, "< 15 s"


ROWS: tuple[Callable[[], Iterator[Row]], ...] = (
    measure_intervals,
    measure_buffers,
    measure_values,
    measure_budgets,
    measure_time,
)


if __name__ == "__main__":
    measures = {rows.__name__.removeprefix("measure_"): rows for rows in ROWS}
    lines = print_rows(row for name in choose_rows(sys.argv[1:], measures) for row in measures[name]())
    if "--write" in sys.argv:
        write_table("dataflow", lines)

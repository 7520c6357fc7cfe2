"""Every figure of speed beside its goal: a table, a picture, and a line of history in ``benchmarks/results``.

Run with ``make bench``; parts named on the command line, such as ``streams``, are measured alone. ``make bench-compare``
(``compare``) tells what has got slower, by more than a tenth, since the last commit on this processor that has figures. Both
sides of a ratio run in turn, in one process, and must have computed the same before they are timed.
"""

import os
import sys
from collections.abc import Callable, Iterator

import build_speed
import chip_training
import data_set
import delta_streaming
import simulator
import xylosim_campaign
from figures import NOISE, Figure, compare_runs, describe_machine, describe_run, keep_run, print_figures, read_history
from rich.console import Console

from snnmap.report import make_table

SIDE_BY_SIDE = (
    "cores that share a processor with others slow each other: measured once, threads of a calibration run took 1.6x as long"
)


def measure_engines() -> Iterator[Figure]:
    """Give the ratios to XyloSim, by engine and activity, and of all cores to one."""
    goals = {("batch, one core", "1%"): 60.0, ("batch, one core", "10%"): 25.0, ("stream", "1%"): 20.0}
    for activity in simulator.THRESHOLDS:
        ratios = {}
        for rate, engine, speed, ratio, _ in simulator.measure(activity):
            ratios[engine] = float(ratio)
            if engine.startswith("XyloSim"):
                continue
            yield Figure(
                name=f"{engine}, {activity} active",
                value=float(ratio),
                unit="x XyloSim",
                goal=goals.get((engine, activity)),
                detail=f"{speed} million neuron updates/s, {rate} spikes a neuron and step",
            )
        n_cores = os.cpu_count() or 1
        if n_cores > 1:
            value = ratios[f"batch, {n_cores} cores"] / ratios["batch, one core"]
            yield Figure(name=f"{n_cores} cores by one, {activity} active", value=value, goal=1.8, reason=SIDE_BY_SIDE)


def measure_streams() -> Iterator[Figure]:
    """Give the ratios to dense torch, on the faster of one and two threads; the stream has one."""
    for row in delta_streaming.measure_goals():
        one_thread = f"{row.one_thread_ratio:.1f}x of one thread, as the stream has"
        yield Figure(
            name=f"stream, {row.name}",
            value=row.bare_ratio,
            unit="x torch",
            goal=row.least_ratio if row.sparsity >= delta_streaming.LEAST_SPARSITY else None,
            detail=f"{row.sparsity:.1%} still, dense / MACs {row.mac_ratio:.0f}; {one_thread}",
            reason=row.reason,
        )


def measure_data_set() -> Iterator[Figure]:
    """Give the seconds of Fashion-MNIST's test images, bit for bit."""
    what, seconds, _ = next(data_set.measure())
    yield Figure(name="data set", value=float(seconds.split()[0]), unit="s", goal=30.0, at_least=False, detail=what)


def measure_campaign() -> Iterator[Figure]:
    """Give the neuron updates that equal XyloSim's on random images; a difference ends the run with its case."""
    compared = sum(xylosim_campaign.run_case(seed)[0] for seed in xylosim_campaign.CI_SEEDS)
    detail = "random images, every count and state equal; `pytest -m nightly` runs 10^9"
    yield Figure(name="campaign against XyloSim", value=compared, unit="updates", goal=1e7, detail=detail)


MEASURES: dict[str, Callable[[], Iterator[Figure]]] = {
    "engines": measure_engines,
    "builds": build_speed.measure,
    "training": chip_training.measure,
    "streams": measure_streams,
    "campaign": measure_campaign,
    "data-set": measure_data_set,
    "sizes": build_speed.measure_sizes,
}


def run(names: list[str]) -> int:
    """Measure, print, draw and keep; give 1 where a part failed, whose message is printed with the rest."""
    figures: list[Figure] = []
    machine, failures = describe_machine(), []
    for name in names:
        try:
            for figure in MEASURES[name]():
                figures.append(figure)
                print(f"{figure.name}: {figure.value:.3g} {figure.unit}  {figure.describe_goal()}", file=sys.stderr, flush=True)
        except (Exception, SystemExit) as error:
            failures.append(f"{name} was not measured: {type(error).__name__}: {error}")
    done = describe_run(machine, figures)
    print_figures(done)
    if not keep_run(done):
        print(f"not kept: the machine was busy, load {done['load']} on {done['n_cores']} cores; run it again on an idle one")
    print(*failures, sep="\n", end="\n" if failures else "")
    return int(bool(failures))


def compare() -> int:
    """Print what has changed since the last commit that has figures; give 1 where something got slower."""
    changes = compare_runs(read_history())
    if not changes:
        print("no earlier commit has figures of this processor: run make bench on two commits")
        return 0
    rows = [
        (change.figure.name, f"{change.before:.3g}", change.commit, f"{change.figure.value:.3g} {change.figure.unit}",
         f"{change.factor:.2f}", "slower" if change.factor < 1.0 - NOISE else "faster" if change.factor > 1.0 + NOISE else "")
        for change in changes
    ]  # fmt: skip
    head = ("figure", "before#", "commit", "now#", "times as good#", "")
    Console(width=150).print(make_table("since the last commit that has figures", head, rows))
    return int(any(change.factor < 1.0 - NOISE for change in changes))


def main(words: list[str]) -> int:
    if words == ["compare"]:
        return compare()
    unknown = sorted(set(words) - set(MEASURES))
    if unknown:
        raise SystemExit(f"unknown parts {', '.join(unknown)}: name some of {', '.join(MEASURES)}, or compare")
    return run(words or list(MEASURES))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

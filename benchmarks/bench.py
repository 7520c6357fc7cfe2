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
import delta_streaming
import simulator
from figures import NOISE, Figure, compare_runs, describe_machine, describe_run, keep_run, print_figures, read_history
from rich.console import Console

from snnmap.report import make_table


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
                reason="busy cores lower ours more than the peer's: measured again on an idle machine, see docs/measurements.md",
            )
        n_cores = os.cpu_count() or 1
        if n_cores > 1:
            value = ratios[f"batch, {n_cores} cores"] / ratios["batch, one core"]
            reason = "the cores are shared with others" if os.getloadavg()[0] > 1.5 else "threads wait for memory"
            yield Figure(name=f"{n_cores} cores by one, {activity} active", value=value, goal=1.8, reason=reason)


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
            reason=f"the stream has one core, torch two ({one_thread}); a core adds at two thirds of a dense product's rate",
        )


MEASURES: dict[str, Callable[[], Iterator[Figure]]] = {
    "engines": measure_engines,
    "builds": build_speed.measure,
    "training": chip_training.measure,
    "streams": measure_streams,
    "sizes": build_speed.measure_sizes,
}


def run(names: list[str]) -> None:
    """Measure, print, draw and keep."""
    figures, machine = [], describe_machine()
    for name in names:
        for figure in MEASURES[name]():
            figures.append(figure)
            print(f"{figure.name}: {figure.value:.3g} {figure.unit}  {figure.describe_goal()}", file=sys.stderr, flush=True)
    done = describe_run(machine, figures)
    print_figures(done)
    if not keep_run(done):
        print(f"not kept: the machine was busy, load {done['load']} on {done['n_cores']} cores; run it again on an idle one")


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
    run(words or list(MEASURES))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

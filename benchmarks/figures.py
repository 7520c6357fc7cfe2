"""Figures with a goal: measured, kept as JSON lines, compared with those of earlier commits, and drawn."""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from snnmap.core.figure import draw_figure
from snnmap.core.fsio import write_file
from snnmap.report import make_table

HISTORY = Path("benchmarks/results/history.jsonl")
PICTURE = Path("benchmarks/results/bench.svg")
NOISE = 0.1
"""Share by which a figure may differ from the last one without being told: runs on a shared machine differ so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number.

    Attributes:
        name: unique, the same at every commit.
        value: a ratio of two things of one run, seconds, or a count.
        unit: ``x``, ``s``, ``GB``, ...
        goal: to be reached, or None where there is none.
        at_least: whether larger is better.
        detail: what the value was computed from, for the table.
        reason: why the goal is missed, where it may be.
    """

    name: str
    value: float
    unit: str = "x"
    goal: float | None = None
    at_least: bool = True
    detail: str = ""
    reason: str = ""

    @property
    def gain(self) -> float:
        """How many times the goal; below 1 where it is missed."""
        if self.goal is None:
            return 1.0
        return self.value / self.goal if self.at_least else self.goal / max(self.value, 1e-12)

    def describe_goal(self) -> str:
        """Say what is to be reached, and whether it was."""
        if self.goal is None:
            return ""
        return f"{'>=' if self.at_least else '<='} {self.goal:g} {self.unit}{'' if self.gain >= 1.0 else ', missed'}"


def time_in_turn(
    jobs: dict[str, Callable[[], object]], n_rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """Run the jobs A B C A B C ...; give the seconds (of the processor) of each round, after one that is not timed."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(n_rounds + 1):
        for name, job in jobs.items():
            start = clock()
            job()
            times[name] += [clock() - start] if number else []
    return times


def find_ratio(times: dict[str, list[float]], above: str, below: str) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(one / other for one, other in zip(times[above], times[below], strict=True))


def describe_machine() -> dict[str, Any]:
    """Return the processor, its cores and how busy they are."""
    names = [line.partition(":")[2].strip() for line in _read_lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "n_cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }


def describe_run(machine: dict[str, Any], figures: Iterable[Figure]) -> dict[str, Any]:
    """Return a line of the history."""
    changed = _ask_git("status", "--porcelain", "--untracked-files=no")
    return {
        "commit": _ask_git("rev-parse", "--short=12", "HEAD") + ("+changes" if changed else ""),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **machine,
        "figures": {figure.name: asdict(figure) for figure in figures},
    }


def keep_run(run: dict[str, Any]) -> bool:
    """Append a run to the history and draw it; give False where the machine was busy before it began, and its times are none."""
    if is_busy(run):
        return False
    HISTORY.parent.mkdir(parents=True, exist_ok=True)
    with HISTORY.open("a", encoding="utf-8") as file:
        file.write(json.dumps(run) + "\n")
    write_file(PICTURE, draw_figures(run))
    return True


def is_busy(run: dict[str, Any]) -> bool:
    """Say whether others had the cores before the run began."""
    return bool(run["load"] > run["n_cores"])


def read_history() -> list[dict[str, Any]]:
    """Return all runs, the oldest first."""
    return [json.loads(line) for line in _read_lines(HISTORY) if line.strip()]


def read_figures(run: dict[str, Any]) -> list[Figure]:
    """Return a run's figures."""
    return [Figure(**figure) for figure in run["figures"].values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A figure beside that of the last commit that has it, ``factor`` times as good."""

    figure: Figure
    before: float
    commit: str
    factor: float


def compare_runs(history: list[dict[str, Any]]) -> list[Change]:
    """Compare each figure with the last one of another commit on the same processor.

    All runs of the last commit count, the last of each figure.
    """
    if not history:
        return []
    last = history[-1]
    now = {name: figure for run in history if _is_alike(run, last, same=True) for name, figure in run["figures"].items()}
    changes = []
    for name, values in now.items():
        earlier = [run for run in history if _is_alike(run, last, same=False) and name in run["figures"]]
        if not earlier:
            continue
        figure, before = Figure(**values), float(earlier[-1]["figures"][name]["value"])
        factor = figure.value / before if figure.at_least else before / figure.value
        changes.append(Change(figure=figure, before=before, commit=earlier[-1]["commit"], factor=factor))
    return changes


def _is_alike(run: dict[str, Any], last: dict[str, Any], *, same: bool) -> bool:
    is_same_machine = (run["processor"], run["n_cores"]) == (last["processor"], last["n_cores"])
    return is_same_machine and (run["commit"] == last["commit"]) == same


def print_figures(run: dict[str, Any]) -> None:
    """Print a run's figures beside their goals, then the reasons of those that miss it."""
    figures = read_figures(run)
    rows = [(figure.name, f"{figure.value:.3g} {figure.unit}", figure.describe_goal(), figure.detail) for figure in figures]
    title = f"{run['commit']}, {run['processor']}, {run['n_cores']} cores, load {run['load']}"
    console = Console(width=170)
    console.print(make_table(title, ("figure", "measured#", "goal", "of"), rows))
    unknown = "the machine was busy" if is_busy(run) else "no reason was measured"
    for figure in figures:
        if figure.gain < 1.0:
            console.print(f"{figure.name}: missed; {figure.reason or unknown}")


def draw_figures(run: dict[str, Any]) -> bytes:
    """Draw how many times each goal was reached, on a logarithmic axis."""
    figures = [figure for figure in read_figures(run) if figure.goal is not None]

    def fill(page: Any) -> None:
        axes = page.add_subplot()
        colours = ["tab:green" if figure.gain >= 1.0 else "tab:red" for figure in figures]
        axes.barh([figure.name for figure in figures], [figure.gain for figure in figures], color=colours)
        axes.axvline(1.0, color="black", linewidth=0.8)
        axes.set_xscale("log")
        axes.invert_yaxis()
        axes.set_xlabel("times the goal")
        axes.set_title(f"{run['commit']}, {run['processor']}")

    return draw_figure((9.0, 1.0 + 0.25 * len(figures)), fill, form="svg")


def _ask_git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout.strip()


def _read_lines(path: Path | str) -> Iterator[str]:
    try:
        yield from Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return

"""Figures of the benchmarks: goals, the history, and what has got slower since the last commit that has some."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import figures

    monkeypatch.setattr(figures, "HISTORY", tmp_path / "results" / "history.jsonl")
    monkeypatch.setattr(figures, "PICTURE", tmp_path / "results" / "bench.svg")
    yield figures
    sys.modules.pop("figures")


def make_run(figures: ModuleType, commit: str, *, cores: int = 2, load: float = 0.5, **values: float) -> dict[str, Any]:
    made = [figures.Figure(name=name, value=value, goal=2.0, at_least=name != "seconds") for name, value in values.items()]
    machine = {"processor": "a processor", "n_cores": cores, "load": load}
    return {**figures.describe_run(machine, made), "commit": commit}


def list_factors(figures: ModuleType, *runs: dict[str, Any]) -> dict[str, tuple[float, str]]:
    return {change.figure.name: (round(change.factor, 3), change.commit) for change in figures.compare_runs(list(runs))}


def test_each_figure_is_beside_that_of_the_last_other_commit_that_has_it(figures: ModuleType) -> None:
    runs = [
        make_run(figures, "a", ratio=4.0, seconds=1.0),
        make_run(figures, "b", ratio=5.0),
        make_run(figures, "c", seconds=3.0),
        make_run(figures, "c", ratio=2.5, seconds=2.0),
        make_run(figures, "c", fresh=1.0),
    ]
    assert list_factors(figures, *runs) == {"ratio": (0.5, "b"), "seconds": (0.5, "a")}


def test_other_machines_are_not_compared(figures: ModuleType) -> None:
    assert list_factors(figures, make_run(figures, "a", cores=8, ratio=4.0), make_run(figures, "b", ratio=2.0)) == {}
    assert list_factors(figures) == {}


def test_a_run_is_kept_as_a_line_and_drawn_but_not_that_of_a_busy_machine(figures: ModuleType) -> None:
    kept = [make_run(figures, "a", ratio=4.0, seconds=1.0), make_run(figures, "b", ratio=1.0)]
    assert all(figures.keep_run(run) for run in kept)
    assert not figures.keep_run(make_run(figures, "c", load=2.5, ratio=100.0))
    assert figures.read_history() == kept == [json.loads(line) for line in figures.HISTORY.read_text().splitlines()]
    assert [figure.name for figure in figures.read_figures(kept[0])] == ["ratio", "seconds"]
    assert b"<svg" in figures.PICTURE.read_bytes()


@pytest.mark.parametrize(
    ("value", "at_least", "told"), [(2.0, True, ">= 2 x"), (1.9, True, ">= 2 x, missed"), (2.1, False, "<= 2 x, missed")]
)
def test_a_missed_goal_is_told_with_its_reason(
    figures: ModuleType, value: float, at_least: bool, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = figures.Figure(name="one", value=value, goal=2.0, at_least=at_least, reason="cores are shared")
    assert figure.describe_goal() == told
    figures.print_figures(figures.describe_run({"processor": "a processor", "n_cores": 2, "load": 0.5}, [figure]))
    assert ("one: missed; cores are shared" in capsys.readouterr().out) == told.endswith("missed")


def test_ratios_are_of_the_same_round(figures: ModuleType) -> None:
    assert figures.find_ratio({"a": [2.0, 30.0, 4.0], "b": [1.0, 10.0, 1.0]}, "a", "b") == 3.0
    assert [len(times) for times in figures.time_in_turn({"a": dict, "b": list}, 3).values()] == [3, 3]

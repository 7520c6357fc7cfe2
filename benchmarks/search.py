"""Search digits by accuracy and synaptic operations: hypervolume of 40 candidates against as many drawn at random, three seeds.

Hypervolume beyond chance (accuracy 10%) and below 20,000 operations a digit, operations counted as they are and by their
logarithm; on validation digits, of the bitstreams. Candidates of both searches train alike, and both skip what they had. Run with
``make search``; ``--sampler gp`` for the other sampler. A search goes on where it was ended (``build/search-bench``).
"""

import argparse
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from measurements import Row, print_rows, write_table

import snnmap
from snnmap.design import Search, Space, read_space

FOLDER, SEEDS, N_TRIALS, N_WORKERS = Path("build/search-bench"), (0, 1, 2), 40, 2
CHANCE, MOST_OPERATIONS, GOAL = 0.1, 20_000.0, 1.15
SPACE = """
model_from = "snnmap.nn.models:make_layered"
data_from = "benchmarks/search_digits.py:read"
objectives = ["accuracy", "synaptic_operations"]

[model]
n_inputs = 8
n_outputs = 10
width = { low = 4, high = 128, log = true }
depth = [1, 2, 3]
taper = [0.5, 0.75, 1.0]
recurrent = [false, true]
residual = [false, true]
dash_syn = [1, 2, 3]
dash_mem = [1, 2, 3, 4, 5]
readout_dash_mem = [1, 2, 3, 4, 5]
input_gain = { low = 0.03, high = 1.0, log = true }

[train]
n_epochs = 8
learning_rate = { low = 3e-4, high = 1e-1, log = true }
weight_decay = { low = 1e-4, high = 1e-1, log = true }

[build]
allow = "SNN6"
verify = false

[chip]
name = "xylo-audio-3"
"""


def find_hypervolume(found: Search, scale: Callable[[float], float]) -> float:
    outcomes = [candidate.outcome for candidate in found.candidates if candidate.outcome is not None]
    points = sorted(
        (outcome.measures["synaptic_operations"], outcome.measures["accuracy"])
        for outcome in outcomes
        if outcome.state == "finished" and outcome.measures["synaptic_operations"] < MOST_OPERATIONS
    )
    ends = [operations for operations, _ in points[1:]] + [MOST_OPERATIONS]
    volume, best = 0.0, CHANCE
    for (operations, accuracy), end in zip(points, ends, strict=True):
        best = max(best, accuracy)
        volume += (best - CHANCE) * (scale(end) - scale(operations))
    return volume


def compare(space: Space, sampler: str) -> Iterator[Row]:
    ratios: dict[str, list[float]] = {"as they are": [], "by their logarithm": []}
    for seed in SEEDS:
        found = {
            name: snnmap.search(replace(space, sampler=name, seed=seed), FOLDER / f"{name}-{seed}", n_workers=N_WORKERS)
            for name in (sampler, "random")
        }
        for (how, listed), scale in zip(ratios.items(), (float, math.log), strict=True):
            volumes = [find_hypervolume(one, scale) for one in found.values()]
            listed.append(volumes[0] / volumes[1])
            told = f"{listed[-1]:.2f} times ({volumes[0]:.4g})"
            yield f"digits, seed {seed}, hypervolume by `{sampler}`, operations {how}", told, f"at random: {volumes[1]:.4g}"
        states = [candidate.outcome.state for candidate in found[sampler].candidates if candidate.outcome]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        yield f"digits, seed {seed}, candidates of `{sampler}`", counts, f"{len(found[sampler].front)} best"
    for how, listed in ratios.items():
        yield f"digits, operations {how}, mean of {len(SEEDS)} seeds", f"{statistics.mean(listed):.2f} times", f">= {GOAL} times"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sampler", default="tpe", choices=["tpe", "gp"])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "space.toml").write_text(SPACE)
    space = replace(read_space(FOLDER / "space.toml"), folder=".", n_trials=N_TRIALS)
    lines = print_rows(compare(space, given.sampler))
    if given.write:
        write_table("search", lines)


if __name__ == "__main__":
    main()

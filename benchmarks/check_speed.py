"""How long a check takes: in process against Rockpool's ``check_drc``, and from a cold start against a bare interpreter.

The network is 16-1000-8, recurrent, of fan-in 32, built as a Rockpool module, of which both sides read the same; neither may find
anything. Rockpool is given its graph, which it takes seconds to make, and ours the network that the module is read as. A cold
start is a process of its own, beside one that imports numpy alone.

Run with ``make check-speed``; ``--write`` writes the table.
"""

import importlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import rockpool
import torch
from measurements import Row, print_rows, write_table
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules import LIFTorch, LinearTorch
from rule_cases import chain

import snnmap
from snnmap.chip import Chip, load_chip
from snnmap.lif.drc import check_mapped, check_network, check_quantised
from snnmap.lif.mapping import fold_network
from snnmap.lif.program import QuantisedNetwork
from snnmap.lif.quantise import match_decays, quantise_network
from snnmap.network import Network, save_network

SIZES, FAN_IN, DT_S = (16, 1000, 8), 32, 0.01
N_ROUNDS, N_STARTS = 3, 9


def import_mapper() -> Any:
    """Import Rockpool's mapper without the packages above it, which ask for the vendor's drivers."""
    folder = Path(rockpool.__file__).parent.parent
    for name in ("rockpool.devices", "rockpool.devices.xylo", "rockpool.devices.xylo.syns61201"):
        package = ModuleType(name)
        package.__path__ = [str(folder.joinpath(*name.split(".")))]
        sys.modules.setdefault(name, package)
    return importlib.import_module("rockpool.devices.xylo.syns61201.xylo_mapper")


def draw_module(seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)

    def draw(n_pre: int, n_post: int) -> torch.Tensor:
        weights = np.zeros((n_pre, n_post), np.float32)
        for post in range(n_post):
            chosen = rng.choice(n_pre, min(n_pre, FAN_IN), replace=False)
            weights[chosen, post] = rng.choice([-0.25, -0.125, 0.125, 0.25], chosen.size)
        return torch.from_numpy(weights)

    def make_neurons(size: int, most: int, **recurrent: torch.Tensor) -> Any:
        taus = {"tau_mem": DT_S / np.log(4 / 3), "tau_syn": DT_S / np.log(2)}  # decays of 3/4 and 1/2
        numbers = {name: torch.full((size,), float(tau)) for name, tau in taus.items()}
        return LIFTorch(size, **numbers, threshold=1.0, dt=DT_S, max_spikes_per_dt=most, has_rec=bool(recurrent), **recurrent)

    n_in, n_hidden, n_out = SIZES
    return Sequential(
        LinearTorch((n_in, n_hidden), weight=draw(n_in, n_hidden), has_bias=False),
        make_neurons(n_hidden, 31, w_rec=draw(n_hidden, n_hidden)),
        LinearTorch((n_hidden, n_out), weight=draw(n_hidden, n_out), has_bias=False),
        make_neurons(n_out, 1),
    )


def check_levels(network: Network, chip: Chip, known: QuantisedNetwork | None = None) -> QuantisedNetwork:
    """Run the rules of the network, of the folded network and of the network in integers, which may be known before."""
    fresh = replace(network)  # nothing that was derived from it before
    require_clean(check_network(fresh, chip))
    mapped = fold_network(match_decays(fresh, chip)[0], chip)
    require_clean(check_mapped(mapped))
    quantised = known or quantise_network(mapped)
    require_clean(check_quantised(quantised))
    return quantised


def require_clean(report: snnmap.core.Report) -> None:
    if report.diagnostics:
        raise SystemExit(f"the two sides are not given a network without findings:\n{report}")


def time_in_turn(jobs: dict[str, Callable[[], object]], n_rounds: int) -> dict[str, float]:
    """Run the jobs A B C A B C ...; give the median seconds of each, after one run that is not timed."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(n_rounds + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            times[name] += [time.perf_counter() - start] if number else []
    return {name: statistics.median(values) for name, values in times.items()}


def measure_check() -> Iterator[Row]:
    module, mapper, chip = draw_module(), import_mapper(), load_chip("xylo-audio-2")
    graph, network = module.as_graph(), snnmap.load(module)
    warnings.simplefilter("error", mapper.DRCWarning)
    quantised = check_levels(network, chip)
    seconds = time_in_turn(
        {
            "peer": lambda: mapper.check_drc(graph, mapper.xylo_drc),
            "rules": lambda: check_levels(network, chip, quantised),
            "levels": lambda: check_levels(network, chip),
            "whole": lambda: snnmap.check_model(network, chip),
        },
        N_ROUNDS,
    )
    for name, what, least in (
        ("rules", "16-1000-8, fan-in 32: all rules of network, folded network and integers, without the quantiser", 30),
        ("levels", "the same with the quantiser", 50),
        ("whole", "the same, and the bitstream beside the model on 10 drawn samples of 96 steps", 0),
    ):
        ratio = seconds["peer"] / seconds[name]
        aim = f"; >= {least}x{'' if ratio >= least else ', missed'}" if least else ""
        peer = f"Rockpool's `check_drc`: {seconds['peer']:.2f} s"
        yield what, f"{ratio:.1f}x as fast ({1e3 * seconds[name]:.0f} ms)", f"{peer}{aim}"


def measure_starts() -> Iterator[Row]:
    def start(*words: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True)

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.json"
        save_network(chain(3, 5, 4, 2), path)
        seconds = time_in_turn(
            {
                "bare": start("-c", "import numpy"),
                "check": start("-m", "snnmap", "check", path, "--chip", "xylo-audio-3", "--quiet"),
                "help": start("-m", "snnmap", "--help"),
            },
            N_STARTS,
        )
    bare = f'`python -c "import numpy"`: {seconds["bare"]:.2f} s'
    for name, what, aim in (
        ("check", "`snnmap check` of a saved 3-5-4-2, cold start", f"{bare}; < 0.6 s"),
        ("help", "`snnmap --help`, cold start", ""),
    ):
        yield what, f"{seconds[name] / seconds['bare']:.1f}x as long ({seconds[name]:.2f} s)", aim


def measure() -> Iterator[Row]:
    yield from measure_check()
    yield from measure_starts()


if __name__ == "__main__":
    lines = print_rows(measure())
    if "--write" in sys.argv:
        write_table("check-speed", lines)

"""Time builds: beside Rockpool's at 16-1000-8, deep chains and many ports, and how time and memory grow with the neurons.

Rockpool's side is ``as_graph``, ``mapper`` and ``channel_quantize``; writing its configuration needs the vendor's drivers and is
left out, so that it is given less to do. Ours is read, match, fold, rules, quantise, pack and encode, of the same network as a
module of ``snnmap.nn``, and as that of Rockpool, which we read by its ``as_graph``. Sizes beyond that are each built whole, in a
process of their own, by :func:`build_large`.
"""

import ctypes
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from builds import enlarge
from check_speed import check_levels, draw_module, import_mapper
from figures import Figure, find_ratio, time_in_turn
from rule_cases import chain, make_population
from torch import nn

import snnmap
from snnmap.chip import Chip, load_chip
from snnmap.core.csr import CsrMatrix
from snnmap.lif.bitstream import decode, encode
from snnmap.lif.drc import check_mapped, check_network
from snnmap.lif.mapping import fold_network
from snnmap.lif.program import pack
from snnmap.network import InputPort, Network, OutputPort, Projection
from snnmap.nn import LIF
from snnmap.pipeline.stages import StageProfile

N_ROUNDS, FAN_IN = 7, 32
REASONS = {
    "quantising": "half of it is passes over all weights in numpy, on one core",
    "comparing the bitstream with the model": "the engine's compiled code is loaded in it",
}
"""Why a stage of a large build may be the largest by far."""


def measure() -> Iterator[Figure]:
    """Give every figure of this file but the sizes."""
    yield from measure_rockpool()
    yield from measure_structure()


def measure_rockpool() -> Iterator[Figure]:
    """Time a build on both sides, in seconds of the clock, as ours uses all cores; then tell the memory that each takes."""
    module, chip = draw_module(), load_chip("xylo-audio-2")
    own = to_own_module(module)
    if decode(build_ours(own, chip)).memories != decode(build_ours(module, chip)).memories:
        raise SystemExit("the two modules are other networks")
    jobs: dict[str, Callable[[], object]] = {
        "peer": build_peer(module),
        "own": partial(build_ours, own, chip),
        "ours": partial(build_ours, module, chip),
    }
    times, work = (time_in_turn(jobs, N_ROUNDS, clock) for clock in (time.perf_counter, time.process_time))
    detail = "Rockpool's as_graph, mapper, channel_quantize by ours, without the comparison to the end"
    for name, side in (("build 16-1000-8", "own"), ("build 16-1000-8, read from Rockpool", "ours")):
        told = f"{detail}; of a module of snnmap.nn" if side == "own" else f"{detail}; as_graph is in both"
        yield Figure(
            name=name,
            value=find_ratio(times, "peer", side),
            goal=30.0 if side == "own" else None,
            detail=f"{told}; of processor time {find_ratio(work, 'peer', side):.1f}x",
        )
    yield Figure(
        name="memory of a build 16-1000-8",
        value=find_growth("own") / find_growth("peer"),
        unit="x Rockpool",
        goal=0.25,
        at_least=False,
        detail="the largest beyond what the process held before, each side in a process of its own",
        reason="lines of all weights, with room for both synapses, are held beside the calibration run's counts",
    )


def build_peer(module: Any) -> Callable[[], object]:
    """Return Rockpool's side of a build."""
    from rockpool.transform.quantize_methods import channel_quantize

    mapper = import_mapper()
    return lambda: channel_quantize(
        **mapper.mapper(module.as_graph(), weight_dtype="float", threshold_dtype="float", dash_dtype="float")
    )


def build_ours(source: Any, chip: Chip) -> bytes:
    """Read, match, fold, check by the rules, quantise, pack and encode."""
    return encode(pack(check_levels(snnmap.load(source), chip).program))


def find_growth(side: str) -> float:
    """Return the megabytes that a build adds at most to a process of its own (Linux)."""
    done = subprocess.run([sys.executable, __file__, side], check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def print_growth(side: str) -> None:
    """Build some times, so that all code is loaded; then give back what is free, and print by how much one more build grows."""
    module = draw_module()
    job = build_peer(module) if side == "peer" else partial(build_ours, to_own_module(module), load_chip("xylo-audio-2"))
    for _ in range(4):
        job()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = read_memory("VmRSS")
    job()
    print(read_memory("VmHWM") - before)


def read_memory(name: str) -> float:
    """Return a line of the process's status in megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def to_own_module(module: Any) -> nn.Sequential:
    """Return the network of :func:`check_speed.draw_module` as a module of ``snnmap.nn``, whose spikes come after the decay."""
    first, hidden, last, _ = module.modules().values()
    linear = [nn.Linear(*part.weight.shape, bias=False) for part in (first, last)]
    neurons = [LIF(1000, dash_syn=1, dash_mem=2, max_count=31, recurrent=True), LIF(8, dash_syn=1, dash_mem=2, max_count=1)]
    with torch.no_grad():
        for own, part in zip(linear, (first, last), strict=True):
            own.weight.copy_(part.weight.T / 2)
        neurons[0].recurrent_weight.copy_(hidden.w_rec / 2)
    return nn.Sequential(linear[0], neurons[0], linear[1], neurons[1])


def measure_structure() -> Iterator[Figure]:
    """Time rules and folding of many populations, which have few neurons."""
    for name, network in (
        ("600 layers", chain(*[2] * 602)),
        ("300 populations, 2,000 projections", draw_skips(300, 2000)),
    ):
        chip = enlarge(load_chip("generic-4096"), n_neurons=65_535)
        start = time.process_time()
        check_network(network, chip)
        mapped = fold_network(replace(network), chip)
        check_mapped(mapped)
        yield Figure(
            name=f"fold and rules, {name}",
            value=time.process_time() - start,
            unit="s",
            goal=2.0,
            at_least=False,
            detail=f"{mapped.hidden.size} hidden neurons, relays included",
        )


def draw_skips(n_populations: int, n_projections: int) -> Network:
    """Draw one-neuron populations, each after the one before, with skips forward among all."""
    rng = np.random.default_rng(0)
    pairs = {(number, number + 1) for number in range(n_populations - 1)}
    while len(pairs) < n_projections:
        pre, post = sorted(rng.choice(n_populations, 2, replace=False).tolist())
        pairs.add((pre, post))
    names = [f"p{number}" for number in range(n_populations)]
    weights = CsrMatrix.from_dense([[0.5]])
    links = [("in", names[0]), *((names[pre], names[post]) for pre, post in sorted(pairs)), (names[-1], "out")]
    return Network(
        name="skips",
        inputs=(InputPort(name="in", size=1),),
        populations=(*(make_population(name, 1) for name in names), make_population("out", 1, max_count=1)),
        projections=tuple(Projection(name=f"{pre}->{post}", pre=pre, post=post, weights=weights) for pre, post in links),
        outputs=(OutputPort(name="port", populations=("out",)),),
        dt_s=1e-3,
    )


def measure_sizes(sizes: tuple[int, ...] = (10_000, 100_000, 1_000_000)) -> Iterator[Figure]:
    """Give seconds and peak memory of builds of growing size, and the ratio of each to the one before."""
    before: float | None = None
    for size in sizes:
        done = subprocess.run([sys.executable, __file__, str(size)], check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"the build of {size} neurons failed:\n{done.stderr}")
        found = json.loads(done.stdout.splitlines()[-1])
        is_last = size == 1_000_000
        goals: dict[str, Any] = {"goal": 120.0 if is_last else None, "at_least": False}
        yield Figure(name=f"build of {size:,} neurons", value=found["seconds"], unit="s", detail=f"fan-in {FAN_IN}", **goals)
        goals["goal"] = 10.0 if is_last else None
        yield Figure(
            name=f"memory of {size:,} neurons", value=found["gigabytes"], unit="GB", detail="peak of the process", **goals
        )
        yield Figure(
            name=f"largest stage of {size:,} neurons",
            value=found["largest"],
            unit="of all",
            goal=0.4,
            at_least=False,
            detail=f"{found['stage']}; checks and comparison are stages too",
            reason=REASONS.get(found["stage"], ""),
        )
        if before:
            name = f"{size:,} neurons by the size before"
            yield Figure(name=name, value=found["seconds"] / before, goal=12.0, at_least=False, detail="seconds")
        before = found["seconds"]


def build_large(n_hidden: int) -> dict[str, Any]:
    """Build a random recurrent network on a chip with room for it."""
    network = draw_large(n_hidden)
    chip = enlarge(load_chip("generic-4096"), n_neurons=n_hidden)
    profile = StageProfile()
    snnmap.compile_model(network, chip, options=snnmap.CompileOptions(allow=("SNN6",)), on_stage=profile)
    stages = profile.finish()
    seconds, largest = sum(stage.seconds for stage in stages), max(stages, key=lambda stage: stage.seconds)
    return {
        "seconds": seconds,
        "stage": largest.name,
        "largest": largest.seconds / seconds,
        "gigabytes": max(stage.peak_bytes for stage in stages) / 2**30,
    }


def draw_large(n_hidden: int) -> Network:
    """Draw 16 inputs, recurrent hidden neurons of :data:`FAN_IN` sources each, and 8 outputs."""
    rng = np.random.default_rng(0)

    def connect(pre: str, n_pre: int, post: str, n_post: int, n_sources: int, delay: int = 0) -> Projection:
        targets = np.repeat(np.arange(n_post), n_sources)
        sources = rng.integers(0, n_pre, targets.size)
        weights = CsrMatrix.from_triplets(sources, targets, rng.choice([-0.25, 0.125, 0.25], targets.size), (n_pre, n_post))
        return Projection(name=f"{pre}->{post}", pre=pre, post=post, weights=weights, delay_steps=delay)

    return Network(
        name="large",
        inputs=(InputPort(name="in", size=16),),
        populations=(make_population("hidden", n_hidden), make_population("out", 8, max_count=1)),
        projections=(
            connect("in", 16, "hidden", n_hidden, 4),
            connect("hidden", n_hidden, "hidden", n_hidden, FAN_IN, delay=1),
            connect("hidden", n_hidden, "out", 8, FAN_IN),
        ),
        outputs=(OutputPort(name="port", populations=("out",)),),
        dt_s=1e-3,
    )


if __name__ == "__main__":
    if sys.argv[1].isdigit():
        print(json.dumps(build_large(int(sys.argv[1]))))
    else:
        print_growth(sys.argv[1])

"""How long builds take, and in how much memory: beside Rockpool's, from ten thousand neurons to a million, and in deep chains.

Rockpool's build is its graph, its mapper with the rules and its quantisation by channel; ours is reading the same module, rules,
folding, quantising, packing and encoding. Neither runs what it built. Both print the bytes that numpy and Python hold at most.

Run with ``make build-speed``, ``--large`` for a million neurons too (10 GB); ``--write`` writes the table.
"""

import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
from builds import enlarge
from check_speed import check_levels, draw_module, import_mapper, time_in_turn
from measurements import Row, print_rows, write_table
from rockpool.transform import quantize_methods
from rule_cases import chain

import snnmap
from snnmap.chip import load_chip
from snnmap.core import CsrMatrix, IntArray
from snnmap.lif.bitstream import encode
from snnmap.lif.drc import check_mapped, check_network
from snnmap.lif.mapping import fold_network
from snnmap.lif.program import pack
from snnmap.lif.quantise import match_decays
from snnmap.network import InputPort, Network, OutputPort, Population, Projection
from snnmap.pipeline import StageProfile

FAN_IN, N_ROUNDS = 32, 5


def measure_beside_rockpool() -> Iterator[Row]:
    module, mapper, chip = draw_module(), import_mapper(), load_chip("xylo-audio-2")
    warnings.simplefilter("ignore")

    def build_peer() -> object:
        found = mapper.mapper(module.as_graph(), weight_dtype="float", threshold_dtype="float", dash_dtype="float")
        return quantize_methods.channel_quantize(**found)

    def build_ours() -> bytes:
        return encode(pack(check_levels(snnmap.load(module), chip).program))

    jobs: dict[str, Callable[[], object]] = {"peer": build_peer, "ours": build_ours}
    seconds = time_in_turn(jobs, N_ROUNDS)
    peaks = {name: measure_peak(job) for name, job in jobs.items()}
    ratio, share = seconds["peer"] / seconds["ours"], peaks["ours"] / peaks["peer"]
    what = "16-1000-8, fan-in 32, module to bitstream without comparison"
    yield what, f"{ratio:.1f}x as fast ({1e3 * seconds['ours']:.0f} ms)", f"Rockpool: {seconds['peer']:.2f} s; >= 30x"
    yield "the same: most memory", f"{share:.2f} of Rockpool's ({peaks['ours'] / 1e6:.0f} MB)", "<= 1/4"


def measure_peak(job: Callable[[], object]) -> int:
    tracemalloc.start()
    job()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def draw_network(n_hidden: int) -> Network:
    """Draw 16 inputs, a recurrent population and 8 outputs, with at most 32 weights of each kind onto a neuron."""
    rng = np.random.default_rng(0)

    def draw(n_pre: int, n_post: int) -> CsrMatrix:
        n_each = min(FAN_IN, n_pre)
        post: IntArray = np.repeat(np.arange(n_post), n_each)
        pre = np.tile(np.arange(n_pre), n_post) if n_pre == n_each else rng.integers(0, n_pre, post.size)
        return CsrMatrix.from_triplets(pre, post, rng.choice([-0.25, -0.125, 0.125, 0.25], post.size), (n_pre, n_post))

    hidden = Population.create("h", n_hidden, alpha=0.5, beta=0.75, threshold=4.0)
    outputs = Population.create("o", 8, alpha=0.5, beta=0.75, max_count=1)
    return Network(
        name="large",
        inputs=(InputPort(name="in", size=16),),
        populations=(hidden, outputs),
        projections=(
            Projection(name="in->h", pre="in", post="h", weights=draw(16, n_hidden)),
            Projection(name="h->h", pre="h", post="h", delay_steps=1, weights=draw(n_hidden, n_hidden)),
            Projection(name="h->o", pre="h", post="o", weights=draw(n_hidden, 8)),
        ),
        outputs=(OutputPort(name="y", populations=("o",)),),
    )


def measure_growth(sizes: list[int]) -> Iterator[Row]:
    """Build networks of some sizes, each with the comparison and the verification; give seconds, memory, and the slowest stage."""
    spent: list[float] = []
    for n_hidden in sizes:
        profile, chip = StageProfile(), enlarge(load_chip("generic-4096"), n_neurons=n_hidden)
        network = draw_network(n_hidden)
        snnmap.compile_model(network, chip, options=snnmap.CompileOptions(allow=("SNN6",)), on_stage=profile)
        stages = profile.finish()
        spent.append(sum(stage.seconds for stage in stages))
        slowest = max(stages, key=lambda stage: stage.seconds)
        checks = sum(stage.seconds for stage in stages if stage.is_check)
        peak = max(stage.peak_bytes for stage in stages) / 1e9
        measured = f"{spent[-1]:.1f} s, of which {checks:.1f} s comparing and verifying; {peak:.1f} GB"
        yield f"16-{n_hidden}-8, fan-in 32, module to verified bitstream", measured, "10^6: < 120 s, < 10 GB"
        yield "the same: slowest stage", f"{slowest.seconds / spent[-1]:.0%}: {slowest.name}", "<= 40%"
    for (small, large), (few, many) in zip(pairwise(sizes), pairwise(spent), strict=True):
        yield f"seconds of {large} over those of {small} neurons", f"{many / few:.1f}x", "<= 12x"


def measure_chains() -> Iterator[Row]:
    chip, rng = enlarge(load_chip("generic-4096"), n_neurons=60_000), np.random.default_rng(0)
    deep, many = chain(2, *[2] * 600, 2), chain(2, *[2] * 299, 2)
    names = [population.name for population in many.populations][:-1]
    ends = {(int(a), int(a + b)) for a, b in zip(rng.integers(0, 290, 4000), rng.integers(2, 9, 4000), strict=True)}
    weights = CsrMatrix.from_dense([[0.5, -0.25], [0.25, 0.5]])
    skips = [Projection(name=f"{a}->{b}", pre=names[a], post=names[b], weights=weights) for a, b in sorted(ends)[:1700]]
    many = replace(many, projections=(*many.projections, *skips))
    for what, network in (("600 layers", deep), (f"300 populations, {len(many.projections)} projections", many)):
        start = time.perf_counter()
        check_network(network, chip)
        check_mapped(fold_network(match_decays(network, chip)[0], chip))
        yield f"{what}: rules, fold and retime", f"{time.perf_counter() - start:.2f} s", "< 2 s"


def measure(words: list[str]) -> Iterator[Row]:
    yield from measure_beside_rockpool()
    yield from measure_growth([10_000, 100_000, *([1_000_000] if "--large" in words else [])])
    yield from measure_chains()


if __name__ == "__main__":
    lines = print_rows(measure(sys.argv[1:]))
    if "--write" in sys.argv:
        write_table("build-speed", lines)

from dataclasses import replace

import numpy as np
import pytest
from random_networks import random_network

from snnmap.chip import load_chip
from snnmap.core import CsrMatrix
from snnmap.core.errors import DesignRuleError, NetworkError
from snnmap.lif.mapping import (
    FoldOptions,
    draw_rasters,
    fold_network,
    folded_counts,
    format_slot_table,
    lower_network,
    verify_fold,
)
from snnmap.lif.program import as_folded_network, unfold_network
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, SpikeSum, simulate_network

CHIPS = ("xylo-audio-3", "generic-4096")


def line(*sizes: int, skips: tuple[tuple[str, str, int], ...] = ()) -> Network:
    """A chain in -> h0 -> h1 ... -> out of identity-like weights, with extra (pre, post, delay) projections."""
    names = [f"h{k}" for k in range(len(sizes) - 1)] + ["out"]
    populations = tuple(Population.create(name, size) for name, size in zip(names, sizes, strict=True))
    width = {"in": sizes[0], **dict(zip(names, sizes, strict=True))}
    edges = [*zip(["in", *names[:-1]], names, [0] * len(names), strict=True), *skips]
    return Network(
        name="line",
        inputs=(InputPort(name="in", size=sizes[0]),),
        populations=populations,
        projections=tuple(
            Projection(
                name=f"{pre}->{post}/{delay}",
                pre=pre,
                post=post,
                delay_steps=delay,
                weights=CsrMatrix.from_dense(np.ones((width[pre], width[post]))),
            )
            for pre, post, delay in edges
        ),
        outputs=(OutputPort(name="y", populations=("out",)),),
    )


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("seed", range(60))
def test_random_networks_fold_without_a_differing_count(seed: int, chip: str) -> None:
    network = random_network(seed)
    result = verify_fold(network, fold_network(network, load_chip(chip)))
    assert result.n_mismatches == 0
    assert sum(result.spikes.values()) > 100


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(1000, 3000))
def test_many_random_networks_fold_without_a_differing_count(seed: int) -> None:
    network = random_network(seed)
    assert verify_fold(network, fold_network(network, load_chip("xylo-audio-3"))).n_mismatches == 0


@pytest.mark.parametrize("seed", range(60, 90))
def test_the_contract_holds_without_verify(seed: int) -> None:
    """n_folded(P)[t + lag] == n_source(P)[t], on weights that are exact in float64 by themselves."""
    network = random_network(seed, biases=False)
    exact = tuple(replace(p, weights=p.weights.with_data(np.rint(p.weights.data * 64) / 64)) for p in network.projections)
    network = replace(network, projections=exact)
    mapped = fold_network(network, load_chip("xylo-audio-3"))
    rasters = draw_rasters(network, seed=seed)
    names = [population.name for population in network.populations]
    source = simulate_network(network, rasters, counts_of=names)
    raster = np.concatenate([rasters[port.name] for port in network.inputs], axis=2)
    padded = np.pad(raster, ((0, 0), (0, max(mapped.lags.values())), (0, 0)))
    folded = simulate_network(as_folded_network(mapped), padded, counts_of=["hidden", "outputs"])
    for name in names:
        assert np.array_equal(folded_counts(folded, mapped, name)[:, : raster.shape[1]], source.counts[name])


def test_a_chain_takes_a_step_a_hop_and_no_relay() -> None:
    mapped = fold_network(line(2, 3, 4, 1), load_chip("xylo-audio-3"))
    assert dict(mapped.lags) == {"h0": 0, "h1": 1, "h2": 2, "out": 3}
    assert (mapped.n_relays, mapped.latency_steps) == (0, 3)


@pytest.mark.parametrize(
    ("skips", "relays"),
    [
        ((("h0", "h2", 0),), 5),  # one step around h1: one relay a neuron of h0
        ((("h0", "h2", 1),), 5 + 5),
        ((("h0", "h3", 0), ("h0", "h2", 0)), 2 * 5),  # one chain serves both
        ((("in", "h2", 0),), 2 * 5),  # the input waits two steps
        ((("h3", "h1", 3),), 0),
        ((("h3", "h1", 4),), 6),  # a loop with a step to spare: its narrowest population waits
    ],
)
def test_relays_are_as_few_as_can_be(skips: tuple[tuple[str, str, int], ...], relays: int) -> None:
    network = line(5, 6, 6, 7, 1, skips=skips)
    mapped = fold_network(network, load_chip("xylo-audio-3"))
    assert mapped.n_relays == relays
    assert verify_fold(network, mapped).n_mismatches == 0


def test_the_narrow_side_waits() -> None:
    """Two paths of different length meet: the solver delays the source with fewer neurons."""
    wide = fold_network(line(2, 9, 3, 4, 1, skips=(("h1", "h3", 0),)), load_chip("xylo-audio-3"))
    narrow = fold_network(line(2, 3, 9, 4, 1, skips=(("in", "h2", 0), ("in", "h1", 0))), load_chip("xylo-audio-3"))
    assert (wide.n_relays, narrow.n_relays) == (9, 2 * 2)


def test_a_loop_too_short_is_named_with_both_sums() -> None:
    network = line(2, 3, 4, 5, 1, skips=(("h3", "h1", 1),))
    with pytest.raises(DesignRuleError, match=r"SNN301.*\n.*measured 1 steps.*limit 3 steps"):
        fold_network(network, load_chip("xylo-audio-3"))


def test_a_stretched_loop_is_compared_with_the_stretched_network() -> None:
    network = line(2, 3, 4, 5, 1, skips=(("h3", "h1", 1),))
    mapped = fold_network(network, load_chip("xylo-audio-3"), options=FoldOptions(stretch_loops=True))
    assert dict(mapped.stretched) == {"h3->h1[0]@1": 2}
    assert verify_fold(network, mapped).n_mismatches == 0


def test_ports_read_together_share_a_lag() -> None:
    base = line(2, 3, 4, 1)
    early = Population.create("early", 2)
    network = replace(
        base,
        populations=(*base.populations, early),
        projections=(
            *base.projections,
            Projection(name="e", pre="h0", post="early", weights=CsrMatrix.from_dense(np.ones((2, 2)))),
        ),
        outputs=(OutputPort(name="y", populations=("out", "early")),),
    )
    mapped = fold_network(network, load_chip("xylo-audio-3"))
    assert mapped.lags["early"] == mapped.lags["out"] == 3
    apart = replace(network, outputs=(OutputPort(name="a", populations=("out",)), OutputPort(name="b", populations=("early",))))
    lags = fold_network(apart, load_chip("xylo-audio-3")).lags
    assert (lags["out"], lags["early"]) == (3, 1)


def test_parallel_projections_add_and_sums_are_repeated() -> None:
    network = line(2, 2, 2, 1)
    both = replace(network, projections=(*network.projections, replace(network.projections[1], name="again")))
    lowered = lower_network(both)
    weights = {p.name: p.weights.to_dense() for p in lowered.projections}
    assert (weights["h0->h1[0]@0"] == 2).all()
    summed = replace(
        line(2, 2, 2, 1),
        sums=(SpikeSum(name="s", terms=("h0", "h1", "h0")),),
        projections=(*line(2, 2, 2, 1).projections[:-1], replace(line(2, 2, 2, 1).projections[-1], pre="s", name="q")),
    )
    weights = {p.name: p.weights.to_dense() for p in lower_network(summed).projections}
    assert (weights["h0->out[0]@0"] == 2).all()
    assert (weights["h1->out[0]@0"] == 1).all()


def test_a_wrong_folding_is_caught() -> None:
    network = line(3, 4, 5, 1, skips=(("h0", "h2", 0),))
    mapped = fold_network(network, load_chip("xylo-audio-3"))
    recurrent = mapped.recurrent_weights[0]
    off = recurrent.data.copy()
    off[0] += 1
    with pytest.raises(NetworkError):
        verify_fold(network, replace(mapped, recurrent_weights=(recurrent.with_data(off), *mapped.recurrent_weights[1:])))
    with pytest.raises(NetworkError):
        verify_fold(network, replace(mapped, lags={**mapped.lags, "h2": 1}))
    with pytest.raises(NetworkError, match="other neurons"):
        verify_fold(network, replace(mapped, hidden=replace(mapped.hidden, threshold=mapped.hidden.threshold * 1.5)))


def test_unfold_gives_the_lowered_source() -> None:
    network = random_network(7)
    rebuilt = unfold_network(fold_network(network, load_chip("generic-4096")))
    assert rebuilt.projections == lower_network(network).projections


@pytest.mark.parametrize("wrong", ["input to output", "output projects", "reset"])
def test_what_the_chip_has_no_weights_for_is_refused(wrong: str) -> None:
    network = line(2, 3, 4, 1)
    one = CsrMatrix.from_dense(np.ones((2, 1)))
    if wrong == "input to output":
        network = replace(network, projections=(*network.projections, Projection(name="x", pre="in", post="out", weights=one)))
    elif wrong == "output projects":
        back = Projection(name="x", pre="out", post="h0", delay_steps=4, weights=one.transpose())
        network = replace(network, projections=(*network.projections, back))
    else:
        network = replace(network, populations=(replace(network.populations[0], reset="value"), *network.populations[1:]))
    with pytest.raises(NetworkError, match="explain SNN"):
        fold_network(network, load_chip("xylo-audio-3"))


def test_the_slot_table_names_every_neuron_once() -> None:
    network = line(3, 4, 5, 1, skips=(("h0", "h2", 0), ("in", "h2", 0)))
    mapped = fold_network(network, load_chip("xylo-audio-3"))
    rows = [row.split(",") for row in format_slot_table(mapped).splitlines()[1:]]
    assert len(rows) == 3 + mapped.hidden.size + 1
    assert len({tuple(row[:2]) for row in rows}) == len({tuple(row[0:1] + row[2:5]) for row in rows}) == len(rows)
    assert {row[2] for row in rows} == {"in", "h0", "h1", "h2", "out"}

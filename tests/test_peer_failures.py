"""What the nearest peer maps wrongly in silence, as Rockpool modules and as networks: each found and located, or mapped right."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from snnmap.chip import load_chip
from snnmap.core.errors import DesignRuleError, FrontendError
from snnmap.frontends.rockpool import load
from snnmap.lif.bitstream import decode, encode
from snnmap.lif.program import Program, pack, unpack
from snnmap.lif.simulator import simulate_image
from snnmap.network import Network, SpikeSum, sketch_network
from snnmap.pipeline import Artifacts, check_model, compile_model

pytest.importorskip("rockpool")
from rockpool.graph import AliasConnection, GraphHolder, LIFNeuronWithSynsRealValue, LinearWeights, connect_modules
from rockpool.nn.combinators import Residual, Sequential
from rockpool.nn.modules import LIFTorch, LinearTorch

torch.set_num_threads(1)
TAU_SYN, TAU_MEM = 1e-3 / np.log(2), 1e-3 / np.log(4 / 3)
"""Time constants of alpha 0.5 and beta 0.75."""


def neurons(n: int, n_synapses: int = 1, **options: Any) -> Any:
    options = {"tau_mem": TAU_MEM, "tau_syn": TAU_SYN, "max_spikes_per_dt": torch.tensor(31.0), "dt": 1e-3, **options}
    return LIFTorch((n * n_synapses, n), **options)


def readout(n: int, **options: Any) -> Any:
    return neurons(n, max_spikes_per_dt=torch.tensor(1.0), **options)


def weights(n_pre: int, n_post: int, value: float | None = None) -> Any:
    drawn = np.random.default_rng(n_pre + 100 * n_post).uniform(0.5, 1.5, (n_pre, n_post)) * (1.5 / n_pre)
    return LinearTorch((n_pre, n_post), weight=torch.tensor(drawn if value is None else np.full(drawn.shape, value)).float())


def model(*sizes: int) -> Any:
    """Layers of LIF neurons in a row, the last sending one spike a step."""
    layers = [part for k in range(1, len(sizes) - 1) for part in (weights(sizes[k - 1], sizes[k]), neurons(sizes[k]))]
    return Sequential(*layers, weights(*sizes[-2:]), readout(sizes[-1]))


def spoilt(value: float) -> Any:
    made = model(2, 3, 2)
    made[2].weight.data[1, 0] = value
    return made


def lif_part(n: int, name: str) -> Any:
    tau_syn, tau_mem = np.full(n, TAU_SYN), np.full(n, TAU_MEM)
    return LIFNeuronWithSynsRealValue._factory(n, n, name, None, tau_mem, tau_syn, np.ones(n), np.zeros(n), 1e-3)


def graph(*between: np.ndarray, alias: bool = False) -> Network:
    """A graph of Rockpool's, read: two rows of neurons and an output row, several weights between the first two, or an alias."""
    first, second, last = lif_part(3, "first"), lif_part(3, "second"), lif_part(2, "last")
    entry = LinearWeights._factory(2, 3, "entry", None, np.array([[0.5, 0.8, 0.6], [0.9, 0.4, 0.7]]))
    connect_modules(entry, first)
    for number, matrix in enumerate(between):
        LinearWeights(first.output_nodes, second.input_nodes, f"between{number}", None, matrix)
    leave = LinearWeights._factory(3, 2, "leave", None, np.array([[0.5, 0.2], [0.3, 0.6], [0.4, 0.4]]))
    connect_modules(second, leave)
    connect_modules(leave, last)
    if alias:
        AliasConnection(first.output_nodes, second.output_nodes, "alias", None)
    network = load(GraphHolder(entry.input_nodes, last.output_nodes, "whole", None))
    most = {"first": 31, "second": 31, "last": 1}  # a graph's own parts have no limit
    return replace(network, populations=tuple(replace(p, max_count=np.full(p.size, most[p.name])) for p in network.populations))


FOUND: dict[str, tuple[Callable[[], Any], str, str, str]] = {
    "NaN": (lambda: spoilt(float("nan")), "xylo-audio-3", "SNN501", "2_LinearTorch"),
    "NaN, network": (
        lambda: sketch_network({"in": 2, "h": 2, "out": 1}, weights={"h->out": [[np.nan], [1]]}),
        "xylo-audio-3",
        "SNN501",
        "h->out",
    ),
    "inputs": (lambda: model(17, 3, 2), "xylo-audio-3", "SNN201", "input"),
    "inputs, network": (lambda: sketch_network({"in": 17, "h": 3, "out": 2}), "xylo-audio-3", "SNN201", "'in'"),
    "hidden neurons": (lambda: model(2, 497, 2), "xylo-imu", "SNN202", ""),
    "outputs": (lambda: model(2, 3, 9), "xylo-audio-2", "SNN203", "3_LIFTorch"),
    "lost biases": (
        lambda: Sequential(weights(2, 3), neurons(3, bias=0.1), weights(3, 2), readout(2)),
        "xylo-audio-2",
        "SNN210",
        "1_LIFTorch",
    ),
    "lost biases, network": (
        lambda: sketch_network({"in": 2, "h": 3, "out": 2}, bias={"h": 0.1}),
        "xylo-audio-2",
        "SNN210",
        "'h'",
    ),
    "fan-out": (lambda: model(2, 3, 65, 2), "xylo-audio-2", "SNN205", "1_LIFTorch"),
    "fan-out, network": (lambda: sketch_network({"in": 2, "a": 3, "b": 65, "out": 2}), "xylo-audio-2", "SNN205", "'a'"),
    "tau below dt": (
        lambda: Sequential(weights(2, 3), neurons(3, tau_syn=0.5e-3), weights(3, 2), readout(2)),
        "xylo-audio-3",
        "SNN502",
        "1_LIFTorch",
    ),
    "tau below dt, network": (
        lambda: sketch_network({"in": 2, "h": 3, "out": 2}, alpha={"h": np.exp(-2)}),
        "xylo-audio-3",
        "SNN502",
        "'h'",
    ),
    "output feedback": (
        lambda: Sequential(weights(2, 3), neurons(3), weights(3, 2), readout(2, has_rec=True)),
        "xylo-audio-3",
        "SNN109",
        "3_LIFTorch",
    ),
    "output feedback, network": (
        lambda: sketch_network({"in": 2, "h": 3, "out": 2}, weights={"out->h": 0.1}, delay_steps={"out->h": 3}),
        "xylo-audio-3",
        "SNN109",
        "out->h",
    ),
    "single population": (lambda: Sequential(weights(2, 3), readout(3)), "xylo-imu", "SNN110", ""),
    "single population, network": (lambda: sketch_network({"in": 2, "out": 3}), "xylo-imu", "SNN110", ""),
    "empty, network": (
        lambda: Network(name="empty", inputs=(), populations=(), projections=(), outputs=()),
        "xylo-audio-3",
        "SNN110",
        "",
    ),
    "second synapse": (
        lambda: Sequential(weights(2, 6), neurons(3, 2), weights(3, 2), readout(2)),
        "xylo-imu",
        "SNN207",
        "1_LIFTorch",
    ),
}
"""Model, chip, rule and where it must be told."""


@pytest.mark.parametrize("case", FOUND)
def test_it_is_found_where_it_is(case: str) -> None:
    make, chip, rule, where = FOUND[case]
    found = [diagnostic for diagnostic in check_model(make(), chip).report.errors if diagnostic.rule == rule]
    assert found
    assert all(where in str(diagnostic.location) and diagnostic.fix for diagnostic in found)
    with pytest.raises(DesignRuleError, match=rule):
        compile_model(make(), chip)


def test_an_empty_graph_is_refused() -> None:
    with pytest.raises(FrontendError, match="no neurons"):
        check_model(weights(2, 2), "xylo-audio-3")


def skip(delay_steps: int = 0) -> Network:
    return sketch_network({"in": 2, "a": 3, "b": 3, "out": 2}, weights={"a->out": 0.3}, delay_steps={"a->out": delay_steps})


def parallel() -> Network:
    network = sketch_network({"in": 2, "a": 3, "b": 3, "out": 2})
    between = next(projection for projection in network.projections if projection.name == "a->b")
    return replace(network, projections=(*network.projections, replace(between, name="again")))


def second_synapse() -> Network:
    network = sketch_network({"in": 2, "h": 3, "out": 2}, alpha={"h": [[0.5] * 3, [0.75] * 3]})
    entering = network.projections[0]
    return replace(network, projections=(*network.projections, replace(entering, name="second", synapse=1)))


def summed() -> Network:
    """A sum whose first term is the first population: on a chip with aliases, one to neuron 0."""
    network = sketch_network({"in": 2, "a": 3, "b": 3, "out": 2})
    last = replace(network.projections[-1], pre="sum")
    return replace(network, projections=(*network.projections[:-1], last), sums=(SpikeSum(name="sum", terms=("a", "b")),))


def residual() -> Any:
    return Sequential(weights(2, 3), neurons(3), Residual(weights(3, 3), neurons(3)), weights(3, 2), readout(2))


def deep(n: int) -> Network:
    return sketch_network({"in": 1, **{f"h{k}": 1 for k in range(n)}, "out": 1})


BETWEEN = np.array([[0.4, 0.1, 0.3], [0.2, 0.5, 0.1], [0.3, 0.2, 0.4]])
MAPPED: dict[str, tuple[Callable[[], Any], str, Callable[[Artifacts], bool]]] = {
    "residual timing": (residual, "xylo-audio-3", lambda made: made.mapped.n_relays == 3),
    "residual timing, network": (skip, "xylo-audio-3", lambda made: made.mapped.n_relays == 3),
    "parallel paths": (lambda: graph(BETWEEN, BETWEEN), "xylo-audio-3", lambda made: n_words(made) == 9),
    "parallel paths, network": (parallel, "xylo-audio-3", lambda made: n_words(made) == 9),
    "second input weight": (
        lambda: Sequential(weights(2, 6), neurons(3, 2), weights(3, 2), readout(2)),
        "xylo-audio-3",
        lambda made: all(matrix.nnz for matrix in made.quantised.program.input_weights),
    ),
    "second input weight, network": (
        second_synapse,
        "xylo-audio-3",
        lambda made: all(matrix.nnz for matrix in made.quantised.program.input_weights),
    ),
    "biases": (
        lambda: Sequential(weights(2, 3), neurons(3, bias=0.1), weights(3, 2), readout(2)),
        "xylo-audio-3",
        lambda made: bool((made.quantised.program.hidden.bias > 0).all()),
    ),
    "alias to neuron 0": (lambda: graph(BETWEEN, alias=True), "xylo-audio-3", lambda made: made.mapped.n_relays == 3),
    "alias to neuron 0, network": (summed, "xylo-audio-3", lambda made: made.mapped.n_relays == 3),
    "60 layers of one neuron": (lambda: model(*[1] * 62), "xylo-audio-3", lambda made: made.mapped.latency_steps == 60),
    "60 layers of one neuron, network": (lambda: deep(60), "xylo-audio-3", lambda made: made.mapped.latency_steps == 60),
    "single hidden population": (lambda: model(2, 3, 2), "xylo-imu", lambda made: made.mapped.n_relays == 0),
    "single hidden population, network": (
        lambda: sketch_network({"in": 2, "h": 3, "out": 2}),
        "xylo-imu",
        lambda made: made.mapped.n_relays == 0,
    ),
}
"""Model, chip, and what must be so in what was built."""


def n_words(made: Artifacts) -> int:
    return sum(matrix.nnz for matrix in made.quantised.program.recurrent_weights)


@pytest.mark.parametrize("case", MAPPED)
def test_it_is_mapped_right(case: str) -> None:
    """The folded network does what its source does, and the bitstream what the model does."""
    make, chip, holds = MAPPED[case]
    made = compile_model(make(), chip)
    assert made.verification is not None
    assert made.verification.n_mismatches == 0
    assert made.verification.silent == ()
    assert made.report.errors == ()
    assert holds(made)


@pytest.mark.nightly
@pytest.mark.parametrize("make", [lambda: model(*[1] * 602), lambda: deep(600)], ids=["module", "network"])
def test_600_layers_of_one_neuron_are_mapped_right(make: Callable[[], Any]) -> None:
    made = compile_model(make(), "xylo-audio-3")
    assert (made.mapped.latency_steps, made.verification and made.verification.n_mismatches) == (600, 0)


def test_weights_of_parallel_paths_add() -> None:
    once, twice = (compile_model(graph(*between), "xylo-audio-3").mapped for between in ((2 * BETWEEN,), (BETWEEN, BETWEEN)))
    assert once.recurrent_weights == twice.recurrent_weights


def test_an_alias_to_neuron_0_is_in_the_bitstream_and_in_the_run() -> None:
    made = compile_model(sketch_network({"in": 2, "h": 3, "out": 2}), "xylo-audio-3")
    program: Program = replace(made.quantised.program, alias=[-1, -1, 0])
    read = decode(encode(pack(program)), chip=load_chip("xylo-audio-3"))
    assert unpack(read).alias.tolist() == [-1, -1, 0]
    raster = np.zeros((1, 20, 2), np.int64)
    raster[0, :, 0] = 1
    plain, aliased = (simulate_image(image, raster, counts_of=("hidden",)).counts["hidden"] for image in (made.image, read))
    assert np.array_equal(aliased[..., 0], np.minimum(plain[..., 0] + plain[..., 2], 31))

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from random_programs import random_program
from xylosim.v2 import XyloLayer, XyloSynapse

from snnmap.chip import load_chip
from snnmap.core.errors import FrontendError
from snnmap.frontends.rockpool import load, to_specification
from snnmap.lif.program import Program, pack
from snnmap.lif.simulator import simulate_image
from snnmap.network import Network, simulate_network

pytest.importorskip("rockpool")
from rockpool.graph import GraphHolder, LIFNeuronWithSynsRealValue, LinearWeights, connect_modules
from rockpool.nn.combinators import Residual, Sequential
from rockpool.nn.modules import LIF, LIFTorch, Linear, LinearTorch, RateTorch
from rockpool.nn.modules.torch.lif_torch import StepPWL

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """LIFTorch keeps its spikes in torch's default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class DoubleStep(StepPWL):
    """Rockpool's own step returns float32, which float64 weights refuse."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, *options: Any) -> torch.Tensor:
        return StepPWL.forward(ctx, x, *options).to(x.dtype)


class RandomModel:
    """Draws a deep model of one backend: recurrent, residual, two synapses, all leak modes."""

    def __init__(self, seed: int, *, in_torch: bool) -> None:
        self.rng, self.in_torch = np.random.default_rng(seed), in_torch
        torch.manual_seed(seed)
        self.size, self.n_in = int(self.rng.integers(3, 8)), int(self.rng.integers(2, 6))

    def draw(self) -> Any:
        parts = [*self.layer(self.n_in, self.size)]
        for _ in range(self.rng.integers(1, 4)):
            parts += [self.block(1)] if self.rng.random() < 0.6 else self.layer(self.size, self.size)
        parts += self.layer(self.size, 3)
        model = Sequential(*parts)
        return model.double() if self.in_torch else model

    def block(self, depth: int) -> Any:
        inner = [part for _ in range(self.rng.integers(1, 3)) for part in self.layer(self.size, self.size)]
        if depth and self.rng.random() < 0.5:
            inner.append(self.block(depth - 1))
        return Residual(*inner)

    def layer(self, n_pre: int, n_post: int) -> list[Any]:
        n_synapses = int(self.rng.integers(1, 3))
        weight = self.rng.uniform(-0.3, 0.4, (n_pre, n_synapses * n_post))
        bias = self.rng.uniform(-0.05, 0.1, n_synapses * n_post) if self.rng.random() < 0.4 else None
        if n_pre == n_post and n_synapses == 1 and self.rng.random() < 0.2:
            return [self.neurons(n_post, 1)]
        if self.in_torch:
            given = None if bias is None else torch.tensor(bias)
            linear = LinearTorch(weight.shape, weight=torch.tensor(weight), bias=given, has_bias=bias is not None)
            return [linear, self.neurons(n_post, n_synapses)]
        return [Linear(weight.shape, weight=weight, bias=bias, has_bias=bias is not None), self.neurons(n_post, n_synapses)]

    def neurons(self, n: int, n_synapses: int) -> Any:
        make = torch.tensor if self.in_torch else np.array
        rng, recurrent = self.rng, bool(self.rng.random() < 0.5)
        options: dict[str, Any] = {
            "bias": make(rng.uniform(-0.1, 0.1, n)),
            "threshold": make(rng.uniform(0.5, 2.0, n)),
            "has_rec": recurrent,
            "max_spikes_per_dt": make(float(rng.choice([1, 4, 31]))),
            "dt": 1e-3,
        }
        if recurrent:
            options["w_rec"] = make(rng.uniform(-0.3, 0.05, (n, n_synapses * n)))
        mode = str(rng.choice(["taus", "bitshifts", "decays"])) if self.in_torch else "taus"
        if mode == "taus":
            options |= {"tau_mem": make(rng.uniform(2e-3, 3e-2, n)), "tau_syn": make(rng.uniform(1e-3, 2e-2, (n, n_synapses)))}
        if self.in_torch:
            options |= {"leak_mode": mode, "spike_generation_fn": DoubleStep}
        module = (LIFTorch if self.in_torch else LIF)((n_synapses * n, n), **options)
        if mode == "bitshifts":
            module.dash_mem.data = make(rng.integers(1, 6, n).astype(float))
            module.dash_syn.data = make(rng.integers(0, 5, (n, n_synapses)).astype(float))
        if mode == "decays":
            module.alpha.data, module.beta.data = make(rng.uniform(0.3, 0.98, n)), make(rng.uniform(0.0, 0.9, (n, n_synapses)))
        return module


def run_layers(model: Any, raster: np.ndarray) -> dict[str, np.ndarray]:
    """Run Rockpool itself and keep the counts of each row of neurons, ``(n_samples, n_steps, size)``."""
    kept: dict[str, np.ndarray] = {}
    neurons = [(path, module) for path, module in walk(model) if isinstance(module, LIF | LIFTorch)]
    for path, module in neurons:

        def keep(data: Any, *rest: Any, path: str = path, module: Any = module, **options: Any) -> Any:
            out = type(module).evolve(module, data, *rest, **options)
            kept[path] = np.rint(np.asarray(out[0].detach() if torch.is_tensor(out[0]) else out[0])).astype(np.int64)
            return out

        object.__setattr__(module, "evolve", keep)
    model.reset_state()
    model(torch.tensor(raster, dtype=torch.float64) if isinstance(model, torch.nn.Module) else raster.astype(float))
    for _, module in neurons:
        object.__delattr__(module, "evolve")
    return kept


def walk(module: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, module
    for name, child in module.modules().items():
        yield from walk(child, f"{path}.{name}" if path else name)


def assert_same_counts(model: Any, n_in: int, *, n_steps: int = 200, seed: int = 0) -> Network:
    network = load(model)
    raster = np.random.default_rng(seed).poisson(0.8, (1, n_steps, n_in))
    expected = run_layers(model, raster)
    run = simulate_network(network, raster, counts_of=list(expected))
    for path, counts in expected.items():
        assert np.array_equal(run.counts[path], counts), path
    assert sum(int(counts.sum()) for counts in expected.values()) > 0
    return network


@pytest.mark.parametrize("seed", range(34))
def test_torch_modules_count_the_same(seed: int) -> None:
    model = RandomModel(seed, in_torch=True)
    assert_same_counts(model.draw(), model.n_in, seed=seed)


@pytest.mark.parametrize("seed", range(34, 54))
def test_numpy_modules_count_the_same(seed: int) -> None:
    model = RandomModel(seed, in_torch=False)
    assert_same_counts(model.draw(), model.n_in, seed=seed)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_many_modules_count_the_same(seed: int) -> None:
    model = RandomModel(seed, in_torch=seed % 3 > 0)
    assert_same_counts(model.draw(), model.n_in, seed=seed)


def test_float32_modules_are_read_with_the_decays_that_they_use() -> None:
    torch.set_default_dtype(torch.float32)
    model = Sequential(LinearTorch((2, 3)), LIFTorch(3, leak_mode="bitshifts"), LinearTorch((3, 2)), LIFTorch(2, tau_mem=0.013))
    model[1].dash_mem.data, model[1].dash_syn.data = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([[3.0], [4.0], [0.0]])
    network = load(model)
    shifted, timed = network.population("1_LIFTorch"), network.population("3_LIFTorch")
    assert shifted.beta.tolist() == [0.5, 0.75, 1 - 2.0**-5]
    assert shifted.alpha.tolist() == [[0.875, 0.9375, 0.0]]
    assert timed.max_count.tolist() == [65536] * 2
    assert load(model, max_count=31).population("3_LIFTorch").max_count.tolist() == [31] * 2
    assert timed.beta.tolist() == [float(model[3].alpha.detach())] * 2
    assert {q.source: q.weights.shape for q in network.projections} == {"0_LinearTorch": (2, 3), "2_LinearTorch": (3, 2)}


def test_a_graph_reads_as_its_module_and_stays_as_it_was() -> None:
    model = RandomModel(2, in_torch=True).draw()
    graph = model.as_graph()
    before = describe_graph(graph)
    assert load(graph) == load(model)
    assert describe_graph(graph) == before


def describe_graph(graph: Any) -> list[Any]:
    """List nodes and parts by identity, weights by content."""
    found, pending = {}, [*graph.input_nodes, *graph.output_nodes]
    while pending:
        node = pending.pop()
        if id(node) not in found:
            modules = [*node.source_modules, *node.sink_modules]
            found[id(node)] = [(id(m), type(m), np.asarray(getattr(m, "weights", 0)).tobytes()) for m in modules]
            pending += [n for m in modules for n in (*m.input_nodes, *m.output_nodes)]
    return sorted(found.items())


def lif_part(n_in: int, n: int, name: str, *, dt: float | None = None) -> Any:
    tau = np.full(n, 5e-3)
    return LIFNeuronWithSynsRealValue._factory(n_in, n, name, None, tau, np.full(n_in, 3e-3), np.ones(n), np.zeros(n), dt)


def hand_made_graph() -> tuple[Any, np.ndarray]:
    """Two weights from the input to one row of neurons, through the same nodes, and recurrent weights."""
    first, second, back = (np.random.default_rng(k).uniform(-0.5, 0.8, (3, 3)) for k in range(3))
    neurons = lif_part(3, 3, "cells")
    left = LinearWeights._factory(3, 3, "left", None, first, np.array([0.1, 0.0, -0.05]))
    LinearWeights(left.input_nodes, left.output_nodes, "right", None, second)
    connect_modules(left, neurons)
    LinearWeights(neurons.output_nodes, neurons.input_nodes, "back", None, -0.2 * back)
    return GraphHolder(left.input_nodes, neurons.output_nodes, "whole", None), first + second


def test_a_graph_made_by_hand_keeps_all_of_its_weights() -> None:
    graph, total = hand_made_graph()
    network = load(graph, dt=1e-3)
    decay = np.exp(-1e-3 / 3e-3)
    entering = [q for q in network.projections if q.pre == "input"]
    assert sorted(q.source for q in entering) == ["left", "right"]
    assert np.allclose(sum(q.weights.to_dense() for q in entering), total * decay, rtol=1e-15)
    assert [(q.source, q.delay_steps) for q in network.projections if q.pre == "cells"] == [("back", 1)]
    assert [q.weights.to_dense().tolist() for q in network.projections if q.pre == "cells.constant"] == [
        [[0.1 * decay, 0.0, -0.05 * decay]]
    ]
    assert network.dt_s == 1e-3
    assert network.provenance["framework"].startswith("rockpool 3.")


def test_residual_sums_are_spike_sums() -> None:
    inner = [LinearTorch((3, 3)), LIFTorch(3, has_rec=True)]
    network = load(Sequential(LinearTorch((2, 3)), LIFTorch(3), Residual(*inner), LinearTorch((3, 2)), LIFTorch(2)))
    inside = "2_TorchResidual.1_LIFTorch"
    assert [set(addition.terms) for addition in network.sums] == [{"1_LIFTorch", inside}]
    assert [q.pre for q in network.projections if q.post == "4_LIFTorch"] == [network.sums[0].name]
    assert [q.pre for q in network.projections if q.post == inside and q.delay_steps] == [inside]
    assert network.outputs[0].populations == ("4_LIFTorch",)


class OwnStep(LIFTorch):
    def forward(self, input_data: torch.Tensor) -> torch.Tensor:
        return super().forward(2 * input_data)


class OneSpike(StepPWL):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, *options: Any) -> torch.Tensor:
        return StepPWL.forward(ctx, x, *options).clamp(max=1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LIFTorch(2, noise_std=0.1), "noisy"),
        (lambda: OwnStep(2), "computes otherwise than LIFTorch"),
        (lambda: LIFTorch(2, spike_generation_fn=OneSpike), "spike_generation_fn"),
        (lambda: LIFTorch(2, max_spikes_per_dt=torch.tensor(1.5)), "max_spikes_per_dt"),
        (lambda: RateTorch(2), "RateNeuronWithSynsRealValue have no counterpart"),
        (lambda: LinearTorch((2, 2)), "has no neurons"),
        (lambda: Sequential(LIFTorch(2), Residual(LinearTorch((2, 2)), LIFTorch(2))), "not the output of neurons alone"),
        (lambda: Sequential(LIFTorch(2, dt=1e-3), LIFTorch(2, dt=2e-3)), "differ in dt"),
        (lambda: torch.nn.Linear(2, 2), "neither a Rockpool module nor a graph"),
        (lambda: Sequential(LIFTorch(2), torch.nn.ReLU()), "as_graph"),
    ],
)
def test_what_has_no_counterpart_is_named(make: Any, message: str) -> None:
    with pytest.raises(FrontendError, match=message):
        load(make())


def test_dt_must_be_known_and_one() -> None:
    with pytest.raises(FrontendError, match="have no dt"):
        load(hand_made_graph()[0])
    with pytest.raises(FrontendError, match="not the one of the neurons"):
        load(LIFTorch(2, dt=1e-3), dt=2e-3)
    with pytest.raises(FrontendError, match="lets no neuron fire"):
        load(LIFTorch(2), max_count=0)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rockpool", None)
    with pytest.raises(FrontendError, match=r"snnmap\[rockpool\]"):
        load(None)


def build_simulator(
    weights_in: np.ndarray,
    weights_out: np.ndarray,
    weights_rec: np.ndarray,
    dash_mem: np.ndarray,
    dash_mem_out: np.ndarray,
    dash_syn: np.ndarray,
    dash_syn_2: np.ndarray,
    dash_syn_out: np.ndarray,
    threshold: np.ndarray,
    threshold_out: np.ndarray,
    bias: np.ndarray,
    bias_out: np.ndarray,
    weight_shift_in: int,
    weight_shift_rec: int,
    weight_shift_out: int,
    aliases: list[list[int]],
) -> tuple[Any, list[Any]]:
    """Build the layer as Rockpool's ``XyloSim.from_specification`` does, without its checks; keep what it points to."""

    def synapses(weights: np.ndarray) -> list[list[Any]]:
        return [
            [XyloSynapse(post, s, row[post, s]) for s in range(row.shape[1]) for post in np.where(row[:, s])[0]]
            for row in weights
        ]

    kept = [synapses(weights_in), synapses(weights_rec), synapses(weights_out[:, :, np.newaxis])]
    layer = XyloLayer(
        synapses_in=kept[0], synapses_rec=kept[1], synapses_out=kept[2], aliases=aliases, threshold=threshold,
        threshold_out=threshold_out, has_bias=any(b != 0 for b in (*bias, *bias_out)), bias=bias, bias_out=bias_out,
        weight_shift_inp=weight_shift_in, weight_shift_rec=weight_shift_rec, weight_shift_out=weight_shift_out,
        dash_mem=dash_mem, dash_mem_out=dash_mem_out, dash_syns=[list(pair) for pair in zip(dash_syn, dash_syn_2, strict=True)],
        dash_syns_out=[[dash] for dash in dash_syn_out], name="specified",
    )  # fmt: skip
    return layer, kept


@pytest.mark.parametrize("chip_name", ["xylo-audio-2", "xylo-audio-3", "xylo-imu", "toy-4"])
@pytest.mark.parametrize("seed", range(3))
def test_the_specification_runs_as_the_image(chip_name: str, seed: int) -> None:
    program = draw_program(chip_name, seed)
    image = pack(program)
    layer, kept = build_simulator(**to_specification(image))
    raster = np.random.default_rng(seed).integers(0, 4, (100, program.n_inputs))
    counts = simulate_image(image, raster, counts_of=["hidden", "outputs"]).counts
    sent = np.array(layer.evolve(raster.tolist()))
    assert np.array_equal(sent, counts["outputs"][0])
    assert np.array_equal(np.array(layer.rec_recurrent_spikes), counts["hidden"][0])
    assert counts["hidden"].sum() > 0
    assert len(kept) == 3


def draw_program(chip_name: str, seed: int) -> Program:
    chip = load_chip(chip_name)
    toy = chip_name == "toy-4"
    sizes = {"n_inputs": 2, "n_hidden": 4, "n_outputs": 1} if toy else {"n_inputs": 16, "n_hidden": 60, "n_outputs": 8}
    rng = np.random.default_rng(seed)
    return random_program(chip, rng, **sizes, density=0.9 if toy else 0.3, shifts=(1, 0, 1), with_alias=chip.hidden.alias)


def test_a_specification_has_the_vendors_shapes_and_dtypes() -> None:
    program = draw_program("xylo-audio-3", 0)
    specification = to_specification(program)
    assert specification["weights_in"].shape == (16, 60, 2)
    assert specification["weights_rec"].shape == (60, 60, 2)
    assert specification["weights_out"].shape == (60, 8)
    assert {
        key: value.dtype.name for key, value in specification.items() if key.startswith(("weights", "dash"))
    } == dict.fromkeys(
        ["weights_in", "weights_out", "weights_rec", "dash_mem", "dash_mem_out", "dash_syn", "dash_syn_2", "dash_syn_out"], "int8"
    )
    assert specification["threshold"].dtype == specification["bias_out"].dtype == np.int16
    again = to_specification(type("Built", (), {"image": pack(program)})())
    assert all(np.array_equal(specification[key], again[key]) for key in specification if key != "aliases")

"""Whole networks in the chip's integers: against the bitstream, and the two ways of computing each part against each other."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from random_networks import random_network

from snnmap.chip import load_chip
from snnmap.core import CsrMatrix
from snnmap.core.errors import FrontendError, InputError
from snnmap.loading import load
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, SpikeSum
from snnmap.nn import ChipNetwork, Surrogate, record_counts
from snnmap.nn.chip import sparse_product, wired_dynamics
from snnmap.pipeline import CompileOptions, compile_model
from snnmap.train import ActivityRecorder, align_model, verify_model

CHIP = load_chip("generic-4096")
WIDE = replace(CHIP, bits=replace(CHIP.bits, state=24))
"""No sum leaves this chip's states, so that the order of additions does not matter."""
UNVERIFIED = CompileOptions(verify=False)


def draw_counts(network: Network, seed: int, n_steps: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {port.name: rng.poisson(rng.uniform(0.2, 2.0), (4, n_steps, port.size)).clip(0, 15) for port in network.inputs}


def make_odd(network: Network, seed: int) -> Network:
    """Move decays off the bit shifts, so that synapses onto themselves and second ones are added."""
    rng = np.random.default_rng(seed)

    def move(decays: np.ndarray) -> np.ndarray:
        return np.clip(decays + rng.uniform(-0.05, 0.05, decays.shape), 0.3, 0.95)

    return replace(network, populations=tuple(replace(p, alpha=move(p.alpha), beta=move(p.beta)) for p in network.populations))


def make_network(seed: int) -> Network:
    network = random_network(seed)
    return make_odd(network, seed) if seed % 2 else network


def change(model: ChipNetwork, seed: int) -> None:
    """Move everything that can be trained, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            kind = name.rpartition(".")[2]
            noise = torch.randn(parameter.shape, generator=generator)
            if kind == "weight":
                parameter.add_(0.1 * noise * (parameter.abs().mean() if parameter.numel() else 0.0))
            elif kind == "bias" and seed % 3 == 0:
                parameter.add_(0.1 * noise)
            elif kind == "threshold":
                parameter.mul_(1.0 + 0.05 * noise)


@pytest.mark.parametrize("seed", range(16))
def test_the_module_is_the_bitstream_at_first_and_after_training(seed: int) -> None:
    network = make_network(seed)
    rasters = draw_counts(network, seed)
    artifacts = compile_model(network, WIDE, calibration=rasters, options=UNVERIFIED)
    model = ChipNetwork(artifacts.quantised)
    first = verify_model(model, artifacts, rasters)
    assert first.n_mismatches == 0
    assert sum(first.spikes.values()) > 0
    change(model, seed)
    again = compile_model(model, WIDE)
    assert again.mapped.lags == artifacts.mapped.lags
    assert again.quantised.errors == ()
    seen = verify_model(model, again, rasters)
    assert seen.n_mismatches == 0
    assert {name: p.source for name, p in zip(first.spikes, again.network.populations, strict=True)} == {
        p.name: p.source for p in network.populations
    }


@pytest.mark.parametrize("chip", ["xylo-audio-3", "generic-4096"])
@pytest.mark.parametrize("seed", range(20, 28))
def test_sums_that_leave_the_states_on_their_way_are_added_in_the_chips_order(seed: int, chip: str) -> None:
    """The quantiser saw faint inputs; what arrives is many times as much."""
    network = make_network(seed)
    faint, rng = draw_counts(network, seed), np.random.default_rng(seed)
    faint = {name: (counts > 1).astype(np.int64) for name, counts in faint.items()}
    strong = {name: rng.poisson(6.0, counts.shape).clip(max=15) for name, counts in faint.items()}
    artifacts = compile_model(network, chip, calibration=faint, options=UNVERIFIED)
    assert verify_model(ChipNetwork(artifacts.quantised), artifacts, strong).n_mismatches == 0


def give_gradients(model: ChipNetwork, rasters: dict[str, np.ndarray]) -> list[torch.Tensor]:
    model.zero_grad()
    outputs = model({name: torch.tensor(raster) for name, raster in rasters.items()})
    joined = torch.cat(outputs, dim=2) if isinstance(outputs, tuple) else outputs
    (joined * torch.linspace(0.1, 1.0, joined.shape[1], dtype=torch.float64).view(1, -1, 1)).sum().backward()
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("seed", [0, 3, 5, 10])
def test_compiled_loops_and_matrices_give_the_same_gradients(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_network(seed)
    rasters = draw_counts(network, seed)
    artifacts = compile_model(network, WIDE, calibration=rasters, options=UNVERIFIED)
    model = ChipNetwork(artifacts.quantised, surrogate=Surrogate(name="sigmoid")).double()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    assert any(group.wiring is not None for group in model._list_groups())
    wanted = give_gradients(model, rasters)
    assert max(float(gradient.abs().max()) for gradient in wanted if gradient.numel()) > 0
    monkeypatch.setattr(sparse_product, "_SPARSE_BELOW", 2.0)
    as_lists = give_gradients(model, rasters)
    monkeypatch.setattr(wired_dynamics, "is_compiled", lambda _: False)
    as_matrices = give_gradients(model, rasters)
    for one, other, third in zip(wanted, as_lists, as_matrices, strict=True):
        scale = float(one.abs().max()) if one.numel() else 1.0
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9 * scale)
        torch.testing.assert_close(one, third, rtol=1e-9, atol=1e-9 * scale)


def make_ports() -> Network:
    """Two ports of inputs, a residual sum, a loop of three steps and a readout beside spiking outputs."""
    rng = np.random.default_rng(0)

    def project(pre: str, post: str, n_pre: int, n_post: int, delay_steps: int = 0, gain: float = 1.0) -> Projection:
        weights = CsrMatrix.from_dense(rng.normal(0.3, 0.6, (n_pre, n_post)) * gain)
        return Projection(name=f"{pre} to {post}", pre=pre, post=post, weights=weights, delay_steps=delay_steps)

    lif = {"alpha": 0.5, "beta": 0.75, "threshold": 2.0}
    return Network(
        name="ports",
        inputs=(InputPort(name="left", size=3), InputPort(name="right", size=2)),
        populations=(
            Population.create("0.first", 6, **lif, bias=0.2),
            Population.create("second", 6, **lif),
            Population.create("scores", 3, alpha=0.5, beta=0.875, threshold=np.inf, max_count=1),
            Population.create("alarm", 1, **lif, max_count=1),
        ),
        projections=(
            project("left", "0.first", 3, 6), project("right", "second", 2, 6, delay_steps=1),
            project("0.first", "second", 6, 6), project("second", "0.first", 6, 6, delay_steps=3, gain=0.3),
            project("both", "scores", 6, 3), project("second", "alarm", 6, 1),
        ),
        sums=(SpikeSum(name="both", terms=("0.first", "second")),),
        outputs=(
            OutputPort(name="scores", populations=("scores",), readout="potential"),
            OutputPort(name="alarm", populations=("alarm",)),
        ),
    )  # fmt: skip


def make_ported() -> tuple[ChipNetwork, dict[str, np.ndarray]]:
    network = make_ports()
    rasters = draw_counts(network, 1)
    return ChipNetwork(compile_model(network, CHIP, calibration=rasters).quantised), rasters


def test_ports_keep_their_names_and_potentials_their_units() -> None:
    model, rasters = make_ported()
    artifacts = compile_model(model, CHIP)
    seen = verify_model(model, artifacts, rasters)
    assert seen.n_mismatches == 0
    assert {"scores potential", "alarm", "0.first", "second"} == set(seen.mismatches)
    given = {name: torch.tensor(raster) for name, raster in rasters.items()}
    with torch.no_grad():
        outputs = model(given)
        side_by_side, one_a_port = model(torch.cat(list(given.values()), dim=2)), model(*given.values())
    for one, other, third in zip(outputs, side_by_side, one_a_port, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, third)
    built = compile_model(make_ports(), CHIP, calibration=rasters).run(rasters)
    np.testing.assert_allclose(outputs[0].numpy(), built["scores"], rtol=1e-5, atol=1e-6)
    assert np.array_equal(outputs[1].numpy(), built["alarm"])


def test_a_copy_and_a_state_dict_are_the_same_network() -> None:
    model, rasters = make_ported()
    given = {name: torch.tensor(raster) for name, raster in rasters.items()}
    other = copy.deepcopy(model)
    change(model, 1)
    assert not torch.equal(model(given)[0], other(given)[0])
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(given)[0], other(given)[0])


def test_counts_of_all_populations_can_be_recorded_and_penalised() -> None:
    model, rasters = make_ported()
    given = {name: torch.tensor(raster) for name, raster in rasters.items()}
    with record_counts(model) as counts:
        model(given)
    assert set(counts) == {"0.first", "second", "alarm"}
    with ActivityRecorder(model) as activity:
        model(given)
        penalty = activity.rate_penalty(0.0) + activity.synaptic_operations()
    penalty.backward()
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


def test_weights_of_all_projections_are_trained_in_units_of_their_size() -> None:
    network = make_ports()
    smaller = tuple(
        replace(part, weights=part.weights.with_data(part.weights.data * 2.0 ** -(number % 5)))
        for number, part in enumerate(network.projections)
    )
    given = draw_counts(network, 1)
    artifacts = compile_model(replace(network, projections=smaller), CHIP, calibration=given, options=UNVERIFIED)
    parts = [part for population in ChipNetwork(artifacts.quantised).list_populations() for part in population.list_incoming()]
    assert len({float(part.unit) for part in parts}) > 2
    sizes = [float(part.weight.detach().square().mean().sqrt()) for part in parts]
    assert all(0.125 / 2**0.51 < size < 0.125 * 2**0.51 for size in sizes)


def test_a_network_that_lost_a_path_is_aligned_anew() -> None:
    model, rasters = make_ported()
    before = dict(model.lags)
    with torch.no_grad():
        for population in model.list_populations():
            for part in population.list_incoming():
                if (part.pre, population.name) in (("second", "0.first"), ("0.first", "second")):
                    part.weight.zero_()
    aligned = align_model(model, CHIP)
    assert aligned.lags != before
    assert verify_model(aligned, compile_model(aligned, CHIP), rasters).n_mismatches == 0
    assert model.lags == before


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ((torch.zeros(2, 5, 4),), "does not suit"),
        ((torch.zeros(2, 5, 3), torch.zeros(2, 4, 2)), "does not suit"),
        (({"left": torch.zeros(2, 5, 3)},), "does not suit"),
        ((torch.full((2, 5, 5), 16.0),), "0..15"),
        ((torch.full((2, 5, 5), 0.5),), "integers"),
    ],
)
def test_wrong_inputs_are_told(inputs: tuple[object, ...], said: str) -> None:
    model, _ = make_ported()
    with pytest.raises(InputError, match=said):
        model(*inputs)


def test_it_is_no_layer() -> None:
    model, _ = make_ported()
    with pytest.raises(FrontendError, match="whole network"):
        load(torch.nn.Sequential(model))


def test_currents_are_refused() -> None:
    network = make_ports()
    ports = tuple(replace(port, readout="current") if port.name == "scores" else port for port in network.outputs)
    built = compile_model(replace(network, outputs=ports), CHIP, calibration=draw_counts(network, 1))
    with pytest.raises(InputError, match="currents"):
        ChipNetwork(built.quantised)

"""Layers in the integers of the chip that decays by 12-bit factors and resets to zero, against its bitstream."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from snnmap.chip import load_chip
from snnmap.core import CsrMatrix
from snnmap.network import InputPort, Network, OutputPort, Population, Projection
from snnmap.nn import ChipIntegrator, ChipLIF, Residual
from snnmap.nn.chip import dynamics as chip_dynamics
from snnmap.nn.neurons import dynamics
from snnmap.pipeline import compile_model
from snnmap.train import align_model, to_chip_exact, verify_model

CHIP = load_chip("generic-1024-factor")
RULES = CHIP.family.integers
KIND = {"bits": CHIP.bits, "arithmetic": CHIP.arithmetic}


def make_model(seed: int, *, readout: bool = True) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        ChipLIF(5, 24, dash_syn=1500, dash_mem=300, scale=8192.0, **KIND),
        ChipLIF(24, 18, dash_syn=4095, dash_mem=900, recurrent=True, scale=torch.rand(18) * 9000 + 4000, **KIND),
        Residual(ChipLIF(18, 18, dash_syn=2048, dash_mem=17, threshold=0.5, scale=8192.0, **KIND)),
        ChipIntegrator(18, 3, dash_syn=700, dash_mem=100, scale=4096.0, **KIND)
        if readout
        else ChipLIF(18, 3, dash_syn=700, dash_mem=100, scale=8192.0, **KIND),
    )


def draw_counts(seed: int, n_samples: int = 4, n_steps: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).poisson(1.5, (n_samples, n_steps, 5)).clip(0, 15)


@pytest.mark.parametrize("readout", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_bitstream_does_what_the_module_does(seed: int, readout: bool) -> None:
    """Recurrent and skip weights, relays searched for this chip, packed and run."""
    model = make_model(seed, readout=readout)
    artifacts = compile_model(model, CHIP)
    seen = verify_model(model, artifacts, draw_counts(seed))
    assert (seen.n_mismatches, seen.silent) == (0, ())
    assert artifacts.mapped.n_relays > 0
    assert artifacts.quantised.errors == ()


def test_a_model_with_biases_is_aligned_with_the_chips_start() -> None:
    model = make_model(5)
    for layer in model.modules():
        if isinstance(layer, ChipLIF | ChipIntegrator):
            layer.bias.data = torch.randn(layer.size) * 0.1
    aligned = align_model(model, CHIP)
    assert verify_model(aligned, compile_model(aligned, CHIP), draw_counts(5)).n_mismatches == 0


def run_by_the_rules(layer: ChipLIF, counts: np.ndarray) -> np.ndarray:
    """One sample through one layer, neuron by neuron, by the family's integer rules."""
    codes, out = layer.codes(), np.zeros((len(counts), layer.size), np.int64)
    weight = codes.weight.detach().numpy().astype(np.int64)
    for neuron in range(layer.size):
        du, dv = int(codes.dash_syn[0, neuron]), int(codes.dash_mem[neuron])
        threshold, bias, current, potential = int(codes.threshold[neuron]) - 1, int(codes.bias[neuron]), 0, 0
        for step, arriving in enumerate(counts):
            current = RULES.add(RULES.enter(current, du), int(weight[neuron] @ arriving), 24)
            potential = RULES.integrate(potential, dv, current, bias, 24)
            out[step, neuron], potential = RULES.fire(potential, threshold, 0, 1, 24)
    return out


@pytest.mark.parametrize("compiled", [True, False])
def test_forward_is_the_familys_arithmetic(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums that wrap included; in compiled loops and in torch's."""
    if not compiled:
        run_in_torch(monkeypatch)
    torch.manual_seed(1)
    layer = ChipLIF(5, 40, scale=torch.logspace(3, 6, 40), shift=7, **KIND)
    layer.dash_syn.data = torch.randint(0, 4096, (1, 40)).float()
    layer.dash_syn.data[0, ::3] = torch.randint(0, 20, (14,)).float()
    layer.dash_mem.data = torch.randint(0, 4096, (40,)).float()
    layer.weight.data *= 3.0
    layer.bias.data = torch.randn(40) * 0.1
    counts = draw_counts(1, 1, 300)
    ours = layer(torch.tensor(counts, dtype=torch.float32))[0].detach().numpy()
    assert np.array_equal(ours, run_by_the_rules(layer, counts[0]))
    assert 0 < ours.mean() < 1


def run_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        chip_dynamics, "_compile_advance", lambda rows, given, _, family: partial(chip_dynamics._advance, family, rows, given)
    )
    monkeypatch.setattr(dynamics, "is_compiled", lambda _: False)


@pytest.mark.parametrize("train", ["train_bias", "train_threshold", "train_decays"])
def test_gradients_are_the_same_compiled_and_in_torch(train: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(2)
    layer = ChipLIF(5, 12, dash_syn=1000, dash_mem=500, recurrent=True, scale=8192.0, **{train: True}, **KIND).double()
    given = torch.tensor(draw_counts(2), dtype=torch.float64)
    found = []
    for _ in range(2):
        layer.zero_grad()
        (layer(given) * torch.linspace(-1, 1, 12, dtype=torch.float64)).sum().backward()
        found.append([parameter.grad.clone() for parameter in layer.parameters() if parameter.grad is not None])
        run_in_torch(monkeypatch)
    assert len(found[0]) == 3 + (train == "train_decays")
    for one, other in zip(*found, strict=True):
        assert one.abs().max() > 0
        assert torch.allclose(one, other, rtol=1e-9)


def test_the_gradient_of_a_decay_code_is_that_of_its_factor() -> None:
    """One spike into an integrator: potentials are known functions of both factors."""
    layer = ChipIntegrator(1, 1, dash_syn=1024, dash_mem=512, scale=2.0**13, train_decays=True, **KIND).double()
    layer.weight.data = torch.full_like(layer.weight, 0.5)
    counts = torch.zeros(1, 6, 1, dtype=torch.float64)
    counts[0, 0] = 1.0
    layer(counts)[0, -1, 0].backward()
    alpha, beta = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (3071 / 4096, 3584 / 4096))
    sum(alpha**k * beta ** (5 - k) for k in range(6)).backward()
    expected = [-0.5 * x.grad.item() / 4096 for x in (alpha, beta) if x.grad is not None]
    seen = [x.grad.item() for x in (layer.dash_syn, layer.dash_mem) if x.grad is not None]
    assert seen == pytest.approx(expected, rel=0.01)


def test_training_moves_it_and_it_stays_exact() -> None:
    torch.manual_seed(3)
    model, labels = make_model(3), torch.tensor([0, 1, 2, 0])
    given = torch.tensor(draw_counts(3), dtype=torch.float32)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(given)[:, -1], labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert verify_model(model, compile_model(model, CHIP), draw_counts(4)).n_mismatches == 0


def zero_network(seed: int) -> Network:
    """Plain and synaptic neurons that reset to zero, a loop and a skip, as other frameworks have them."""
    rng = np.random.default_rng(seed)

    def weights(n_pre: int, n_post: int, gain: float) -> CsrMatrix:
        return CsrMatrix.from_dense(rng.normal(0.1, gain, (n_pre, n_post)) / np.sqrt(n_pre))

    def neurons(name: str, size: int, alpha: float, beta: float) -> Population:
        return Population.create(name, size, alpha=alpha, beta=beta, reset="value", max_count=1)

    readout = Population.create("o", 4, alpha=0.7, beta=0.95, threshold=np.inf, max_count=1)
    return Network(
        name="zero",
        inputs=(InputPort(name="x", size=12),),
        populations=(neurons("a", 30, 0.8, 0.9), neurons("b", 20, 0.0, 0.93), readout),
        projections=(
            Projection(name="xa", pre="x", post="a", weights=weights(12, 30, 1.2)),
            Projection(name="aa", pre="a", post="a", weights=weights(30, 30, 0.5), delay_steps=1),
            Projection(name="ab", pre="a", post="b", weights=weights(30, 20, 1.2)),
            Projection(name="bo", pre="b", post="o", weights=weights(20, 4, 1.0)),
            Projection(name="ao", pre="a", post="o", weights=weights(30, 4, 1.0)),
        ),
        outputs=(OutputPort(name="y", populations=("o",), readout="potential"),),
    )


def test_a_network_that_resets_to_zero_arrives_and_is_trained_on_exactly() -> None:
    """Synapses without memory too, which a chip that decays after its input cannot have."""
    network, rng = zero_network(0), np.random.default_rng(1)
    raster = rng.binomial(1, 0.2, (20, 80, 12))
    artifacts = compile_model(network, CHIP, calibration=raster)
    assert artifacts.report.errors == ()
    assert artifacts.comparison is not None
    rates = [
        (population.chip_spikes, population.model_spikes) for population in artifacts.comparison.populations if population.fires
    ]
    assert all(0.97 < chip / model < 1.03 for chip, model in rates)
    exact = to_chip_exact(network, CHIP, calibration=raster)
    built = compile_model(exact, CHIP)
    seen = verify_model(exact, built, rng.binomial(1, 0.2, (6, 80, 12)))
    assert (seen.n_mismatches, seen.silent) == (0, ())
    exact(torch.tensor(raster, dtype=torch.float32)).sum().backward()
    gradients = [parameter.grad for parameter in exact.parameters() if parameter.requires_grad]
    assert all(gradient is not None and gradient.isfinite().all() and gradient.any() for gradient in gradients)

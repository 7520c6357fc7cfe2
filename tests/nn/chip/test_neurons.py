"""Layers in the chip's integers, against the chip: what is trained is what the bitstream does."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnmap.chip import load_chip
from snnmap.chip.arithmetic import bit_shift as arithmetic
from snnmap.core.errors import DesignRuleError, FrontendError, InputError
from snnmap.frontends.torch import load
from snnmap.nn import LIF, ChipIntegrator, ChipLIF, Residual
from snnmap.nn.chip import dynamics as chip_dynamics
from snnmap.nn.neurons import dynamics
from snnmap.pipeline import compile_model
from snnmap.train import align_model, verify_model

XYLO = load_chip("xylo-audio-3")


def make_model(seed: int, *, n_synapses: int = 1, readout: bool = True, gain: float = 1.0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [
        ChipLIF(5, 12, dash_syn=2, dash_mem=3, scale=200.0, shift=2, n_synapses=n_synapses),
        ChipLIF(12, 9, recurrent=True, scale=torch.rand(9) * 300 + 100, recurrent_shift=1, n_synapses=n_synapses),
        Residual(ChipLIF(9, 9, dash_syn=1, dash_mem=1, threshold=0.5, n_synapses=n_synapses)),
        ChipIntegrator(9, 3, dash_mem=3) if readout else ChipLIF(9, 3, max_count=1, shift=3),
    ]
    model = nn.Sequential(*layers)
    for parameter in model.parameters():
        if parameter.ndim == 2 and parameter.shape[0] > 2:
            parameter.data = gain * (parameter.data + 0.1)
    return model


def draw_counts(seed: int, n_samples: int = 4, n_steps: int = 60, most: float = 2.0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(most, (n_samples, n_steps, 5)).clip(0, 15)


@pytest.mark.parametrize("readout", [True, False])
@pytest.mark.parametrize("n_synapses", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_the_bitstream_does_what_the_module_does(seed: int, n_synapses: int, readout: bool) -> None:
    model = make_model(seed, n_synapses=n_synapses if readout else 1, readout=readout)
    artifacts = compile_model(model, XYLO)
    seen = verify_model(model, artifacts, draw_counts(seed))
    assert (seen.n_mismatches, seen.silent) == (0, ())
    assert seen.n_compared >= 4 * 60 * 30
    assert artifacts.quantised.errors == ()


def test_verify_model_sees_a_difference() -> None:
    model = make_model(0)
    artifacts = compile_model(model, XYLO)
    with torch.no_grad():
        model[1].threshold[2] *= 0.5
    seen = verify_model(model, artifacts, draw_counts(0))
    assert seen.mismatches["1"] > 0
    assert seen.mismatches["0"] == 0


def test_a_model_with_biases_is_aligned_with_the_chips_start() -> None:
    model = make_model(2)
    for layer in model.modules():
        if isinstance(layer, ChipLIF | ChipIntegrator):
            layer.bias.data = torch.randn(layer.size) * 0.15
    aligned = align_model(model, XYLO)
    seen = verify_model(aligned, compile_model(aligned, XYLO), draw_counts(2))
    assert (seen.n_mismatches, seen.silent) == (0, ())
    plain = make_model(2)
    plain.load_state_dict(model.state_dict())
    assert verify_model(plain, compile_model(plain, XYLO), draw_counts(2)).n_mismatches > 0


def run_by_the_rules(layer: ChipLIF, counts: np.ndarray) -> np.ndarray:
    """One sample through one layer, neuron by neuron, by the chip's own arithmetic."""
    codes, bits = layer.codes(), layer.bits
    weight = codes.weight.detach().numpy().astype(int)
    fired = []
    for neuron in range(layer.size):
        current, potential = 0, 0
        for arriving in counts:
            current = arithmetic.saturate(current + int(weight[neuron] @ arriving), bits.state)
            current -= arithmetic.decay(current, int(codes.dash_syn[0, neuron]))
            potential = arithmetic.integrate(potential, int(codes.dash_mem[neuron]), current, int(codes.bias[neuron]), bits.state)
            count, potential = arithmetic.fire(potential, int(codes.threshold[neuron]), 0, layer.max_count, bits.state)
            fired.append(count)
    return np.array(fired).reshape(layer.size, -1).T


@pytest.mark.parametrize("seed", range(6))
def test_forward_is_the_chips_arithmetic(seed: int) -> None:
    torch.manual_seed(seed)
    layer = ChipLIF(6, 8, dash_syn=seed % 4 + 1, dash_mem=seed, scale=4000.0 if seed > 3 else 100.0, shift=7 if seed > 3 else 1)
    layer.bias.data = torch.randn(8) * 0.2
    counts = np.random.default_rng(seed).poisson(4.0, (1, 50, 6)).clip(0, 15)
    ours = layer(torch.tensor(counts, dtype=torch.float32))[0].detach().numpy()
    assert np.array_equal(ours, run_by_the_rules(layer, counts[0]))
    assert ours.any()


def test_what_the_lowest_potential_loses_whole_wraps_as_on_the_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    """A membrane without memory loses all of -32768, which no word holds: it stays there until much lifts it."""
    layer = ChipLIF(2, 1, n_synapses=2, dash_syn=6, dash_mem=0, scale=100.0, shift=7)
    layer.weight.data = torch.tensor([[-100.0, 100.0], [-100.0, 0.0]])
    counts = np.zeros((1, 160, 2), np.int64)
    counts[0, :8, 0], counts[0, 120::5, 1] = 15, 1
    weight, bits, currents, potential, wanted = layer.codes().weight.detach().numpy().astype(int), 16, [0, 0], 0, []
    for arriving in counts[0]:
        currents = [arithmetic.saturate(i + int(row @ arriving), bits) for i, row in zip(currents, weight, strict=True)]
        currents = [i - arithmetic.decay(i, 6) for i in currents]
        potential = arithmetic.integrate(potential, 0, sum(currents), 0, bits)
        count, potential = arithmetic.fire(potential, 100, 0, layer.max_count, bits)
        wanted.append(count)
    given = torch.tensor(counts, dtype=torch.float32)
    assert layer(given)[0, :, 0].tolist() == wanted
    monkeypatch.setattr(
        chip_dynamics,
        "_compile_advance",
        lambda rows, parameters, _, family: partial(chip_dynamics._advance, family, rows, parameters),
    )
    assert layer(given)[0, :, 0].tolist() == wanted


def run_with(layer: ChipLIF | ChipIntegrator, counts: Tensor) -> list[Tensor]:
    layer.zero_grad()
    out = layer(counts)
    (out * torch.arange(out.shape[1]).view(1, -1, 1)).sum().backward()
    return [out.detach(), *(p.grad.clone() for p in layer.parameters() if p.grad is not None)]


@pytest.mark.parametrize("recurrent", [False, True])
def test_torch_and_compiled_loops_agree(recurrent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    layer = ChipLIF(5, 7, n_synapses=2, recurrent=recurrent, train_decays=True, train_bias=True, train_threshold=True)
    counts = torch.tensor(draw_counts(2), dtype=torch.float32)
    compiled = run_with(layer, counts)
    monkeypatch.setattr(
        chip_dynamics,
        "_compile_advance",
        lambda rows, parameters, _, family: partial(chip_dynamics._advance, family, rows, parameters),
    )
    for one, other in zip(compiled, run_with(layer, counts), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


def test_sharing_samples_among_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    layer = ChipLIF(5, 7, n_synapses=2, train_bias=True)
    counts = torch.tensor(draw_counts(2), dtype=torch.float32)
    alone = run_with(layer, counts)
    monkeypatch.setattr(dynamics, "_WORTH_SHARING", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    shared = run_with(layer, counts)
    assert torch.equal(alone[0], shared[0])
    for one, other in zip(alone[1:], shared[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


def test_gradients_are_those_of_the_float_layer() -> None:
    """With a large scale the integers hardly round, and both layers' gradients must agree."""
    torch.manual_seed(3)
    trained = {"train_bias": True, "train_threshold": True}
    layer = ChipLIF(5, 6, dash_syn=2, dash_mem=3, scale=3000.0, shift=6, recurrent=True, recurrent_shift=6, **trained)
    plain = LIF(6, dash_syn=2, dash_mem=3, recurrent=True, **trained)
    codes = layer.codes()
    linear = nn.Linear(5, 6, bias=False)
    linear.weight.data = codes.weight.detach() * 0.75 / 3000.0
    assert plain.recurrent_weight is not None
    assert codes.recurrent_weight is not None
    plain.recurrent_weight.data = codes.recurrent_weight.detach() * 0.75 / 3000.0
    counts = torch.tensor(draw_counts(4, n_samples=2, n_steps=12, most=0.5), dtype=torch.float32)
    chip, real = layer(counts), plain(linear(counts))
    assert torch.equal(chip, real)
    chip.square().sum().backward()
    real.square().sum().backward()
    pairs = [
        (layer.weight.grad, linear.weight.grad * 0.75),
        (layer.recurrent_weight.grad, plain.recurrent_weight.grad * 0.75),
        (layer.bias.grad, plain.bias.grad),
        (layer.threshold.grad, plain.threshold.grad),
    ]
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.05 * float(theirs.abs().max()))


def test_decay_codes_learn() -> None:
    torch.manual_seed(0)
    layer = ChipIntegrator(1, 1, dash_mem=2, dash_syn=1, scale=4000.0, shift=7, train_decays=True)
    layer.weight.data.fill_(0.5)
    layer.weight.requires_grad_(False)
    pulse = torch.zeros(1, 40, 1)
    pulse[0, 0] = 1
    slow = ChipIntegrator(1, 1, dash_mem=4, dash_syn=1, scale=4000.0, shift=7)
    slow.weight.data.fill_(0.5)
    target = slow(pulse).detach()
    optimiser = torch.optim.Adam([layer.dash_mem], lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        (layer(pulse) - target).square().mean().backward()
        optimiser.step()
    assert int(layer.codes().dash_mem) == 4


def test_a_small_network_learns_in_integers() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(ChipLIF(4, 24, dash_mem=3), ChipIntegrator(24, 2))
    counts = torch.poisson(torch.full((128, 20, 4), 0.3))
    labels = (counts[:, :, 0].sum(1) > counts[:, :, 1].sum(1)).long()
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(counts)[:, -1], labels)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_integers_that_do_not_fit_are_told() -> None:
    model = nn.Sequential(
        ChipLIF(5, 6, shift=0), ChipLIF(6, 6, shift=0), ChipLIF(6, 6, shift=7, scale=9000.0), ChipIntegrator(6, 2)
    )
    with pytest.raises(DesignRuleError, match="SNN507"):
        compile_model(model, XYLO)


class InputSkip(nn.Module):
    """The input again behind two layers, so that relays repeat it; its memory is finer than the hidden one."""

    def __init__(self, recurrent_shift: int) -> None:
        super().__init__()
        coarse = {"shift": recurrent_shift, "scale": 60.0 * 2**recurrent_shift}
        self.first, self.readout = ChipLIF(5, 5, shift=0, scale=60.0), ChipIntegrator(4, 2)
        self.second, self.third = ChipLIF(5, 5, **coarse), ChipLIF(5, 4, **coarse)
        for layer in (self.second, self.third):
            layer.weight.data = torch.sign(layer.weight.data) * 101 / 60  # words of 101: no smaller shift would do

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.readout(self.third(self.second(self.first(x)) + x))
        return out


def test_relays_that_no_shift_of_a_fixed_network_lets_be_built_are_told() -> None:
    torch.manual_seed(0)
    model = InputSkip(3)
    assert verify_model(model, compile_model(model, XYLO), draw_counts(0)).n_mismatches == 0
    with pytest.raises(DesignRuleError, match=r"SNN507.*'relays'"):
        compile_model(InputSkip(7), XYLO)


def test_mixed_layers_and_wrong_inputs_are_told() -> None:
    with pytest.raises(FrontendError, match="mixed"):
        load(nn.Sequential(ChipLIF(5, 6), nn.Linear(6, 3, bias=False), LIF(3)))
    with pytest.raises(FrontendError, match="leave out the Linear"):
        load(nn.Sequential(nn.Linear(5, 5, bias=False), ChipLIF(5, 6)))
    with pytest.raises(InputError, match=r"\(batch, time, 5\)"):
        ChipLIF(5, 6)(torch.zeros(2, 3, 4))


@pytest.mark.parametrize("seed", range(20))
def test_the_integers_do_not_depend_on_the_type(seed: int) -> None:
    torch.manual_seed(seed)
    layer = ChipLIF(9, 7, scale=torch.rand(7) * 300 + 50, threshold=3.0 * torch.rand(7), recurrent=True, train_bias=True)
    nn.init.normal_(layer.bias)
    single = layer.codes()
    double = layer.double().codes()
    for name in ("weight", "recurrent_weight", "threshold", "bias"):
        assert torch.equal(getattr(single, name).double(), getattr(double, name)), name


def test_rounding_that_depends_on_the_type_is_verified_as_trained() -> None:
    model = nn.Sequential(ChipLIF(1, 1, scale=280.76093, threshold=3.0, dash_mem=6, dash_syn=1), ChipIntegrator(1, 1))
    with torch.no_grad():
        model[0].weight.fill_(0.48795965)
        model[1].weight.fill_(1.0)
    counts = np.random.default_rng(0).integers(0, 5, (3, 300, 1))
    assert verify_model(model, compile_model(model, "xylo-audio-3"), counts).n_mismatches == 0


class TwoReadouts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.h, self.a, self.b = ChipLIF(5, 8), ChipIntegrator(8, 2), ChipIntegrator(8, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        counts = self.h(x)
        return self.a(counts), self.b(counts)


def test_every_readout_is_compared() -> None:
    torch.manual_seed(0)
    model = TwoReadouts()
    artifacts = compile_model(model, "xylo-audio-3")
    seen = verify_model(model, artifacts, draw_counts(0))
    assert set(seen.mismatches) == {"h", "a potential", "b potential"}
    assert seen.n_mismatches == 0
    with torch.no_grad():
        model.a.weight *= -5
    assert verify_model(model, artifacts, draw_counts(0)).mismatches["a potential"] > 0


def test_aligning_leaves_the_model_as_it_is() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(ChipLIF(5, 8), ChipLIF(8, 8), ChipIntegrator(8, 2))
    counts = torch.tensor(draw_counts(0), dtype=torch.float32)
    before = model(counts)
    aligned = align_model(align_model(model, "xylo-audio-3"), "xylo-audio-3")
    assert torch.equal(aligned(counts), before)
    assert torch.equal(model(counts), before)


def test_counts_may_be_integers() -> None:
    torch.manual_seed(0)
    counts = torch.tensor(draw_counts(0))
    for layer in (ChipLIF(5, 6), LIF(5, dash_syn=1, dash_mem=2)):
        assert torch.equal(layer(counts), layer(counts.float()))

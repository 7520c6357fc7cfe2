"""Float models in the chip's integers: they start as the bitstream of the float model, and stay theirs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnmap.chip import load_chip
from snnmap.core.errors import FrontendError
from snnmap.lif.quantise import QuantiseOptions
from snnmap.nn import LIF, LeakyIntegrator, Residual, Surrogate
from snnmap.pipeline import CompileOptions, compile_model
from snnmap.train import to_chip_exact, verify_model

SURROGATE = Surrogate(window=0.5)
ROOM = CompileOptions(quantise=QuantiseOptions(readout_margin=16.0))


def linear(n_pre: int, n_post: int, gain: float = 1.2) -> nn.Linear:
    layer = nn.Linear(n_pre, n_post, bias=False)
    nn.init.normal_(layer.weight, mean=0.3 * gain / n_pre**0.5, std=gain / n_pre**0.5)
    return layer


def make_plain() -> nn.Module:
    return nn.Sequential(
        linear(8, 24), LIF(24, dash_syn=1, dash_mem=2), nn.Dropout(0.5), linear(24, 16), LIF(16, recurrent=True),
        linear(16, 3), LeakyIntegrator(3, dash_syn=1, dash_mem=4),
    )  # fmt: skip


def make_odd_decays() -> nn.Module:
    """Decays that no bit shift gives: rebuilt with a second synapse and self-synapses."""
    return nn.Sequential(
        linear(8, 24), LIF(24, tau_syn_s=4.2e-3, tau_mem_s=9.7e-3), linear(24, 16), LIF(16, tau_syn_s=3e-3, tau_mem_s=7e-3),
        linear(16, 4), LIF(4, max_count=1),
    )  # fmt: skip


def make_biased() -> nn.Module:
    model = make_plain()
    nn.init.uniform_(model[1].bias, -0.1, 0.2)
    return model


def make_residual() -> nn.Module:
    return nn.Sequential(
        linear(8, 16), LIF(16), Residual(linear(16, 16, 0.6), LIF(16)), Residual(linear(16, 16, 0.6), LIF(16)),
        linear(16, 3), LeakyIntegrator(3),
    )  # fmt: skip


def draw_counts(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).poisson(0.7, (6, 40, 8))


@pytest.mark.parametrize("make", [make_plain, make_odd_decays, make_biased])
@pytest.mark.parametrize("chip", ["xylo-audio-3", "generic-4096"])
def test_it_starts_as_the_bitstream_of_the_float_model(make, chip: str) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    model = make()
    artifacts = compile_model(model, chip, calibration=draw_counts(1), options=ROOM)
    exact = to_chip_exact(model, chip, calibration=draw_counts(1))
    seen = verify_model(exact, artifacts, draw_counts(2))
    assert seen.n_mismatches == 0
    assert min(seen.spikes.values()) > 0


@pytest.mark.parametrize("make", [make_plain, make_odd_decays, make_biased, make_residual])
def test_its_own_bitstream_does_what_it_does_after_training(make) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    exact = to_chip_exact(make(), "xylo-audio-3", calibration=draw_counts(1))
    counts, labels = torch.tensor(draw_counts(2), dtype=torch.float32), torch.tensor([0, 1, 2, 0, 1, 2])
    optimiser, losses = torch.optim.Adam([p for p in exact.parameters() if p.requires_grad], 1e-2), []
    for _ in range(12):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(exact(counts).sum(dim=1), labels)
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    artifacts = compile_model(exact, "xylo-audio-3")
    seen = verify_model(exact, artifacts, draw_counts(3))
    assert seen.n_mismatches == 0


def test_a_residual_model_starts_close_to_the_float_model() -> None:
    torch.manual_seed(0)
    model = make_residual()
    exact = to_chip_exact(model, "xylo-audio-3", calibration=draw_counts(1))
    counts = torch.tensor(draw_counts(2), dtype=torch.float32)
    with torch.no_grad():
        wanted, found = model(counts)[:, -1], exact(counts)[:, -1]
    assert torch.corrcoef(torch.stack([wanted.flatten(), found.flatten()]))[0, 1] > 0.98


def test_a_layer_whose_input_waits_in_relays_is_read_there_also_where_inputs_take_a_step() -> None:
    torch.manual_seed(0)
    generic = load_chip("generic-4096")
    chip = replace(generic, name="delayed", input_weights=replace(generic.input_weights, delay_steps=1))
    around = Residual(linear(8, 8, 0.6), LIF(8))
    model = nn.Sequential(around, linear(8, 16), LIF(16), linear(16, 3), LeakyIntegrator(3))
    exact = to_chip_exact(model, chip, calibration=draw_counts(1))
    counts = torch.tensor(draw_counts(2), dtype=torch.float32)
    with torch.no_grad():
        wanted, found = model(counts)[:, -1], exact(counts)[:, -1]
    assert torch.corrcoef(torch.stack([wanted.flatten(), found.flatten()]))[0, 1] > 0.98


def test_the_float_model_is_left_as_it_is() -> None:
    torch.manual_seed(0)
    model = make_plain()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    to_chip_exact(model, "xylo-audio-3")
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert isinstance(model[1], LIF)


class TwoCurrents(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.neurons = linear(8, 6), linear(8, 6), LIF(6)
        self.last, self.readout = linear(6, 2), LeakyIntegrator(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.last(self.neurons(self.one(x) + self.other(x))))


class SharedWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.shared, self.neurons = linear(8, 6), linear(6, 6), nn.ModuleList([LIF(6), LIF(6), LIF(6)])
        self.last, self.readout = linear(6, 2), LeakyIntegrator(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.neurons[0](self.first(x))
        x = self.neurons[2](self.shared(self.neurons[1](self.shared(x))))
        return self.readout(self.last(x))


@pytest.mark.parametrize(("model", "said"), [(TwoCurrents(), "one, other"), (SharedWeights(), "also used elsewhere")])
def test_what_no_chip_layer_can_hold_is_named(model: nn.Module, said: str) -> None:
    with pytest.raises(FrontendError, match=said):
        to_chip_exact(model, "xylo-audio-3")


def test_a_chip_model_is_refused() -> None:
    torch.manual_seed(0)
    exact = to_chip_exact(make_plain(), "xylo-audio-3")
    with pytest.raises(FrontendError, match="chip layers already"):
        to_chip_exact(exact, "xylo-audio-3")

"""Activity regularisation: its numbers against the chip's own count, and what training on it does."""

import numpy as np
import pytest
import torch
from torch import nn

from snnmap.core.errors import InputError
from snnmap.frontends.torch import load
from snnmap.lif.simulator import simulate_image
from snnmap.network import simulate_network
from snnmap.nn import LIF, ChipIntegrator, ChipLIF, LeakyIntegrator, Residual
from snnmap.pipeline import compile_model
from snnmap.train import ActivityRecorder


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 12, bias=False),
        LIF(12, recurrent=True),
        Residual(nn.Linear(12, 12, bias=False), LIF(12)),
        nn.Linear(12, 3, bias=False),
        LeakyIntegrator(3),
    )


def draw_counts(n: int = 8) -> np.ndarray:
    return np.random.default_rng(0).poisson(0.8, (n, 30, 6))


def test_synaptic_operations_are_counts_times_fan_out() -> None:
    model, counts = make_model(), draw_counts()
    with ActivityRecorder(model) as activity:
        model(torch.tensor(counts, dtype=torch.float32))
        found = activity.synaptic_operations().item()
    network = load(model)
    spikes = simulate_network(network, counts, counts_of=["1", "2.body.1"]).counts
    by_hand = spikes["1"].sum() * (12 + 12 + 3) + spikes["2.body.1"].sum() * 3
    assert found == pytest.approx(by_hand / 8, rel=1e-3)
    assert by_hand > 0


def test_they_are_what_the_simulator_counts() -> None:
    torch.manual_seed(1)
    model, counts = nn.Sequential(ChipLIF(6, 12, scale=101.7), ChipIntegrator(12, 3, scale=97.3)), draw_counts()
    with ActivityRecorder(model) as activity:
        model(torch.tensor(counts, dtype=torch.float32))
        hidden = activity.synaptic_operations().item()
    artifacts = compile_model(model, "xylo-audio-3")
    padded = np.pad(counts, ((0, 0), (0, 1), (0, 0)))
    profile = simulate_image(artifacts.image, padded).profile
    assert profile is not None
    stored = artifacts.quantised.program.input_weights[0].row_lengths
    assert hidden * 8 == pytest.approx(profile.synaptic_operations - (counts.clip(max=15).sum(axis=(0, 1)) * stored).sum())


@pytest.mark.parametrize("target", [0.02, 0.3])
def test_training_brings_rates_to_the_target(target: float) -> None:
    model, counts = make_model(), torch.tensor(draw_counts(32), dtype=torch.float32)
    optimiser = torch.optim.Adam(model.parameters(), 2e-2)
    with ActivityRecorder(model) as activity:
        found = []
        for _ in range(80):
            optimiser.zero_grad()
            model(counts)
            loss = activity.rate_penalty(target)
            loss.backward()
            optimiser.step()
            found.append(loss.item())
    assert found[-1] < 0.5 * found[0]


def test_fewer_operations_are_trained_and_hooks_go_away() -> None:
    model, counts = make_model(), torch.tensor(draw_counts(32), dtype=torch.float32)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    found = []
    with ActivityRecorder(model) as activity:
        for _ in range(40):
            optimiser.zero_grad()
            model(counts)
            loss = activity.synaptic_operations()
            loss.backward()
            optimiser.step()
            found.append(loss.item())
    assert found[-1] < 0.7 * found[0]
    assert not model[1]._forward_hooks


def test_nothing_recorded_is_told() -> None:
    with ActivityRecorder(make_model()) as activity, pytest.raises(InputError, match="with block"):
        activity.rate_penalty(0.1)

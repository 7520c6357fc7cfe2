"""Held spikes: a layer's count is that of its total input, whatever the order in which that came."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from level_counts import share_of_levels
from torch import nn

from snnmap.chip import load_chip
from snnmap.convert import ConvertOptions, convert_ann, run_ann, split_ports
from snnmap.core.errors import InputError
from snnmap.lif.drc import check_network
from snnmap.lif.quantise import QuantiseOptions
from snnmap.lif.simulator import simulate_image
from snnmap.nn import QuantisedReLU
from snnmap.nn.quantised import Rounding
from snnmap.pipeline import CompileOptions, compile_model

pytestmark = pytest.mark.filterwarnings("ignore::snnmap.core.errors.ConversionWarning")  # of random networks

T = 8
GRID = np.random.default_rng(0).integers(0, 15 * T + 1, (400, 20)) / (15 * T)
"""Inputs that are coded exactly."""


def level_net(rounding: Rounding = "round", *, clip: bool = True) -> nn.Module:
    torch.manual_seed(1)
    sizes = (20, 48, 40, 5)
    layers: list[nn.Module] = []
    for n_pre, n_post in pairwise(sizes):
        layers += [nn.Linear(n_pre, n_post), QuantisedReLU(7, step=0.12, rounding=rounding, clip=clip)]
    model = nn.Sequential(*layers[:-1]).double()
    for module in model:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=1.5 / module.in_features**0.5)
    return model


def max_pool_net() -> nn.Module:
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2))
    second = nn.Sequential(nn.Conv2d(6, 8, 3), nn.ReLU(), nn.MaxPool2d(2))
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(8, 4))


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("rounding", ["round", "floor"])
def test_counts_are_the_levels(rounding: Rounding, clip: bool) -> None:
    model = level_net(rounding, clip=clip)
    held, leaky, free = (
        convert_ann(model, GRID[:200], options=ConvertOptions(n_steps=T, overshoot=overshoot, dash_mem=dash_mem))
        for overshoot, dash_mem in (("hold", None), ("hold", 15), ("allow", None))
    )
    assert share_of_levels(held, GRID[200:]) >= 0.999
    assert share_of_levels(leaky, GRID[200:]) >= 0.999
    assert share_of_levels(free, GRID[200:]) < 0.99


def test_calibration_gives_back_what_a_leak_takes() -> None:
    shares = []
    for calibrate in (False, True):
        options = ConvertOptions(n_steps=T, overshoot="hold", dash_mem=6, calibrate=calibrate)
        shares.append(share_of_levels(convert_ann(level_net(), GRID[:200], options=options), GRID[200:]))
    assert shares[1] > shares[0] + 0.05


def test_maxima_come_nearer() -> None:
    data = np.random.default_rng(0).uniform(0, 1, (120, 1, 10, 10))
    free, held = (
        {e.layer: e for e in convert_ann(max_pool_net(), data, options=ConvertOptions(n_steps=T, overshoot=overshoot)).errors}
        for overshoot in ("allow", "hold")
    )
    assert all(held[name].relative_error < 1.02 * free[name].relative_error for name in free)
    assert held["5.max1.0"].relative_error < 0.7 * free["5.max1.0"].relative_error


@pytest.mark.parametrize("coding", ["count", "latency"])
def test_the_order_of_the_input_does_not_matter(coding: str) -> None:
    options = ConvertOptions(n_steps=T, overshoot="hold", dash_mem=None, coding=coding)  # type: ignore[arg-type]
    assert share_of_levels(convert_ann(level_net(), GRID[:200], options=options), GRID[200:]) >= 0.995


def test_channels_and_latency() -> None:
    conversion = convert_ann(level_net(clip=False), GRID, options=ConvertOptions(n_steps=T, overshoot="hold", hold_steps=5))
    assert conversion.ports == {"input": 20, "clock": 1, "hold": 1, "release 1": 1, "release 2": 1}
    counts = conversion.encode(GRID[:3])
    assert counts.shape == (3, T + 3 * 5, 24)
    assert conversion.latency_steps == T + 15
    ports = conversion.split(counts)
    assert np.flatnonzero(ports["hold"][0, :, 0]).tolist() == [0]
    assert [np.flatnonzero(ports[f"release {level}"][0, :, 0]).tolist() for level in (1, 2)] == [[T + 4], [T + 9]]
    assert all(compensation.held > 0 for compensation in conversion.compensations[1:])
    with pytest.raises(InputError, match="release 2 1"):
        split_ports(counts[..., :-1], conversion.ports)


def test_what_is_held_is_given_back() -> None:
    network = convert_ann(level_net(), GRID, options=ConvertOptions(n_steps=T, overshoot="hold")).network
    weights = {p.name: p.weights.to_dense() for p in network.projections}
    for name, level in (("1", 1), ("3", 2)):
        assert np.array_equal(weights[f"hold->{name}"], -weights[f"release {level}->{name}"])
    assert check_network(network, load_chip("generic-4096")).errors == ()


def test_too_few_silent_steps() -> None:
    with pytest.raises(InputError, match="settle_steps=0"):
        convert_ann(level_net(), GRID, options=ConvertOptions(overshoot="hold", settle_steps=9))


def test_the_bitstream_holds_too() -> None:
    """What is left is of the 8-bit weights, which both have."""
    shares = {}
    for overshoot in ("allow", "hold"):
        conversion = convert_ann(level_net(), GRID[:200], options=ConvertOptions(n_steps=T, overshoot=overshoot, hold_steps=5))
        ports = conversion.split(conversion.encode(GRID[:200]))
        options = CompileOptions(quantise=QuantiseOptions(depth=16.0))
        artifacts = compile_model(conversion.network, "generic-4096", calibration=ports, options=options)
        counts = np.pad(conversion.encode(GRID[200:]), ((0, 0), (0, artifacts.mapped.latency_steps), (0, 0)))
        hidden = simulate_image(artifacts.image, counts, counts_of=("hidden",)).counts["hidden"].sum(axis=1)
        wanted = np.rint(run_ann(conversion.ann, GRID[200:])["3"] / conversion.units["3"])
        shares[overshoot] = (hidden[:, artifacts.mapped.table.hidden_slots("3")] == wanted).mean()
    assert shares["hold"] > max(0.94, shares["allow"] + 0.01)

"""Pools as neurons of their own: the same outputs of a smaller fan-in, where values are never negative and the chip needs it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from fan_in_models import make_small_chip
from torch import Tensor, nn

import snnmap
from snnmap.convert import Ann, ConvertOptions, convert_ann, read_ann, run_ann
from snnmap.convert.pools import count_fan_in, count_relays
from snnmap.core import IntArray
from snnmap.network import simulate_network
from snnmap.nn import QuantisedReLU

VALUES = np.random.default_rng(0).uniform(0, 1, (60, 1, 8, 8))


class Mean(nn.Module):
    """A mean over places, as a function."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


POOLS: dict[str, Callable[[], nn.Module]] = {
    "average": lambda: nn.AvgPool2d(2),
    "average, padded": lambda: nn.AvgPool2d(3, 2, 1),
    "global average": lambda: nn.AdaptiveAvgPool2d(1),
    "mean": Mean,
    "maximum": lambda: nn.MaxPool2d(2),
    "maximum, overlapping": lambda: nn.MaxPool2d(3, 2, 1),
}


def make(pool: nn.Module, before: nn.Module | None = None) -> nn.Sequential:
    """Give a convolution, a ReLU, a pool, and two layers behind it."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3, padding=1), before or nn.ReLU(), pool, nn.Flatten()]
    size = nn.Sequential(*layers)(torch.zeros(1, 1, 8, 8)).shape[1]
    return nn.Sequential(*layers, nn.Linear(size, 6), nn.ReLU(), nn.Linear(6, 3)).eval()


def list_kinds(ann: Ann) -> list[str]:
    return [layer.kind for layer in ann.layers if layer.kind != "max"]


def find_fan_in(ann: Ann, name: str) -> int:
    (layer,) = (layer for layer in ann.layers if layer.name == name)
    return int(count_fan_in(layer.incoming).max())


@pytest.mark.parametrize("before", [nn.ReLU(), nn.ReLU6(), QuantisedReLU(6, step=0.1)], ids=["ReLU", "ReLU6", "quantised"])
@pytest.mark.parametrize("pool", POOLS)
def test_pools_as_neurons_are_the_same_function_with_a_smaller_fan_in(pool: str, before: nn.Module) -> None:
    model = make(POOLS[pool](), before)
    weights, neurons = (read_ann(model, (1, 8, 8), pools=how) for how in ("weights", "neurons"))
    assert list_kinds(neurons).count("pool") == 1
    assert "pool" not in list_kinds(weights)
    wanted, found = (run_ann(ann, VALUES)["output"] for ann in (weights, neurons))
    assert np.abs(found - wanted).max() < 1e-9
    size = model[4].in_features
    assert find_fan_in(neurons, "5") == size < find_fan_in(weights, "5")


def test_what_may_be_negative_is_no_count_of_spikes_and_stays_in_the_weights() -> None:
    model = make(nn.AvgPool2d(2), nn.Identity())
    on_input = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)).eval()
    for refused in (model, on_input):
        assert "pool" not in list_kinds(read_ann(refused, (1, 8, 8), pools="neurons"))


def test_a_quantiser_behind_a_pool_is_one_with_it() -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), QuantisedReLU(6, step=0.05), nn.Flatten(), nn.Linear(36, 3))
    ann = read_ann(nn.Sequential(*layers).eval(), (1, 8, 8), pools="neurons", samples=VALUES)
    assert [(layer.kind, layer.step) for layer in ann.layers if layer.kind != "excess"] == [
        ("relu", None),
        ("relu", pytest.approx(0.05)),
    ]


def test_a_maximum_of_counts_is_a_count_and_is_not_rounded_again() -> None:
    options = ConvertOptions(pools="neurons", overshoot="hold", calibrate=False, balance_by="layer", error_limit=1e9)
    conversion = convert_ann(make(nn.MaxPool2d(2)), VALUES, options=options)
    assert conversion.units["2"] == conversion.units["1"]
    run = simulate_network(conversion.network, conversion.calibration, counts_of=["1", "2"])
    before, after = (run.counts[name].sum(axis=1) for name in ("1", "2"))
    assert np.array_equal(after, find_maxima(before))


def find_maxima(counts: IntArray) -> IntArray:
    found: IntArray = counts.reshape(len(counts), 4, 4, 2, 4, 2).max(axis=(3, 5)).reshape(len(counts), -1)
    return found


def test_neurons_are_taken_for_the_pools_that_a_chip_has_no_room_for_in_weights() -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 4, 1), nn.ReLU(), nn.AvgPool2d(4))
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4, 3)).eval()
    for limits, wanted in (((12, 19, 65), []), ((12, 18, 65), ["2"]), ((12, 19, 64), ["5"]), ((12, 18, 64), ["2", "5"])):
        conversion = convert_ann(model, VALUES, options=ConvertOptions(error_limit=1e9), chip=make_small_chip(*limits))
        assert list(conversion.pools) == wanted
    assert not convert_ann(model, VALUES, options=ConvertOptions(error_limit=1e9)).pools
    full = make_small_chip(12, 18, 65)
    n_neurons = 4 * 64 + 4 * 16 + 10  # with no room for the 64 neurons of a pool
    reaches = {
        row: replace(getattr(full, row), reach=replace(full.inputs.reach, count=n_neurons)) for row in ("inputs", "outputs")
    }
    small = replace(full, hidden=replace(full.hidden, count=n_neurons), **reaches)
    assert not convert_ann(model, VALUES, options=ConvertOptions(error_limit=1e9), chip=small).pools


def test_a_quantiser_that_takes_the_place_of_a_relu_hides_no_pool() -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16, 5), nn.ReLU())
    model = nn.Sequential(*layers, QuantisedReLU(6, step=0.05), nn.Linear(5, 3)).eval()
    options = ConvertOptions(error_limit=1e9)
    assert list(convert_ann(model, VALUES, options=options, chip=make_small_chip(12, 19, 40)).pools) == ["2"]
    assert not convert_ann(model, VALUES, options=options, chip=make_small_chip(12, 259, 40)).pools


def test_a_network_that_breaks_the_fan_in_fits_and_does_what_the_model_does() -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 8, 3, padding=1), nn.ReLU())
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)).eval()
    chip, bright = make_small_chip(16, 40, 40), np.random.default_rng(1).uniform(0, 1, (60, 1, 1, 1)) * VALUES
    broken = snnmap.check_model(convert_ann(model, bright), chip).report
    assert {error.rule for error in broken.errors} == {"SNN204"}
    artifacts = snnmap.compile_model(model, chip, calibration=bright)
    assert artifacts.report.is_clean
    assert artifacts.comparison.ports[0].agreements


class Skipping(nn.Module):
    """The input passes two layers by, of which one is made of a pool; the first layer passes one by."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(8, 4), nn.Linear(2, 4), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        a = self.first(x).relu()
        b = self.second(nn.functional.avg_pool1d(a[:, None], 2)[:, 0]).relu()
        return self.last(torch.cat([a, b, x], 1))


@pytest.mark.parametrize(("how", "n_relays"), [("weights", 4 + 2 * 8), ("neurons", 2 * 4 + 3 * 8)])
def test_relays_of_skips_are_counted_as_the_network_has_them(how: Literal["weights", "neurons"], n_relays: int) -> None:
    """One step more around the pool is one relay more for each neuron that goes around it."""
    torch.manual_seed(0)
    ann = read_ann(Skipping().eval(), (8,), pools=how)
    assert count_relays(ann) == n_relays

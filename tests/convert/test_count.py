"""Counting before converting: never more than the network has, and nothing is run of what no chip can hold."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import TINY
from torch import nn

import snnmap
from snnmap.chip import Chip, list_chips, load_chip
from snnmap.convert import ConvertOptions, convert_ann, read_ann
from snnmap.convert.count import count_sizes
from snnmap.core.errors import NoRoomError
from snnmap.frontends.torch import read_layer_graph
from snnmap.lif.drc import Sizes
from snnmap.nn import QuantisedReLU

LAX = ConvertOptions(error_limit=1e9)
SHAPES: dict[str, tuple[tuple[int, ...], Any]] = {
    "plain": ((6,), lambda: (nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3))),
    "clips": (
        (6,),
        lambda: (nn.Linear(6, 8), nn.ReLU6(), nn.Linear(8, 5), nn.Hardtanh(-1, 1), nn.Hardsigmoid(), nn.Linear(5, 3)),
    ),
    "leaks": ((6,), lambda: (nn.Linear(6, 8), nn.LeakyReLU(), nn.PReLU(8), nn.Linear(8, 3))),
    "maxima": ((2, 7, 7), lambda: (nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.AdaptiveMaxPool2d(1), nn.Flatten())),
    "rectified twice": ((6,), lambda: (nn.Linear(6, 8), nn.ReLU(), nn.ReLU(), nn.Linear(8, 3))),
    "quantised": (
        (6,),
        lambda: (nn.Linear(6, 8), QuantisedReLU(4, step=0.1), nn.Linear(8, 5), QuantisedReLU(4, step=0.1), nn.Linear(5, 3)),
    ),
    "quantised behind ReLU": ((6,), lambda: (nn.Linear(6, 8), nn.ReLU(), QuantisedReLU(4, step=0.1), nn.Linear(8, 3))),
    "quantised pool": (
        (2, 6, 6),
        lambda: (nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), QuantisedReLU(4, step=0.1), nn.Flatten(), nn.Linear(12, 3)),
    ),
    "averages": (
        (2, 6, 6),
        lambda: (nn.Conv2d(2, 3, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 3), nn.Softmax(1)),
    ),
}


def make(name: str) -> tuple[tuple[int, ...], nn.Sequential]:
    torch.manual_seed(0)
    shape, layers = SHAPES[name]
    return shape, nn.Sequential(*layers()).eval()


def count(model: nn.Module, shape: tuple[int, ...]) -> Sizes:
    return count_sizes(read_layer_graph(model, shape))


def with_neurons(count: int) -> Chip:
    chip = load_chip("generic-4096")
    inputs, outputs = (replace(part, reach=replace(part.reach, count=count)) for part in (chip.inputs, chip.outputs))
    return replace(chip, hidden=replace(chip.hidden, count=count), inputs=inputs, outputs=outputs)


@pytest.mark.parametrize("name", SHAPES)
def test_no_more_is_counted_than_the_network_has(name: str) -> None:
    shape, model = make(name)
    sizes, values = count(model, shape), np.random.default_rng(0).uniform(0, 1, (20, *shape))
    ann = read_ann(model, shape)
    made = {layer.name: layer.incoming.size for layer in ann.layers if layer.kind != "excess"}
    assert sum(sizes.hidden.values()) == sum(made.values())
    network = convert_ann(model, values, options=LAX).network
    n_outputs = network.population("output").size
    assert sizes.n_outputs == n_outputs
    assert sum(sizes.hidden.values()) <= sum(population.size for population in network.populations) - n_outputs
    assert sum(sizes.inputs.values()) <= sum(port.size for port in network.inputs)


@pytest.mark.parametrize("name", SHAPES)
def test_only_what_is_too_large_is_refused(name: str) -> None:
    shape, model = make(name)
    values, n_counted = np.random.default_rng(0).uniform(0, 1, (20, *shape)), sum(count(model, shape).hidden.values())
    convert_ann(model, values, options=LAX, chip=with_neurons(n_counted))
    with pytest.raises(NoRoomError, match=f"measured {n_counted} neurons, limit {n_counted - 1} neurons") as refused:
        convert_ann(model, values, chip=with_neurons(n_counted - 1))
    (found,) = refused.value.reports[0].errors
    of_network = snnmap.check_model(convert_ann(model, values, options=LAX), with_neurons(n_counted - 1))
    assert found.rule == "SNN202"
    assert found.rule in {error.rule for error in of_network.report.errors}


TOO_LARGE = {  # the rules of which generic-4096, the largest of the catalog, breaks the limit
    "anomaly detection": {"SNN203": 640},
    "keyword spotting": {"SNN202": 72_000},
    "image classification": {"SNN201": 3073, "SNN202": 73_728},
    "visual wake words": {"SNN201": 27_649, "SNN202": 231_552},
}


@pytest.mark.parametrize("name", TINY)
def test_of_the_tiny_benchmark_no_chip_holds_one_and_nothing_is_run_to_find_out(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snnmap.convert.lower.Lowering", None)
    (shape, maker), chips = TINY[name], list_chips()
    model, values = maker().eval(), np.zeros((4, *shape))
    found = snnmap.check_model(model, "generic-4096", calibration=values).report
    assert {error.rule: error.measured_value for error in found.errors} == TOO_LARGE[name]
    with pytest.raises(NoRoomError):
        snnmap.compile_model(model, "generic-4096", calibration=values)
    fit = snnmap.fit_model(model, calibration=values)
    assert [(row.chip, row.fits) for row in fit.rows] == [(chip, False) for chip in chips]
    assert fit.rows[chips.index("generic-4096")].broken == found.errors


def test_it_is_enough_that_one_of_several_chips_has_room() -> None:
    shape, model = make("plain")
    values = np.random.default_rng(0).uniform(0, 1, (20, *shape))
    fit = snnmap.fit_model(model, ["toy-4", "generic-4096"], calibration=values)
    assert "SNN202" in {error.rule for error in fit.rows[0].broken}
    assert fit.rows[1].occupancy
    refused = snnmap.fit_model(model, ["toy-4", "toy-4"], calibration=values)
    assert {error.rule for error in refused.rows[1].broken} == {"SNN201", "SNN202", "SNN203"}

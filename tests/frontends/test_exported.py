"""Small networks as people write and export them, over a hundred: each is read as its framework computes it, and converted."""

from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from exported_networks import ROUTES, SOURCES, TORCH, make_module
from layer_graphs import run_every_tensor

from snnmap.convert.convert import read_model
from snnmap.convert.options import Signed
from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.onnx import read_layer_graph as read_onnx
from snnmap.frontends.torch import read_layer_graph
from snnmap.graph import measure_difference, run_graph

LIMIT = 1e-5
"""Greatest relative difference, in float64 here and in float32 there."""
REFUSED = ("flattened by numel",)
"""Networks that no reader takes."""
SIGNED = ("mean of members", "padded shortcut", "resnet")
"""Networks whose quantised values have both signs, of sums before a ReLU or behind a layer."""
NO_LIF = {
    "tuple": "1 inputs, 2 outputs", "flattened by numel": "an index 0",
    "squeeze and excite": "product or quotient of activations", "hardswish": "'hardswish' has no LIF counterpart",
}  # fmt: skip
"""Networks that are not converted, and what is said."""


def draw(shape: tuple[int, ...]) -> FloatArray:
    return np.random.default_rng(1).uniform(0, 1, (4, *shape)).astype(np.float32).astype(np.float64)


def list_outputs(found: Any) -> list[Any]:
    parts = found.values() if isinstance(found, dict) else found if isinstance(found, list | tuple) else [found]
    return [part.detach().numpy() for part in parts]


@cache
def run_module(name: str) -> list[Any]:
    with torch.no_grad():
        return list_outputs(make_module(name)(torch.tensor(draw(TORCH[name][1]), dtype=torch.float32)))


@pytest.mark.parametrize("name", [name for name in TORCH if name not in REFUSED])
def test_modules(name: str) -> None:
    shape = TORCH[name][1]
    graph = read_layer_graph(make_module(name), shape)
    found = run_graph(graph, draw(shape))
    for output, wanted in zip(graph.outputs, run_module(name), strict=True):
        assert measure_difference(found[output], wanted) <= LIMIT


@pytest.mark.parametrize("name", [name for name in TORCH if name not in NO_LIF])
def test_modules_as_networks_of_relus(name: str) -> None:
    """Reading them compares a run of what was read with the module's own."""
    shape = TORCH[name][1]
    ann = read_model(make_module(name), shape)
    assert ann.output.size == run_module(name)[0][0].size


@pytest.mark.parametrize("name", NO_LIF)
def test_modules_that_are_refused(name: str) -> None:
    with pytest.raises(FrontendError, match=f"(?s){NO_LIF[name]}"):
        read_model(make_module(name), TORCH[name][1])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("route", "name"), SOURCES, ids=lambda part: part)
def test_exports(route: str, name: str) -> None:
    shape = TORCH[name][1]
    source = ROUTES[route](make_module(name), shape)
    if isinstance(source, onnx.ModelProto):
        assert_onnx(source, shape)
    else:
        graph = read_layer_graph(source, shape)
        assert measure_difference(run_graph(graph, draw(shape))[graph.outputs[0]], run_module(name)[0]) <= LIMIT
    signed: Signed = "pairs" if route.startswith("quantize") and name in SIGNED else "refuse"
    ann = read_model(source, shape, signed=signed, samples=draw(shape))
    assert ann.output.size == run_module(name)[0][0].size


def assert_onnx(model: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    """Compare every tensor of floats, and of integers nearly all: ties between levels fall to either side."""
    inputs = draw(shape)
    wanted, graph = run_every_tensor(model, inputs.astype(np.float32)), read_onnx(model, shape)
    found = run_graph(graph, inputs, dtype=np.float32)
    has_levels = any(node.kind == "QuantizeLinear" or node.kind.startswith("QLinear") for node in graph.nodes)
    for node in (node for node in graph.nodes if node.tensor in wanted):
        if has_levels:
            size = np.abs(wanted[node.tensor].astype(float)).max() or 1.0
            same = np.abs(found[node.name].astype(float) - wanted[node.tensor].astype(float)) <= LIMIT * size
            assert same.mean() >= 0.9, node.where
        else:
            assert measure_difference(found[node.name], wanted[node.tensor]) <= LIMIT, node.where

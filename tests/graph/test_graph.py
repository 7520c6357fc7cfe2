"""Layer graphs: what they hold, and what they refuse."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from layer_graphs import make_graph

from snnmap.core.errors import InputError, NetworkError
from snnmap.graph import LayerGraph, Node, TensorType, measure_difference, require_same, run_graph
from snnmap.graph.operations.activations import Relu
from snnmap.graph.operations.conv import Conv
from snnmap.graph.operations.movement import Concat


def test_a_graph_keeps_kernels_groups_and_shared_weights() -> None:
    graph = make_graph()
    convolutions = list(graph.select_kinds("Conv"))
    assert [node.operation for node in convolutions] == [Conv(kernel_shape=(3, 3), pads=(1, 1, 1, 1), group=2)] * 2
    assert [node.inputs[1] for node in convolutions] == ["weight", "weight"]
    assert graph.types["conv"] == TensorType(shape=(4, 6, 5))
    assert graph["clip"].where == "node 'clip' (Clip), module 'act.clip'"


def test_a_graph_does_not_change() -> None:
    graph = make_graph()
    with pytest.raises(FrozenInstanceError):
        graph.name = "other"  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        graph.constants["weight"][0] = 0.0
    with pytest.raises(TypeError):
        graph.constants["weight"] = np.zeros(1)  # type: ignore[index]
    with pytest.raises(KeyError):
        _ = graph["missing"]


def change(graph: LayerGraph, name: str, **changes: object) -> LayerGraph:
    nodes = tuple(replace(node, **changes) if node.name == name else node for node in graph.nodes)  # type: ignore[arg-type]
    return replace(graph, nodes=nodes)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("conv", {"operation": Conv(kernel_shape=(3, 3), group=3)}, "(?s)weights do not fit.*node 'conv' .Conv.*3 groups"),
        (
            "conv",
            {"operation": Conv(kernel_shape=(3, 3), group=4)},
            "(?s)other channels than the weights.*measured: 2   limit: 4",
        ),
        ("again", {"operation": Conv(kernel_shape=(9, 9), group=2)}, "(?s)weights do not fit the convolution"),
        ("again", {"operation": Conv(kernel_shape=(3, 3), dilations=(4, 4), group=2)}, "(?s)smaller than the kernel.*6 x 5"),
        ("again", {"operation": Conv(kernel_shape=(3, 3), strides=(0, 1), group=2)}, "(?s)do not fit each other.*node 'again'"),
        ("norm", {"inputs": ("conv", "scale")}, "(?s)another number of inputs.*node 'norm'.*measured: 2   limit: 5"),
        ("fc", {"inputs": ("pool", "fc.weight")}, r"(?s)weights do not fit their input.*\(4, 1, 1\) by \(3, 4\)"),
        ("sum", {"operation": Concat(axis=0)}, r"(?s)batch's or do not fit.*axes \(0,\)"),
        ("sum", {"inputs": ("clip", "fc.weight")}, "(?s)shapes do not fit.*node 'sum'"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        change(make_graph(), name, **changes)


def test_a_run_gives_every_value() -> None:
    graph, inputs = make_graph(), np.random.default_rng(1).normal(size=(3, 2, 6, 5))
    values = run_graph(graph, inputs)
    assert list(values) == ["input", *(node.name for node in graph.nodes)]
    for name, array in values.items():
        assert array.shape == (3, *graph.types[name].shape)
        assert array.dtype == np.float64
    assert {array.dtype for array in run_graph(graph, inputs, dtype=np.float32).values()} == {np.dtype(np.float32)}


def test_a_convolution_by_hand() -> None:
    """Each output is the sum over its group's channels and the kernel's places of weight times input."""
    graph, data = make_graph(), np.random.default_rng(2).normal(size=(1, 2, 6, 5))
    weight, bias = (graph.constants[name].astype(np.float64) for name in ("weight", "bias"))
    padded = np.pad(data, [(0, 0), (0, 0), (1, 1), (1, 1)])
    wanted = np.zeros((1, 4, 6, 5))
    for out in range(4):
        for y in range(6):
            for x in range(5):
                wanted[0, out, y, x] = bias[out] + (weight[out, 0] * padded[0, out // 2, y : y + 3, x : x + 3]).sum()
    np.testing.assert_allclose(run_graph(graph, data)["conv"], wanted, rtol=1e-12, atol=1e-12)


def test_inputs_are_checked() -> None:
    graph = make_graph()
    with pytest.raises(InputError, match=r"(?s)another shape.*\(3, 2, 5, 6\).*\(batch, 2, 6, 5\)"):
        run_graph(graph, np.zeros((3, 2, 5, 6)))
    with pytest.raises(InputError, match=r"(?s)missing.*input 'input'.*other"):
        run_graph(graph, {"other": np.zeros((3, 2, 6, 5))})


def test_a_difference_is_found() -> None:
    graph, inputs = make_graph(), np.ones((2, 2, 6, 5))
    relu = Node(name="relu", operation=Relu(), inputs=("clip",))
    other = graph.with_nodes([relu if node.name == "relu" else node for node in graph.nodes])
    assert require_same(graph, graph, inputs) == 0.0
    with pytest.raises(NetworkError, match=r"(?s)compute other values.*relative difference"):
        require_same(graph, other, inputs)
    assert measure_difference(np.zeros(3), np.zeros(4)) == np.inf
    assert measure_difference([1.0, 2.0], [1.0, 4.0]) == 0.5
    assert measure_difference([np.nan, np.inf, 2.0], [np.nan, np.inf, 4.0]) == 0.5
    assert measure_difference([np.nan, 2.0], [1.0, 2.0]) == measure_difference([np.inf], [-np.inf]) == np.inf

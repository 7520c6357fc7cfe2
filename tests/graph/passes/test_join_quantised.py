"""What stands between DequantizeLinear and QuantizeLinear becomes operations of integers, equal to onnxruntime's."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from quantised_networks import make_resnet, run_onnxruntime

from snnmap.frontends.onnx import quantise_model, read_layer_graph
from snnmap.graph import join_quantised, run_graph

RNG = np.random.default_rng(0)


def make_residual() -> Any:
    """A residual network of floats with all that is joined: Conv, Relu, Clip, MaxPool, Add, GlobalAveragePool, Flatten, Gemm."""
    arrays = {
        "w1": RNG.normal(0, 0.3, (8, 3, 3, 3)), "b1": RNG.normal(0, 0.1, 8), "w2": RNG.normal(0, 0.2, (8, 8, 3, 3)),
        "w3": RNG.normal(0, 0.4, (8, 1, 3, 3)), "b3": RNG.normal(0, 0.1, 8), "w4": RNG.normal(0, 0.3, (5, 8)),
        "b4": RNG.normal(0, 0.1, 5),
        "low": np.float32(0), "high": np.float32(6),
    }  # fmt: skip
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], name="c1", **pads),
        helper.make_node("Relu", ["c1"], ["r1"], name="r1"),
        helper.make_node("MaxPool", ["r1"], ["p"], name="p", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p", "w2"], ["c2"], name="c2", **pads),
        helper.make_node("Add", ["c2", "p"], ["s"], name="s"),
        helper.make_node("Relu", ["s"], ["r2"], name="r2"),
        helper.make_node("Conv", ["r2", "w3", "b3"], ["c3"], name="c3", group=8, **pads),
        helper.make_node("Clip", ["c3", "low", "high"], ["k"], name="k"),
        helper.make_node("GlobalAveragePool", ["k"], ["m"], name="m"),
        helper.make_node("Flatten", ["m"], ["f"], name="f"),
        helper.make_node("Gemm", ["f", "w4", "b4"], ["y"], name="y", transB=1),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 10, 10])
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])
    constants = [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "residual", [given], [found], initializer=constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def quantised() -> Any:
    return quantise_model(make_residual(), RNG.normal(0, 1, (16, 3, 10, 10)))


def test_joined_operations(quantised: Any) -> None:
    joined = join_quantised(read_layer_graph(quantised))
    assert [node.kind for node in joined.nodes] == [
        "QuantizeLinear", "QLinearConv", "MaxPool", "QLinearConv", "QLinearAdd", "QLinearConv", "QLinearGlobalAveragePool",
        "Flatten", "QGemm", "DequantizeLinear",
    ]  # fmt: skip
    assert all(node.replaces for node in joined.nodes if node.kind.startswith("Q") and node.kind != "QuantizeLinear")


def test_every_value_is_onnxruntimes(quantised: Any) -> None:
    graph = read_layer_graph(quantised)
    inputs = RNG.normal(0, 1, (20, 3, 10, 10)).astype(np.float32)
    found = run_graph(join_quantised(graph), inputs, dtype=np.float32)
    names = [node.output[0] for node in quantised.graph.node if node.op_type == "QuantizeLinear"]
    wanted = run_onnxruntime(quantised, inputs, names=names)
    tensors = {node.tensor: node.name for node in graph.nodes}
    compared = [name for name in wanted if tensors[name] in found]
    assert len(compared) > 7
    assert all(np.array_equal(found[tensors[name]], wanted[name]) for name in compared)


def test_operations_of_integers_stay_as_they_are() -> None:
    graph = read_layer_graph(make_resnet(18, 32, 4, 10))
    assert join_quantised(graph) == graph


def test_what_cannot_be_joined_stays(quantised: Any) -> None:
    """A convolution whose bias is not in steps of both scales."""
    model = onnx.ModelProto()
    model.CopyFrom(quantised)
    for entry in model.graph.initializer:
        if entry.name == "b3_quantized_scale":
            entry.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(entry), entry.name))
    kinds = [node.kind for node in join_quantised(read_layer_graph(model)).nodes]
    assert kinds.count("Conv") == 1
    assert kinds.count("QLinearConv") == 2

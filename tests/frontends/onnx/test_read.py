"""ONNX models as layer graphs: every tensor as onnxruntime computes it, and everything that cannot be read told at once."""

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from layer_graphs import run_every_tensor
from onnx import TensorProto, helper, numpy_helper, version_converter

from snnmap.core.errors import FrontendError
from snnmap.frontends.onnx import read_layer_graph
from snnmap.graph import OPERATIONS, UnreadableModelError, fuse_steps, measure_difference, run_graph
from snnmap.graph.operation import Operation, TensorType, operation

RNG = np.random.default_rng(0)
EXAMPLES = Path(onnx.__file__).parent / "backend" / "test" / "data"
LIMIT = 1e-5
"""Greatest relative difference of a tensor, in float64 here and in float32 there."""


def make_model(
    nodes: list[Any], shape: tuple[int, ...], *, opset: int = 20, batch: Any = "batch", **constants: Any
) -> onnx.ModelProto:
    """Give a model from ``x`` of one sample's shape to ``y``; constants of float64 become float32."""
    arrays = {name: np.asarray(value) for name, value in constants.items()}
    initializers = [
        numpy_helper.from_array(array.astype(np.float32) if array.dtype == np.float64 else array, name)
        for name, array in arrays.items()
    ]
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape])
    graph = helper.make_graph(nodes, "graph", [entry], [helper.make_empty_tensor_value_info("y")], initializers)
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=domains)
    model.ir_version = 10
    return model


def one(kind: str, *inputs: str, **attributes: Any) -> list[Any]:
    return [helper.make_node(kind, ["x", *inputs], ["y"], name="node", **attributes)]


def assert_read(model: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    """Compare every tensor."""
    inputs = np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)
    wanted, graph = run_every_tensor(model, inputs), read_layer_graph(model)
    found = run_graph(graph, inputs)
    assert graph.outputs == (graph.nodes[-1].name,)
    for node in graph.nodes:
        if node.tensor in wanted:
            assert measure_difference(found[node.name], wanted[node.tensor]) <= LIMIT, node.where
    assert measure_difference(found[graph.outputs[0]], wanted["y"]) <= LIMIT


W, K = RNG.normal(size=(6, 4)), RNG.normal(size=(4, 2, 3, 3))
C = RNG.normal(size=(2, 1, 1))
Case = tuple[list[Any], tuple[int, ...], dict[str, Any]]
OPERATORS: dict[str, Case] = {
    "Abs": (one("Abs"), (5,), {}),
    "Add, spread": (one("Add", "c"), (2, 3, 4), {"c": RNG.normal(size=(1, 2, 1, 1))}),
    "AveragePool": (one("AveragePool", kernel_shape=[2, 3], strides=[2, 1], pads=[0, 1, 1, 1]), (2, 6, 5), {}),
    "AveragePool, padding counted": (
        one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1), (2, 6, 5), {}),
    "AveragePool, hanging over": (one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), (2, 6, 8), {}),
    "AveragePool, hanging over, counted": (
        one("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1, count_include_pad=1),
        (2, 6, 8), {}),
    "BatchNormalization": (
        one("BatchNormalization", "g", "b", "m", "v", epsilon=0.01), (3, 2, 2),
        {"g": np.array([1.0, 2, 3]), "b": np.ones(3), "m": np.array([0.5, 0, 1]), "v": np.array([1.0, 4, 9])}),
    "CumSum": (one("CumSum", "a"), (3, 4), {"a": np.array(1)}),
    "CumSum, reverse and exclusive": (one("CumSum", "a", reverse=1, exclusive=1), (3, 4), {"a": np.array(-1)}),
    "Tile": (one("Tile", "r"), (3, 4), {"r": np.array([1, 2, 3])}),
    "Where, a quotient but of 0": (
        [helper.make_node("Relu", ["x"], ["p"]), helper.make_node("Equal", ["p", "zero"], ["m"]),
         helper.make_node("Div", ["x", "p"], ["q"]), helper.make_node("Where", ["m", "zero", "q"], ["y"])], (3, 4),
        {"zero": np.zeros((1, 1, 1))}),
    "Where, the smaller": (
        [helper.make_node("LessOrEqual", ["x", "c"], ["m"]), helper.make_node("Where", ["m", "x", "c"], ["y"])], (3, 4),
        {"c": RNG.normal(size=(1, 4))}),
    "Clip": (one("Clip", "low", "high"), (5,), {"low": np.float32(-0.2), "high": np.float32(0.7)}),
    "Clip, open below": (one("Clip", "", "high"), (5,), {"high": np.float32(0.7)}),
    "Clip, open": (one("Clip"), (5,), {}),
    "Concat": (one("Concat", "x", axis=-2), (2, 3), {}),
    "Conv": (one("Conv", "w", "b", pads=[1, 0, 2, 1], strides=[2, 1], dilations=[1, 2]), (2, 9, 8), {"w": K, "b": np.ones(4)}),
    "Conv, 1 dimension": (one("Conv", "w", pads=[2, 1]), (2, 9), {"w": K[..., 0]}),
    "Conv, 3 dimensions": (one("Conv", "w"), (2, 4, 5, 6), {"w": RNG.normal(size=(3, 2, 2, 3, 1))}),
    "Conv, depthwise": (one("Conv", "w", group=4, pads=[1, 1, 1, 1]), (4, 5, 6), {"w": K[:, :1]}),
    "Conv, groups": (one("Conv", "w", group=2), (4, 5, 6), {"w": K}),
    "Conv, same": (one("Conv", "w", auto_pad="SAME_UPPER", strides=[2, 2]), (2, 7, 6), {"w": K}),
    "Conv, same lower": (one("Conv", "w", auto_pad="SAME_LOWER"), (2, 7, 6), {"w": K[..., :2]}),
    "Conv, valid": (one("Conv", "w", auto_pad="VALID"), (2, 7, 6), {"w": K}),
    "ConvTranspose": (
        one("ConvTranspose", "w", "b", strides=[2, 1], pads=[1, 0, 0, 1], dilations=[1, 2], output_padding=[1, 0], group=2),
        (4, 5, 6), {"w": K, "b": np.ones(4)}),
    "Div": (one("Div", "c"), (3, 4), {"c": np.array(4.0)}),
    "Div, flipped": ([helper.make_node("Div", ["c", "x"], ["y"])], (3,), {"c": np.array([4.0, 1, 2])}),
    "Dropout": (one("Dropout"), (4,), {}),
    "Elu": (one("Elu", alpha=0.5), (6,), {}),
    "Exp": (one("Exp"), (6,), {}),
    "Einsum": (one("Einsum", "w", equation="bi,io->bo"), (6,), {"w": W}),
    "Einsum, by place": (one("Einsum", "k", equation="bct, octi -> bito"), (2, 3), {"k": K}),
    "Einsum, weights first": ([helper.make_node("Einsum", ["w", "x"], ["y"], equation="io,bjai->bajo")], (2, 3, 6), {"w": W}),
    "Einsum, of two activations": (one("Einsum", "x", equation="bhqd,bhkd->bhqk"), (2, 3, 4), {}),
    "Einsum, outer": (one("Einsum", "x", equation="bi,bj->bji"), (3,), {}),
    "Equal": (one("Equal", "c"), (2, 3), {"c": np.array([0.0, 1, 2])}),
    "Expand": (one("Expand", "s"), (3, 1, 2), {"s": np.array([1, 1, 4, 1])}),
    "Flatten": (one("Flatten"), (2, 3, 4), {}),
    "Gemm": (one("Gemm", "w", "b", alpha=0.5, beta=2.0), (6,), {"w": W, "b": np.ones(4)}),
    "Gemm, transposed": (one("Gemm", "w", transB=1), (6,), {"w": W.T}),
    "Gather": (one("Gather", "i", axis=2), (2, 4, 3), {"i": np.array([[3, -1], [0, 0]])}),
    "GlobalAveragePool": (one("GlobalAveragePool"), (3, 4, 5), {}),
    "GlobalMaxPool": (one("GlobalMaxPool"), (3, 4, 5), {}),
    "HardSigmoid": (one("HardSigmoid", alpha=0.3), (6,), {}),
    "HardSwish": (one("HardSwish"), (6,), {}),
    "LRN": (one("LRN", size=3, alpha=0.1, bias=2.0), (5, 3, 4), {}),
    "LeakyRelu": (one("LeakyRelu", alpha=0.1), (6,), {}),
    "LogSoftmax": (one("LogSoftmax", axis=1), (6,), {}),
    "Log": ([helper.make_node("Abs", ["x"], ["p"]), helper.make_node("Log", ["p"], ["y"])], (6,), {}),
    "MatMul": (one("MatMul", "w"), (3, 6), {"w": W}),
    "MatMul, of vectors": (one("MatMul", "w"), (6,), {"w": W}),
    "MatMul, weights first": ([helper.make_node("MatMul", ["w", "x"], ["y"])], (4, 5), {"w": W}),
    "Max": (one("Max", "c"), (3, 4), {"c": np.array(0.1)}),
    "MaxPool": (one("MaxPool", kernel_shape=[3, 2], strides=[1, 2], pads=[1, 0, 1, 1]), (2, 5, 6), {}),
    "MaxPool, hanging over": (one("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), (2, 6, 8), {}),
    "MaxPool, dilated": (one("MaxPool", kernel_shape=[2, 2], dilations=[2, 3]), (2, 6, 8), {}),
    "Min": (one("Min", "c"), (3, 4), {"c": np.array(0.1)}),
    "Mul": (one("Mul", "c"), (2, 3, 4), {"c": C}),
    "Neg": (one("Neg"), (6,), {}),
    "PRelu": (one("PRelu", "c"), (2, 3, 4), {"c": np.abs(C)}),
    "Pad": (one("Pad", "p", "v"), (2, 3), {"p": np.array([0, 1, 0, 0, 0, 2]), "v": np.float32(0.5)}),
    "Pad, by a quantised number": ([
        helper.make_node("DequantizeLinear", ["v", "k", "z"], ["f"]), helper.make_node("Pad", ["x", "p", "f"], ["y"])], (2, 3), {
        "p": np.array([0, 1, 0, 0, 0, 2]), "v": np.int8(7), "k": np.float32(0.5), "z": np.int8(3)}),
    "Pad, axes": (one("Pad", "p", "", "a"), (2, 3), {"p": np.array([1, -1]), "a": np.array([-1])}),
    "Pad, reflected": (one("Pad", "p", mode="reflect"), (2, 3), {"p": np.array([0, 0, 1, 0, 0, 2])}),
    "Pow": (one("Pow", "c"), (5,), {"c": np.array(2.0)}),
    "ReduceMax": (one("ReduceMax", "a"), (2, 3, 4), {"a": np.array([-1, 2])}),
    "ReduceMin": (one("ReduceMin", "a", keepdims=0), (2, 3, 4), {"a": np.array([1])}),
    "ReduceSum": (one("ReduceSum", "a", keepdims=0), (2, 3, 4), {"a": np.array([3])}),
    "ReduceMean": (one("ReduceMean", "a", keepdims=0), (2, 3, 4), {"a": np.array([-1, 2])}),
    "Relu": (one("Relu"), (5,), {}),
    "Reshape": (one("Reshape", "s"), (2, 6), {"s": np.array([0, 3, -1])}),
    "Reshape, batch open": (one("Reshape", "s"), (2, 6), {"s": np.array([-1, 12])}),
    "Resize, nearest": (one("Resize", "", "s"), (2, 3, 4), {"s": np.array([1.0, 1, 2, 3])}),
    "Resize, smaller": (one("Resize", "", "", "s", nearest_mode="ceil", axes=[3, 2]), (2, 5, 7), {"s": np.array([4, 3])}),
    "Resize, linear": (one("Resize", "", "s", mode="linear"), (2, 3, 4), {"s": np.array([1.0, 1, 2.5, 0.6])}),
    "Resize, cubic": (one("Resize", "", "s", mode="cubic", cubic_coeff_a=-0.5), (1, 4, 4), {"s": np.array([1.0, 1, 2, 1.7])}),
    "Resize, corners": (
        one("Resize", "", "", "s", mode="linear", coordinate_transformation_mode="align_corners", axes=[2, 3]), (2, 3, 4),
        {"s": np.array([5, 2])}),
    "Resize, asymmetric": (
        one("Resize", "", "s", coordinate_transformation_mode="asymmetric", nearest_mode="floor"), (2, 3, 4),
        {"s": np.array([1.0, 1, 2, 2])}),
    "Resize, as torch": (
        one("Resize", "", "", "s", mode="linear", coordinate_transformation_mode="pytorch_half_pixel", axes=[2, 3]), (2, 3, 4),
        {"s": np.array([1, 7])}),
    "Sigmoid": (one("Sigmoid"), (5,), {}),
    "Slice, of all samples too": (
        one("Slice", "s", "e", "a"), (7, 5),
        {"s": np.zeros(3, np.int64), "e": np.array([10**9, 10**9, 3]), "a": np.array([0, 2, 1])}),
    "Slice": (one("Slice", "s", "e", "a", "t"), (7, 5), {
        "s": np.array([-2, 1]), "e": np.array([-(2**31), 9]), "a": np.array([1, -1]), "t": np.array([-2, 2])}),
    "Softmax": (one("Softmax", axis=-2), (3, 4), {}),
    "Softplus": (one("Softplus"), (5,), {}),
    "Split": ([
        helper.make_node("Split", ["x", "s"], ["a", "b"], axis=1), helper.make_node("Mul", ["b", "a"], ["c"]),
        helper.make_node("Sub", ["c", "b"], ["y"])], (4, 3), {"s": np.array([2, 2])}),
    "Sqrt": ([helper.make_node("Abs", ["x"], ["z"]), helper.make_node("Sqrt", ["z"], ["y"])], (6,), {}),
    "Squeeze": (one("Squeeze", "a"), (2, 1, 3), {"a": np.array([-2])}),
    "Sub, flipped": ([helper.make_node("Sub", ["c", "x"], ["y"])], (3, 4), {"c": np.ones(4)}),
    "Sum": (one("Sum", "c", "x"), (2, 3, 4), {"c": C}),
    "Tanh": (one("Tanh"), (5,), {}),
    "Transpose": (one("Transpose", perm=[0, 3, 1, 2]), (2, 3, 4), {}),
    "Unsqueeze": (one("Unsqueeze", "a"), (2, 3), {"a": np.array([1, -1])}),
    "shape that is computed": ([
        helper.make_node("Shape", ["x"], ["s"], start=0, end=1), helper.make_node("Concat", ["s", "r"], ["t"], axis=0),
        helper.make_node("Reshape", ["x", "t"], ["y"])], (2, 6), {"r": np.array([-1])}),
    "constants that are computed": ([
        helper.make_node("Transpose", ["w"], ["v"], perm=[1, 0]), helper.make_node("Neg", ["v"], ["u"]),
        helper.make_node("MatMul", ["x", "u"], ["y"])], (6,), {"w": W.T}),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str) -> None:
    nodes, shape, constants = OPERATORS[name]
    assert_read(make_model(nodes, shape, **constants), shape)


OLD: dict[str, tuple[int, Case]] = {
    "Clip": (7, (one("Clip", min=-0.2, max=0.5), (4,), {})),
    "Dropout": (7, (one("Dropout", ratio=0.3), (4,), {})),
    "LogSoftmax, flattened": (11, (one("LogSoftmax", axis=1), (3, 4), {})),
    "Pad": (9, (one("Pad", pads=[0, 1, 0, 0, 0, 2]), (2, 3), {})),
    "ReduceSum": (7, (one("ReduceSum", axes=[1], keepdims=0), (3, 4), {})),
    "Resize": (10, (one("Resize", "s"), (2, 3, 4), {"s": np.array([1.0, 1, 1.7, 2.6])})),
    "Slice": (9, (one("Slice", axes=[1, 2], starts=[1, -2], ends=[9, -1]), (4, 3), {})),
    "Softmax, flattened": (9, (one("Softmax"), (3, 4), {})),
    "Split": (9, ([helper.make_node("Split", ["x"], ["a", "b"], axis=1, split=[1, 3]),
                   helper.make_node("Concat", ["b", "a"], ["y"], axis=1)], (4, 3), {})),
    "Squeeze": (9, (one("Squeeze", axes=[2]), (2, 1, 3), {})),
    "Upsample": (7, (one("Upsample", mode="nearest", scales=[1.0, 1.0, 1.7, 2.6]), (2, 3, 4), {})),
    "Upsample, linear": (9, (one("Upsample", "s", mode="linear"), (2, 3, 4), {"s": np.array([1.0, 1, 1.5, 2])})),
}  # fmt: skip


@pytest.mark.parametrize("name", OLD)
def test_operators_of_old_sets(name: str) -> None:
    opset, (nodes, shape, constants) = OLD[name]
    model = make_model(nodes, shape, opset=opset, **constants)
    before = model.SerializeToString()
    assert_read(model, shape)
    assert model.SerializeToString() == before


def test_every_operation_of_onnx_is_tested() -> None:
    read = {node.op_type for nodes, _, _ in OPERATORS.values() for node in nodes}
    assert set(OPERATIONS) - read <= {"Fused", "Identity", "DequantizeLinear", "QuantizeLinear"} | {
        name for name, kind in OPERATIONS.items() if name.startswith(("QGemm", "QLinear")) or kind.domain == "snnmap"
    }


def quantised(name: str, values: np.ndarray, *, axis: int | None = None) -> dict[str, Any]:
    """Give 7-bit weights, scale and zero point of one or of each place of an axis.

    With 8 bits, onnxruntime's sums saturate on processors without VNNI.
    """
    others = tuple(other for other in range(values.ndim) if other != axis)
    scale = np.asarray(np.abs(values).max(axis=others if axis is not None else None) / 63.0, np.float32)
    spread = scale.reshape([-1 if other == axis else 1 for other in range(values.ndim)]) if axis is not None else scale
    return {
        name: np.rint(values / spread).astype(np.int8),
        f"{name}_scale": scale,
        f"{name}_zero": np.zeros(scale.shape, np.int8),
    }


def steps(**values: tuple[float, int]) -> dict[str, Any]:
    """Give a scale and a zero point of uint8 for each name."""
    found: dict[str, Any] = {}
    for name, (scale, zero) in values.items():
        found |= {f"{name}_scale": np.float32(scale), f"{name}_zero": np.uint8(zero)}
    return found


def with_steps(name: str) -> list[str]:
    return [name, f"{name}_scale", f"{name}_zero"]


def make_quantised_model() -> onnx.ModelProto:
    """Give a model of quantised operators: Conv by groups and channels, Add, pool, MatMul."""
    kernel = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("QuantizeLinear", with_steps("x"), ["q"]),
        helper.make_node(
            "QLinearConv", ["q", *with_steps("x")[1:], *with_steps("k"), *with_steps("a")[1:], "b"], ["a"], **kernel
        ),
        helper.make_node(
            "QLinearConv", [*with_steps("a"), *with_steps("d"), *with_steps("e")[1:]], ["e"], group=4, strides=[2, 2], **kernel
        ),
        helper.make_node("QLinearConv", [*with_steps("a"), *with_steps("p"), *with_steps("f")[1:]], ["f"], strides=[2, 2]),
        helper.make_node("QLinearAdd", [*with_steps("e"), *with_steps("f"), *with_steps("s")[1:]], ["s"], domain="com.microsoft"),
        helper.make_node(
            "QLinearGlobalAveragePool", [*with_steps("s"), *with_steps("g")[1:]], ["g"], domain="com.microsoft", channels_last=0
        ),
        helper.make_node("Flatten", ["g"], ["h"]),
        helper.make_node("QLinearMatMul", ["h", *with_steps("g")[1:], *with_steps("w"), *with_steps("o")[1:]], ["o"]),
        helper.make_node("DequantizeLinear", with_steps("o"), ["y"]),
    ]
    rng = np.random.default_rng(5)
    constants = {
        **quantised("k", rng.normal(size=(4, 2, 3, 3)), axis=0),
        **quantised("d", rng.normal(size=(4, 1, 3, 3)), axis=0),
        **quantised("p", rng.normal(size=(4, 4, 1, 1))),
        **quantised("w", rng.normal(size=(4, 6))),
        "b": rng.integers(-500, 500, 4).astype(np.int32),
        **steps(x=(0.03, 128), a=(0.11, 90), e=(0.2, 120), f=(0.13, 131), s=(0.22, 111), g=(0.03, 101), o=(0.02, 127)),
    }
    return make_model(nodes, (2, 8, 8), **constants)


def test_quantised_operators_equal_onnxruntime_bit_for_bit() -> None:
    model, inputs = make_quantised_model(), np.random.default_rng(6).normal(size=(20, 2, 8, 8)).astype(np.float32)
    wanted, graph = run_every_tensor(model, inputs), read_layer_graph(model)
    found = run_graph(graph, inputs, dtype=np.float32)
    for node in graph.nodes:
        assert found[node.name].dtype == wanted[node.tensor].dtype, node.where
        assert np.array_equal(found[node.name], wanted[node.tensor]), node.where
        assert len(np.unique(found[node.name])) > 20, node.where
    assert [graph.types[name].dtype for name in ("QuantizeLinear0", "QLinearConv1", "DequantizeLinear8")] == [
        "uint8",
        "uint8",
        "float32",
    ]


def test_quantised_weights_stay_quantised() -> None:
    """QuantizeLinear and DequantizeLinear around a Conv whose weights are integers, a step a channel."""
    nodes = [
        helper.make_node("QuantizeLinear", with_steps("x"), ["q"]),
        helper.make_node("DequantizeLinear", ["q", *with_steps("x")[1:]], ["r"]),
        helper.make_node("DequantizeLinear", with_steps("k"), ["v"], axis=0),
        helper.make_node("Conv", ["r", "v"], ["c"]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    constants = {**quantised("k", K, axis=0), **steps(x=(0.03, 128))}
    graph = read_layer_graph(make_model(nodes, (2, 6, 6), **constants))
    weights = graph["DequantizeLinear2"]
    assert graph["Conv3"].inputs == ("DequantizeLinear1", weights.name)
    assert graph.types[weights.name] == TensorType(shape=(4, 2, 3, 3), is_constant=True)
    assert graph.constants["k"].dtype == np.int8
    assert_read(make_model(nodes, (2, 6, 6), **constants), (2, 6, 6))


def test_names_modules_and_tensors_are_kept() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["/a/b/Relu_output_0"], name="/a/a.b/Relu"),
        helper.make_node("Mul", ["/a/b/Relu_output_0", "c"], ["y"]),
    ]
    graph = read_layer_graph(make_model(nodes, (3,), c=np.ones(1)))
    assert [(node.name, node.source, node.tensor) for node in graph.nodes] == [
        ("/a/a.b/Relu", "a.b", "/a/b/Relu_output_0"),
        ("Mul1", "", "y"),
    ]
    assert list(graph.constants) == ["c"]
    assert graph.framework.endswith("operator set 20")


def test_what_cannot_be_read_is_told_at_once() -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="passed"),
        helper.make_node("Det", ["b"], ["c"], name="second"),
        helper.make_node("Conv", ["x", "w"], ["d"], name="third"),
        helper.make_node("Transpose", ["x"], ["e"], name="fourth"),
        helper.make_node("Mine", ["x"], ["f"], name="fifth", domain="own"),
        helper.make_node("Reshape", ["x", "s"], ["g"], name="sixth"),
        helper.make_node("Add", ["c", "d"], ["y"], name="end"),
    ]
    with pytest.raises(FrontendError) as caught:
        read_layer_graph(make_model(nodes, (3, 4, 5), w=K, s=np.array([-1, 5])))
    lines = str(caught.value).splitlines()
    assert lines[0] == "6 parts of the model have no operation in a layer graph"
    named = [re.match(r"  - '(\w+)' \((\w+)\): (.*)", line) for line in lines[1:7]]
    assert [(found[1], found[2]) for found in named if found] == [
        ("first", "NonZero"), ("second", "Det"), ("third", "Conv"), ("fourth", "Transpose"),
        ("fifth", "Mine"), ("sixth", "Reshape"),
    ]  # fmt: skip
    told = "\n".join(lines)
    assert "other channels than the weights (measured 3, limit 2)" in told
    assert "domain 'own'" in told
    assert "samples of shape (3, 4, 5) are reshaped to [-1, 5] and would mix" in told


def test_operators_without_a_counterpart_are_told_first() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("Reshape", ["t", "s"], ["r"], name="first"),
        helper.make_node("LSTM", ["r"], ["y"], name="second"),
    ]
    with pytest.raises(UnreadableModelError) as caught:
        read_layer_graph(make_model(nodes, (3, 4), s=np.array([3, -1, 4])))
    assert [problem.operator for problem in caught.value.problems] == ["LSTM", "Reshape"]


def test_parts_of_which_the_same_is_told_are_one_line() -> None:
    nodes = [helper.make_node("Erf", ["x"], [f"t{place}"], name=f"n{place}") for place in range(5)]
    nodes += [helper.make_node("NonZero", ["x"], ["z"], name="other"), helper.make_node("Add", ["t3", "t4"], ["y"])]
    with pytest.raises(UnreadableModelError) as caught:
        read_layer_graph(make_model(nodes, (3,)))
    first, *lines = str(caught.value).splitlines()
    assert first.startswith("6 parts")
    assert [line.partition(":")[0] for line in lines[:2]] == ["  - 'n0', 'n1', 'n2' and 2 more (Erf)", "  - 'other' (NonZero)"]
    assert [problem.name for problem in caught.value.problems] == ["n0", "n1", "n2", "n3", "n4", "other"]


TOPOLOGIES = ["densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet"]
MIXED = {
    "Embedding", "PReLU_1d", "PReLU_2d", "PReLU_3d", "PoissonNLLLLoss", "SELU", "operator_add_broadcast",
    "operator_add_size1_right", "operator_addmm", "operator_basic", "operator_chunk", "operator_index", "operator_mm",
    "operator_non_float", "operator_params", "operator_pow", "operator_reduced_sum", "operator_repeat", "operator_selu",
    "operator_symbolic_override",
}  # fmt: skip
"""Of onnx's own examples, those whose samples mix or differ, or whose operators no layer graph has."""


def convert(path: Path) -> onnx.ModelProto:
    model = onnx.load(str(path))
    old = model.opset_import[0].version < 13
    return version_converter.convert_version(model, 17) if old else model


def test_the_layers_that_onnx_ships() -> None:
    """Each with inputs and outputs of the framework that it was exported from."""
    refused, n_read = set(), 0
    for path in sorted(EXAMPLES.glob("pytorch-*/*/model.onnx")):
        try:
            graph = read_layer_graph(convert(path))
        except FrontendError:
            refused.add(path.parent.name)
            continue
        inputs, outputs = (
            [numpy_helper.to_array(onnx.load_tensor(str(file))) for file in sorted(path.parent.glob(f"test_data_set_0/{kind}_*"))]
            for kind in ("input", "output")
        )
        found = run_graph(graph, dict(zip(graph.inputs, inputs, strict=True)))
        for name, wanted in zip(graph.outputs, outputs, strict=True):
            assert measure_difference(found[name], wanted) <= LIMIT, path.parent.name
        n_read += 1
    assert n_read > 85
    assert not [name for name in refused if not name.startswith(tuple(f"test_{known}" for known in MIXED))]


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_topologies_that_onnx_ships(name: str) -> None:
    (path,) = EXAMPLES.glob(f"light/light_*{name}.onnx")
    graph = read_layer_graph(convert(path))
    fused = fuse_steps(graph)
    assert len(fused.nodes) < len(graph.nodes)
    assert graph.types[graph.outputs[0]].shape[0] == 1000


def make_chosen(chosen: bool) -> onnx.ModelProto:
    """Give a model of which a constant chooses between two branches."""
    branches = {
        f"{kind}_branch": helper.make_graph(
            [helper.make_node(kind, ["x"], [kind])], kind, [], [helper.make_empty_tensor_value_info(kind)]
        )
        for kind in ("Relu", "Tanh")
    }
    choice = helper.make_node(
        "If", ["c"], ["y"], name="node", then_branch=branches["Relu_branch"], else_branch=branches["Tanh_branch"]
    )
    return make_model([choice], (3,), c=np.array(chosen))


@pytest.mark.parametrize("chosen", [True, False])
def test_a_branch_that_a_constant_chooses(chosen: bool) -> None:
    assert_read(make_chosen(chosen), (3,))


def make_number() -> onnx.ModelProto:
    """Give a model of one number."""
    model = make_model(one("Relu"), ())
    del model.graph.input[0].type.tensor_type.shape.dim[:]
    return model


def make_classifier(n_in: int) -> onnx.ModelProto:
    """Give a linear classifier of three classes on four values."""
    chosen = {"classlabels_ints": [0, 1, 2], "coefficients": [0.5] * 12, "intercepts": [0.0] * 3}
    node = helper.make_node("LinearClassifier", ["x"], ["label", "y"], name="node", domain="ai.onnx.ml", **chosen)
    return make_model([node], (n_in,))


def chain(*steps: tuple[str, tuple[str, ...], dict[str, Any]]) -> list[Any]:
    """Give nodes each of which takes what the one before gives; ``x``, then ``t0`` and so on, then ``y``."""
    names = ["x", *(f"t{place}" for place in range(len(steps) - 1)), "y"]
    return [
        helper.make_node(kind, [names[place], *inputs], [names[place + 1]], name=f"node{place}", **given)
        for place, (kind, inputs, given) in enumerate(steps)
    ]


TO_FRONT: tuple[str, tuple[str, ...], dict[str, Any]] = ("Transpose", (), {"perm": [1, 0, 2]})
WHERE_BATCH_STANDS: dict[str, tuple[list[Any], tuple[int, ...], dict[str, Any]]] = {
    "GatherND": (chain(TO_FRONT, ("GatherND", ("p",), {}), TO_FRONT), (3, 4), {"p": np.array([[2], [-3]])}),
    "GatherND of two axes": (
        chain(("Transpose", (), {"perm": [1, 2, 0]}), ("GatherND", ("p",), {})), (3, 4), {"p": np.array([2, -1])}),
    "Gather": (chain(TO_FRONT, ("Gather", ("i",), {"axis": 0})), (3, 4), {"i": np.array(-1)}),
    "Gather of several": (
        chain(TO_FRONT, ("Gather", ("i",), {"axis": 0}), ("Transpose", (), {"perm": [2, 0, 1, 3]})), (3, 4),
        {"i": np.array([[0, 2], [1, 1]])}),
    "Slice, Relu and mean": (
        chain(TO_FRONT, ("Slice", ("a", "b"), {}), ("Relu", (), {}), ("ReduceMean", ("a",), {"keepdims": 0})), (3, 4),
        {"a": np.array([0]), "b": np.array([-1])}),
    "Split": (
        [helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
         helper.make_node("Split", ["t"], ["p", "q"], name="s", axis=2, num_outputs=2),
         helper.make_node("Sub", ["p", "q"], ["d"]), helper.make_node("Transpose", ["d"], ["y"], perm=[1, 2, 0])],
        (3, 4), {}),
    "MatMul and Add": (
        chain(TO_FRONT, ("MatMul", ("w",), {}), ("Add", ("c",), {}), ("ReduceMax", ("a",), {"keepdims": 1}), TO_FRONT), (3, 6),
        {"w": W, "c": np.ones(W.shape[1]), "a": np.array([0])}),
    "Unsqueeze and Squeeze": (
        chain(("Unsqueeze", ("a",), {}), ("Neg", (), {}), ("Squeeze", ("a",), {})), (3, 4), {"a": np.array([0])}),
    "product on the only place": (
        chain(("Reshape", ("flat",), {}), ("Add", ("c",), {})), (1, 6), {"flat": np.array([-1, 6]), "c": np.ones(6)}),
    "product behind Flatten": (
        chain(("Flatten", (), {"axis": 2}), ("MatMul", ("w",), {}), ("Reshape", ("back",), {})), (4, 6),
        {"back": np.array([-1, 4, W.shape[1]]), "w": W}),
    "layers on places": (
        chain(("Reshape", ("flat",), {}), ("Gemm", ("w", "b"), {"alpha": 0.5, "beta": 2.0}),
              ("BatchNormalization", ("g", "b", "b", "g"), {}), ("Relu", (), {}), ("Mul", ("row",), {}),
              ("Softmax", (), {"axis": 1}), ("Reshape", ("back",), {})), (2, 2, 6),
        {"flat": np.array([-1, 6]), "back": np.array([-1, 4, W.shape[1]]), "w": W, "b": np.ones(4), "g": np.arange(1.0, 5),
         "row": RNG.normal(size=(1, 4))}),
    "layers on places, joined with themselves": (
        [helper.make_node("Flatten", ["x"], ["f"], axis=-1), helper.make_node("Gemm", ["f", "w"], ["g"], transB=1),
         helper.make_node("Tanh", ["g"], ["h"]), helper.make_node("Add", ["g", "h"], ["a"]),
         helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Reshape", ["a", "s"], ["y"])],
        (4, 6), {"w": RNG.normal(size=(6, 6))}),
    "softmax of an old set": (
        [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Flatten", ["x"], ["f"], axis=3),
         helper.make_node("Softmax", ["f"], ["p"]), helper.make_node("Reshape", ["p", "s"], ["y"])], (2, 3, 4), {}),
    "product parted otherwise": (
        chain(("Reshape", ("flat",), {}), ("MatMul", ("w",), {}), ("Reshape", ("back",), {})), (4, 6),
        {"flat": np.array([-1, 6]), "back": np.array([-1, 2, 2 * W.shape[1]]), "w": W}),
    "rows counted by the batch": (
        [helper.make_node("Shape", ["x"], ["n"], end=1), helper.make_node("Mul", ["n", "four"], ["r"]),
         helper.make_node("Concat", ["r", "six"], ["s"], axis=0), helper.make_node("Reshape", ["x", "s"], ["f"]),
         helper.make_node("MatMul", ["f", "w"], ["g"]), helper.make_node("Reshape", ["g", "back"], ["y"])], (4, 6),
        {"four": np.array([4]), "six": np.array([6]), "w": W, "back": np.array([-1, 4, W.shape[1]])}),
    "product on places": (
        chain(("Reshape", ("flat",), {}), ("MatMul", ("w",), {}), ("Reshape", ("back",), {})), (4, 6),
        {"flat": np.array([-1, 6]), "back": np.array([-1, 4, W.shape[1]]), "w": W}),
}  # fmt: skip


@pytest.mark.parametrize("name", WHERE_BATCH_STANDS)
def test_the_batch_may_move(name: str) -> None:
    nodes, shape, constants = WHERE_BATCH_STANDS[name]
    assert_read(make_model(nodes, shape, **constants), shape)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no file": (lambda: "/nowhere/net.onnx", "(?s)no such ONNX file.*/nowhere"),
    "old operators": (lambda: make_model(one("Mine"), (3,), opset=9), "(?s)cannot bring the model to operator set 13.*newer"),
    "no shape": (lambda: make_model(one("Relu"), ("a",)), "(?s)does not say the shape.*input 'x'"),
    "no input": (lambda: make_model([helper.make_node("Neg", ["c"], ["y"])], (3,), c=np.ones(3)), "(?s)does not depend.*'y'"),
    "batch flattened": (lambda: make_model(one("Flatten", axis=0), (3,)), "(?s)'node' .Flatten.: it flattens from axis 0"),
    "batch last": (lambda: make_model(chain(TO_FRONT), (3, 4)), "(?s)batch is not the first axis.*output 'y'.*axis 1"),
    "batch picked": (
        lambda: make_model(chain(TO_FRONT, ("Gather", ("i",), {"axis": 1})), (3, 4), i=np.array(0)), "axes that are the batch's"),
    "batch reshaped": (
        lambda: make_model(chain(TO_FRONT, ("Reshape", ("s",), {})), (3, 4), s=np.array([-1, 12])), "batch is not the first"),
    "constant across the batch": (
        lambda: make_model(chain(TO_FRONT, ("Add", ("c",), {})), (3, 4), c=np.ones((3, 1, 4))), "batch is not the first axis"),
    "recurrence behind a turned batch": (
        lambda: make_model(chain(TO_FRONT, ("LSTM", ("w", "w"), {})), (3, 4), w=np.ones((1, 2, 2))), "unroll it over its steps"),
    "product on other places": (
        lambda: make_model(
            chain(("Reshape", ("s",), {}), ("MatMul", ("w",), {}), ("Reshape", ("t",), {})), (4, 6), s=np.array([-1, 6]), w=W,
            t=np.array([-1, 2, W.shape[1]])),
        "would mix"),
    "rows kept": (
        lambda: make_model(
            chain(("Reshape", ("s",), {}), ("Relu", (), {}), ("Reshape", ("t",), {})), (4, 8), s=np.array([-1, 8]),
            t=np.array([0, 4, -1])),
        "would mix"),
    "rows of several samples": (
        lambda: make_model(
            chain(("Reshape", ("s",), {}), ("Add", ("c",), {}), ("Reshape", ("t",), {})), (4, 6), s=np.array([-1, 6]),
            c=np.ones((8, 6)), t=np.array([-1, 4, 6])),
        "batch is one axis with others"),
    "rows of a sample given": (
        lambda: make_model(
            chain(("Reshape", ("s",), {}), ("Relu", (), {}), ("Reshape", ("s",), {})), (4, 6), s=np.array([-1, 6])),
        "(?s)batch is one axis with others"),
    "a jump": (
        lambda: make_model(
            [helper.make_node("Greater", ["x", "c"], ["m"]), helper.make_node("Where", ["m", "x", "d"], ["y"], name="node")],
            (3,), c=np.float32(0.5), d=np.float32(0)),
        "(?s)'node' .Where.*chooses by the values"),
    "truths as numbers": (
        lambda: make_model(
            [helper.make_node("Greater", ["x", "c"], ["m"]), helper.make_node("Cast", ["m"], ["y"], name="node", to=1)], (3,),
            c=np.float32(0.5)),
        "(?s)'node' .Cast.*compares values"),
    "batch averaged": (lambda: make_model(one("ReduceMean"), (3,)), "(?s)'node' .ReduceMean.*mixes samples"),
    "batch joined": (lambda: make_model(one("Concat", "x", axis=0), (3,)), "(?s)'node' .Concat.*axes that are the batch's"),
    "samples differ": (lambda: make_model(one("Add", "c"), (3,), batch=2, c=np.ones((2, 3))), "(?s)differs from sample to"),
    "training": (
        lambda: make_model(one("BatchNormalization", "a", "a", "a", "a", training_mode=1), (3,), a=np.ones(3)),
        "(?s)training mode.*export in evaluation mode",
    ),
    "indices": (
        lambda: make_model([helper.make_node("MaxPool", ["x"], ["y", "i"], kernel_shape=[2])], (2, 4)), "(?s)gives 2 outputs",
    ),
    "weights computed": (
        lambda: make_model([helper.make_node("Reshape", ["x", "s"], ["y"], name="n"),], (2, 4)), "(?s)input 's' is not known",
    ),
    "rounding": (lambda: make_model(one("Cast", to=TensorProto.INT32), (2, 4)), "(?s)cast to int32 rounds"),
    "one number": (make_number, "(?s)one number for all samples.*as a constant"),
    "Einsum of samples": (
        lambda: make_model(one("Einsum", "w", equation="bi,bo->io"), (6,), w=W), "(?s)'node' .Einsum.*mixes samples",
    ),
    "Einsum of a diagonal": (
        lambda: make_model(one("Einsum", "w", equation="bii,io->bo"), (6, 6), w=W), "(?s)no product of two operands.*write it",
    ),
    "Einsum that sums one": (
        lambda: make_model(one("Einsum", "w", equation="bij,io->bo"), (6, 2), w=W), "(?s)no product of two operands.*write it",
    ),
    "integers interpolated": (
        lambda: make_model(
            [
                helper.make_node("QuantizeLinear", ["x", "k", "z"], ["q"]),
                helper.make_node("Resize", ["q", "", "s"], ["y"], name="node", mode="linear"),
            ],
            (2, 3), s=np.array([1, 1, 2], np.float32), k=np.float32(0.5), z=np.int8(0),
        ),
        "(?s)'node' .Resize.*interpolation of integers.*QuantFormat.QDQ",
    ),
    "GELU": (lambda: make_model(one("Gelu"), (3,)), "(?s)'node' .Gelu.*train with ReLUs"),
    "trees": (lambda: make_model(one("TreeEnsembleRegressor", domain="ai.onnx.ml"), (3,)), "(?s)trees are no layers of neurons"),
    "several outputs, and unknown": (
        lambda: make_model([helper.make_node("LSTM", ["x"], ["y", "h", "c"])], (2, 4)), "(?s)unroll it over its steps",
    ),
    "a size without coefficients": (lambda: make_classifier(2), r"(?s)measured 2, limit 4.*input_shape=\(4,\)"),
    "unknown attribute": (lambda: make_model(one("Relu", mine=1), (2,)), "(?s)attribute mine is not known"),
}  # fmt: skip


def test_a_model_without_a_batch_is_told_from_one_that_has() -> None:
    """A sample with as many axes as the input: read where nothing takes the first for the batch, else told how to export."""
    graph = read_layer_graph(make_model(one("Mul", "c"), (2,), batch=3, c=K[0, 0, :, :2]), (3, 2))
    inputs = RNG.normal(size=(4, 3, 2))
    assert measure_difference(run_graph(graph, inputs)[graph.outputs[0]], inputs * K[0, 0, :, :2]) <= LIMIT
    alone = chain(("Unsqueeze", ("a",), {}), ("Conv", ("w",), {}), ("Squeeze", ("a",), {}))
    model = make_model(alone, (5, 5), batch=2, a=np.array([0]), w=K)
    with pytest.raises(FrontendError, match=r"(?s)none is left for the batch.*input 'x'.*torch.zeros\(1, 2, 5, 5\)"):
        read_layer_graph(model, (2, 5, 5))


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(FrontendError, match=message):
        read_layer_graph(make())


def test_a_file_and_a_shape_from_the_user(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(make_model(one("Relu"), ("length",)), str(path))
    assert read_layer_graph(path, (7,)).types["node"].shape == (7,)
    path.write_bytes(b"no model")
    with pytest.raises(FrontendError, match="cannot be read"):
        read_layer_graph(path)


def test_a_new_operation_is_one_record() -> None:
    """The ONNX reader, the run and the text find an operation by its name, its attributes by their names."""

    @operation
    class Celu(Operation):
        alpha: float = 1.0

        def infer(self, inputs: Any) -> TensorType:
            return inputs[0]

        def run(self, inputs: Any) -> Any:
            return np.maximum(inputs[0], 0) + np.minimum(self.alpha * (np.exp(inputs[0] / self.alpha) - 1), 0)

    try:
        assert [field.name for field in fields(Celu)] == ["alpha"]
        assert_read(make_model(one("Celu", alpha=0.7), (9,)), (9,))
    finally:
        del OPERATIONS["Celu"]


@pytest.mark.parametrize("value", [None, 2.5])
@pytest.mark.parametrize("sides", [[3, 4], []])
def test_one_value_in_a_shape_takes_the_memory_of_one(value: float | None, sides: list[int]) -> None:
    given = {} if value is None else {"value": helper.make_tensor("value", TensorProto.FLOAT, [1], [value])}
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["w"], **given), helper.make_node("Add", ["x", "w"], ["y"])]
    model = make_model(nodes, (3, 4), s=np.array(sides, np.int64))
    assert_read(model, (3, 4))
    (constant,) = read_layer_graph(model).constants.values()
    assert not any(constant.strides)
    assert constant.shape == tuple(sides)
    assert (constant == (value or 0.0)).all()
    assert not constant.flags.writeable

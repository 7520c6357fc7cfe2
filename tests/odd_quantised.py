"""Small quantised networks of what is seldom met: one operand twice, axes from the end, outputs that are moved, odd biases."""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from random_wide import Wide


def _net() -> Wide:
    return Wide((3, 6, 6), 0)


def _of(kind: str, n_inputs: int, shape: tuple[int, ...], *more: Any, **given: Any) -> Callable[[], Any]:
    """A network of one operation of the input, with its scale."""

    def make() -> Any:
        net = _net()
        return net.model(net.between(kind, ["q"] * n_inputs, shape, net.steps["q"], *more, **given))

    return make


def _make_moved(kind: str, shape: tuple[int, ...], *more: Any, **given: Any) -> Callable[[], Any]:
    """A network whose output is moved behind the last quantiser."""

    def make() -> Any:
        net = _net()
        model = net.model(net.conv("q", 2))
        constants = [numpy_helper.from_array(np.asarray(array), f"more{place}") for place, array in enumerate(more)]
        model.graph.initializer.extend(constants)
        model.graph.node.append(helper.make_node(kind, ["y", *(one.name for one in constants)], ["z"], name="moved", **given))
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", *shape]))
        return model

    return make


def _make_gemm(bias: Any) -> Callable[[], Any]:
    """A Gemm between quantisers with a bias of any shape."""

    def make() -> Any:
        net = _net()
        flat = net.flatten("q")
        net._give("g", (5,), 0.5, 100)
        arrays = {
            "w": net.rng.integers(-99, 99, (5, 108)).astype(np.int8), "w.scale": np.float32(0.01), "w.zero": np.int8(0),
            "b": np.asarray(bias, np.int32), "b.scale": np.float32(net.steps["q"][0]) * np.float32(0.01),
        }  # fmt: skip
        net.constants += [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
        net.nodes += [
            helper.make_node("DequantizeLinear", [flat, *net._names(flat)], ["d"]),
            helper.make_node("DequantizeLinear", ["w", "w.scale", "w.zero"], ["e"]),
            helper.make_node("DequantizeLinear", ["b", "b.scale"], ["c"]),
            helper.make_node("Gemm", ["d", "e", "c"], ["f"], transB=1),
            helper.make_node("QuantizeLinear", ["f", *net._names("g")], ["g"], name="g"),
        ]
        return net.model("g")

    return make


def _make_multiplied() -> Any:
    net = _net()
    return net.model(net.qlinear("QLinearMul", "q", "q"))


def _make_two_outputs() -> Any:
    net = _net()
    first = net.conv("q", 2)
    model = net.model(net.conv(first, 3, (1, 1)))
    model.graph.node.append(helper.make_node("DequantizeLinear", [first, *net._names(first)], ["z"], name="first"))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 2, 4, 4]))
    return model


def _make_lines() -> Any:
    """Layers of one side."""
    net = Wide((3, 14), 0)
    x = net.conv("q", 4, (3,), pads=[1, 1])
    x = net.between("AveragePool", [x], (4, 7), (0.03, 10), kernel_shape=[2], strides=[2])
    x = net.between("MaxPool", [x], (4, 3), net.steps[x], kernel_shape=[2], strides=[2])
    gate = net.between("GlobalMaxPool", [x], (4, 1), net.steps[x])
    return net.model(net.between("Mul", [x, gate], (4, 3), (0.05, 100)))


ODD_NETWORKS: dict[str, Callable[[], Any]] = {
    "one part twice": _of("Concat", 2, (6, 6, 6), axis=1),
    "the last axis": _of("Concat", 2, (3, 6, 12), axis=-1),
    "added to itself": _of("Add", 2, (3, 6, 6)),
    "multiplied by itself": _make_multiplied,
    "channels from the end": _of("Gather", 1, (2, 6, 6), np.array([-1, 0]), axis=1),
    "one column twice": _of("Gather", 1, (3, 6, 2), np.array([4, 4]), axis=-1),
    "a resize to the nearest": _of(
        "Resize", 1, (3, 12, 9), np.zeros(0, np.float32), np.array([1, 1, 2, 1.5], np.float32), mode="nearest"
    ),
    "a pad that reflects": _of("Pad", 1, (3, 8, 8), np.array([0, 0, 1, 1, 0, 0, 1, 1]), mode="reflect"),
    "a pad that cuts": _of("Pad", 1, (3, 4, 7), np.array([0, 0, -1, 1, 0, 0, -1, 0])),
    "an output that is reshaped": _make_moved("Reshape", (2, 16), np.array([0, 2, 16])),
    "an output that is turned": _make_moved("Transpose", (4, 4, 2), perm=[0, 2, 3, 1]),
    "two outputs": _make_two_outputs,
    "a bias": _make_gemm(np.arange(5) * 100),
    "a bias of a row": _make_gemm(np.arange(5).reshape(1, 5) * 100),
    "a bias of one number": _make_gemm([700]),
    "one side": _make_lines,
}

"""Random networks of floats of all operators that become integers, to be quantised by onnxruntime's tool."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization as tool

from snnmap.frontends.onnx.integer_forms import write_integer_forms


@dataclass
class Floats:
    """Writes a graph node by node, with shapes of samples."""

    shape: tuple[int, ...]
    seed: int
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.shapes["x"] = self.shape

    def add(self, kind: str, inputs: list[Any], shape: tuple[int, ...], **given: Any) -> str:
        """A node; arrays among its inputs become constants."""
        name = f"{kind.lower()}{len(self.nodes)}"
        names = [one if isinstance(one, str) else self._hold(f"{name}.{place}", one) for place, one in enumerate(inputs)]
        self.nodes.append(helper.make_node(kind, names, [name], name=f"{name}.node", **given))
        self.shapes[name] = shape
        return name

    def conv(self, x: str, n_out: int, side: int = 3, group: int = 1) -> str:
        channels, *sides = self.shapes[x]
        weight = self.rng.normal(0, (channels // group * side * side) ** -0.5, (n_out, channels // group, side, side))
        inputs = [x, weight, *([self.rng.normal(0, 0.2, n_out)] if self.rng.random() < 0.7 else [])]
        return self.add("Conv", inputs, (n_out, *sides), pads=[side // 2] * 4, group=group)

    def model(self, last: str) -> Any:
        values = [helper.make_tensor_value_info(one, TensorProto.FLOAT, ["n", *self.shapes[one]]) for one in ("x", last)]
        graph = helper.make_graph(self.nodes, "floats", values[:1], values[1:], initializer=self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def _hold(self, name: str, array: Any) -> str:
        held = np.asarray(array)
        held = held.astype(np.float32) if held.dtype.kind == "f" else held.astype(np.int64)
        self.constants.append(numpy_helper.from_array(held, name))
        return name


def make_floats(seed: int) -> Any:
    """A network of 3 to 9 layers on inputs of up to 12 x 12, with a linear layer in half of them."""
    rng = np.random.default_rng(seed)
    net = Floats((int(rng.integers(1, 5)), int(rng.integers(6, 13)), int(rng.integers(6, 13))), seed)
    x = net.conv("x", int(rng.integers(2, 9)))
    for _ in range(int(rng.integers(2, 8))):
        x = _LAYERS[int(rng.integers(len(_LAYERS)))](net, x, rng)
    if rng.random() < 0.5:
        channels, *sides = net.shapes[x]
        if rng.integers(2):
            x, sides = net.add("ReduceMean", [x], (channels, 1, 1), axes=[-1, -2]), [1, 1]
        n_in, n_out = channels * int(np.prod(sides)), int(rng.integers(1, 12))
        x = net.add("Flatten", [x], (n_in,))
        weight, bias = rng.normal(0, n_in**-0.5, (n_in, n_out)), rng.normal(0, 0.1, n_out)
        if rng.integers(2):
            x = net.add("Gemm", [x, weight, bias], (n_out,))
        else:
            x = net.add("Add", [net.add("MatMul", [x, weight], (n_out,)), bias], (n_out,))
        x = net.add("Softmax", [x], (n_out,), axis=1) if rng.integers(2) else x
    return net.model(x)


def quantise_to_operators(model: Any, samples: Any, folder: Path) -> Any:
    """The model in QLinear operators, as onnxruntime's tool writes them."""
    plain, folded, made = (str(folder / f"{name}.onnx") for name in ("plain", "folded", "made"))
    onnx.save(write_integer_forms(model), plain)
    tool.shape_inference.quant_pre_process(plain, folded, skip_symbolic_shape=True)
    given = iter([{"x": np.asarray(sample[np.newaxis], np.float32)} for sample in samples])
    tool.quantize_static(
        folded, made, _Samples(given), quant_format=tool.QuantFormat.QOperator, per_channel=True,
        activation_type=tool.QuantType.QUInt8, weight_type=tool.QuantType.QInt8,
    )  # fmt: skip
    return onnx.load(made)


class _Samples(tool.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, given: Any) -> None:
        self.given = given

    def get_next(self) -> Any:
        return next(self.given, None)


def _conv(net: Floats, x: str, rng: Any) -> str:
    channels = net.shapes[x][0]
    group = int(rng.choice([1, 1, channels]))
    y = net.conv(x, channels * 2 if group > 1 else int(rng.integers(2, 9)), int(rng.choice([1, 3])), group)
    return _activate(net, y, rng) if rng.integers(2) else y


def _activate(net: Floats, x: str, rng: Any) -> str:
    kind = str(rng.choice(["Relu", "Relu", "Clip", "LeakyRelu", "HardSwish", "Sigmoid", "Tanh", "HardSigmoid"]))
    return net.add(kind, [x, *([np.array(0.0), np.array(6.0)] if kind == "Clip" else [])], net.shapes[x])


def _norm(net: Floats, x: str, rng: Any) -> str:
    n = net.shapes[x][0]
    parts = [rng.uniform(0.5, 1.5, n), rng.normal(0, 0.3, n), rng.normal(0, 0.3, n), rng.uniform(0.5, 1.5, n)]
    return net.add("BatchNormalization", [x, *parts], net.shapes[x])


def _pool(net: Floats, x: str, rng: Any) -> str:
    channels, *sides = net.shapes[x]
    if min(sides) < 3:
        return _conv(net, x, rng)
    kind, padded = str(rng.choice(["MaxPool", "AveragePool"])), int(rng.integers(2))
    counts = [(side + 2 * padded - 3) // 2 + 1 for side in sides]
    more = {"count_include_pad": int(rng.integers(2))} if kind == "AveragePool" else {}
    return net.add(kind, [x], (channels, *counts), kernel_shape=[3, 3], strides=[2, 2], pads=[padded] * 4, **more)


def _residual(net: Floats, x: str, rng: Any) -> str:
    y = _activate(net, net.conv(x, net.shapes[x][0]), rng)
    kind = str(rng.choice(["Add", "Add", "Sum", "Sub", "Mul", "Max", "Min"]))
    return net.add(kind, [x, y] if rng.integers(2) else [y, x], net.shapes[x])


def _gate(net: Floats, x: str, rng: Any) -> str:
    """Channels are weighed by what they are on average, or at most."""
    kind = str(rng.choice(["GlobalAveragePool", "GlobalMaxPool", "ReduceMean"]))
    pooled = net.add(kind, [x], (net.shapes[x][0], 1, 1), **({"axes": [2, 3]} if kind == "ReduceMean" else {}))
    gate = net.add("Sigmoid", [net.conv(pooled, net.shapes[x][0], 1)], net.shapes[pooled])
    return net.add("Mul", [x, gate], net.shapes[x])


def _constant(net: Floats, x: str, rng: Any) -> str:
    shape = [(), (1,), (net.shapes[x][0], 1, 1), (1, net.shapes[x][0], 1, 1)][int(rng.integers(4))]
    return net.add(str(rng.choice(["Add", "Mul", "Sub", "Div"])), [x, rng.uniform(0.5, 2, shape)], net.shapes[x])


def _branch(net: Floats, x: str, rng: Any) -> str:
    channels, *sides = net.shapes[x]
    parts = [x, net.conv(x, 3), _activate(net, net.conv(x, 2, 1), rng)]
    return net.add("Concat", parts, (channels + 5, *sides), axis=1)


def _move(net: Floats, x: str, rng: Any) -> str:
    """A shuffle of channels, a slice that is padded, or a turn."""
    channels, height, width = net.shapes[x]
    kind = int(rng.integers(3))
    if kind == 0:
        groups = max(count for count in (1, 2, 3) if channels % count == 0)
        shape = (groups, channels // groups, height, width)
        y = net.add("Reshape", [x, np.array([0, *shape])], shape)
        y = net.add("Transpose", [y], (shape[1], groups, height, width), perm=[0, 2, 1, 3, 4])
        return net.add("Reshape", [y, np.array([0, channels, height, width])], net.shapes[x])
    if kind == 1:
        y = net.add("Slice", [x, np.array([1]), np.array([height]), np.array([2])], (channels, height - 1, width))
        return net.add("Pad", [y, np.array([0, 0, 0, 1, 0, 0, 0, 0])], (channels, height - 1, width + 1))
    return net.add("Transpose", [x], (channels, width, height), perm=[0, 1, 3, 2])


_LAYERS = (_conv, _conv, _activate, _norm, _pool, _residual, _gate, _constant, _branch, _move)

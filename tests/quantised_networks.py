"""Quantised networks of published shapes with seeded weights, as ONNX of QLinear operators, and onnxruntime's run of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"


@dataclass
class Quantised:
    """Writes a graph node by node; every value is uint8, and its scale keeps it in range."""

    shape: tuple[int, ...]
    seed: int = 0
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    steps: dict[str, tuple[float, int]] = field(default_factory=dict)
    n_named: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.shapes["x"] = self.shape
        self._give("q", self.shape, 1 / 64, 128)
        self.nodes.append(helper.make_node("QuantizeLinear", ["x", *self._names("q")], ["q"], name="quantise"))

    def conv(self, x: str, n_out: int, kernel: Sequence[int] = (3, 3), *, relu: bool = True, group: int = 1, **given: Any) -> str:
        """A convolution whose outputs have a spread of about 60 levels."""
        channels, *sides = self.shapes[x]
        weight = self.rng.integers(-127, 128, (n_out, channels // group, *kernel)).astype(np.int8)
        strides, pads = given.get("strides", [1] * len(kernel)), given.get("pads", [0] * 2 * len(kernel))
        spread = given.get("dilations", [1] * len(kernel))
        counts = [
            (side + pads[axis] + pads[axis + len(kernel)] - spread[axis] * (kernel[axis] - 1) - 1) // strides[axis] + 1
            for axis, side in enumerate(sides)
        ]
        name = self._next("conv")
        inputs = self._weigh(name, x, weight, int(np.prod(weight.shape[1:])), (n_out, *counts), relu)
        self.nodes.append(
            helper.make_node("QLinearConv", inputs, [name], name=name, kernel_shape=list(kernel), group=group, **given)
        )
        return name

    def dense(self, x: str, n_out: int, *, turned: bool = True) -> str:
        """A linear layer without ReLU, on a flat value."""
        (n_in,) = self.shapes[x]
        weight = self.rng.integers(-127, 128, (n_out, n_in)).astype(np.int8)
        name = self._next("dense")
        inputs = self._weigh(name, x, weight if turned else weight.T, n_in, (n_out,), False)
        order = [*inputs[:6], inputs[8], *inputs[6:8]]
        self.nodes.append(helper.make_node("QGemm", order, [name], name=name, domain=MICROSOFT, transB=int(turned), alpha=1.0))
        return name

    def add(self, a: str, b: str, *, relu: bool = True) -> str:
        name = self._next("add")
        self._give(name, self.shapes[a], (self.steps[a][0] + self.steps[b][0]) * 0.7, 0 if relu else 120)
        inputs = [a, *self._names(a), b, *self._names(b), *self._names(name)]
        self.nodes.append(helper.make_node("QLinearAdd", inputs, [name], name=name, domain=MICROSOFT))
        return name

    def max_pool(self, x: str, kernel: Sequence[int], **given: Any) -> str:
        name = self._next("pool")
        channels, *sides = self.shapes[x]
        strides, pads = given.get("strides", [1, 1]), given.get("pads", [0] * 4)
        counts = [(s + pads[k] + pads[k + 2] - kernel[k]) // strides[k] + 1 for k, s in enumerate(sides)]
        self._give(name, (channels, *counts), *self.steps[x])
        self.nodes.append(helper.make_node("MaxPool", [x], [name], name=name, kernel_shape=list(kernel), **given))
        return name

    def mean(self, x: str) -> str:
        name = self._next("mean")
        self._give(name, (self.shapes[x][0], *(1 for _ in self.shapes[x][1:])), self.steps[x][0] * 0.5, self.steps[x][1])
        inputs = [x, *self._names(x), *self._names(name)]
        self.nodes.append(
            helper.make_node("QLinearGlobalAveragePool", inputs, [name], name=name, domain=MICROSOFT, channels_last=0)
        )
        return name

    def activate(self, x: str, kind: str, **given: Any) -> str:
        """An activation of floats between two quantisers; without a kind, another scale alone."""
        name = self._next(kind or "scale")
        self._give(name, self.shapes[x], 1 / 200 if kind in ("Sigmoid", "HardSigmoid") else self.steps[x][0] * 0.8, 40)
        floats = f"{name}.x" if kind else f"{name}.y"
        self.nodes.append(helper.make_node("DequantizeLinear", [x, *self._names(x)], [floats], name=f"{name}.before"))
        if kind:
            self.nodes.append(helper.make_node(kind, [f"{name}.x"], [f"{name}.y"], name=f"{name}.function", **given))
        self.nodes.append(helper.make_node("QuantizeLinear", [f"{name}.y", *self._names(name)], [name], name=name))
        return name

    def concat(self, *parts: str) -> str:
        """Channels of several values side by side, in a scale of their own."""
        name = self._next("concat")
        _, *sides = self.shapes[parts[0]]
        self._give(name, (sum(self.shapes[part][0] for part in parts), *sides), max(self.steps[part][0] for part in parts), 64)
        for place, part in enumerate(parts):
            inputs = [part, *self._names(part)]
            self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}.{place}"], name=f"{name}.before{place}"))
        floats = [f"{name}.{place}" for place in range(len(parts))]
        self.nodes.append(helper.make_node("Concat", floats, [f"{name}.y"], name=f"{name}.join", axis=1))
        self.nodes.append(helper.make_node("QuantizeLinear", [f"{name}.y", *self._names(name)], [name], name=name))
        return name

    def flatten(self, x: str) -> str:
        name = self._next("flat")
        self._give(name, (int(np.prod(self.shapes[x])),), *self.steps[x])
        self.nodes.append(helper.make_node("Flatten", [x], [name], name=name))
        return name

    def model(self, last: str) -> Any:
        """Return the ``onnx.ModelProto`` whose output is the last value, dequantised."""
        nodes = [*self.nodes, helper.make_node("DequantizeLinear", [last, *self._names(last)], ["y"], name="dequantise")]
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *self.shape])
        found = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", *self.shapes[last]])
        graph = helper.make_graph(nodes, "quantised", [given], [found], initializer=self.constants)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def _weigh(self, name: str, x: str, weight: Any, n_in: int, shape: tuple[int, ...], relu: bool) -> list[str]:
        n_out = shape[0]
        scales = self.rng.uniform(0.5, 1.5, n_out).astype(np.float32) / (127 * 0.35 * n_in**0.5)
        bias = self.rng.integers(-4000, 4000, n_out).astype(np.int32)
        self._give(name, shape, self.steps[x][0], 0 if relu else 128)
        parts = {"w": weight, "ws": scales, "wz": np.zeros(n_out, np.int8), "b": bias}
        self.constants += [numpy_helper.from_array(np.ascontiguousarray(part), f"{name}.{key}") for key, part in parts.items()]
        w, ws, wz, b = (f"{name}.{key}" for key in parts)
        return [x, *self._names(x), w, ws, wz, *self._names(name), b]

    def _give(self, name: str, shape: tuple[int, ...], scale: float, zero: int) -> None:
        self.shapes[name], self.steps[name] = shape, (scale, zero)
        parts = {"scale": np.float32(scale), "zero": np.uint8(zero)}
        self.constants += [numpy_helper.from_array(np.asarray(part), f"{name}.{key}") for key, part in parts.items()]

    def _names(self, name: str) -> tuple[str, str]:
        return f"{name}.scale", f"{name}.zero"

    def _next(self, kind: str) -> str:
        self.n_named += 1
        return f"{kind}{self.n_named}"


def make_example() -> Any:
    """The worked example: 13 x 64, convolutions of 16 filters 4 x 4 and of 8 filters 3 x 3."""
    net = Quantised((1, 13, 64))
    return net.model(net.conv(net.conv("q", 16, (4, 4), strides=[2, 2]), 8))


def make_small(seed: int = 0) -> Any:
    """A residual network with a pool, a depthwise and a grouped convolution, an activation, and a linear layer."""
    net = Quantised((3, 12, 12), seed)
    x = net.max_pool(net.conv("q", 8, pads=[1] * 4), (2, 2), strides=[2, 2])
    y = net.conv(net.conv(x, 8, group=8, pads=[1] * 4), 8, (1, 1), relu=False)
    x = net.conv(net.add(x, y), 12, group=4, strides=[2, 2], pads=[1] * 4)
    return net.model(net.dense(net.flatten(net.mean(net.activate(x, "HardSwish"))), 10))


def make_mobilenet(side: int | tuple[int, int] = 224, width: int = 32, classes: int = 1000) -> Any:
    """MobileNet V1: 13 separable convolutions."""
    net = Quantised((3, *(side if isinstance(side, tuple) else (side, side))))
    x = net.conv("q", width, strides=[2, 2], pads=[1] * 4)
    plan = [(2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *[(16, 1)] * 5, (32, 2), (32, 1)]
    for times, stride in plan:
        channels = net.shapes[x][0]
        x = net.conv(x, channels, group=channels, strides=[stride] * 2, pads=[1] * 4)
        x = net.conv(x, width * times, (1, 1))
    return net.model(net.dense(net.flatten(net.mean(x)), classes))


def make_resnet(depth: int, side: int = 224, width: int = 64, classes: int = 1000) -> Any:
    """ResNet-18 or -50."""
    net = Quantised((3, side, side))
    x = net.conv("q", width, (7, 7), strides=[2, 2], pads=[3] * 4)
    x = net.max_pool(x, (3, 3), strides=[2, 2], pads=[1] * 4)
    blocks, block = ((2, 2, 2, 2), _basic) if depth == 18 else ((3, 4, 6, 3), _bottleneck)
    for stage, count in enumerate(blocks):
        for number in range(count):
            x = block(net, x, width << stage, 2 if stage and not number else 1)
    return net.model(net.dense(net.flatten(net.mean(x)), classes))


def _basic(net: Quantised, x: str, width: int, stride: int) -> str:
    y = net.conv(net.conv(x, width, strides=[stride] * 2, pads=[1] * 4), width, pads=[1] * 4, relu=False)
    return net.add(y, _short(net, x, width, stride))


def _bottleneck(net: Quantised, x: str, width: int, stride: int) -> str:
    y = net.conv(net.conv(x, width, (1, 1)), width, strides=[stride] * 2, pads=[1] * 4)
    return net.add(net.conv(y, 4 * width, (1, 1), relu=False), _short(net, x, 4 * width, stride))


def _short(net: Quantised, x: str, width: int, stride: int) -> str:
    same = net.shapes[x][0] == width and stride == 1
    return x if same else net.conv(x, width, (1, 1), strides=[stride] * 2, relu=False)


def run_onnxruntime(model: Any, inputs: Any, *, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Return every integer value of a model, by the name of its tensor, and its outputs, as onnxruntime computes them.

    Products are exact on processors without VNNI too.
    """
    import onnxruntime

    kept = onnx.ModelProto()
    kept.CopyFrom(model)
    known = {entry.name for entry in kept.graph.output}
    names = list(names) if names is not None else [one for node in kept.graph.node for one in node.output]
    kept.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in known)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(kept.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = session.run(None, {kept.graph.input[0].name: np.asarray(inputs, np.float32)})
    return dict(zip([entry.name for entry in session.get_outputs()], found, strict=True))

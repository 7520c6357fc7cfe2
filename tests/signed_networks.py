"""Networks whose activations are int8, and onnxruntime's run of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from quantised_networks import MICROSOFT
from random_wide import Wide


def to_signed(model: Any) -> Any:
    """The same network, its integers and zero points of uint8 128 lower."""
    signed = onnx.ModelProto()
    signed.CopyFrom(model)
    for entry in signed.graph.initializer:
        array = numpy_helper.to_array(entry)
        if array.dtype == np.uint8:
            entry.CopyFrom(numpy_helper.from_array(np.asarray((array.astype(np.int16) - 128).astype(np.int8)), entry.name))
    return signed


def make_signed(seed: int) -> Any:
    """Convolutions, sums, products, means and average pools of QLinear operators on int8."""
    rng = np.random.default_rng(seed)
    net = Wide((int(rng.integers(1, 5)), 11, 12), seed)
    x = "q"
    for kind in rng.integers(5, size=5):
        channels, *sides = net.shapes[x]
        if min(sides) < 4:
            break
        if kind == 0:
            x = net.conv(x, int(rng.integers(1, 12)), relu=bool(rng.integers(2)))
        elif kind == 1:
            x = net.qlinear("QLinearAdd", x, net.conv(x, channels, (1, 1), relu=False))
        elif kind == 2:
            x = net.qlinear("QLinearMul", x, net.conv(x, channels, (1, 1), relu=False))
        elif kind == 3:
            x = _average(net, x, rng)
        else:
            x = net.qlinear("QLinearMul", x, net.mean(x))
    return to_signed(net.model(x))


def _average(net: Wide, x: str, rng: Any) -> str:
    name = net._next("average")
    channels, *sides = net.shapes[x]
    kernel = [int(rng.integers(1, 4)) for _ in sides]
    shape = (channels, *(side - size + 1 for side, size in zip(sides, kernel, strict=True)))
    net._give(name, shape, *net.draw_step(rng, net.steps[x][0]))
    inputs = [x, *net._names(x), *net._names(name)]
    net.nodes.append(helper.make_node("QLinearAveragePool", inputs, [name], name=name, domain=MICROSOFT, kernel_shape=kernel))
    return name


def run_signed(model: Any, inputs: Any, names: Sequence[str]) -> dict[str, Any]:
    """What onnxruntime computes node by node: its change of layout has no convolutions of int8 on this kind of processor."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = session.run(None, {"x": np.asarray(inputs, np.float32)})
    return dict(zip([entry.name for entry in session.get_outputs()], found, strict=True))

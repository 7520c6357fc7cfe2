"""Random quantised networks of all that cores compute beside weights: pools, arithmetic, copies; in QDQ or QLinear form."""

from typing import Any

import numpy as np
from onnx import helper, numpy_helper
from quantised_networks import MICROSOFT, Quantised
from random_quantised import LAYERS


class Wide(Quantised):
    """Adds operations between DequantizeLinear and QuantizeLinear to a graph."""

    def between(self, kind: str, xs: list[str], shape: tuple[int, ...], step: tuple[float, int], *more: Any, **given: Any) -> str:
        """An operation of floats, with constants behind its inputs, and a result of its own scale and zero."""
        name = self._next(kind.lower())
        self._give(name, shape, *step)
        inputs = [f"{name}.{place}" for place in range(len(xs))]
        for x, one in zip(xs, inputs, strict=True):
            self.nodes.append(helper.make_node("DequantizeLinear", [x, *self._names(x)], [one], name=f"{one}.before"))
        for place, array in enumerate(more):
            self.constants.append(numpy_helper.from_array(np.asarray(array), f"{name}.constant{place}"))
            inputs.append(f"{name}.constant{place}")
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}.y"], name=f"{name}.function", **given))
        self.nodes.append(helper.make_node("QuantizeLinear", [f"{name}.y", *self._names(name)], [name], name=name))
        return name

    def constant(self, array: Any, zero: int) -> str:
        """A quantised constant."""
        name = self._next("constant")
        step = max(float(np.abs(array).max()) / 100, 1e-3)
        self._give(name, array.shape, step, zero)
        levels = np.clip(np.rint(array / step) + zero, 0, 255).astype(np.uint8)
        self.constants.append(numpy_helper.from_array(levels, name))
        return name

    def qlinear(self, kind: str, a: str, b: str) -> str:
        """A QLinearAdd or QLinearMul of two values."""
        name = self._next(kind.lower())
        steps = [self.steps[one][0] for one in (a, b)]
        scale = sum(steps) * 0.7 if kind == "QLinearAdd" else steps[0] * steps[1] * 90
        self._give(name, np.broadcast_shapes(self.shapes[a], self.shapes[b]), scale, 120)
        inputs = [a, *self._names(a), b, *self._names(b), *self._names(name)]
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, domain=MICROSOFT))
        return name

    def draw_step(self, rng: Any, scale: float) -> tuple[float, int]:
        return float(scale * rng.uniform(0.6, 1.4)), int(rng.integers(0, 256))


def make_wide(seed: int) -> Any:
    """A network of 3 to 9 layers on inputs of up to 14 x 14."""
    rng = np.random.default_rng(seed)
    net = Wide((int(rng.integers(1, 7)), int(rng.integers(5, 15)), int(rng.integers(5, 15))), seed)
    x = "q"
    for _ in range(int(rng.integers(3, 8))):
        if min(net.shapes[x][1:]) < 4:
            break
        layer = _LAYERS[int(rng.integers(len(_LAYERS)))] if rng.random() < 0.75 else LAYERS[int(rng.integers(len(LAYERS)))]
        x = layer(net, x, rng)
    if rng.random() < 0.4:
        x = net.dense(net.flatten(net.mean(x) if rng.random() < 0.6 else x), int(rng.integers(1, 40)))
    return net.model(x) if x != "q" else make_wide(seed + 10_000)


def make_digital() -> Any:
    """A network of 3 x 12 x 12 that computes most without weights: a pool, a gate, a constant a channel, copies."""
    net, rng = Wide((3, 12, 12), 0), np.random.default_rng(0)
    pooled = net.between("AveragePool", ["q"], (3, 6, 6), (0.02, 100), kernel_shape=[2, 2], strides=[2, 2])
    gate = net.between("GlobalMaxPool", [pooled], (3, 1, 1), net.steps[pooled])
    x = net.between("Mul", [net.qlinear("QLinearMul", pooled, gate)], (3, 6, 6), (0.03, 90), np.float32([[[1]], [[2]], [[-1]]]))
    return net.model(net.conv(_shuffle(net, net.between("Sub", [x, gate], (3, 6, 6), (0.05, 120)), rng), 2))


def _average(net: Wide, x: str, rng: Any) -> str:
    channels, *sides = net.shapes[x]
    kernel = [int(rng.integers(1, 5)) for _ in sides]
    pads = [int(rng.integers(0, side)) for side in (*kernel, *kernel)]
    strides, ceil = [int(rng.integers(1, 3)) for _ in sides], int(rng.integers(2))
    if any(sees_pads_alone(side, kernel[k], strides[k], pads[k], pads[k + 2]) for k, side in enumerate(sides)):
        ceil = 0
    counts = [count_windows(side, kernel[k], strides[k], pads[k], pads[k + 2], ceil) for k, side in enumerate(sides)]
    given = {
        "kernel_shape": kernel,
        "pads": pads,
        "strides": strides,
        "ceil_mode": ceil,
        "count_include_pad": int(rng.integers(2)),
    }
    return net.between("AveragePool", [x], (channels, *counts), net.draw_step(rng, net.steps[x][0]), **given)


def count_windows(side: int, kernel: int, stride: int, before: int, after: int, ceil: int) -> int:
    """The windows of a pool along one side."""
    room = side + before + after - kernel
    return (-(-room // stride) if ceil else room // stride) + 1


def sees_pads_alone(side: int, kernel: int, stride: int, before: int, after: int) -> bool:
    """Whether a last window would start behind the input, which onnxruntime counts in shapes and does not compute."""
    return (count_windows(side, kernel, stride, before, after, 1) - 1) * stride >= side + before


def _pool(net: Wide, x: str, rng: Any) -> str:
    channels, *sides = net.shapes[x]
    dilations = [int(rng.integers(1, 3)) for _ in sides]
    kernel, ceil = [2, 2], int(rng.integers(2))
    if any(sees_pads_alone(side, gap + 1, 2, 0, 1) for side, gap in zip(sides, dilations, strict=True)):
        ceil = 0
    counts = [count_windows(side, gap + 1, 2, 0, 1, ceil) for side, gap in zip(sides, dilations, strict=True)]
    given = {"kernel_shape": kernel, "pads": [0, 0, 1, 1], "strides": [2, 2], "dilations": dilations, "ceil_mode": ceil}
    return net.between("MaxPool", [x], (channels, *counts), net.steps[x], **given)


def _global_pool(net: Wide, x: str, rng: Any) -> str:
    """The greatest of each channel, by which the channels are multiplied."""
    step = net.steps[x] if rng.integers(2) else net.draw_step(rng, net.steps[x][0])
    most = net.between("GlobalMaxPool", [x], (net.shapes[x][0], 1, 1), step)
    return net.between("Mul", [x, most], net.shapes[x], net.draw_step(rng, net.steps[x][0] * step[0] * 90))


def _pair(net: Wide, x: str, rng: Any) -> str:
    kind = str(rng.choice(["Add", "Mul", "Sub", "Div", "Max", "Min"]))
    y = net.activate(x, "Sigmoid") if rng.integers(2) else net.conv(x, net.shapes[x][0], (1, 1), relu=bool(rng.integers(2)))
    scales = [net.steps[one][0] for one in (x, y)]
    scale = {"Mul": scales[0] * scales[1] * 90, "Div": scales[0] / scales[1] / 40}.get(kind, sum(scales))
    xs = [x, y] if rng.integers(2) else [y, x]
    return net.between(kind, xs, net.shapes[x], net.draw_step(rng, scale))


def _spread(net: Wide, x: str, rng: Any) -> str:
    """A gate by channel, place or row, on either side."""
    channels = net.shapes[x][0]
    gate = net.between("GlobalAveragePool", [x], (channels, 1, 1), net.draw_step(rng, net.steps[x][0] * 0.5))
    if rng.integers(2):
        gate = net.conv(x, 1, (1, 1))
    kind = str(rng.choice(["Add", "Mul", "Sub", "Div", "Max"]))
    scales = [net.steps[one][0] for one in (x, gate)]
    scale = {"Mul": scales[0] * scales[1] * 90, "Div": scales[0] / scales[1] / 40}.get(kind, sum(scales))
    return net.between(kind, [x, gate] if rng.integers(2) else [gate, x], net.shapes[x], net.draw_step(rng, scale))


def _constant(net: Wide, x: str, rng: Any) -> str:
    """Arithmetic with one number or one a channel, of floats or quantised."""
    channels = net.shapes[x][0]
    kind = str(rng.choice(["Add", "Mul", "Sub", "Div"]))
    shape = [(), (channels, 1, 1), (1, channels, 1, 1)][int(rng.integers(3))]
    array = rng.uniform(0.3, 2.0, shape).astype(np.float32) * np.float32(rng.choice([-1, 1]))
    scale = {"Mul": net.steps[x][0] * 2, "Div": net.steps[x][0] * 3}.get(kind, net.steps[x][0] + 0.02)
    step = net.draw_step(rng, scale)
    if rng.integers(2):
        return net.between(kind, [x], net.shapes[x], step, array)
    return net.between(kind, [x, net.constant(array, int(rng.integers(256)))], net.shapes[x], step)


def _norm(net: Wide, x: str, rng: Any) -> str:
    channels = net.shapes[x][0]
    parts = [
        rng.uniform(0.5, 1.5, channels),
        rng.normal(0, 1, channels),
        rng.normal(0, 1, channels),
        rng.uniform(0.5, 2, channels),
    ]
    step = net.draw_step(rng, net.steps[x][0] * 1.5)
    return net.between("BatchNormalization", [x], net.shapes[x], step, *(part.astype(np.float32) for part in parts))


def _qlinear(net: Wide, x: str, rng: Any) -> str:
    kind = str(rng.choice(["QLinearAdd", "QLinearMul"]))
    y = [lambda: net.mean(x), lambda: net.conv(x, net.shapes[x][0], (1, 1)), lambda: net.conv(x, 1, (1, 1))]
    other = y[int(rng.integers(3))]()
    return net.qlinear(kind, x, other) if rng.integers(2) else net.qlinear(kind, other, x)


def _slice(net: Wide, x: str, rng: Any) -> str:
    """Channels of a part of the places, put beside others."""
    channels, height, width = net.shapes[x]
    first, step = int(rng.integers(channels)), int(rng.integers(1, 3))
    more = ([first, 1], [channels, height], [1, 2], [1, step])
    shape = (channels - first, len(range(1, height, step)), width)
    y = net.between("Slice", [x], shape, net.steps[x], *(np.asarray(part, np.int64) for part in more))
    pads = np.asarray([0, 0, height - shape[1], 0, 0, 0, 0, 0], np.int64)
    y = net.between("Pad", [y], (shape[0], height, width), net.draw_step(rng, net.steps[x][0]), pads, np.float32(rng.normal()))
    return net.concat(x, y)


def _shuffle(net: Wide, x: str, rng: Any) -> str:
    """Channels shuffled as by ShuffleNet."""
    channels, height, width = net.shapes[x]
    groups = int(rng.choice([count for count in range(1, channels + 1) if channels % count == 0]))
    step, shape = net.steps[x], (groups, channels // groups, height, width)
    y = net.between("Reshape", [x], shape, step, np.asarray([0, *shape], np.int64))
    y = net.between("Transpose", [y], (shape[1], shape[0], height, width), step, perm=[0, 2, 1, 3, 4])
    return net.between("Reshape", [y], net.shapes[x], step, np.asarray([0, *net.shapes[x]], np.int64))


def _turn(net: Wide, x: str, rng: Any) -> str:
    channels, height, width = net.shapes[x]
    y = net.between("Transpose", [x], (channels, width, height), net.steps[x], perm=[0, 1, 3, 2])
    return net.between("Gather", [y], (channels, width, height), net.steps[x], rng.integers(0, channels, channels), axis=1)


def _join_rows(net: Wide, x: str, rng: Any) -> str:
    channels, height, width = net.shapes[x]
    y = net.activate(x, "Tanh")
    return net.between("Concat", [x, y], (channels, 2 * height, width), net.draw_step(rng, net.steps[x][0]), axis=2)


def _clip(net: Wide, x: str, rng: Any) -> str:
    scale = net.steps[x][0]
    return net.between("Clip", [x], net.shapes[x], net.draw_step(rng, scale), np.float32(-20 * scale), np.float32(60 * scale))


_LAYERS = (
    _average, _pool, _global_pool, _pair, _spread, _constant, _norm, _qlinear, _slice, _shuffle, _turn, _join_rows, _clip
)  # fmt: skip

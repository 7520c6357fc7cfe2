"""Random quantised networks: convolutions of all kinds, activations, pools, residual sums, means, linear layers."""

from typing import Any

import numpy as np
from quantised_networks import Quantised


def make_random(seed: int) -> Any:
    """A network of 3 to 8 layers on inputs of up to 14 x 14."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 5)), int(rng.integers(5, 15)), int(rng.integers(5, 15)))
    net = Quantised(shape, seed)
    x = "q"
    for _ in range(int(rng.integers(2, 6))):
        x = LAYERS[int(rng.integers(len(LAYERS)))](net, x, rng)
    if rng.random() < 0.7:
        x = net.flatten(net.mean(x) if rng.random() < 0.6 else x)
        for _ in range(int(rng.integers(1, 3))):
            x = net.dense(x, int(rng.integers(1, 40)), turned=bool(rng.integers(2)))
    return net.model(x) if x != "q" else make_random(seed + 10_000)


def _conv(net: Quantised, x: str, rng: Any, *, group: int = 1, n_out: int | None = None) -> str:
    sides = net.shapes[x][1:]
    kernel = [int(rng.integers(1, min(4, side) + 1)) for side in sides]
    spread = [int(rng.integers(1, 3)) if side > 2 * size else 1 for side, size in zip(sides, kernel, strict=True)]
    pads = [int(rng.integers(0, size)) for size in (*kernel, *kernel)]
    strides = [int(rng.integers(1, 3)) for _ in kernel]
    given = {"strides": strides, "pads": pads, "dilations": spread}
    return net.conv(x, n_out or int(rng.integers(1, 30)), kernel, relu=bool(rng.integers(2)), group=group, **given)


def _depthwise(net: Quantised, x: str, rng: Any) -> str:
    channels = net.shapes[x][0]
    return _conv(net, x, rng, group=channels, n_out=channels * int(rng.integers(1, 3)))


def _grouped(net: Quantised, x: str, rng: Any) -> str:
    channels = net.shapes[x][0]
    groups = int(rng.choice([count for count in range(1, channels + 1) if channels % count == 0]))
    return _conv(net, x, rng, group=groups, n_out=groups * int(rng.integers(1, 9)))


def _residual(net: Quantised, x: str, rng: Any) -> str:
    channels = net.shapes[x][0]
    return net.add(x, net.conv(x, channels, pads=[1] * 4, relu=False), relu=bool(rng.integers(2)))


def _pool(net: Quantised, x: str, rng: Any) -> str:
    if min(net.shapes[x][1:]) < 3:
        return _residual(net, x, rng)
    return net.max_pool(x, (2, 3), strides=[int(rng.integers(1, 3)), 2], pads=[0, 1, 1, 1])


def _activate(net: Quantised, x: str, rng: Any) -> str:
    return net.activate(x, str(rng.choice(["", "Relu", "LeakyRelu", "HardSwish", "Sigmoid", "Tanh"])))


def _branch(net: Quantised, x: str, rng: Any) -> str:
    return net.concat(x, net.conv(x, int(rng.integers(1, 9)), pads=[1] * 4), net.activate(x, "Relu"))


LAYERS = (_conv, _depthwise, _grouped, _residual, _pool, _activate, _branch)

"""Layers without weights, which the digital units of cores compute."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from snnmap.crossbar.lower.layers import (
    AddLayer,
    AverageLayer,
    MeanLayer,
    PairFunction,
    PairLayer,
    PoolLayer,
    Run,
    TableLayer,
    Tensor,
    WindowGeometry,
)
from snnmap.crossbar.lower.lowering import Lowering, Refusal, read_windows
from snnmap.graph import Node
from snnmap.graph.operations.quantised_pairs import QuantisedPair

__all__ = [
    "lower_average", "lower_function", "lower_global_pool", "lower_lookup", "lower_mean", "lower_pair", "lower_pool",
]  # fmt: skip

_FUNCTIONS: dict[str, PairFunction] = {
    "QLinearAdd": "sum",
    "QLinearMul": "product",
    "Sum": "sum of floats",
    "Sub": "difference",
    "Div": "quotient",
    "Max": "greatest",
    "Min": "least",
}


def lower_pool(lowering: Lowering, node: Node) -> None:
    """Lower a MaxPool of integers."""
    _add_pool(lowering, node, read_windows(node.operation, lowering.graph.types[node.name].shape[1:]))


def lower_global_pool(lowering: Lowering, node: Node) -> None:
    """Lower a GlobalMaxPool of integers: one window a channel."""
    _require_places(lowering, node)
    before = lowering.tensors[lowering.tensor(node, 0)]
    _add_pool(lowering, node, WindowGeometry(kernel=(before.height, before.width)))


def _add_pool(lowering: Lowering, node: Node, windows: WindowGeometry) -> None:
    source = lowering.tensor(node, 0)
    before = lowering.tensors[source]
    target = lowering.add_tensor(node, before.scale, np.uint8(before.zero))
    lowering.layers.append(PoolLayer(name=node.name, source=source, target=target, windows=windows, module=node.source))


def lower_average(lowering: Lowering, node: Node) -> None:
    """Lower a QLinearAveragePool."""
    operation: Any = node.operation
    if operation.is_global(lowering.graph.types[node.inputs[0]].shape[1:]):
        lower_mean(lowering, node)
        return
    source = lowering.scaled_tensor(node, 0)
    windows = read_windows(operation, lowering.graph.types[node.name].shape[1:])
    target = lowering.add_tensor(node, lowering.single(node, 3, "scale"), lowering.single(node, 4, "zero point"))
    layer = AverageLayer(
        name=node.name, source=source, target=target, windows=windows, offset=operation.offset, module=node.source,
        divisor=windows.n_places if operation.count_include_pad else 0,
    )  # fmt: skip
    lowering.layers.append(layer)


def lower_mean(lowering: Lowering, node: Node) -> None:
    """Lower a QLinearGlobalAveragePool."""
    _require_places(lowering, node)
    source = lowering.scaled_tensor(node, 0)
    before = lowering.tensors[source]
    scale, zero = lowering.single(node, 3, "scale"), lowering.single(node, 4, "zero point")
    factor = np.float32(before.scale) / (np.float32(scale) * np.float32(before.n_places))
    target = lowering.add_tensor(node, scale, zero)
    lowering.layers.append(MeanLayer(name=node.name, source=source, target=target, factor=factor, module=node.source))


def lower_pair(lowering: Lowering, node: Node) -> None:
    """Lower an operation of two operands, of which one may be a constant: then it is a function of the other."""
    if any(node.inputs[place] in lowering.graph.constants for place in (0, 3)):
        _lower_half(lowering, node)
        return
    one, other = lowering.scaled_tensor(node, 0), lowering.scaled_tensor(node, 3)
    scale, zero = lowering.single(node, 6, "scale"), lowering.single(node, 7, "zero point")
    function = _FUNCTIONS[node.operation.function if isinstance(node.operation, QuantisedPair) else node.kind]
    offset, shape = getattr(node.operation, "offset", 0), lowering.graph.types[node.name].shape
    spreads = tuple(_find_spread(lowering.graph.types[node.inputs[place]].shape, shape) for place in (0, 3))
    target = lowering.add_tensor(node, scale, zero)
    first, second, third = (lowering.tensors[position] for position in (one, other, target))
    if function == "sum" and not offset and first.size == second.size == third.size:
        factors, shift = _scale_sum(first, second, third)
        lowering.layers.append(
            AddLayer(name=node.name, source=one, other=other, target=target, factors=factors, shift=shift, module=node.source)
        )
        return
    layer = PairLayer(
        name=node.name, source=one, other=other, target=target, function=function, spreads=(spreads[0], spreads[1]),
        offset=offset, module=node.source,
    )  # fmt: skip
    lowering.layers.append(layer)


def lower_lookup(lowering: Lowering, node: Node) -> None:
    """Lower tables of levels, one or one a channel."""
    steps = lowering.single(node, 2, "scale"), lowering.single(node, 3, "zero point")
    _add_tables(lowering, node, lowering.tensor(node, 0), lowering.constant(node, 1), steps)


def lower_function(lowering: Lowering, node: Node) -> None:
    """Lower a QLinear operation of one value to a table."""
    source = lowering.scaled_tensor(node, 0)
    levels = np.arange(256, dtype=np.uint8).reshape(256, 1)
    table = node.operation.run([levels, *(lowering.constant(node, place) for place in range(1, 5))])
    steps = lowering.single(node, 3, "scale"), lowering.single(node, 4, "zero point")
    _add_tables(lowering, node, source, table.reshape(256), steps)


def _lower_half(lowering: Lowering, node: Node) -> None:
    """Lower an operation of a tensor and a constant to tables of what each level becomes, one or one a channel."""
    place = 3 if node.inputs[0] in lowering.graph.constants else 0
    source, shape = lowering.scaled_tensor(node, place), lowering.graph.types[node.name].shape
    levels = np.arange(256, dtype=np.uint8).reshape(256, *(1,) * len(shape))
    given = [levels if at == place else lowering.constant(node, at) for at in range(8)]
    table = node.operation.run(given)
    if lowering.graph.types[node.inputs[place]].shape != shape or table[0].size not in (1, table.shape[1]):
        raise Refusal(
            "its constant differs from place to place", "give one number, or one a channel", str(table.shape[1:]), "one a channel"
        )
    steps = lowering.single(node, 6, "scale"), lowering.single(node, 7, "zero point")
    _add_tables(lowering, node, source, table.reshape(256, -1).T, steps)


def _add_tables(lowering: Lowering, node: Node, source: int, tables: Any, steps: tuple[Any, Any]) -> None:
    target = lowering.add_tensor(node, *steps)
    rows = np.asarray(tables).reshape(-1, 256)
    each = lowering.tensors[source].size // len(rows)
    known: dict[bytes, int] = {}
    numbers = [known.setdefault(row.tobytes(), len(known)) for row in rows]
    runs = tuple(
        Run(source=0, table=number, first=place * each, written=place * each, count=each) for place, number in enumerate(numbers)
    )
    layer = TableLayer(name=node.name, sources=(source,), target=target, tables=tuple(known), runs=runs, module=node.source)
    lowering.layers.append(layer)


def _scale_sum(first: Tensor, second: Tensor, third: Tensor) -> tuple[tuple[np.float32, np.float32], np.float32]:
    """Return the factors and the shift of a sum."""
    ratios = np.float32(first.scale) / np.float32(third.scale), np.float32(second.scale) / np.float32(third.scale)
    shift = np.float32(third.zero) - (ratios[0] * np.float32(first.zero) + ratios[1] * np.float32(second.zero))
    return ratios, shift


def _find_spread(shape: Sequence[int], whole: Sequence[int]) -> int:
    """Return how many values in a row take one value of an operand; after its last comes its first again.

    Raises:
        Refusal: its sides are not beside each other.
    """
    held = [axis for axis, (side, full) in enumerate(zip(shape, whole, strict=True)) if side == full != 1]
    last = held[-1] + 1 if held else len(whole)
    if any(whole[axis] != 1 and axis not in held for axis in range(held[0] if held else last, last)):
        raise Refusal(
            "an operand is spread over a side between its own", "reshape it", str(tuple(shape)), f"{tuple(whole)}, sides in a row"
        )
    return prod(whole[last:]) if held else prod(whole)


def _require_places(lowering: Lowering, node: Node) -> None:
    shape = lowering.graph.types[node.inputs[0]].shape
    if len(shape) > 3:
        raise Refusal("its values have more than two places", "use layers of one or two dimensions", str(shape), "3 sides")

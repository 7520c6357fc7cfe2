"""What only moves values: other shapes of the same bytes, and copies in runs of values that stay beside each other."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from snnmap.crossbar.lower.layers import Run, TableLayer
from snnmap.crossbar.lower.lowering import Lowering, Refusal
from snnmap.graph import Node
from snnmap.graph.operations.movement import Concat, Pad
from snnmap.graph.operations.quantised_levels import QLinearConcat

__all__ = ["MOVES", "lower_concat", "lower_move", "lower_quantised_concat"]

MOVES = ("Dropout", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Resize", "Slice", "Squeeze", "Transpose", "Unsqueeze")
_SAME = bytes(range(256))


def lower_move(lowering: Lowering, node: Node) -> None:
    """Lower an operation of one tensor to the same bytes, or to copies where values get other places."""
    position = lowering.tensor(node, 0)
    source = lowering.tensors[position]
    places, fill = _find_places(lowering, node)
    is_same = fill is None and np.array_equal(places, np.arange(source.size))
    storage = source.storage if is_same else None
    target = lowering.add_tensor(node, source.scale, np.uint8(source.zero), storage=storage)
    if not is_same:
        tables = [_SAME] if fill is None else [_SAME, bytes([fill]) * 256]
        _add_copies(lowering, node, [position] * len(tables), target, tables, places)


def lower_concat(lowering: Lowering, node: Node) -> None:
    """Lower a Concat of integers, which stay what they are."""
    sources = [lowering.tensor(node, place) for place in range(len(node.inputs))]
    first = lowering.tensors[sources[0]]
    if len({(lowering.tensors[one].scale, lowering.tensors[one].zero) for one in sources}) > 1:
        raise Refusal("it joins integers of several scales", "join values between DequantizeLinear and QuantizeLinear")
    target = lowering.add_tensor(node, first.scale, np.uint8(first.zero))
    operation: Any = node.operation
    _add_copies(lowering, node, sources, target, [_SAME] * len(sources), _join_places(lowering, node.inputs, operation.axis))


def lower_quantised_concat(lowering: Lowering, node: Node) -> None:
    """Lower a QLinearConcat: each part by the table that brings it to the result's scale."""
    sources = [lowering.tensor(node, place) for place in range(2, len(node.inputs), 3)]
    scale, zero = lowering.single(node, 0, "scale"), lowering.single(node, 1, "zero point")
    target = lowering.add_tensor(node, scale, zero)
    operation: Any = node.operation
    levels = np.arange(256, dtype=np.uint8).reshape(256, 1)
    tables = []
    for place in range(2, len(node.inputs), 3):
        steps = lowering.single(node, place + 1, "scale"), lowering.single(node, place + 2, "zero point")
        tables.append(QLinearConcat(axis=1).run([scale, zero, levels, *map(np.asarray, steps)]).tobytes())
    places = _join_places(lowering, node.inputs[2::3], operation.axis)
    _add_copies(lowering, node, sources, target, tables, places)


def _find_places(lowering: Lowering, node: Node) -> tuple[Any, int | None]:
    """Return of which value of the source each value is a copy, and the level of those that are none.

    The latter are told as copies of values behind the source's last, as if it were there twice.
    """
    shape = lowering.graph.types[node.inputs[0]].shape
    size = int(np.prod(shape))
    operation, fill = node.operation, None
    if isinstance(operation, Pad) and operation.mode == "constant":
        operation, fill = replace(operation, value=-1.0), int(operation.value)
    constants = [lowering.constant(node, place) for place in range(1, len(node.inputs))]
    places = operation.run([np.arange(size).reshape(1, *shape), *constants]).reshape(-1)
    filled = places < 0
    if not filled.any():
        return places, None
    return np.where(filled, size + np.cumsum(filled) % size, places), fill


def _join_places(lowering: Lowering, names: Sequence[str], axis: int) -> Any:
    """Return of which value each value of a Concat is a copy, the parts' values counted one after the other."""
    shapes = [lowering.graph.types[name].shape for name in names]
    starts = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    parts = [np.arange(start, start + np.prod(shape)).reshape(1, *shape) for start, shape in zip(starts, shapes, strict=False)]
    return Concat(axis=axis).run(parts).reshape(-1)


def _add_copies(
    lowering: Lowering, node: Node, sources: Sequence[int], target: int, tables: Sequence[bytes], places: Any
) -> None:
    """Add a layer of copies; ``places`` count the values of all sources one after the other."""
    starts = np.cumsum([0, *(lowering.tensors[source].size for source in sources)])
    owners = np.searchsorted(starts, places, side="right") - 1
    breaks = np.flatnonzero((np.diff(places) != 1) | (np.diff(owners) != 0)) + 1
    firsts = np.concatenate([[0], breaks])
    counts = np.diff(np.concatenate([firsts, [len(places)]]))
    known = list(dict.fromkeys(tables))
    runs = tuple(
        Run(
            source=int(owners[at]), table=known.index(tables[owners[at]]), first=int(places[at] - starts[owners[at]]),
            written=int(at), count=int(count),
        )
        for at, count in zip(firsts, counts, strict=True)
    )  # fmt: skip
    layer = TableLayer(name=node.name, sources=tuple(sources), target=target, tables=tuple(known), runs=runs, module=node.source)
    lowering.layers.append(layer)

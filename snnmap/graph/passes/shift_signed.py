"""Write signed activations as unsigned ones, 128 higher."""

from dataclasses import replace
from typing import Any

import numpy as np

from snnmap.graph.graph import LayerGraph, Node
from snnmap.graph.operation import Array, Operation
from snnmap.graph.operations.movement import Pad
from snnmap.graph.operations.quantised_pairs import QLinearAdd, QLinearMul
from snnmap.graph.operations.quantised_pools import QLinearAveragePool

__all__ = ["shift_signed"]

_ZEROS = {
    "DequantizeLinear": (2,),
    "QGemm": (2, 8),
    "QLinearAdd": (2, 5, 7),
    "QLinearAveragePool": (2, 4),
    "QLinearConv": (2, 7),
    "QLinearGlobalAveragePool": (2, 4),
    "QLinearLeakyRelu": (2, 4),
    "QLinearMatMul": (2, 7),
    "QLinearMul": (2, 5, 7),
    "QLinearSigmoid": (2, 4),
    "QLinearSoftmax": (2, 4),
    "QuantizeLinear": (2,),
}
"""Places of the activations' zero points."""
_OFFSET = 128


def shift_signed(graph: LayerGraph) -> LayerGraph:
    """Return the graph whose int8 activations are uint8: integers and zero points 128 higher, the same values.

    What rounds a zero point (QLinearAdd, QLinearMul, QLinearAveragePool) does so as it did, by an offset. What stands between
    DequantizeLinear and QuantizeLinear is what onnxruntime makes of it: on x64 it shifts pairs of these in the same way before it
    computes in integers. Where it cannot, since several read a value, it computes in floats, which differ by one level at times.
    """
    if not any(kind.dtype == "int8" and not kind.is_constant for kind in graph.types.values()):
        return graph
    constants: dict[str, Array] = {}
    nodes = [_shift_node(graph, node, constants) for node in graph.nodes]
    return graph.with_nodes(nodes, constants)


def _shift_node(graph: LayerGraph, node: Node, constants: dict[str, Array]) -> Node:
    if graph.types[node.inputs[0]].is_constant and node.kind != "QLinearConcat":
        return node
    inputs = list(node.inputs)
    for place in _list_shifted(graph, node):
        inputs[place] = _shift_constant(graph, inputs[place], constants)
    if node.kind == "DequantizeLinear" and len(inputs) == 2 and graph.types[inputs[0]].dtype == "int8":
        inputs.append(f"{node.name}.zero")
        constants[inputs[2]] = np.full(graph.types[inputs[1]].shape, _OFFSET, np.uint8)
    return replace(node, inputs=tuple(inputs), operation=_shift_operation(graph, node))


def _list_shifted(graph: LayerGraph, node: Node) -> list[int]:
    """Return the places of constants of int8 that are shifted: zero points, and a constant operand."""
    places = list(_ZEROS.get(node.kind, ()))
    if node.kind == "QLinearConcat":
        places = [1, *range(4, len(node.inputs), 3)]
    if node.kind in ("QLinearAdd", "QLinearMul"):
        places += [0, 3]
    return [
        place
        for place in places
        if place < len(node.inputs) and node.inputs[place] in graph.constants and graph.types[node.inputs[place]].dtype == "int8"
    ]


def _shift_constant(graph: LayerGraph, name: str, constants: dict[str, Array]) -> str:
    shifted = f"{name}.unsigned"
    constants[shifted] = (graph.constants[name].astype(np.int16) + _OFFSET).astype(np.uint8)
    return shifted


def _shift_operation(graph: LayerGraph, node: Node) -> Operation:
    operation: Any = node.operation
    if graph.types[node.name].dtype != "int8":
        return node.operation
    if isinstance(operation, QLinearAdd | QLinearMul | QLinearAveragePool):
        return replace(operation, offset=_OFFSET)
    if isinstance(operation, Pad):
        return replace(operation, value=operation.value + _OFFSET)
    return node.operation

"""Write operations of integers as those of floats between quantisers: what :func:`join_quantised` does, the other way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snnmap.graph.graph import LayerGraph, Node
from snnmap.graph.operation import Array, Operation, Shape
from snnmap.graph.operations.activations import LeakyRelu, Sigmoid, Softmax
from snnmap.graph.operations.arithmetic import Add, Mul
from snnmap.graph.operations.conv import Conv
from snnmap.graph.operations.gemm import Gemm, MatMul
from snnmap.graph.operations.movement import Concat
from snnmap.graph.operations.pooling import AveragePool, GlobalAveragePool
from snnmap.graph.operations.quantisation import DequantizeLinear, QuantizeLinear

__all__ = ["split_quantised"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """Where an operation of integers has its parts.

    Attributes:
        make: gives the operation of floats.
        values: places of the values, each with its scale and zero behind it.
        result: place of the result's scale, and of its zero behind it.
        bias: place of a bias in steps of both scales before, or -1.
        weight_axis: of the second value, a place of which may have a scale of its own.
    """

    make: Callable[[Any], Operation]
    values: tuple[int, ...] = (0,)
    result: int = 3
    bias: int = -1
    weight_axis: Callable[[Any], int] = lambda _: 0


def split_quantised(graph: LayerGraph) -> LayerGraph:
    """Return the graph with DequantizeLinear, an operation of floats and QuantizeLinear for each operation of integers.

    The arithmetic between is that of floats: results differ by a level where a sum lies at a tie.
    """
    nodes: list[Node] = []
    constants: dict[str, Array] = {}
    for node in graph.nodes:
        nodes += _split(graph, node, constants) if node.kind in _FORMS else [node]
    return graph if len(nodes) == len(graph.nodes) else graph.with_nodes(nodes, constants)


def _split(graph: LayerGraph, node: Node, constants: dict[str, Array]) -> list[Node]:
    form = _FORMS[node.kind]
    is_concat = node.kind == "QLinearConcat"
    places = tuple(range(2, len(node.inputs), 3)) if is_concat else form.values
    result = 0 if is_concat else form.result
    made, names = [], []
    for number, place in enumerate(places):
        axis = form.weight_axis(node.operation) if number else 1
        name = f"{node.name}.float{number}"
        made.append(Node(name=name, operation=DequantizeLinear(axis=axis), inputs=node.inputs[place : place + 3]))
        names.append(name)
    if 0 <= form.bias < len(node.inputs):
        scales = (graph.constants[node.inputs[place + 1]].astype(np.float64) for place in places)
        names.append(f"{node.name}.bias")
        constants[names[-1]] = graph.constants[node.inputs[form.bias]] * np.prod(np.broadcast_arrays(*scales), axis=0)
    value = f"{node.name}.value"
    operation = form.make(node.operation)
    if isinstance(operation, AveragePool):
        operation = _count_hanging(operation, graph.types[node.inputs[0]].shape[1:])
    made.append(Node(name=value, operation=operation, inputs=tuple(names), source=node.source))
    quantise = replace(node, operation=QuantizeLinear(), inputs=(value, *node.inputs[result : result + 2]))
    return [*made, quantise]


def _count_hanging(pool: AveragePool, sides: Shape) -> AveragePool:
    """Return the pool with pads for what hangs over, which integers count with the pads and floats do not."""
    if not (pool.ceil_mode and pool.count_include_pad):
        return pool
    pads = pool.windows().cover(sides)
    return replace(pool, pads=tuple(pad for both in zip(*pads, strict=True) for pad in both), ceil_mode=0)


def _copy(kind: type[Operation], *names: str) -> Callable[[Any], Operation]:
    """Return what makes an operation with fields of another."""
    return lambda operation: kind(**{name: getattr(operation, name) for name in names})


_WINDOWS = ("kernel_shape", "strides", "pads")
_FORMS: Mapping[str, _Form] = {
    "QLinearConv": _Form(make=_copy(Conv, *_WINDOWS, "dilations", "group"), values=(0, 3), result=6, bias=8),
    "QLinearMatMul": _Form(make=_copy(MatMul), values=(0, 3), result=6, weight_axis=lambda _: 1),
    "QGemm": _Form(
        make=_copy(Gemm, "trans_b"), values=(0, 3), result=7, bias=6, weight_axis=lambda gemm: 0 if gemm.trans_b else 1
    ),
    "QLinearAdd": _Form(make=_copy(Add), values=(0, 3), result=6),
    "QLinearMul": _Form(make=_copy(Mul), values=(0, 3), result=6),
    "QLinearConcat": _Form(make=_copy(Concat, "axis")),
    "QLinearAveragePool": _Form(make=_copy(AveragePool, *_WINDOWS, "ceil_mode", "count_include_pad")),
    "QLinearGlobalAveragePool": _Form(make=_copy(GlobalAveragePool)),
    "QLinearLeakyRelu": _Form(make=_copy(LeakyRelu, "alpha")),
    "QLinearSigmoid": _Form(make=_copy(Sigmoid)),
    "QLinearSoftmax": _Form(make=_copy(Softmax, "axis")),
}

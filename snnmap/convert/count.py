"""The fewest channels and neurons that an ANN becomes, by counting: before its layers are matrices, or run."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from snnmap.chip import Chip
from snnmap.convert.ann import INPUT
from snnmap.convert.encode import CLOCK
from snnmap.convert.layers import NO_BOUND
from snnmap.core.errors import NoRoomError
from snnmap.graph import LayerGraph, Node, format_graph
from snnmap.lif.drc import Sizes, check_sizes

__all__ = ["count_sizes", "require_room"]

_ONCE, _TWICE = ("Relu", "Clip", "HardSigmoid", "Max", "Min"), ("Abs", "LeakyRelu", "PRelu")
_MAXIMA = ("MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin")


def require_room(graph: LayerGraph, chips: Sequence[Chip]) -> None:
    """Refuse a graph for which none of the chips has channels and neurons enough, whatever becomes of its weights.

    Raises:
        NoRoomError: with what is missing on each chip.
    """
    sizes = count_sizes(graph)
    reports = [check_sizes(sizes, chip) for chip in chips]
    if reports and all(report.errors for report in reports):
        digest = hashlib.sha256(format_graph(graph, digests=True).encode()).hexdigest()
        raise NoRoomError(graph.name, digest, reports)


def count_sizes(graph: LayerGraph) -> Sizes:
    """Count the channels and neurons that the network of a graph has at the least.

    A maximum of k values takes k - 1 neurons. Not counted is what calibration data may show to be of no use (the neurons
    that end a clip), what may be one with a ReLU before it (a quantiser), relays, and what no output depends on.

    Args:
        graph: of one input and one output, quantisers and integers apart.
    """
    hidden = {node.name: count for node in _list_used(graph) if (count := _count_neurons(graph, node))}
    if not hidden:  # then quantisers are one with nothing
        hidden = {node.name: _size(graph, node.name) for node in _list_used(graph) if node.kind == "Levels"}
    inputs = {INPUT: sum(_size(graph, name) for name in graph.inputs), CLOCK: 1}
    return Sizes(inputs=inputs, hidden=hidden, n_outputs=sum(_size(graph, name) for name in graph.outputs))


def _list_used(graph: LayerGraph) -> list[Node]:
    """Return the nodes that depend on the input and that the output depends on."""
    fed, used = set(graph.inputs), set(graph.outputs)
    for node in graph.nodes:
        fed |= {node.name} if fed.intersection(node.inputs) else set()
    for node in reversed(graph.nodes):
        used |= set(node.inputs) if node.name in used else set()
    return [node for node in graph.nodes if node.name in fed & used]


def _count_neurons(graph: LayerGraph, node: Node) -> int:
    operation: Any = node.operation
    size, taken = _size(graph, node.name), _size(graph, node.inputs[0])
    if node.kind == "Clip" and min(abs(operation.min), abs(operation.max)) >= NO_BOUND:
        return 0
    if node.kind == "MaxPool":
        return size * (int(np.prod(operation.kernel_shape)) - 1)
    if node.kind in _MAXIMA:
        return taken - size
    return size * (1 if node.kind in _ONCE else 2 if node.kind in _TWICE else 0)


def _size(graph: LayerGraph, name: str) -> int:
    return int(np.prod(graph.types[name].shape))

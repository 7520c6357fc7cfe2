"""Write a graph as any reader of the same network would: one form of each operation, an order and names of its own."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np

from snnmap.graph.graph import LayerGraph, Node
from snnmap.graph.operation import Operation, Role, Shape
from snnmap.graph.operations.movement import Flatten, Reshape, Slice, Squeeze, Unsqueeze
from snnmap.graph.operations.pooling import GlobalAveragePool, ReduceMean
from snnmap.graph.passes.fuse_steps import unfuse_steps
from snnmap.graph.passes.remove_identity import remove_identity

__all__ = ["canonicalise"]

_COMMUTING = ("Add", "Mul", "Max", "Min")
_SPREADING: tuple[Role, ...] = ("Add", "Mul", "Div", "Act")


def canonicalise(graph: LayerGraph) -> LayerGraph:
    """Return the same graph, whichever framework it was read from: equal networks give equal texts.

    Flatten, Squeeze and Unsqueeze become Reshape, of which the last in a row stays; a global average becomes a mean over axes,
    a slice of several axes one for each; defaults are written out, biases of zeros left out. Nodes are ordered by depth and by
    what they compute, and named after it: ``Conv0``, ``Relu1``; constants after their user and place. Sources, the framework's
    names and what was replaced go.
    """
    graph = remove_identity(_merge_reshapes(_write_out(unfuse_steps(graph))))
    prints = _find_prints(graph)
    shapes = _find_prints(graph, with_values=False)
    depth: dict[str, int] = {}
    for node in graph.nodes:
        depth[node.name] = 1 + max(depth.get(name, 0) for name in node.inputs)
    order = sorted(graph.nodes, key=lambda node: (depth[node.name], shapes[node.name], prints[node.name]))
    names = {name: f"input{number}" for number, name in enumerate(graph.inputs)}
    nodes = []
    for number, node in enumerate(order):
        names[node.name] = f"{node.kind}{number}"
        inputs = sorted(node.inputs, key=lambda name: (shapes[name], prints[name])) if node.kind in _COMMUTING else node.inputs
        for place, name in enumerate(inputs):
            names.setdefault(name, f"{names[node.name]}.{place}")
        nodes.append(Node(name=names[node.name], operation=node.operation, inputs=tuple(names[name] for name in inputs)))
    return LayerGraph(
        name="graph",
        inputs={names[name]: kind for name, kind in graph.inputs.items()},
        nodes=tuple(nodes),
        outputs=tuple(names[name] for name in graph.outputs),
        constants={names[name]: array for name, array in graph.constants.items() if name in names},
    )


def _write_out(graph: LayerGraph) -> LayerGraph:
    """Return one form to operations that can be written in several."""
    nodes: list[Node] = []
    for node in graph.nodes:
        kind, rank = graph.types[node.name], len(graph.types[node.inputs[0]].shape) + 1
        plain = Node(name=node.name, operation=_choose_form(node.operation, kind.shape, rank), inputs=_drop_zeros(graph, node))
        nodes += _split(plain, kind.shape)
    scalars = {
        name: array.reshape(()) if array.size == 1 and array.dtype.kind == "f" else array
        for name, array in graph.constants.items()
    }
    only_spread = {name for name in scalars if all(node.operation.role in _SPREADING for node in nodes if name in node.inputs)}
    return graph.with_nodes(nodes, {name: scalars[name] for name in only_spread})


def _split(node: Node, shape: Shape) -> list[Node]:
    """Return the nodes that do one thing each: a mean that keeps its axes and a Reshape, a Slice for each axis."""
    operations: list[Operation] = [node.operation]
    if isinstance(node.operation, ReduceMean) and not node.operation.keepdims:
        operations = [replace(node.operation, keepdims=1), Reshape(shape=shape)]
    if isinstance(node.operation, Slice):
        steps = node.operation.steps or (1,) * len(node.operation.axes)
        bounds = zip(node.operation.starts, node.operation.ends, node.operation.axes, steps, strict=True)
        operations = [Slice(starts=(start,), ends=(end,), axes=(axis,), steps=(step,)) for start, end, axis, step in bounds]
    names = [f"{node.name}.{place}" for place in range(len(operations) - 1)] + [node.name]
    inputs = [node.inputs, *((name,) for name in names[:-1])]
    return [Node(name=name, operation=one, inputs=taken) for name, one, taken in zip(names, operations, inputs, strict=True)]


def _choose_form(operation: Operation, shape: Shape, rank: int) -> Operation:
    """Return an operation with its defaults written out, or the more general one that computes the same."""
    if isinstance(operation, Flatten | Squeeze | Unsqueeze):
        return Reshape(shape=shape)
    if isinstance(operation, GlobalAveragePool):
        return ReduceMean(axes=tuple(range(2, rank)))
    if isinstance(operation, ReduceMean):
        return replace(operation, axes=tuple(sorted(axis % rank for axis in operation.axes)))
    changes: dict[str, Any] = {}
    if hasattr(operation, "axis"):
        changes["axis"] = operation.axis % rank
    if hasattr(operation, "kernel_shape"):
        sides = len(operation.kernel_shape)
        defaults = {"strides": (1,) * sides, "dilations": (1,) * sides, "pads": (0,) * 2 * sides}
        changes = {name: getattr(operation, name) or default for name, default in defaults.items()}
        if hasattr(operation, "count_include_pad") and not any(changes["pads"]):
            changes["count_include_pad"] = 0
    return replace(operation, **changes)


def _drop_zeros(graph: LayerGraph, node: Node) -> tuple[str, ...]:
    """Return a node's inputs without a bias of zeros."""
    bias = graph.constants.get(node.inputs[2]) if node.kind in ("Conv", "Gemm") and len(node.inputs) == 3 else None
    return node.inputs if bias is None or bias.any() else node.inputs[:2]


def _merge_reshapes(graph: LayerGraph) -> LayerGraph:
    """Return the graph in which of several Reshapes in a row only the last is."""
    before = {node.name: node.inputs[0] for node in graph.nodes if node.kind == "Reshape"}

    def skip(name: str) -> str:
        return skip(before[name]) if name in before else name

    nodes = [replace(node, inputs=(skip(node.inputs[0]),)) if node.kind == "Reshape" else node for node in graph.nodes]
    used = {name for node in nodes for name in node.inputs} | set(graph.outputs)
    return graph.with_nodes([node for node in nodes if node.kind != "Reshape" or node.name in used])


def _find_prints(graph: LayerGraph, *, with_values: bool = True) -> dict[str, str]:
    """Give a digest of what each value is computed by, from the inputs on; with the weights' values or with their shapes only."""
    prints = {name: f"{number} {kind}" for number, (name, kind) in enumerate(graph.inputs.items())}
    for name, array in graph.constants.items():
        data = np.ascontiguousarray(array)
        prints[name] = _digest(str(graph.types[name]).encode() + (data.tobytes() if with_values else b""))
    for node in graph.nodes:
        prints[node.name] = _digest(repr((node.operation, [prints[name] for name in node.inputs])).encode())
    return prints


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

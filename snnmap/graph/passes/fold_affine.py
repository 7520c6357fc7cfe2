"""Fold what only scales and shifts channels into the weights before it: BatchNormalization, and arithmetic with constants."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from snnmap.graph.graph import LayerGraph, Node
from snnmap.graph.operation import Array

__all__ = ["fold_affine"]

_WEIGHTED = ("Conv", "Gemm")


def fold_affine(graph: LayerGraph) -> LayerGraph:
    """Return the graph in which each Conv and Gemm has taken in the scales and shifts behind it.

    The new node has the name of the last that it stands for, whose value it gives, and keeps all of them in
    :attr:`Node.replaces`, with their own weights. A value that others take too, and a constant that differs from place to
    place, is left as it is. Products are taken in float64 and kept in the weights' own type.
    """
    nodes: list[Node] = []
    constants: dict[str, Array] = dict(graph.constants)
    uses = graph.count_uses()
    for node in graph.nodes:
        before = next((one for one in nodes if one.name in node.inputs and _has_weights(one, constants)), None)
        pair = _read_affine(graph, node) if before is not None and uses[before.name] == 1 else None
        if before is None or pair is None:
            nodes.append(node)
            continue
        folded, made = _fold(before, node, *pair, constants)
        constants |= made
        nodes = [folded if one is before else one for one in nodes]
    return graph.with_nodes(_sort(graph, nodes), constants)


def _has_weights(node: Node, constants: Mapping[str, Array]) -> bool:
    """Say whether a node is a Conv or Gemm with weights of its own, not ones that are computed, as quantised ones are."""
    return node.kind in _WEIGHTED and all(name in constants for name in node.inputs[1:])


def _read_affine(graph: LayerGraph, node: Node) -> tuple[Array, Array] | None:
    """Return scale and shift by channel ``(channels,)`` of a node that is one, else None."""
    channels, rank = graph.types[node.name].shape[:1], len(graph.types[node.name].shape)
    arrays = [np.asarray(graph.constants[name], np.float64) for name in node.inputs if name in graph.constants]
    if node.kind == "BatchNormalization" and len(arrays) == 4:
        scale, bias, mean, variance = arrays
        factor = scale / np.sqrt(variance + getattr(node.operation, "epsilon"))  # noqa: B009
        return factor, bias - mean * factor
    if node.kind not in ("Add", "Sub", "Mul", "Div") or len(arrays) != 1 or rank == 0:
        return None
    spread = arrays[0].reshape((1,) * (rank - arrays[0].ndim) + arrays[0].shape)
    if spread.ndim != rank or any(side != 1 for side in spread.shape[1:]):
        return None
    value = np.broadcast_to(spread.reshape(-1), channels)
    return _as_affine(node.kind, value, is_first=node.inputs[0] in graph.constants)


def _as_affine(kind: str, value: Array, *, is_first: bool) -> tuple[Array, Array] | None:
    one, zero = np.ones_like(value), np.zeros_like(value)
    if kind == "Add":
        return one, value
    if kind == "Sub":
        return (-one, value) if is_first else (one, -value)
    if kind == "Mul":
        return value, zero
    return None if is_first or not value.all() else (1.0 / value, zero)


def _fold(before: Node, node: Node, scale: Array, shift: Array, constants: Mapping[str, Array]) -> tuple[Node, dict[str, Array]]:
    """Return the node that stands for both, and its weights and bias."""
    weight, *bias = (np.asarray(constants[name]) for name in before.inputs[1:])
    alpha, beta = (float(getattr(before.operation, name, 1.0)) for name in ("alpha", "beta"))
    is_transposed = before.kind == "Gemm" and not getattr(before.operation, "trans_b", 0)
    spread = scale if is_transposed else scale.reshape(-1, *(1,) * (weight.ndim - 1))
    old = beta * np.asarray(bias[0], np.float64).reshape(-1) if bias else 0.0
    names = (f"{node.name}.folded.weight", f"{node.name}.folded.bias")
    made = dict(zip(names, (alpha * weight * spread, old * scale + shift), strict=True))
    operation = replace(before.operation, alpha=1.0, beta=1.0) if before.kind == "Gemm" else before.operation  # type: ignore[call-arg]
    folded = Node(
        name=node.name,
        operation=operation,
        inputs=(before.inputs[0], *names),
        source=before.source,
        tensor=node.tensor,
        replaces=(*(before.replaces or (before,)), node),
    )
    return folded, {name: array.astype(weight.dtype) for name, array in made.items()}


def _sort(graph: LayerGraph, nodes: list[Node]) -> list[Node]:
    """Put each node where the last of those that it stands for was."""
    order = {node.name: number for number, node in enumerate(graph.nodes)}
    return sorted(nodes, key=lambda node: order[node.name])

"""ONNX operators that constants decide, or that put constants beside activations: branches, choices by a mask, joins."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snnmap.frontends.onnx.node import OnnxNode
from snnmap.graph import UnreadableError, name_choice, plan_choice, plan_join
from snnmap.graph.fixes import BY_VALUES
from snnmap.graph.operation import Array, Operation
from snnmap.graph.operations.activations import Relu
from snnmap.graph.operations.arithmetic import Add, Div, Max, Min, Mul
from snnmap.graph.operations.movement import Identity

if TYPE_CHECKING:
    from snnmap.frontends.onnx.read import OnnxReader

__all__ = ["CHOICES", "drop_batch", "note_comparison", "read_branch"]


def read_branch(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read the branch of an If that a constant chooses, its nodes in the If's place.

    Raises:
        UnreadableError: the choice depends on values, or on the size of the batch.
    """
    condition = reader.constants.get(node.inputs[0])
    if condition is None or node.inputs[0] in reader.varying:
        why = "the size of the batch" if node.inputs[0] in reader.varying else "the values of activations"
        raise UnreadableError(f"which branch it takes depends on {why}", "export the branch that is taken")
    branch = node.attributes["then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"]
    reader.read_nodes(branch)
    for outer, inner in zip(node.outputs, (entry.name for entry in branch.output), strict=True):
        reader.rename(inner, outer)


def _read_comparison(reader: "OnnxReader", node: OnnxNode) -> None:
    """Note which values are compared, where nothing but choices is made by that."""
    note_comparison(reader, node.outputs[0], node)


def note_comparison(reader: "OnnxReader", tensor: str, comparison: OnnxNode) -> None:
    """Note what a tensor of truths compares.

    Raises:
        UnreadableError: something else is done with it than to choose.
    """
    users = [user for user in reader.graph.node if tensor in user.input]
    if not users or any(user.op_type not in ("Cast", "Where") or tensor != user.input[0] for user in users):
        raise UnreadableError("it compares values of activations", BY_VALUES)
    reader.comparisons[tensor] = comparison


def _read_where(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read a choice of the greater or the smaller; one by a constant mask as a sum of products with it, one 0 at each place."""
    condition, *operands = node.inputs
    if condition in reader.comparisons:
        _read_greater(reader, node, reader.comparisons[condition])
        return
    if condition in reader.values:
        operation, inputs = reader.make_operation(node)
        reader.add(node, operation, inputs)
        return
    moving = [name for name in operands if name in reader.values]
    rank = max(len(reader.shape_of(name)) for name in moving)
    chosen = drop_batch(condition, reader.constants[condition], rank).astype(bool)
    parts = [None if name in moving else drop_batch(name, reader.constants[name], rank) for name in operands]
    masks, fixed = plan_choice(chosen, parts)
    terms = [
        _add(reader, node, Mul(), [reader.values[name], _hold(reader, node, f"mask{place}", mask)], f"{place}")
        for place, (name, mask) in enumerate(zip(moving, masks, strict=True))
    ]
    if fixed.any():
        terms.append(_hold(reader, node, "fixed", fixed))
    _finish(reader, node, terms)


def _read_greater(reader: "OnnxReader", node: OnnxNode, comparison: OnnxNode) -> None:
    rank = max(len(reader.shape_of(name)) for name in comparison.inputs if name in reader.values)

    def find(name: str) -> Any:
        is_moving = name in reader.values
        return (reader.values[name], reader.shape_of(name)) if is_moving else drop_batch(name, reader.constants[name], rank)

    chosen = node.inputs[1:]
    kind = name_choice(comparison.kind, [find(name) for name in comparison.inputs], [find(name) for name in chosen])
    if not kind:
        raise UnreadableError("it chooses by the values of activations", BY_VALUES)
    if kind == "Relu":
        _finish(reader, node, [reader.values[name] for name in chosen if name in reader.values], Relu())
        return
    names = [reader.values[name] if name in reader.values else _hold(reader, node, name, find(name)) for name in chosen]
    _finish(reader, node, names, Max() if kind == "Max" else Min())


def _read_concat(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read a join of activations; constants among them are added to what is padded with zeros there."""
    moving = [name for name in node.inputs if name in reader.values]
    rank = len(reader.shape_of(moving[0])) + 1
    axis = int(node.get("axis", 0)) % rank
    if len(moving) == len(node.inputs) or axis == 0:
        operation, inputs = reader.make_operation(node)
        reader.add(node, operation, inputs)
        return
    parts = [
        reader.shape_of(name) if name in reader.values else drop_batch(name, reader.constants[name], rank - 1)
        for name in node.inputs
    ]
    pads, fixed = plan_join(parts, axis)
    terms = [
        _add(reader, node, pad, [reader.values[name]], f"{place}")
        for place, (pad, name) in enumerate(zip(pads, moving, strict=True))
    ]
    if fixed.any():
        terms.append(_hold(reader, node, "fixed", fixed))
    _finish(reader, node, terms)


def _read_reciprocal(reader: "OnnxReader", node: OnnxNode) -> None:
    _finish(reader, node, [_hold(reader, node, "one", np.ones((), np.float32)), reader.values[node.inputs[0]]], Div())


def drop_batch(name: str, array: Array, rank: int) -> Array:
    """Return a constant without the side of 1 where the batch is.

    Raises:
        UnreadableError: it has another side there.
    """
    if array.ndim <= rank:
        return array
    if any(side != 1 for side in array.shape[: array.ndim - rank]):
        raise UnreadableError(
            f"constant '{name}' of shape {array.shape} differs from sample to sample, since the first axis is the batch's",
            "export the model with the batch as the first dimension of its input, and one constant for all samples",
        )
    return array.reshape(array.shape[array.ndim - rank :])


def _hold(reader: "OnnxReader", node: OnnxNode, suffix: str, array: Array) -> str:
    return reader.builder.add_constant(f"{node.name}.{suffix}", array if array.dtype.kind == "f" else array.astype(np.float32))


def _add(reader: "OnnxReader", node: OnnxNode, operation: Operation, inputs: Sequence[str], suffix: str) -> str:
    return reader.builder.add(f"{node.name}.{suffix}", operation, inputs, source=node.source)


def _finish(reader: "OnnxReader", node: OnnxNode, terms: Sequence[str], operation: Operation | None = None) -> None:
    """Add the node's own tensor: what the operation makes of the terms, or their sum."""
    *before, last = terms
    total = before[0] if before else ""
    for place, term in enumerate(before[1:]):
        total = _add(reader, node, Add(), [total, term], f"sum{place}")
    made = operation or (Add() if before else Identity())
    inputs = [total, last] if before else [last]
    reader.values[node.outputs[0]] = reader.builder.add(node.name, made, inputs, source=node.source, tensor=node.outputs[0])


CHOICES: Mapping[str, Callable[["OnnxReader", OnnxNode], None]] = {
    "Concat": _read_concat,
    **dict.fromkeys(("Greater", "GreaterOrEqual", "Less", "LessOrEqual"), _read_comparison),
    "Reciprocal": _read_reciprocal,
    "Where": _read_where,
}

"""Einsum as one matrix product between transpositions and reshapes."""

import re
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from snnmap.frontends.onnx.node import OnnxNode
from snnmap.graph import Operation, UnreadableError
from snnmap.graph.operations.gemm import MatMul
from snnmap.graph.operations.movement import Reshape, Transpose

if TYPE_CHECKING:
    from snnmap.frontends.onnx.read import OnnxReader

__all__ = ["read_einsum"]


def read_einsum(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read a product of two operands, of which one at least depends on the input, sample by sample.

    Letters of both operands and the result count places of products, those that the result lacks are summed over::

        left (N, *shared, kept, summed) @ right (*shared, summed, new) = (N, *shared, kept, new)

    Raises:
        UnreadableError: an equation of another kind.
    """
    terms, result = _parse_equation(node)
    moving = [place for place, name in enumerate(node.inputs) if name in reader.values and name not in reader.quantisers]
    left, right = terms[moving[0]], terms[1 - moving[0]]
    batch = left[:1]
    with_batch = batch if len(moving) == 2 else ""
    if result[:1] != batch or right.startswith(batch) != bool(with_batch) or batch in result[1:] + left[1:] + right[1:]:
        raise UnreadableError("an Einsum that mixes samples", "keep the batch as the first dimension", measured=",".join(terms))
    rest = right.removeprefix(with_batch)
    shared = [letter for letter in result if letter in left and letter in rest]
    summed = [letter for letter in left if letter in rest and letter not in result]
    kept, new = ([letter for letter in one if letter not in other] for one, other in ((left[1:], rest), (rest, left)))
    if sorted(result) != sorted([*batch, *shared, *kept, *new]):
        raise _refuse_equation(node)
    sides = _read_sides(reader, node, terms, moving)
    first = _arrange(reader, node, moving[0], left, [shared, kept, summed], sides)
    if with_batch:
        second = _arrange(reader, node, moving[1], right, [shared, summed, new], sides)
    else:
        order = [right.index(letter) for letter in (*shared, *summed, *new)]
        array = np.transpose(reader.constant(node, 1 - moving[0]), order)
        shape = (*(sides[letter] for letter in shared), *_measure([summed, new], sides))
        second = reader.builder.add_constant(f"{node.name}.weights", array.reshape(shape))
    product = _add(reader, node, "product", MatMul(), first, second)
    found = [*shared, *kept, *new]
    split = _add(reader, node, "split", Reshape(shape=tuple(sides[letter] for letter in found)), product)
    order = [0, *(1 + found.index(letter) for letter in result[1:])]
    reader.values[node.outputs[0]] = reader.builder.add(
        node.name, Transpose(perm=tuple(order)), [split], source=node.source, tensor=node.outputs[0]
    )


def _parse_equation(node: OnnxNode) -> tuple[list[str], str]:
    """Return the letters of both operands, and of the result."""
    found = re.fullmatch(r"([A-Za-z]+),([A-Za-z]+)->([A-Za-z]+)", str(node.get("equation", "")).replace(" ", ""))
    if found is None or any(len(set(letters)) < len(letters) for letters in found.groups()):
        raise _refuse_equation(node)
    return [found[1], found[2]], found[3]


def _refuse_equation(node: OnnxNode) -> UnreadableError:
    return UnreadableError(
        "an Einsum that is no product of two operands over the letters that they share",
        "write it with matmul, sum, transpose and reshape",
        measured=repr(node.get("equation", "")),
        limit="such as 'bi,oi->bo' or 'bct,tco->bto'",
    )


def _read_sides(reader: "OnnxReader", node: OnnxNode, terms: Sequence[str], moving: Sequence[int]) -> dict[str, int]:
    """Return how long each letter's side is, without the batch's."""
    sides = dict[str, int]()
    for place, letters in enumerate(terms):
        shape = reader.shape_of(node.inputs[place])
        inner = letters[1:] if place in moving else letters
        for letter, side in zip(inner, shape, strict=True):
            if sides.setdefault(letter, side) != side:
                raise UnreadableError(
                    f"sides '{letter}' of two lengths", "check the file", measured=f"{sides[letter]} and {side}"
                )
    return sides


def _arrange(
    reader: "OnnxReader", node: OnnxNode, place: int, letters: str, groups: Sequence[Sequence[str]], sides: dict[str, int]
) -> str:
    """Bring an activation to an order of letters, a side for each of the first group and one for each other; gives its name."""
    order = [0, *(letters.index(letter) for group in groups for letter in group)]
    moved = _add(reader, node, f"moved{place}", Transpose(perm=tuple(order)), reader.name_of(node.inputs[place]))
    shape = (*(sides[letter] for letter in groups[0]), *_measure(groups[1:], sides))
    return _add(reader, node, f"joint{place}", Reshape(shape=shape), moved)


def _measure(groups: Sequence[Sequence[str]], sides: dict[str, int]) -> tuple[int, ...]:
    return tuple(prod(sides[letter] for letter in group) for group in groups)


def _add(reader: "OnnxReader", node: OnnxNode, suffix: str, operation: Operation, *names: str) -> str:
    return reader.builder.add(f"{node.name}.{suffix}", operation, names, source=node.source)

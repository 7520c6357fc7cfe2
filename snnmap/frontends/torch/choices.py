"""Choices of torch's, by constant masks or of the greater of two values, and what they share with other functions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from snnmap.frontends.torch.call import Call, Value, name_arguments
from snnmap.frontends.torch.exported import name_operator
from snnmap.frontends.torch.shapes import Batch, Rows
from snnmap.graph import UnreadableError, name_choice, plan_choice
from snnmap.graph.fixes import BY_VALUES
from snnmap.graph.operations import activations, arithmetic, movement

__all__ = ["CHOICES", "Comparison", "add_up", "drop_batch"]

Reader = Callable[[Call, Any, Any], Any]
_COMPARISONS = {"gt": "Greater", "ge": "GreaterOrEqual", "lt": "Less", "le": "LessOrEqual"}
"""What ONNX calls them."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two values, activations or constants, of which choices take one; its kind is as ONNX calls it."""

    kind: str
    operands: tuple[Any, Any]


def drop_batch(call: Call, operand: Any, rank: int) -> Any:
    """Return a constant without the sides of 1 where the batch is."""
    if isinstance(operand, Value):
        return operand
    if isinstance(operand, Rows):
        if len(operand.shape) != rank:
            raise UnreadableError("a constant of each sample beside activations of other axes", "give both the same axes")
        return operand.sample
    if isinstance(operand, Batch):
        raise UnreadableError("arithmetic with other things than activations", "compute nothing from the size of the batch")
    if isinstance(operand, tuple | list | str) or operand is None:
        raise UnreadableError(f"arithmetic with {type(operand).__name__}", "use activations, numbers and tensors")
    array = call.reader.to_array(operand)
    if array.ndim <= rank:
        return operand
    if array.shape[0] != 1 or array.ndim > rank + 1:
        raise UnreadableError(f"a constant of shape {array.shape} differs from sample to sample", "use one for all samples")
    return operand[0]


def _compare(kind: str) -> Reader:
    """Return a reader of a comparison by which nothing but a choice of what is compared is made."""

    def read(call: Call, arguments: Any, keywords: Any) -> Comparison:
        if not all(_is_choice(user, call.node) for user in call.node.users):
            raise UnreadableError("no operation of a layer graph does this", BY_VALUES, is_unknown=True)
        given = name_arguments(arguments, keywords, "input", "other")
        return Comparison(kind, (given["input"], given["other"]))

    return read


def _is_choice(user: Any, mask: Any) -> bool:
    """Say whether a call chooses by a mask, and takes what the mask was made of."""
    name = name_operator(user.target)
    is_first = name == "where" and user.op == "call_function"
    places = [place for place, one in enumerate(user.args) if one is mask]
    takes = set(user.all_input_nodes) & set(mask.all_input_nodes)
    return bool(takes) and name in ("where", "masked_fill", "masked_fill_") and places == [0 if is_first else 1]


def _read_where(call: Call, arguments: Any, keywords: Any) -> Value:
    """Read a choice by a constant mask as a sum of products with it, of which one is 0 at each place."""
    is_method = call.node.op == "call_method"
    given = name_arguments(arguments, keywords, *(("input", "condition") if is_method else ("condition", "input")), "other")
    return _choose(call, given["condition"], given["input"], given["other"])


def _read_masked_fill(call: Call, arguments: Any, keywords: Any) -> Value:
    given = name_arguments(arguments, keywords, "input", "mask", "value")
    return _choose(call, given["mask"], given["value"], given["input"])


def _choose(call: Call, mask: Any, one: Any, other: Any) -> Value:
    compared = mask.operands if isinstance(mask, Comparison) else ()
    rank = max(len(part.shape) for part in (one, other, *compared) if isinstance(part, Value))

    def find(part: Any) -> Any:
        is_moving = isinstance(part, Value)
        return (part.name, part.shape) if is_moving else call.reader.to_array(drop_batch(call, part, rank))

    kind = name_choice(mask.kind, [find(part) for part in compared], [find(one), find(other)]) if compared else ""
    if isinstance(mask, Value) or (compared and not kind):
        raise UnreadableError("it chooses by the values of activations", BY_VALUES)
    if kind == "Relu":
        return call.add(activations.Relu(), [part for part in (one, other) if isinstance(part, Value)])
    if kind:
        operands = [part if isinstance(part, Value) else find(part) for part in (one, other)]
        return call.add(arithmetic.Max() if kind == "Max" else arithmetic.Min(), operands)
    chosen = find(mask).astype(bool)
    masks, fixed = plan_choice(chosen, [None if isinstance(part, Value) else find(part) for part in (one, other)])
    values = [part for part in (one, other) if isinstance(part, Value)]
    terms: list[Any] = [
        call.add(arithmetic.Mul(), [part, taken], f"part{place}")
        for place, (part, taken) in enumerate(zip(values, masks, strict=True))
    ]
    return add_up(call, [*terms, *([fixed] if fixed.any() else [])])


def add_up(call: Call, terms: list[Any]) -> Value:
    """Add the sum of activations, perhaps with a constant behind them."""
    total, *rest = terms
    for place, term in enumerate(rest, 1):
        total = call.add(arithmetic.Add(), [total, term], "" if place == len(rest) else f"sum{place}")
    return total if rest else call.add(movement.Identity(), [total])


CHOICES: Mapping[str, Reader] = {
    **{name: _compare(kind) for name, kind in _COMPARISONS.items()},
    "where": _read_where,
    **dict.fromkeys(("masked_fill", "masked_fill_"), _read_masked_fill),
}

"""Calls of torch that take activations whose batch is not the first axis, such as (time, batch, features)."""

from collections.abc import Callable
from typing import Any

from snnmap.frontends.torch.call import FIX, FIXES, Call, Moved, Value, find_values
from snnmap.graph import UnreadableError, refuse_moved

__all__ = ["read_moved"]

_FOLLOWED = frozenset({
    "amax", "amin", "getitem", "max", "mean", "min", "moveaxis", "movedim", "permute", "select", "slice", "sum", "swapaxes",
    "swapdims", "t", "transpose", "unbind",
})  # fmt: skip
"""Functions whose readers ask where the batch stands."""
_ALONE = frozenset({
    "Dropout", "Hardtanh", "Identity", "LeakyReLU", "Linear", "ReLU", "ReLU6", "abs", "add", "clamp", "contiguous", "div",
    "dropout", "float", "hardtanh", "iadd", "leaky_relu", "linear", "mul", "neg", "relu", "relu6", "relu_", "sub", "truediv",
})  # fmt: skip
"""Layers and functions of each value by itself, or of the last axis."""


def read_moved(call: Call, read: Callable[[Call, Any, Any], Any] | None, arguments: Any, keywords: Any) -> Any:
    """Read a call whose activations have the batch at an axis that is not the first.

    Raises:
        UnreadableError: it mixes samples, or is none that is followed.
    """
    found: list[Moved] = []
    given, named = _bring((tuple(arguments), dict(keywords)), found)
    first, name = found[0], call.operator
    if read is None:
        raise UnreadableError("no operation of a layer graph does this", FIXES.get(name, FIX), is_unknown=True)
    if name in _FOLLOWED and arguments[0] is first and (name not in ("max", "min") or _has_axis(arguments, keywords)):
        return read(call, arguments, keywords)
    places = {(one.batch_axis, len(one.value.shape)) for one in found}
    is_last = name in ("Linear", "linear") and first.batch_axis == len(first.value.shape)
    rest = [one for one in (*arguments, *keywords.values()) if hasattr(one, "shape")]
    is_alone = name in _ALONE and len(places) == 1 and not is_last and not find_values((arguments, keywords))
    if not is_alone or (rest and name != "linear"):
        raise refuse_moved(first.batch_axis)
    value: Value = read(call, given, named)
    return Moved(value, first.batch_axis)


def _has_axis(arguments: Any, keywords: Any) -> bool:
    return isinstance(keywords.get("dim", arguments[1] if len(arguments) > 1 else None), int)


def _bring(arguments: Any, found: list[Moved]) -> Any:
    """Return arguments, nested as they may be, with the activations that have the batch first, and note the others."""
    if isinstance(arguments, Moved):
        found.append(arguments)
        return arguments.value
    if isinstance(arguments, dict):
        return {key: _bring(part, found) for key, part in arguments.items()}
    return type(arguments)(_bring(part, found) for part in arguments) if isinstance(arguments, tuple | list) else arguments

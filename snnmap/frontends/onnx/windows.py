"""ONNX's automatic padding as numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from snnmap.frontends.onnx.node import OnnxNode
from snnmap.graph import UnreadableError

__all__ = ["pad_same", "resolve_pads"]


def resolve_pads(node: OnnxNode, sides: Sequence[int], values: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the pads of a convolution or pool, those before each side, then those after.

    Args:
        node: whose ``auto_pad`` says how.
        sides: of the input.
        values: attributes of the node by the record's names.

    Raises:
        UnreadableError: a kind of padding that ONNX does not have.
    """
    kind, kernel = node.get("auto_pad", "NOTSET"), values["kernel_shape"]
    ones = (1,) * len(kernel)
    if kind in ("NOTSET", ""):
        return tuple(values.get("pads", (0,) * 2 * len(kernel)))
    if kind == "VALID":
        return (0,) * 2 * len(kernel)
    if kind not in ("SAME_UPPER", "SAME_LOWER"):
        raise UnreadableError(f"padding {kind} is not known", "use NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    strides, dilations = values.get("strides", ones), values.get("dilations", ones)
    pads = pad_same(kind, sides, kernel, strides, dilations)
    return (*(before for before, _ in pads), *(after for _, after in pads))


def pad_same(
    kind: str, sides: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[tuple[int, int]]:
    """Return the pads before and after each side by which there are as many windows as strides fit in it.

    Args:
        kind: ``SAME_UPPER`` or ``SAME_LOWER``, where an odd pad goes.
        sides: of the input.
        kernel: sides of the kernel.
        strides: steps between windows.
        dilations: steps between the places of a window.
    """
    pads = []
    for length, side, step, spread in zip(sides, kernel, strides, dilations, strict=True):
        total = max((-(-length // step) - 1) * step + spread * (side - 1) + 1 - length, 0)
        small, large = total // 2, total - total // 2
        pads.append((small, large) if kind == "SAME_UPPER" else (large, small))
    return pads

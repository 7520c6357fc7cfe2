"""ONNX's attributes of convolutions and pools as windows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from snnmap.core.spatial import Window
from snnmap.frontends.onnx.windows import pad_same

if TYPE_CHECKING:
    from snnmap.convert.onnx_read import OnnxNode

__all__ = ["read_window", "require_no_ceil"]

Shape = tuple[int, ...]


def read_window(node: "OnnxNode", shape: Shape, *, kernel: Sequence[int] | None = None) -> tuple[Window, Shape, bool]:
    """Read kernel, strides, dilations and padding of a node in one or two dimensions.

    Args:
        node: Conv or a pool.
        shape: of one input sample, ``(channels, length)`` or ``(channels, height, width)``.
        kernel: sides of a convolution's weight; of pools the attribute counts.

    Returns:
        The window in two dimensions, the shape in three, and whether a height of 1 was added.

    Raises:
        FrontendError: another number of dimensions, or padding of an unknown kind.
    """
    sides = [int(side) for side in (kernel if kernel is not None else node.get("kernel_shape", ()))]
    if len(sides) not in (1, 2) or len(shape) != len(sides) + 1:
        raise node.refuse("the kernel does not fit its input", f"{len(sides)} dimensions on {shape}", "1 or 2, channels first")
    flat, ones = len(sides) == 1, [1] * len(sides)
    strides, dilations = ([int(number) for number in node.get(name, ones)] for name in ("strides", "dilations"))
    padding = _read_padding(node, shape[1:], sides, strides, dilations)
    if flat:
        sides, strides, dilations, padding = [1, *sides], [1, *strides], [1, *dilations], [(0, 0), *padding]
    window = Window(
        kernel=(sides[0], sides[1]),
        stride=(strides[0], strides[1]),
        dilation=(dilations[0], dilations[1]),
        padding=(padding[0], padding[1]),
    )
    return window, (shape[0], 1, shape[1]) if flat else shape, flat


def require_no_ceil(node: "OnnxNode") -> None:
    """Refuse pools whose last windows hang over the edge, and a second output with indices."""
    if node.get("ceil_mode", 0):
        raise node.refuse("a pool whose last windows hang over the edge", "ceil_mode=1", "ceil_mode=0")
    if len(node.outputs) > 1 and node.outputs[1]:
        raise node.refuse("a pool that gives indices", f"{len(node.outputs)} outputs", "1 output")


def _read_padding(
    node: "OnnxNode", size: Shape, sides: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[tuple[int, int]]:
    """Return zeros before and after, by dimension."""
    kind = node.get("auto_pad", b"NOTSET")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if kind == "VALID":
        return [(0, 0)] * len(sides)
    if kind == "NOTSET":
        pads = [int(number) for number in node.get("pads", [0] * 2 * len(sides))]
        return list(zip(pads[: len(sides)], pads[len(sides) :], strict=True))
    if kind not in ("SAME_UPPER", "SAME_LOWER"):
        raise node.refuse("padding of an unknown kind", kind, "NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    return pad_same(kind, size, sides, strides, dilations)

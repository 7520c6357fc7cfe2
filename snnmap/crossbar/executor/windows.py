"""The input state machine: what windows see of a tensor."""

from typing import Any

import numpy as np

from snnmap.core.errors import FormatError
from snnmap.crossbar.container import TensorEntry
from snnmap.crossbar.executor.memory import ActivationMemory

__all__ = ["count_inside", "count_places", "view_windows"]


def count_places(setting: dict[str, int]) -> int:
    """Return the places of a window."""
    return setting["kernel_height"] * setting["kernel_width"]


def count_inside(setting: dict[str, int], tensor: TensorEntry) -> Any:
    """Return how many places of each window are in the tensor, ``(windows_height, windows_width)`` float32."""
    found = []
    for side, pad, length in (("height", "pad_top", tensor.height), ("width", "pad_left", tensor.width)):
        first = np.arange(setting[f"windows_{side}"])[:, np.newaxis] * setting[f"stride_{side}"] - setting[pad]
        places = first + np.arange(setting[f"kernel_{side}"]) * setting[f"dilation_{side}"]
        found.append(((places >= 0) & (places < length)).sum(axis=1))
    return np.multiply.outer(*found).astype(np.float32)


def view_windows(
    memory: ActivationMemory, setting: dict[str, int], channels: range, rows: range, where: str, *, fill: int | None = None
) -> Any:
    """Return what windows see, ``(n_samples, channels, kernel_height, kernel_width, len(rows), windows_width)``, a view.

    Args:
        memory: that holds the tensor.
        setting: fields of the ``input`` instruction.
        channels: of the tensor.
        rows: of windows.
        where: for errors.
        fill: level outside of the tensor; its zero where left out.

    Raises:
        FormatError: windows see nothing of the tensor, or the setting is none.
    """
    tensor = memory.tensor(setting["tensor"], where)
    counts, kernel, strides, spread = (
        (setting[f"{name}_height"], setting[f"{name}_width"]) for name in ("windows", "kernel", "stride", "dilation")
    )
    if min(*counts, *kernel, *strides, *spread) < 1 or rows.stop > counts[0]:
        raise FormatError("windows of no size, or beyond the last", where=where, measured=str(setting), fix="build the file anew")
    values = memory.read(setting["tensor"], channels.start * tensor.n_places, len(channels) * tensor.n_places, where)
    values = values.reshape(-1, len(channels), tensor.height, tensor.width)
    sides = [
        (pad, max(0, (count - 1) * step + gap * (side - 1) + 1 - pad - length))
        for pad, count, step, gap, side, length in zip(
            (setting["pad_top"], setting["pad_left"]), counts, strides, spread, kernel, (tensor.height, tensor.width), strict=True
        )
    ]
    if max(max(pair) for pair in sides) > max(kernel[0] * spread[0], kernel[1] * spread[1], *strides):
        raise FormatError("windows see nothing but padding", where=where, measured=str(setting), fix="build the file anew")
    if any(map(any, sides)):
        values = np.pad(values, [(0, 0), (0, 0), *sides], constant_values=tensor.zero if fill is None else fill)
    return _slide(values, counts[1], kernel, strides, spread, rows)


def _slide(
    values: Any, width: int, kernel: tuple[int, int], strides: tuple[int, int], spread: tuple[int, int], rows: range
) -> Any:
    samples, channels, down, along = values.strides
    start = values[:, :, rows.start * strides[0] :]
    shape = (*values.shape[:2], *kernel, len(rows), width)
    steps = (samples, channels, down * spread[0], along * spread[1], down * strides[0], along * strides[1])
    return np.lib.stride_tricks.as_strided(start, shape, steps, writeable=False)

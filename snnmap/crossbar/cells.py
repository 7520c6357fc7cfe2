"""Weights as the values of cells, and which of these a cell can have."""

from typing import Any

import numpy as np

from snnmap.crossbar.record import Architecture

__all__ = ["encode_cells", "split_bias"]


def encode_cells(weights: Any, architecture: Architecture) -> bytes:
    """Return the cells of weights, a byte each: digits of the two's complement, the highest signed, or those of both signs.

    Args:
        weights: ``(..., filters)`` int8; each becomes as many cells beside each other as
            :attr:`~snnmap.crossbar.record.Architecture.cell_scales` has.
        architecture: how cells encode weights.
    """
    cells = architecture.weights
    if len(architecture.cell_scales) == 1:
        return np.ascontiguousarray(weights, np.int8).tobytes()
    shifts = range(0, cells.bits, cells.cell_bits)
    wide, mask = np.asarray(weights, np.int16), (1 << cells.cell_bits) - 1
    if cells.encoding == "signed":
        digits = [(wide >> shift) & mask for shift in shifts[:-1]] + [wide >> shifts[-1]]
    else:
        digits = [(part >> shift) & mask for part in (np.maximum(wide, 0), np.maximum(-wide, 0)) for shift in shifts]
    return np.stack(digits, axis=-1).astype(np.int8).tobytes()


def split_bias(bias: Any, architecture: Architecture) -> tuple[Any, Any]:
    """Return the part of each bias that a row of cells holds, and the remainder, which is added as a number.

    Args:
        bias: ``(n,)`` int64.
        architecture: whose bias rows are driven with the greatest input.

    Returns:
        ``(n,)`` int8 and ``(n,)`` int64.
    """
    if architecture.weights.bias == "digital":
        return np.zeros(bias.size, np.int8), bias
    drive, magnitude = (1 << architecture.converters.dac_bits) - 1, 1 << (architecture.weights.bits - 1)
    held = np.clip(np.rint(bias / drive), -magnitude, magnitude - 1).astype(np.int64)
    return held.astype(np.int8), bias - held * drive

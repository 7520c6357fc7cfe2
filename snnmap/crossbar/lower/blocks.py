"""Grouped weights as blocks: an element holds as many groups as it has rows and columns for, beside and below each other."""

from typing import Any

import numpy as np

from snnmap.crossbar.record import Architecture

__all__ = ["make_blocks"]


def make_blocks(groups: Any, architecture: Architecture) -> tuple[Any, Any]:
    """Return weights as blocks, and what of them is a weight.

    Args:
        groups: ``(n_groups, n_rows, n_filters)`` int8.
        architecture: whose element takes several small groups, along its diagonal.

    Returns:
        ``(n_blocks, rows, filters)`` int8, and the same in bool, or None where everything is a weight.
    """
    n_groups, n_rows, n_filters = groups.shape
    together = _count_together(n_groups, n_rows, n_filters, architecture)
    if together == 1:
        return np.ascontiguousarray(groups), None
    shape = (n_groups // together, together, n_rows, together, n_filters)
    blocks, holds = np.zeros(shape, np.int8), np.zeros(shape, np.bool_)
    for place in range(together):
        blocks[:, place, :, place] = groups[place::together]
        holds[:, place, :, place] = True
    whole = (shape[0], together * n_rows, together * n_filters)
    return blocks.reshape(whole), holds.reshape(whole)


def _count_together(n_groups: int, n_rows: int, n_filters: int, architecture: Architecture) -> int:
    """Return how many groups share an element: the most that fit and divide them."""
    rows = architecture.elements.rows - (architecture.weights.bias == "row")
    room = min(rows // n_rows, architecture.elements.columns // (n_filters * len(architecture.cell_scales)))
    return max((count for count in range(1, min(room, n_groups) + 1) if n_groups % count == 0), default=1)

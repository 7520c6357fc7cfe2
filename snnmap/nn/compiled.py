"""Compiled loops: which tensors they take, and how rows are shared among threads."""

from itertools import pairwise

import torch
from torch import Tensor

__all__ = ["is_compiled", "split_evenly"]


def is_compiled(tensor: Tensor) -> bool:
    """Say whether the compiled loops take such a tensor."""
    return tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64)


def split_evenly(n_rows: int, n_parts: int) -> list[slice]:
    """Return at most so many slices of rows, none of them empty where there are rows."""
    n_parts = max(min(n_parts, n_rows), 1)
    edges = [n_rows * number // n_parts for number in range(n_parts + 1)]
    return [slice(first, last) for first, last in pairwise(edges)]

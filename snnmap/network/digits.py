"""Long arrays of numbers as text, compiled: as JSON writes them, joined by commas."""

from typing import Any

import numba
import numpy as np

__all__ = ["N_SLOTS", "copy_texts", "number_values", "write_integers"]

_compile: Any = numba.njit(cache=True, nogil=True)
_SLOT_BITS = 20
N_SLOTS = 1 << _SLOT_BITS
"""Slots of a table of numbered values, of which half are filled at most."""
_MINUS, _COMMA, _SPACE, _ZERO = 45, 44, 32, 48


@_compile
def write_integers(values: Any) -> Any:
    """Write ``(n,) int64``, at least one, as ``uint8`` letters."""
    size = 0
    for value in values:
        size += _count_letters(value) + 2
    letters, end = np.empty(size, np.uint8), 0
    for value in values:
        start, end = end, end + _count_letters(value)
        if value < 0:
            letters[start] = _MINUS
        rest, at = _measure_size(value), end
        while at == end or rest:
            at -= 1
            letters[at] = _ZERO + rest % np.uint64(10)
            rest //= np.uint64(10)
        letters[end], letters[end + 1] = _COMMA, _SPACE
        end += 2
    return letters[:-2]


@_compile
def _measure_size(value: int) -> Any:
    return np.uint64(value) if value >= 0 else np.uint64(-(value + 1)) + np.uint64(1)


@_compile
def _count_letters(value: int) -> int:
    n, rest = 1 + (value < 0), _measure_size(value)
    while rest >= np.uint64(10):
        rest //= np.uint64(10)
        n += 1
    return n


@_compile
def number_values(values: Any, keys: Any, numbers: Any, n_known: int) -> tuple[Any, int]:
    """Number values in the order in which they are first met.

    Args:
        values: ``(n,) int64``.
        keys: ``(N_SLOTS,) int64``, a table of the values that are known, which is filled on.
        numbers: ``(N_SLOTS,) int64``, their numbers; -1 where a slot is free.
        n_known: how many these are.

    Returns:
        The number of each value, ``(n,)``, and how many are known; -1 for these where the table is half full.
    """
    found = np.empty(values.size, np.int64)
    for place in range(values.size):
        value = values[place]
        mark = np.uint64(value) * np.uint64(0x9E3779B97F4A7C15)
        slot = np.int64(mark >> np.uint64(64 - _SLOT_BITS))
        while numbers[slot] >= 0 and keys[slot] != value:
            slot = (slot + 1) % N_SLOTS
        if numbers[slot] < 0:
            if 2 * n_known >= N_SLOTS:
                return found, -1
            keys[slot], numbers[slot] = value, n_known
            n_known += 1
        found[place] = numbers[slot]
    return found, n_known


@_compile
def copy_texts(numbers: Any, letters: Any, edges: Any) -> Any:
    """Write the texts of some numbers, ``(n,) int64``, at least one, as ``uint8`` letters.

    Args:
        numbers: of the texts.
        letters: ``uint8`` of all texts, one after the other, each with the comma and space behind it.
        edges: where each starts, and one more.
    """
    size = 0
    for number in numbers:
        size += edges[number + 1] - edges[number]
    copied, end = np.empty(size, np.uint8), 0
    for number in numbers:
        for place in range(edges[number], edges[number + 1]):
            copied[end] = letters[place]
            end += 1
    return copied[:-2]

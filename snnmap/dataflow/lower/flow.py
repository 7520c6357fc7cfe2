"""Which words of its inputs a layer needs for each word that it gives."""

from collections.abc import Sequence
from math import prod

import numpy as np

from snnmap.core.record import IntArray
from snnmap.dataflow.lower.layers import Flow
from snnmap.graph.operation import Array, Shape
from snnmap.graph.windows import Windows

__all__ = ["accumulate_flow", "group_firings", "index_places", "map_flow", "window_flow"]


def window_flow(windows: Windows, sides: Shape) -> Flow:
    """Return the flow of windows that slide over rows of places, a window a firing.

    Args:
        windows: of one or two sides.
        sides: of the input.
    """
    counts = windows.sizes(sides)
    first, last = np.zeros(counts, np.int64), np.zeros(counts, np.int64)
    for axis, (side, count) in enumerate(zip(sides, counts, strict=True)):
        step = windows.dilations[axis]
        start = np.arange(count) * windows.strides[axis] - windows.pads[axis][0]
        end = start + (windows.kernel[axis] - 1) * step
        start = start + np.maximum(-(start // step), 0) * step  # to the first place that is no pad
        end = end - np.maximum(-((side - 1 - end) // step), 0) * step
        shape = [-1 if other == axis else 1 for other in range(len(sides))]
        below = prod(sides[axis + 1 :])
        first = first + np.clip(start, 0, side - 1).reshape(shape) * below
        last = last + np.clip(end, 0, side - 1).reshape(shape) * below
    return _make_flow([(first.reshape(-1), last.reshape(-1), prod(sides))])


def accumulate_flow(n_words: int) -> Flow:
    """Return the flow of a layer that takes word after word, and gives one word behind the last."""
    taken = np.arange(1, n_words + 1)
    return Flow(needs=(taken,), frees=(taken,), gives=(taken == n_words).astype(np.int64))


def map_flow(places: Sequence[tuple[Array, int]], n_words: int) -> Flow:
    """Return the flow of a layer whose words each depend on some words of each input.

    Args:
        places: of each input, for each value given ``(channels, n_words)`` the word that it depends on, or -1; and how many
            words the input has.
        n_words: that are given.
    """
    ranges = []
    for taken, n_taken in places:
        taken = taken.reshape(-1, n_words)
        last = taken.max(axis=0)
        first = np.where(taken < 0, n_taken, taken).min(axis=0)
        ranges.append((first, last, n_taken))
    return _make_flow(ranges)


def index_places(shape: Shape) -> Array:
    """Return the number of the word that each value of a shape lies in."""
    places = shape[-2:] if len(shape) > 2 else shape[1:]
    return np.broadcast_to(np.arange(prod(places)).reshape(places or (1,) * len(shape)), shape)


def group_firings(flow: Flow, width: int, n_places: int) -> Flow:
    """Return the flow of firings that each give several places of a row.

    Args:
        flow: of one place a firing.
        width: of a row that is given.
        n_places: of a firing; the last of a row gives what is left.
    """
    if n_places == 1:
        return flow
    last = np.minimum(np.arange(0, width, n_places) + n_places, width) - 1
    ends = (np.arange(flow.n_firings // width)[:, np.newaxis] * width + last).reshape(-1)
    return Flow(
        needs=tuple(need[ends] for need in flow.needs), frees=tuple(free[ends] for free in flow.frees), gives=flow.gives[ends]
    )


def _make_flow(ranges: Sequence[tuple[IntArray, IntArray, int]]) -> Flow:
    """Return the flow of firings that each need words from a first to a last one; words come and go in order.

    None starts before the first word of its sample: what is made of pads alone would run ahead of the first sample for ever.
    """
    needs = tuple(np.maximum(np.maximum.accumulate(last) + 1, 1) for _, last, _ in ranges)
    frees = tuple(np.minimum.accumulate(np.append(first[1:], n_words)[::-1])[::-1] for first, _, n_words in ranges)
    return Flow(needs=needs, frees=frees, gives=np.arange(1, len(needs[0]) + 1))

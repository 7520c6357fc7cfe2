"""Histograms of the last events, and how few of their values each new event changes.

Source: Sekikawa and Uto, "Learning to Sparsify Differences of Synaptic Signal for Efficient Event Processing", BMVC 2021,
Eq. 16 and the experiments' configuration.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import InputError
from snnmap.events.events import Events, IntArray

__all__ = ["HistogramChanges", "HistogramOptions", "SlidingHistogram", "histogram_changes", "histogram_frames"]

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramOptions:
    """What a histogram covers, when it is looked at, and its unit.

    The defaults are those of the paper's published N-MNIST configuration.

    Attributes:
        tau_events: events that the window holds.
        nu_events: events from one step to the next.
        first_events: events that have come by the first step; None means ``nu_events``. With ``tau_events`` every step
            sees a full window.
        scale: events that make a value of 1.0. Values are float32; for a power of two they and their sums are exact.
    """

    tau_events: int = 2000
    nu_events: int = 100
    first_events: int | None = None
    scale: float = 16.0

    def __post_init__(self) -> None:
        for name in ("tau_events", "nu_events", "first_events"):
            value = getattr(self, name)
            is_count = isinstance(value, int | np.integer) and bool(1 <= value < 2**24)
            holds = is_count or (name == "first_events" and value is None)
            InputError.require_option(self, name, holds, "an integer from 1 to 2**24 - 1", of="the histograms")
        holds = bool(np.isfinite(self.scale) and self.scale > 0)
        InputError.require_option(self, "scale", holds, "positive and finite", of="the histograms")

    def step_ends(self, n_events: int) -> IntArray:
        """Return how many events have come by each step of a recording: ``(n_steps,) int64``; a last, partial step has none."""
        return np.arange(self.first_events or self.nu_events, n_events + 1, self.nu_events, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HistogramChanges:
    """The values of a histogram that change in each step, the first step's from an empty histogram.

    Iterating gives ``(indices, values)`` a step.

    Attributes:
        starts: ``(n_steps + 1,) int64``; step ``k`` has the entries ``starts[k]:starts[k + 1]``.
        indices: ``(n_changes,) int64`` positions in the flattened ``(2, height, width)``, ascending within a step.
        values: ``(n_changes,) float32`` differences, none of them 0.
        shape: rows and columns of the sensor.
    """

    starts: IntArray
    indices: IntArray
    values: Float32Array
    shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __iter__(self) -> Iterator[tuple[IntArray, Float32Array]]:
        for first, last in zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True):
            yield self.indices[first:last], self.values[first:last]


def histogram_changes(events: Events, options: HistogramOptions | None = None) -> HistogramChanges:
    """Return what changes in the histogram of the last events, step by step.

    Each event adds one at its pixel and polarity; the event that is ``tau_events`` older leaves and takes one away (Eq. 16).
    Changes that cancel within a step are left out.

    Cost: that of sorting the events; it does not depend on the sensor's size, and on steps only as there is a row a step.

    Args:
        events: one recording.
        options: window, step and unit.
    """
    options = options or HistogramOptions()
    starts, indices, counts = _count_changes(events, options)
    return HistogramChanges(starts=starts, indices=indices, values=_to_values(counts, options), shape=events.shape)


def histogram_frames(events: Events, options: HistogramOptions | None = None) -> Float32Array:
    """Return the histogram of the last events at every step: ``(n_steps, 2, height, width) float32``, negative channel first.

    Args:
        events: one recording.
        options: window, step and unit.
    """
    options = options or HistogramOptions()
    starts, indices, counts = _count_changes(events, options)
    height, width = events.shape
    frames = np.zeros((len(starts) - 1, 2 * height * width), np.float32)
    frames[np.repeat(np.arange(len(frames)), np.diff(starts)), indices] = counts
    np.cumsum(frames, axis=0, out=frames)
    return _to_values(frames, options).reshape(-1, 2, height, width)


def _to_values(counts: npt.NDArray[Any], options: HistogramOptions) -> Float32Array:
    return counts.astype(np.float32, copy=False) / np.float32(options.scale)


def _count_changes(events: Events, options: HistogramOptions) -> tuple[IntArray, IntArray, IntArray]:
    """Return row starts, positions and differences of counts."""
    ends = options.step_ends(len(events))
    n_used = int(ends[-1]) if len(ends) else 0
    pixels, arrivals = events.flat_indices()[:n_used], np.arange(n_used)
    n_leaving = max(0, n_used - options.tau_events)
    times = np.concatenate([arrivals, arrivals[:n_leaving] + options.tau_events])
    steps = np.searchsorted(ends, times, side="right")
    indices, counts, steps = _add_up(steps, np.concatenate([pixels, pixels[:n_leaving]]), n_used, events.shape)
    starts = np.searchsorted(steps, np.arange(len(ends) + 1))
    return starts.astype(np.int64), indices, counts


def _add_up(steps: IntArray, pixels: IntArray, n_arrivals: int, shape: tuple[int, int]) -> tuple[IntArray, IntArray, IntArray]:
    """Sum arrivals (+1, they come first) and departures (-1) of the same step and position, and leave zeros out."""
    n_positions = 2 * shape[0] * shape[1]
    signs = np.where(np.arange(len(pixels)) < n_arrivals, 1, -1)
    keys, groups = np.unique(steps * n_positions + pixels, return_inverse=True)
    counts = np.bincount(groups, weights=signs, minlength=len(keys)).astype(np.int64)
    keys, counts = keys[counts != 0], counts[counts != 0]
    return keys % n_positions, counts, keys // n_positions


class SlidingHistogram:
    """The histogram of the last events of a stream that has no end, updated as events come, one or many at a time.

    After the same events it is the same, however they were divided::

        window = SlidingHistogram((34, 34), HistogramOptions(tau_events=2000))
        indices, values = window.update(events[:1])  # at most two values

    Args:
        shape: rows and columns of the sensor.
        options: window and unit; its steps are those of the calls.
    """

    def __init__(self, shape: tuple[int, int], options: HistogramOptions | None = None) -> None:
        self.shape, self.options = shape, options or HistogramOptions()
        self._counts = np.zeros(2 * shape[0] * shape[1], np.int64)
        self._window: deque[int] = deque()

    @property
    def values(self) -> Float32Array:
        """The histogram now: ``(2, height, width) float32``, a copy."""
        return _to_values(self._counts, self.options).reshape(2, *self.shape)

    def update(self, events: Events) -> tuple[IntArray, Float32Array]:
        """Add new events and let those leave that are older than the window.

        Returns:
            The positions that changed in the flattened ``(2, height, width)``, ascending, and their differences, none 0.

        Raises:
            InputError: the events are of another sensor.
        """
        if events.shape != self.shape:
            raise InputError(
                "the events are of another sensor",
                where="SlidingHistogram.update",
                measured=str(events.shape),
                limit=str(self.shape),
            )
        arrivals = events.flat_indices()
        self._window.extend(arrivals.tolist())
        n_leaving = max(0, len(self._window) - self.options.tau_events)
        leaving = np.array([self._window.popleft() for _ in range(n_leaving)], np.int64)
        pixels: npt.NDArray[Any] = np.concatenate([arrivals, leaving])
        indices, counts, _ = _add_up(np.zeros_like(pixels), pixels, len(arrivals), self.shape)
        self._counts[indices] += counts
        return indices, _to_values(counts, self.options)

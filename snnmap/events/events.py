"""Events of a camera that reports changes of brightness: where, when and which way."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import InputError

__all__ = ["Events", "FloatArray", "IntArray"]

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

_MAX_SIDE = 2**15
_FIELDS = {"t_us": np.int64, "x": np.int16, "y": np.int16, "polarity": np.uint8}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Events:
    """A recording of one event camera, in order of time; arrays are copied in and read-only.

    Attributes:
        t_us: ``(n,) int64`` times in microseconds, ascending (equal times allowed).
        x: ``(n,) int16`` columns, 0 at the left.
        y: ``(n,) int16`` rows, 0 at the top.
        polarity: ``(n,) uint8``, 1 where it became brighter, 0 where darker.
        shape: rows and columns of the sensor.

    Raises:
        InputError: lengths differ, a value is no integer, a time descends, or a pixel or polarity does not exist.
    """

    t_us: IntArray
    x: npt.NDArray[np.int16]
    y: npt.NDArray[np.int16]
    polarity: npt.NDArray[np.uint8]
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _read_shape(self.shape))
        given = {name: _read_integers(getattr(self, name), name) for name in _FIELDS}
        lengths = {name: len(values) for name, values in given.items()}
        if len(set(lengths.values())) > 1:
            raise InputError("arrays of events differ in length", where="Events", measured=str(lengths), limit="one length")
        _require_ascending(given["t_us"])
        for name, limit in (("x", self.shape[1]), ("y", self.shape[0]), ("polarity", 2)):
            _require_below(given[name], limit, name)
        for name, dtype in _FIELDS.items():
            array = np.array(given[name], dtype)
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.t_us)

    def __getitem__(self, part: slice) -> "Events":
        """Return the events of a slice by count, such as ``events[:2000]``."""
        if not isinstance(part, slice):
            raise InputError("events are taken by slices", where="Events[...]", measured=repr(part), fix="events[i : i + 1]")
        return Events(**{name: getattr(self, name)[part] for name in _FIELDS}, shape=self.shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Events):
            return NotImplemented
        same = all(np.array_equal(getattr(self, name), getattr(other, name)) for name in _FIELDS)
        return same and self.shape == other.shape

    __hash__ = None  # type: ignore[assignment]

    @property
    def duration_us(self) -> int:
        """Microseconds from the first event to the last; 0 where there are none."""
        return int(self.t_us[-1] - self.t_us[0]) if len(self) else 0

    def between(self, start_us: int, stop_us: int) -> "Events":
        """Return the events with ``start_us <= t_us < stop_us``."""
        first, last = np.searchsorted(self.t_us, [start_us, stop_us])
        return self[int(first) : int(last)]

    def flat_indices(self) -> IntArray:
        """Return each event's position in a flattened ``(2, height, width)`` array, its polarity first: ``(n,) int64``."""
        height, width = self.shape
        return (self.polarity.astype(np.int64) * height + self.y) * width + self.x


def _read_shape(shape: tuple[int, int]) -> tuple[int, int]:
    sides = tuple(int(side) for side in shape)
    if len(sides) != 2 or not all(0 < side <= _MAX_SIDE for side in sides):
        raise InputError(
            "a sensor has rows and columns", where="Events.shape", measured=str(tuple(shape)), limit=f"two of 1..{_MAX_SIDE}"
        )
    return sides


def _read_integers(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.dtype.kind not in "iub" and array.size):
        raise InputError(
            "events are given as arrays of integers",
            where=f"Events.{name}",
            measured=f"{array.dtype} of shape {array.shape}",
            limit="integers of shape (n,)",
        )
    if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise InputError("a value does not fit 64 bits with a sign", where=f"Events.{name}", measured=str(array.max()))
    return array.astype(np.int64)


def _require_ascending(t_us: IntArray) -> None:
    falls = np.flatnonzero(t_us[1:] < t_us[:-1])
    if falls.size:
        event_idx = int(falls[0]) + 1
        raise InputError(
            "times descend",
            where=f"Events.t_us, event {event_idx}",
            measured=f"{t_us[event_idx]} us after {t_us[event_idx - 1]} us",
            limit="ascending times",
            fix="put the events in order of time first, with a stable sort",
        )


def _require_below(values: IntArray, limit: int, name: str) -> None:
    wrong = np.flatnonzero((values < 0) | (values >= limit))
    if wrong.size:
        raise InputError(
            f"an event's {name} does not exist",
            where=f"Events.{name}, event {wrong[0]}",
            measured=str(values[wrong[0]]),
            limit=f"0..{limit - 1}",
        )

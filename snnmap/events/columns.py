"""What every reader of a file gives: columns as they stand in it, not yet checked."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from snnmap.events.events import Events

__all__ = ["Columns"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """Events as a file holds them.

    Attributes:
        t_us: ``(n,)`` times in microseconds.
        x: ``(n,)`` columns.
        y: ``(n,)`` rows.
        polarity: ``(n,)``, 1 for brighter.
        shape: rows and columns of the sensor, where the file says; else None.
    """

    t_us: npt.NDArray[Any]
    x: npt.NDArray[Any]
    y: npt.NDArray[Any]
    polarity: npt.NDArray[Any]
    shape: tuple[int, int] | None

    def to_events(self, shape: tuple[int, int]) -> Events:
        """Return the events, checked, on a sensor of ``shape``."""
        return Events(t_us=self.t_us, x=self.x, y=self.y, polarity=self.polarity, shape=shape)

"""The elements of the cores in one computation cycle, and which of them are used."""

from dataclasses import dataclass, field
from typing import Literal

from snnmap.crossbar.record import Architecture

__all__ = ["Fill", "Floor", "Spot"]

Fill = Literal["present", "first"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A free place: core, first element, and how many units stand below and beside each other in it."""

    core: int
    row: int
    column: int
    stack: int
    n_units: int


@dataclass(kw_only=True)
class Floor:
    """Marks elements as used, column by column from above.

    Attributes:
        architecture: whose cores these are.
        fill: ``present`` looks for room on the present core alone, ``first`` on all cores of the cycle.
        cycle: the present computation cycle.
        core: the present core.
        used: elements in use, of each core and column.
    """

    architecture: Architecture
    fill: Fill
    cycle: int = 0
    core: int = 0
    used: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.used = self.used or self._empty()

    @property
    def is_empty(self) -> bool:
        """Whether no element of the cycle is used."""
        return not any(map(any, self.used))

    def copy(self) -> "Floor":
        """Return the same state, to come back to."""
        used = [list(columns) for columns in self.used]
        return Floor(architecture=self.architecture, fill=self.fill, cycle=self.cycle, core=self.core, used=used)

    def take(self, height: int, width: int, most: int, *, stacked: bool) -> Spot:
        """Mark the first free place for units of these elements as used; it is on a later core or in a later cycle where none is.

        Args:
            height: elements of a unit below each other; no more than a column has.
            width: elements of a unit beside each other; no more than a row has.
            most: units that are wanted; the place may hold fewer, but one at least.
            stacked: whether units may stand below each other.
        """
        while True:
            for core in range(self.architecture.cores) if self.fill == "first" else (self.core,):
                spot = self._find(core, height, width, most, stacked=stacked)
                if spot is not None:
                    self._mark(spot, height, width)
                    return spot
            self.go_on()

    def go_on(self) -> None:
        """Go to the next core, and behind the last one to the next computation cycle."""
        self.core += 1
        if self.core == self.architecture.cores or self.fill == "first":
            self.start_cycle()

    def leave_core(self) -> None:
        """Go to the next core of the cycle, behind the last one to the first, though the present one has room."""
        self.core = (self.core + 1) % self.architecture.cores

    def start_cycle(self) -> None:
        """Go to the first core of the next computation cycle."""
        self.cycle, self.core, self.used = self.cycle + 1, 0, self._empty()

    def _find(self, core: int, height: int, width: int, most: int, *, stacked: bool) -> Spot | None:
        used, column = self.used[core], 0
        rows = self.architecture.elements.grid_rows
        while column < len(used):
            n_columns = self._measure_run(used, column)
            stack = (rows - used[column]) // height
            if stack and n_columns >= width:
                stack = min(stack, most) if stacked else 1
                beside = min(n_columns // width, most // stack)
                return Spot(core=core, row=used[column], column=column, stack=stack, n_units=beside * stack)
            column += n_columns
        return None

    def _measure_run(self, used: list[int], column: int) -> int:
        """Return how many columns from here on are used alike, as far as switches join them."""
        end = column + 1
        last = min(len(used), column + self.architecture.widest_row)
        while end < last and used[end] == used[column]:
            end += 1
        return end - column

    def _mark(self, spot: Spot, height: int, width: int) -> None:
        for column in range(spot.column, spot.column + spot.n_units // spot.stack * width):
            self.used[spot.core][column] += spot.stack * height

    def _empty(self) -> list[list[int]]:
        return [[0] * self.architecture.elements.grid_columns for _ in range(self.architecture.cores)]

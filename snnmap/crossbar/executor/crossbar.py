"""The crossbar of a core: cells, and products with them; and the accumulators that sums are added to."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from snnmap.core.errors import FormatError
from snnmap.crossbar.executor.numerics import Numerics
from snnmap.crossbar.record import Architecture

__all__ = ["Accumulators", "Crossbar", "Rectangle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rectangle:
    """Blocks of rows and filters in the grid, as the fields of an instruction say."""

    row: int
    column: int
    rows: int
    blocks: int
    stack: int
    filters: int

    @classmethod
    def from_fields(cls, fields: dict[str, int]) -> "Rectangle":
        """Take the fields of a ``weights`` or ``multiply`` instruction."""
        return cls(**{name: fields[name] for name in ("row", "column", "rows", "blocks", "stack", "filters")})


class Crossbar:
    """Cells of a core's elements; those that nobody wrote are not read.

    Args:
        architecture: of the core.
    """

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        elements = architecture.elements
        shape = (elements.grid_rows * elements.rows, elements.grid_columns * elements.columns)
        self._cells = np.zeros(shape, np.int16)
        self._is_written = np.zeros(shape, np.bool_)
        self._is_taken = np.zeros((elements.grid_rows, elements.grid_columns), np.bool_)

    def clear(self) -> None:
        """Free all cells."""
        self._is_written[:] = False
        self._is_taken[:] = False

    def store(self, place: Rectangle, data: bytes, where: str) -> None:
        """Write the cells of blocks, which must be free.

        Raises:
            FormatError: they are outside of the grid or in use, or a value is none that a cell has.
        """
        columns = place.filters * len(self.architecture.cell_scales)
        kind = np.int8 if self.architecture.weights.encoding == "signed" else np.uint8
        values = np.frombuffer(data, kind).reshape(place.blocks, place.rows, columns).astype(np.int16)
        self._require_values(values, where)
        height, width = self.architecture.count_rows(place.rows), self.architecture.count_columns(place.filters)
        for block, (row, column) in zip(values, self._corners(place, where), strict=True):
            elements = self._is_taken[row : row + height, column : column + width]
            if elements.any():
                raise FormatError("elements are stored to twice", where=where, measured=str(int(elements.sum())), limit="0")
            elements[:] = True
            cells = self._cell_span(row, column, place)
            self._cells[cells], self._is_written[cells] = block, True

    def read(self, place: Rectangle, where: str) -> Any:
        """Return the cells of blocks ``(blocks, rows, filters * cells of a weight)``.

        Raises:
            FormatError: they are outside of the grid, or nobody wrote them.
        """
        found = []
        for row, column in self._corners(place, where):
            cells = self._cell_span(row, column, place)
            if not self._is_written[cells].all():
                raise FormatError("cells are read that nobody wrote", where=where, measured=f"element {row}, {column}")
            found.append(self._cells[cells])
        return np.stack(found)

    def _cell_span(self, row: int, column: int, place: Rectangle) -> tuple[slice, slice]:
        elements, cells = self.architecture.elements, len(self.architecture.cell_scales)
        top, left = row * elements.rows, column * elements.columns
        return slice(top, top + place.rows), slice(left, left + place.filters * cells)

    def _corners(self, place: Rectangle, where: str) -> list[tuple[int, int]]:
        """Return the first element of each block."""
        elements, switches = self.architecture.elements, self.architecture
        height, width = self.architecture.count_rows(place.rows), self.architecture.count_columns(place.filters)
        if not (height and width and 1 <= place.stack <= place.blocks) or place.blocks % place.stack:
            raise FormatError("a rectangle of no elements", where=where, measured=str(place), fix="build the file anew")
        beside = place.blocks // place.stack
        bottom, right = place.row + place.stack * height, place.column + beside * width
        if bottom > elements.grid_rows or right > elements.grid_columns or max(height - switches.longest_chain, 0):
            raise FormatError(
                "elements outside of the grid, or a chain beyond the switches",
                where=where,
                measured=f"rows to {bottom}, columns to {right}, chains of {height}",
                limit=f"{elements.grid_rows} rows, {elements.grid_columns} columns, chains of {switches.longest_chain}",
                fix="build the file anew",
            )
        return [
            (place.row + below * height, place.column + next_ * width) for next_ in range(beside) for below in range(place.stack)
        ]

    def _require_values(self, values: Any, where: str) -> None:
        cells, n_cells = self.architecture.weights, len(self.architecture.cell_scales)
        split = values.reshape(*values.shape[:-1], -1, n_cells)
        limits = np.full((n_cells, 2), (0, (1 << cells.cell_bits) - 1))
        if cells.encoding == "signed":
            top = cells.bits - (n_cells - 1) * cells.cell_bits
            limits[-1] = -(1 << (top - 1)), (1 << (top - 1)) - 1
        wrong = int(((split < limits[:, 0]) | (split > limits[:, 1])).sum())
        if wrong:
            raise FormatError("values that no cell has", where=where, measured=f"{wrong} cells", limit=f"{cells.cell_bits} bits")


class Accumulators:
    """Sums of a core, for each sample; those that were not set, or were taken away, are not read.

    Args:
        n_words: of the core.
        n_samples: of the batch.
    """

    def __init__(self, n_words: int, n_samples: int) -> None:
        self.n_words = n_words
        self._sums = np.zeros((n_samples, 0), np.int32)
        self._is_set = np.zeros(0, np.bool_)

    def clear(self, first: int, count: int, where: str) -> None:
        """Set accumulators to 0.

        Raises:
            FormatError: there are not as many, or sums were left over.
        """
        self._require(first + count, where)
        self.require_taken(where)
        if first + count > self._is_set.size:
            grown = first + count - self._is_set.size
            self._sums = np.pad(self._sums, ((0, 0), (0, grown)))
            self._is_set = np.pad(self._is_set, (0, grown))
        self._sums[:, first : first + count] = 0
        self._is_set[first : first + count] = True

    def require_taken(self, where: str) -> None:
        """Refuse sums that nobody took."""
        if self._is_set.any():
            measured = f"{np.count_nonzero(self._is_set)} accumulators"
            raise FormatError("sums are left over", where=where, measured=measured, limit="0", fix="build the file anew")

    def add(self, first: int, pitch: int, values: Any, where: str) -> None:
        """Add ``(n_samples, windows, filters)``."""
        self._view(first, pitch, values.shape[1], values.shape[2], where)[:] += values

    def take(self, first: int, pitch: int, windows: int, filters: int, where: str) -> Any:
        """Return sums ``(n_samples, windows, filters)``, which are no longer set then."""
        found = self._view(first, pitch, windows, filters, where).copy()
        self._flags(first, pitch, windows, filters)[:] = False
        return found

    def _view(self, first: int, pitch: int, windows: int, filters: int, where: str) -> Any:
        end = first + (windows - 1) * pitch + filters
        if not 0 < filters <= pitch or windows < 1:
            measured = f"{windows} windows of {filters} at {pitch}"
            raise FormatError(
                "accumulators of no size, or that overlap", where=where, measured=measured, fix="build the file anew"
            )
        self._require(end, where)
        if end > self._is_set.size or not self._flags(first, pitch, windows, filters).all():
            raise FormatError("accumulators are used that nobody set", where=where, measured=f"{first} to {end - 1}")
        sample, word = self._sums.strides
        shape, steps = (len(self._sums), windows, filters), (sample, pitch * word, word)
        return np.lib.stride_tricks.as_strided(self._sums[:, first:], shape, steps)

    def _flags(self, first: int, pitch: int, windows: int, filters: int) -> Any:
        return np.lib.stride_tricks.as_strided(self._is_set[first:], (windows, filters), (pitch, 1))

    def _require(self, end: int, where: str) -> None:
        if end > self.n_words:
            raise FormatError(
                "accumulators beyond those of the core", where=where, measured=str(end), limit=str(self.n_words), fix="build anew"
            )


def multiply(crossbar: Crossbar, place: Rectangle, driven: Any, numerics: Numerics, where: str) -> Any:
    """Return each window's sums ``(n_samples, windows, blocks * filters)``, in int32.

    Args:
        crossbar: that holds the weights.
        place: of the blocks.
        driven: ``(n_samples, blocks, rows, windows)``, levels of the rows.
        numerics: exact, or with what analog parts do.
        where: for errors.
    """
    cells = crossbar.read(place, where)
    sums = numerics.multiply(driven, cells, np.asarray(crossbar.architecture.cell_scales), crossbar.architecture)
    return sums.transpose(0, 2, 1, 3).reshape(len(sums), sums.shape[2], -1)

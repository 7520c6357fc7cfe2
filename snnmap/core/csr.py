"""Sparse weights: compressed rows as three read-only arrays."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from snnmap.core.cached import Cached, cached, hand_on
from snnmap.core.errors import NetworkError
from snnmap.core.record import BoolArray, FloatArray, IntArray, freeze_float, freeze_int, record, replace_array, seal
from snnmap.core.threads import count_cores, run_side_by_side

if TYPE_CHECKING:
    from snnmap.core.blocks import Blocks

__all__ = ["MOST_NEAR", "CsrMatrix", "list_places", "order_alike", "order_keys", "split_near", "spread_marks", "take_places"]

MOST_NEAR = 100_000
"""Sums that a processor holds near, about a megabyte; where more are added up, every weight is read in the order of targets."""
_FEW_PRODUCTS = 65_536
"""Products of a value and a weight that numpy adds up before compiled code would have been loaded for them."""
_MUCH_WORK = 10_000_000
"""Products of a value and a weight above which threads share them."""
_MUCH_LARGER = 1000
"""Synapses, for each that is added to them, among which it is inserted in less time than all are ordered in."""
_MOST_BESIDE = 65_536
"""Numbers that several arrays hold near."""
_FEW_TRIPLETS = 1_000_000
"""Synapses that numpy orders in the time in which compiled code is loaded."""


class Product(Protocol):
    """A function that multiplies with a matrix: see :meth:`CsrMatrix.build_product`."""

    def __call__(self, values: npt.NDArray[Any], out: FloatArray | None = None) -> FloatArray: ...


@record
class CsrMatrix(Cached):
    """A sparse matrix, one row a source neuron: compressed sparse rows in canonical form.

    Canonical: column indices ascend strictly within a row. Rows are sources, columns are targets.

    Attributes:
        shape: ``(n_pre, n_post)``.
        indptr: ``(n_pre + 1,) int64``, where each row starts in ``indices`` and ``data``.
        indices: ``(nnz,) int64``, target of each stored weight.
        data: ``(nnz,) float64`` or ``int64``, the weights.

    Raises:
        NetworkError: when the three arrays do not form a canonical matrix of this shape.
    """

    shape: tuple[int, int]
    indptr: IntArray
    indices: IntArray
    data: npt.NDArray[Any]

    def __post_init__(self) -> None:
        replace_array(self, "shape", (int(self.shape[0]), int(self.shape[1])))
        replace_array(self, "indptr", freeze_int(self.indptr))
        replace_array(self, "indices", freeze_int(self.indices))
        replace_array(self, "data", _freeze_weights(self.data))
        problem = self._find_defect()
        if problem:
            raise NetworkError(
                f"the sparse matrix is malformed: {problem}",
                measured=f"{self.indptr.size} row starts, {self.indices.size} columns, {self.data.size} weights",
                limit=f"shape {self.shape}",
                fix="build it with CsrMatrix.from_dense or CsrMatrix.from_triplets",
            )

    @classmethod
    def from_dense(cls, weights: npt.ArrayLike) -> Self:
        """Store the non-zero entries of a ``(n_pre, n_post)`` array; NaN counts as non-zero.

        Example:
            >>> CsrMatrix.from_dense([[0.0, 2.5], [1.0, 0.0]]).indices.tolist()
            [1, 0]
        """
        dense = np.asarray(weights)
        if dense.ndim != 2:
            raise NetworkError("weights must be a matrix", measured=f"{dense.ndim} dimensions", limit="2")
        flat = dense.ravel()
        places = np.flatnonzero(flat != 0)
        rows, columns = np.divmod(places, max(1, dense.shape[1]))
        edges = np.r_[0, np.cumsum(np.bincount(rows, minlength=dense.shape[0]))]
        return cls._of_own(dense.shape, edges, columns, flat[places])

    @classmethod
    def from_triplets(cls, rows: npt.ArrayLike, columns: npt.ArrayLike, data: npt.ArrayLike, shape: tuple[int, int]) -> Self:
        """Build from one (source, target, weight) a synapse, in any order; those of one pair are added.

        Entries that are, or add up to, exactly 0 are left out.

        Example:
            >>> CsrMatrix.from_triplets([0, 1, 0], [1, 0, 1], [2.0, 1.0, 0.5], (2, 2)).to_dense().tolist()
            [[0.0, 2.5], [1.0, 0.0]]
        """
        row, column, weight = np.asarray(rows, np.int64), np.asarray(columns, np.int64), np.asarray(data)
        is_own = False
        if not _are_ordered(row, column, shape):
            row, column, weight = _order_triplets(row, column, weight, shape)
            if not _are_ordered(row, column, shape):
                starts = np.flatnonzero(np.r_[True, (np.diff(row) != 0) | (np.diff(column) != 0)])
                row, column, weight = row[starts], column[starts], np.add.reduceat(weight, starts)
            is_own = True
        kept = weight != 0
        if not kept.all():
            row, column, weight, is_own = row[kept], column[kept], weight[kept], True
        edges = np.r_[0, np.cumsum(np.bincount(row, minlength=shape[0]))]
        own = (column, weight) if is_own else (column.copy(), weight.copy())
        return cls._of_own(shape, edges, *own)

    @classmethod
    def join(cls, parts: Sequence[tuple["CsrMatrix", IntArray, IntArray]], shape: tuple[int, int]) -> Self:
        """Build from matrices, each with where its rows and its columns go; synapses of one pair are added.

        Example:
            >>> part = CsrMatrix.from_dense([[0.5, 2.5]])
            >>> CsrMatrix.join([(part, np.array([1]), np.array([2, 0]))], (2, 3)).to_dense().tolist()
            [[0.0, 0.0, 0.0], [2.5, 0.0, 0.5]]
        """
        n = sum(part.nnz for part, _, _ in parts)
        if n > _FEW_TRIPLETS:
            from snnmap.core import triplets

            lengths = np.zeros(shape[0], np.int64)
            for part, rows, _ in parts:
                np.add.at(lengths, rows, part.row_lengths)
            edges = np.r_[0, np.cumsum(lengths)]
            dtype = np.result_type(*(part.data for part, _, _ in parts))
            free, targets, weights = edges[:-1].copy(), np.empty(n, np.int64), np.empty(n, dtype)
            for part, rows, columns in parts:
                triplets.place_rows(part.indptr, part.indices, part.data, rows, columns, free, targets, weights)
            if triplets.order_rows(edges, targets, weights) and weights.all():
                return cls._of_own(shape, edges, targets, weights)
            return cls.from_triplets(np.repeat(np.arange(shape[0]), lengths), targets, weights, shape)
        listed = [(rows[part.rows], columns[part.indices], part.data) for part, rows, columns in parts]
        row, column, weight = (np.concatenate(each) for each in zip(*listed, strict=True))
        return cls.from_triplets(row, column, weight, shape)

    @classmethod
    def from_scipy(cls, matrix: Any) -> Self:
        """Copy a ``scipy.sparse`` array of any format; entries of one place are added, and what is exactly 0 is left out.

        Example:
            >>> from scipy.sparse import eye_array
            >>> CsrMatrix.from_scipy(eye_array(2)).to_dense().tolist()
            [[1.0, 0.0], [0.0, 1.0]]
        """
        rows = matrix.tocsr()
        rows = rows if rows.has_canonical_format else rows.sorted_indices()
        if rows.has_canonical_format and rows.data.all():
            return cls._of_own(rows.shape, rows.indptr.astype(np.int64), rows.indices.astype(np.int64), rows.data.copy())
        listed = matrix.tocoo()
        return cls.from_triplets(listed.row, listed.col, listed.data, listed.shape)

    @classmethod
    def _of_own(cls, shape: tuple[int, int], *arrays: npt.NDArray[Any]) -> Self:
        """Build from row starts, columns and weights that nobody else holds, which are not copied."""
        indptr, indices, data = map(seal, arrays)
        return cls(shape=shape, indptr=indptr, indices=indices, data=data)

    def _derive(self, shape: tuple[int, int] | None = None, **changed: npt.NDArray[Any]) -> "CsrMatrix":
        """Return the same with other arrays that nobody else changes and that make a canonical matrix, which is not checked."""
        derived = object.__new__(CsrMatrix)
        replace_array(derived, "shape", self.shape if shape is None else shape)
        for name in ("indptr", "indices", "data"):
            replace_array(derived, name, seal(changed.get(name, getattr(self, name))))
        return derived

    @staticmethod
    def sum_of(matrices: Sequence["CsrMatrix"]) -> "CsrMatrix":
        """Add matrices of one shape, of which there is at least one; entries that add up to exactly 0 are left out."""
        if len(matrices) == 1:
            return matrices[0].keep(matrices[0].data != 0)
        large, few = matrices[0], matrices[1:]
        if _MUCH_LARGER * sum(matrix.nnz for matrix in few) < large.nnz and large.data.all():
            inserted = large._insert(CsrMatrix.sum_of(few))
            if inserted is not None:
                return inserted
        return CsrMatrix.from_triplets(
            np.concatenate([matrix.rows for matrix in matrices]),
            np.concatenate([matrix.indices for matrix in matrices]),
            np.concatenate([matrix.data for matrix in matrices]),
            matrices[0].shape,
        )

    def _insert(self, few: "CsrMatrix") -> "CsrMatrix | None":
        """Return the weights of another matrix between the stored ones; None where one stands in such a place."""
        places = np.empty(few.nnz, np.int64)
        for number, (row, column) in enumerate(zip(few.rows.tolist(), few.indices.tolist(), strict=True)):
            start, end = self.indptr[row : row + 2].tolist()
            places[number] = start + np.searchsorted(self.indices[start:end], column)
            if places[number] < end and self.indices[places[number]] == column:
                return None
        dtype = np.result_type(self.data, few.data)
        indices, data = np.insert(self.indices, places, few.indices), np.insert(self.data.astype(dtype), places, few.data)
        return self._derive(indptr=self.indptr + few.indptr, indices=indices, data=data)

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Self:
        """Return a matrix without synapses."""
        return cls(shape=shape, indptr=np.zeros(shape[0] + 1, np.int64), indices=np.zeros(0, np.int64), data=np.zeros(0))

    @property
    def nnz(self) -> int:
        """Number of stored weights."""
        return int(self.data.size)

    @property
    def rows(self) -> IntArray:
        """Source of each stored weight, ``(nnz,) int64``."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    @property
    def row_lengths(self) -> IntArray:
        """Fan-out of each source, ``(n_pre,) int64``."""
        return np.diff(self.indptr)

    @property
    @cached
    def column_lengths(self) -> IntArray:
        """Fan-in of each target, ``(n_post,) int64``, read-only."""
        if self.nnz > _FEW_TRIPLETS:
            from snnmap.core import triplets

            return seal(np.asarray(triplets.count_columns(self.indices, self.shape[1]), np.int64))
        return seal(np.bincount(self.indices, minlength=self.shape[1]).astype(np.int64))

    def measure_columns(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the largest magnitude of the weights onto each target and the sum of its sources' values, ``(n_post,)`` each.

        Args:
            values: ``(n_pre,)``, of the sources.

        Example:
            >>> largest, sums = CsrMatrix.from_dense([[0.0, 2.5], [1.0, -3.0]]).measure_columns(np.array([2.0, 4.0]))
            >>> largest.tolist(), sums.tolist()
            ([1.0, 3.0], [4.0, 6.0])
        """
        if self.nnz <= _FEW_TRIPLETS:
            peaks = np.zeros(self.shape[1])
            np.maximum.at(peaks, self.indices, np.abs(self.data))
            return peaks, np.bincount(self.indices, values[self.rows], minlength=self.shape[1]).astype(np.float64)
        from snnmap.core import triplets

        found: tuple[FloatArray, FloatArray] = triplets.measure_columns(
            self.indptr, self.indices, self.data, values, self.shape[1]
        )
        return found

    def transpose(self) -> "CsrMatrix":
        """Return the same weights with sources and targets exchanged, in linear time; those that are exactly 0 are left out."""
        indptr, indices, data = self.to_columns(np.int64)
        transposed = self._derive(shape=(self.shape[1], self.shape[0]), indptr=indptr, indices=indices, data=data)
        return transposed.keep(data != 0)

    def select(self, rows: IntArray | None = None, columns: IntArray | None = None) -> "CsrMatrix":
        """Return some rows and columns, in the order of their numbers; all where none are given.

        Example:
            >>> CsrMatrix.from_dense([[0.0, 2.5], [1.0, 0.0]]).select(columns=np.array([1])).to_dense().tolist()
            [[2.5], [0.0]]
        """
        taken = self if rows is None else self._take_rows(rows)
        return taken if columns is None else CsrMatrix.from_scipy(taken.to_scipy()[:, columns])

    def _take_rows(self, rows: IntArray) -> "CsrMatrix":
        edges, starts = np.r_[0, np.cumsum(self.row_lengths[rows])], self.indptr[rows]
        if (starts[1:] == self.indptr[rows[:-1] + 1]).all() and rows.size:  # one behind the other
            mine = slice(starts[0], self.indptr[rows[-1] + 1])
            arrays = self.indices[mine].copy(), self.data[mine].copy()
        else:
            places = list_places(self.indptr, rows)
            arrays = self.indices[places], self.data[places]
        return CsrMatrix._of_own((rows.size, self.shape[1]), edges, *arrays)

    def keep(self, kept: BoolArray) -> "CsrMatrix":
        """Return the stored weights that are to be kept, ``(nnz,) bool``; all of them are the matrix itself.

        Example:
            >>> CsrMatrix.from_dense([[0.5, 2.5], [1.0, 0.0]]).keep(np.array([False, True, True])).to_dense().tolist()
            [[0.0, 2.5], [1.0, 0.0]]
        """
        if kept.all():
            return self
        if kept.size > _FEW_TRIPLETS:
            from snnmap.core import triplets

            n_kept = np.count_nonzero(kept)
            indices, data = np.empty(n_kept, np.int64), np.empty(n_kept, self.data.dtype)
            edges = triplets.keep_marked(self.indptr, self.indices, self.data, kept, indices, data)
            return self._derive(indptr=edges, indices=indices, data=data)
        places = np.flatnonzero(kept)
        edges = np.searchsorted(places, self.indptr)
        return self._derive(indptr=edges, indices=self.indices[places], data=self.data[places])

    def with_data(self, data: npt.ArrayLike) -> "CsrMatrix":
        """Return the same pattern with other weights, ``(nnz,)``; an array that is frozen already is not copied."""
        weights = _freeze_weights(data)
        if weights.shape != self.data.shape:
            raise NetworkError(
                "a pattern has one weight for each of its synapses", measured=str(weights.shape), limit=str(self.data.shape)
            )
        return self._derive(data=weights)

    def scale(self, factor: float) -> "CsrMatrix":
        """Return all weights times a number; those that become exactly 0 are left out.

        Example:
            >>> CsrMatrix.from_dense([[0.0, 2.5], [1.0, 0.0]]).scale(2.0).to_dense().tolist()
            [[0.0, 5.0], [2.0, 0.0]]
        """
        scaled = self._derive(data=self.data * factor)
        if not scaled.data.all():
            return scaled.keep(scaled.data != 0)

        def change(blocks: "Blocks | None") -> "Blocks | None":
            return blocks and blocks._replace(data=blocks.data * factor)

        return hand_on(CsrMatrix._find_blocks, self, scaled, change)

    def to_dense(self) -> npt.NDArray[Any]:
        """Return a ``(n_pre, n_post)`` array; for small matrices and tests."""
        dense = np.zeros(self.shape, self.data.dtype)
        dense[self.rows, self.indices] = self.data
        return dense

    def to_scipy(self) -> Any:
        """Return a ``scipy.sparse.csr_array`` over copies of the arrays."""
        from scipy.sparse import csr_array

        return csr_array((self.data.copy(), self.indices.copy(), self.indptr.copy()), shape=self.shape)

    def build_product(self, n: int) -> Product:
        """Return ``values @ self`` as a function of values ``(n, n_pre)``, however often; every sum runs in ascending source.

        The function takes too where the products go, ``(n, n_post) float64``, and returns it.

        Example:
            >>> CsrMatrix.from_dense([[0.0, 2.5], [1.0, 0.0]]).build_product(1)(np.array([[2.0, 3.0]])).tolist()
            [[3.0, 5.0]]
        """
        write = self._build_writer(n)

        def multiply(values: npt.NDArray[Any], out: FloatArray | None = None) -> FloatArray:
            sums = np.empty((len(values), self.shape[1])) if out is None else out
            write(values, sums)
            return sums

        return multiply

    def multiply(self, values: npt.NDArray[Any]) -> FloatArray:
        """Return ``values @ self``, ``(n, n_post)``, of values ``(n, n_pre)``: on all cores where there is much to do.

        Example:
            >>> CsrMatrix.from_dense([[0.0, 2.5], [1.0, 0.0]]).multiply(np.array([[2.0, 3.0]])).tolist()
            [[3.0, 5.0]]
        """
        n_threads = min(len(values), count_cores()) if len(values) * self.nnz > _MUCH_WORK else 1
        multiply = self.build_product(len(values))  # which keeps what it finds out of the weights
        if n_threads == 1:
            return multiply(values)
        parts = np.array_split(values, n_threads)
        products = np.empty((len(values), self.shape[1]))
        own = np.array_split(products, n_threads)
        run_side_by_side(lambda part, out: self.build_product(len(part))(part, out), parts, own, n_threads=n_threads)
        return products

    @cached
    def _is_finite(self) -> bool:
        return bool(np.isfinite(self.data).all())

    @cached
    def _find_blocks(self) -> "Blocks | None":
        from snnmap.core.blocks import find_blocks

        return find_blocks(self.indptr, self.indices, self.data, self.shape[1])

    def _build_writer(self, n: int) -> Callable[[npt.NDArray[Any], FloatArray], None]:
        """Return what writes ``values @ self`` of values ``(n, n_pre)`` to an array ``(n, n_post)``."""
        if n * self.nnz > _FEW_PRODUCTS:
            return self._build_compiled() if self._is_finite() else lambda values, sums: np.copyto(sums, values @ self.to_scipy())
        sources, n_post = self.rows, self.shape[1]
        places = (np.arange(n)[:, np.newaxis] * n_post + self.indices).ravel()

        @np.errstate(all="ignore")  # as scipy, which gives NaN and infinities without a word
        def write(values: npt.NDArray[Any], sums: FloatArray) -> None:
            products = (values[:, sources] * self.data).ravel()
            sums[:] = np.bincount(places, products, minlength=n * n_post).reshape(n, n_post)

        return write

    def _build_compiled(self) -> Callable[[npt.NDArray[Any], FloatArray], None]:
        from snnmap.core.blocks import add_blocks
        from snnmap.core.product import add_columns, add_rows

        blocks = self._find_blocks()
        if blocks is not None:
            return lambda values, sums: add_blocks(_as_compiled(values), blocks, sums)
        columns = self.to_columns() if self.shape[1] > MOST_NEAR else None

        @np.errstate(invalid="ignore")  # of values that are no bytes, which are then taken as they are
        def write(values: npt.NDArray[Any], sums: FloatArray) -> None:
            counts = values.astype(np.uint8) if columns else values
            if columns and np.array_equal(counts, values):
                add_columns(counts, *columns, sums)
            else:
                add_rows(_as_compiled(values), self.indptr, self.indices, self.data, sums)

        return write

    def to_columns(self, width: type[np.signedinteger[Any]] = np.int32) -> tuple[IntArray, npt.NDArray[Any], npt.NDArray[Any]]:
        """Return compressed columns: where each starts, ``(n_post + 1,) int64``, sources ``(nnz,)`` of a type, and weights."""
        if self.nnz > _FEW_TRIPLETS:
            from snnmap.core import triplets

            edges = np.r_[0, np.cumsum(self.column_lengths)]
            sources, data = np.empty(self.nnz, width), np.empty(self.nnz, self.data.dtype)
            triplets.turn(self.indptr, self.indices, self.data, edges[:-1].copy(), sources, data)
            return edges, sources, data
        from scipy.sparse import csr_array

        held = _choose_width(max(self.nnz, *self.shape))
        rows = self.data, self.indices.astype(held), self.indptr.astype(held)
        columns = csr_array(rows, shape=self.shape).tocsc()
        return columns.indptr.astype(np.int64), columns.indices.astype(width, copy=False), columns.data

    def _find_defect(self) -> str:
        n_pre, n_post = self.shape
        if self.indptr.shape != (n_pre + 1,) or self.indptr[0] != 0 or (np.diff(self.indptr) < 0).any():
            return "the row starts do not ascend from 0, one a row and one more"
        if self.indices.shape != self.data.shape or self.indptr[-1] != self.indices.size or self.indices.ndim != 1:
            return "row starts, column indices and weights differ in length"
        if self.indices.size == 0:
            return ""
        if self.indices.min() < 0 or self.indices.max() >= n_post:
            return "a column index is outside the shape"
        starts_row = np.zeros(self.indices.size + 1, np.bool_)
        starts_row[self.indptr] = True
        descents = 1 + np.flatnonzero(self.indices[1:] <= self.indices[:-1])
        return "" if starts_row[descents].all() else "column indices do not ascend strictly within a row"


def _freeze_weights(data: npt.ArrayLike) -> npt.NDArray[Any]:
    given = np.asarray(data)
    return freeze_int(given) if given.dtype.kind in "iu" else freeze_float(given)


def _are_ordered(row: IntArray, column: IntArray, shape: tuple[int, int]) -> bool:
    """Say whether synapses ascend strictly, by row and then by column."""
    if row.size <= _FEW_TRIPLETS or row.size != column.size:
        return bool((np.diff(row * shape[1] + column) > 0).all())
    from snnmap.core.triplets import are_ordered

    return bool(are_ordered(row, column))


def _order_triplets(
    row: IntArray, column: IntArray, weight: npt.NDArray[Any], shape: tuple[int, int]
) -> tuple[IntArray, IntArray, npt.NDArray[Any]]:
    """Order synapses by row and then by column, those of one pair as they are given."""
    if row.size <= _FEW_TRIPLETS or not 0 <= row.min() <= row.max() < shape[0]:
        order = order_keys(column, shape[1])
        order = order[order_keys(row[order], shape[0])]
        return row[order], column[order], weight[order]
    from snnmap.core.triplets import order_by_row

    columns, weights = order_by_row(row, column, weight, shape[0])
    return np.repeat(np.arange(shape[0]), np.bincount(row, minlength=shape[0])), columns, weights


def order_keys(keys: IntArray, size: int) -> IntArray:
    """Return the stable order of integers in ``0..size - 1``, in linear time: scipy sorts them by counting, numpy 16 bits.

    Example:
        >>> order_keys(np.array([2, 0, 2, 1]), 3).tolist()
        [1, 3, 0, 2]
    """
    if (keys[1:] >= keys[:-1]).all():
        return np.arange(keys.size)
    if keys.size > max(_FEW_PRODUCTS, size):
        from scipy.sparse import csr_array

        width = _choose_width(max(keys.size, size))
        row = np.arange(keys.size, dtype=width), keys.astype(width), np.array([0, keys.size], width)
        return np.asarray(csr_array(row, shape=(1, size)).tocsc().data, np.int64)
    order, shift = np.argsort(keys.astype(np.uint16), kind="stable"), 16
    while (size - 1) >> shift:
        order = order[np.argsort((keys[order] >> shift).astype(np.uint16), kind="stable")]
        shift += 16
    return order


def split_near(n: int) -> Iterator[slice]:
    """Yield parts of ``n`` numbers, each of which a processor holds near while several things are done to it.

    Example:
        >>> list(split_near(100_000))
        [slice(0, 65536, None), slice(65536, 100000, None)]
    """
    for start in range(0, n, _MOST_BESIDE):
        yield slice(start, min(start + _MOST_BESIDE, n))


def list_places(edges: IntArray, rows: IntArray) -> IntArray:
    """Return the places of what stands in some rows, one row's after the other's.

    Args:
        edges: ``(n_rows + 1,) int64``, where each row starts.
        rows: ``(n,)`` of them.

    Example:
        >>> list_places(np.array([0, 2, 2, 5]), np.array([2, 0])).tolist()
        [2, 3, 4, 0, 1]
    """
    lengths = np.diff(edges)[rows]
    ends = np.cumsum(lengths)
    return np.asarray(np.repeat(edges[rows] - (ends - lengths), lengths) + np.arange(int(lengths.sum())), np.int64)


def take_places(keys: IntArray, free: IntArray) -> IntArray:
    """Return where each of some keys goes when these are laid out by key, those of one key as they are given.

    Args:
        keys: ``(n,) int64``, of ``0..size - 1``.
        free: ``(size,) int64``, where the next of each key goes, which is moved on.

    Example:
        >>> take_places(np.array([2, 0, 2, 1]), np.array([0, 1, 2])).tolist()
        [2, 0, 3, 1]
    """
    places = np.empty(keys.size, np.int64)
    if keys.size > _FEW_TRIPLETS:
        from snnmap.core import triplets

        triplets.take_places(keys, free, places)
        return places
    counts = np.bincount(keys, minlength=free.size)
    places[order_keys(keys, free.size)] = np.repeat(free - (np.cumsum(counts) - counts), counts) + np.arange(keys.size)
    free += counts
    return places


def _as_compiled(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values of a type for which products are compiled: small counts as they are, all others in float64."""
    return values if values.dtype == np.int8 else np.asarray(values, np.float64)


def _choose_width(most: int) -> Any:
    """Return integers of half the width, which are moved in half the time, where all fit."""
    return np.int32 if most < 2**31 else np.int64


def order_alike(edges: IntArray, sources: npt.NDArray[Any]) -> IntArray:
    """Return targets, those that have all their sources in common beside each other.

    Args:
        edges: ``(n_post + 1,) int64``, where each target's sources start.
        sources: ``(nnz,)``, integers.
    """
    marks, has_any = spread_marks(int(sources.max(initial=-1)) + 1), np.diff(edges) > 0
    sums = np.zeros(has_any.size, np.uint64)
    if sources.size > _FEW_TRIPLETS:
        from snnmap.core import triplets

        triplets.add_marks(sums, edges, sources, marks)
    elif has_any.any():
        sums[has_any] = np.add.reduceat(marks[sources], edges[:-1][has_any])
    return np.argsort(sums, kind="stable")


def spread_marks(n: int) -> npt.NDArray[np.uint64]:
    """Return a number for each of ``n`` sources, so that few sums of some are the same."""
    marks = np.arange(1, n + 1, dtype=np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64
        marks = (marks ^ (marks >> np.uint64(shift))) * np.uint64(factor)
    return marks

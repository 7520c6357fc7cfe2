"""How the weights of one memory become words and back: one entry of a table for each layout."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np

from snnmap.chip import Chip, MemoryKind
from snnmap.core.csr import CsrMatrix, split_near
from snnmap.core.errors import FormatError
from snnmap.core.record import IntArray, seal

__all__ = ["LAYOUT_CODECS", "LayoutCodec", "MemoryArea", "Part", "TakeWords", "Words", "find_codec", "to_signed"]

Part: TypeAlias = Literal["lengths", "weights"]


class Words(NamedTuple):
    """The words of one block: which part of the memory it is, the width of a word, and ``(n,) int64``."""

    part: Part
    word_bits: int
    words: IntArray


class MemoryArea(NamedTuple):
    """One weight memory as far as it is in use.

    Attributes:
        chip: whose.
        kind: which of its kinds of memory.
        sources: those that the memory can address.
        targets: likewise.
        shape: all sources and targets in use.
    """

    chip: Chip
    kind: MemoryKind
    sources: range
    targets: range
    shape: tuple[int, int]

    @property
    def weight_bits(self) -> int:
        """Width of a weight."""
        return self.chip.bits.weight

    @property
    def word_bits(self) -> int:
        """Width of a word of weights."""
        return self.chip.word_bits(self.kind)


TakeWords: TypeAlias = Callable[[Part, int, int], IntArray]
"""Gives the words of a part, of which width and number are told, or refuses."""


class LayoutCodec(Protocol):
    """A layout: :meth:`pack` and :meth:`unpack` are each other's inverse."""

    def pack(self, area: MemoryArea, matrix: CsrMatrix) -> list[Words]:
        """Return the words of each part that the layout has."""
        ...

    def unpack(self, area: MemoryArea, take: TakeWords) -> CsrMatrix:
        """Read the weights back, refusing words that packing never makes."""
        ...


def find_codec(area: MemoryArea) -> LayoutCodec:
    """Return the layout of a memory.

    Raises:
        FormatError: nothing here lays memories out so.
    """
    layout = area.chip.memory(area.kind).layout
    if layout not in LAYOUT_CODECS:
        raise FormatError(
            "the layout of a memory is unknown",
            where=f"chip '{area.chip.name}', {area.kind.weights_name}.layout",
            measured=f"'{layout}'",
            limit=", ".join(LAYOUT_CODECS),
            fix="name one of these in the chip record",
        )
    return LAYOUT_CODECS[layout]


def to_signed(words: IntArray, bits: int) -> IntArray:
    """Read the low bits of words in two's complement."""
    signed: IntArray = words << (64 - bits)
    signed >>= 64 - bits
    return signed


class _Dense:
    """A weight for every address, source by source."""

    def pack(self, area: MemoryArea, matrix: CsrMatrix) -> list[Words]:
        words = np.zeros((len(area.sources), len(area.targets)), np.int64)
        stored = matrix.data & ((1 << area.weight_bits) - 1)
        words[matrix.rows - area.sources.start, matrix.indices - area.targets.start] = stored
        return [Words("weights", area.word_bits, words.ravel())]

    def unpack(self, area: MemoryArea, take: TakeWords) -> CsrMatrix:
        n_sources, n_targets = len(area.sources), len(area.targets)
        words = take("weights", area.word_bits, n_sources * n_targets).reshape(n_sources, n_targets)
        rows, columns = np.nonzero(words)
        data = to_signed(words[rows, columns], area.weight_bits)
        return CsrMatrix.from_triplets(rows + area.sources.start, columns + area.targets.start, data, area.shape)


class _RowsBySource:
    """Lists of synapses, one a source: each word holds target and weight."""

    def pack(self, area: MemoryArea, matrix: CsrMatrix) -> list[Words]:
        return _pack_lists(area, matrix, area.sources, self._length_bits(area))

    def unpack(self, area: MemoryArea, take: TakeWords) -> CsrMatrix:
        return _unpack_lists(area, take, area.sources, area.shape, self._length_bits(area))

    @staticmethod
    def _length_bits(area: MemoryArea) -> int:
        return area.chip.ends(area.kind)[1].bit_length()


class _ColumnsByTarget:
    """Lists of synapses, one a target: each word holds source and weight."""

    def pack(self, area: MemoryArea, matrix: CsrMatrix) -> list[Words]:
        return _pack_lists(area, matrix.transpose(), area.targets, self._length_bits(area))

    def unpack(self, area: MemoryArea, take: TakeWords) -> CsrMatrix:
        n_sources, n_targets = area.shape
        return _unpack_lists(area, take, area.targets, (n_targets, n_sources), self._length_bits(area)).transpose()

    @staticmethod
    def _length_bits(area: MemoryArea) -> int:
        return area.chip.memory(area.kind).max_fan_in.bit_length()


LAYOUT_CODECS: Mapping[str, LayoutCodec] = MappingProxyType(
    {"dense": _Dense(), "rows_by_source": _RowsBySource(), "columns_by_target": _ColumnsByTarget()}
)
"""How each layout that :data:`snnmap.chip.LAYOUTS` names is written and read."""


def _pack_lists(area: MemoryArea, stored: CsrMatrix, owners: range, length_bits: int) -> list[Words]:
    """Pack lists of one owner after the other; ``stored`` has a row for each owner."""
    bits = area.weight_bits
    words = np.empty(stored.nnz, np.int64)
    for part in split_near(stored.nnz):
        words[part] = (stored.indices[part] << bits) | (stored.data[part] & ((1 << bits) - 1))
    lengths = stored.row_lengths[owners.start : owners.stop]
    return [Words("lengths", length_bits, lengths), Words("weights", area.word_bits, seal(words))]


def _unpack_lists(area: MemoryArea, take: TakeWords, owners: range, shape: tuple[int, int], length_bits: int) -> CsrMatrix:
    """Return the synapses, a row for each owner."""
    lengths = take("lengths", length_bits, len(owners))
    words = take("weights", area.word_bits, int(lengths.sum()))
    edges = np.zeros(shape[0] + 1, np.int64)
    edges[owners.start + 1 : owners.stop + 1] = np.cumsum(lengths)
    edges[owners.stop + 1 :] = words.size
    other, data = words >> area.weight_bits, to_signed(words, area.weight_bits)
    _require_canonical(area.kind, edges, other, data, shape[1])
    return CsrMatrix(shape=shape, indptr=edges, indices=seal(other), data=seal(data))


def _require_canonical(kind: MemoryKind, edges: IntArray, other: IntArray, data: IntArray, n_others: int) -> None:
    """Refuse words that packing never makes: zero weights, ids out of range, ids that do not ascend in a list."""
    does_not_ascend = np.r_[False, other[1:] <= other[:-1]][: other.size]
    does_not_ascend[edges[:-1][np.diff(edges) > 0]] = False  # what begins a list
    for what, wrong in (
        ("a weight of 0", data == 0),
        (f"an id above {n_others - 1}", other >= n_others),
        ("ids that do not ascend", does_not_ascend[1:]),
    ):
        if wrong.any():
            where = f"block {kind.name}_WEIGHTS, word {int(np.argmax(wrong))}"
            raise FormatError(f"the list of synapses holds {what}", where=where)

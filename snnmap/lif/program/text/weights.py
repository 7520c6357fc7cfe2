"""Weight memories as text: a line a source, ``source: target=weight target=weight``."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from snnmap.chip import MemoryKind
from snnmap.core.csr import CsrMatrix
from snnmap.lif.program.text.lines import LineReader

__all__ = ["WeightPatterns", "format_weights", "read_weights"]


class WeightPatterns:
    """Patterns of a row of weights; blanks part the pairs, so that a line can be read in one way only and in linear time.

    Args:
        number: pattern of a neuron's number, without a group.
        weight: pattern of a weight, likewise.
        kind: of the weights; integer weights that are 0 are not stored.
        limits: lowest and highest weight.
    """

    def __init__(
        self, number: str, weight: str, kind: type[int] | type[float], limits: tuple[float, float] = (-math.inf, math.inf)
    ) -> None:
        pair = f"{number}={weight}"
        self.row, self.kind, self.limits = rf"({number}): ({pair}(?: {pair})*)", kind, limits


def format_weights(kind: MemoryKind, matrices: Sequence[CsrMatrix]) -> Iterator[str]:
    """Write what is in one kind of memory."""
    for synapse, matrix in enumerate(matrices):
        yield f"{kind.weights_name} {synapse}"
        starts, targets, weights = matrix.indptr.tolist(), matrix.indices.tolist(), matrix.data.tolist()
        for source in np.flatnonzero(matrix.row_lengths).tolist():
            row = range(starts[source], starts[source + 1])
            yield f"  {source}: " + " ".join(f"{targets[k]}={weights[k]}" for k in row)


def read_weights(
    reader: LineReader, kind: MemoryKind, shape: tuple[int, int], n_synapses: int, patterns: WeightPatterns
) -> tuple[CsrMatrix, ...]:
    """Read what :func:`format_weights` wrote.

    Raises:
        FormatError: a line is malformed, or is out of the shape or of order.
    """
    return tuple(_read_matrix(reader, f"{kind.weights_name} {synapse}", shape, patterns) for synapse in range(n_synapses))


def _read_matrix(reader: LineReader, head: str, shape: tuple[int, int], patterns: WeightPatterns) -> CsrMatrix:
    reader.expect(head)
    rows: list[int] = []
    columns: list[int] = []
    data: list[float] = []
    while reader.follows(r"\d+:.*"):
        source, pairs = reader.expect(patterns.row)
        for pair in pairs.split():
            number, _, value = pair.partition("=")
            target, weight = int(number), patterns.kind(value)
            if int(source) >= shape[0] or target >= shape[1] or (patterns.kind is int and weight == 0):
                raise reader.error(f"{source}: {pair} is not a synapse of this memory", limit=f"{shape}", back=1)
            low, high = patterns.limits
            if weight < low or weight > high:
                raise reader.out_of_range("weights", f"{source}: {pair}", low, high)
            if rows and (int(source), target) <= (rows[-1], columns[-1]):
                raise reader.error("sources and targets must ascend", measured=f"{source}: {pair}", back=1)
            rows.append(int(source))
            columns.append(target)
            data.append(weight)
    starts = np.searchsorted(rows, np.arange(shape[0] + 1))
    values = np.array(data, np.int64 if patterns.kind is int else np.float64)
    return CsrMatrix(shape=shape, indptr=starts, indices=np.array(columns, np.int64), data=values)

"""Which weights share the words of a memory: what several fixes choose from."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from snnmap.chip import MemoryKind, find_relay_cells
from snnmap.core import BoolArray, CsrMatrix, FloatArray, IntArray
from snnmap.core.diagnostics import Diagnostic
from snnmap.lif.fixes.fix import Case
from snnmap.lif.program import MappedNetwork, Route
from snnmap.network import Network, Projection

__all__ = ["Words", "count_excess", "count_room", "gather_words", "rank_within", "rank_words"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """All weights onto one synapse of a population that one memory stores, those of its projections one after the other.

    Attributes:
        post: the population.
        synapse: of it.
        kind: the memory.
        projections: none from a sum, no two of one source and delay.
        projection: ``(n,) int64``, place among these of each weight.
        row: ``(n,) int64``, its source.
        column: ``(n,) int64``, its target.
        data: ``(n,) float64``.
    """

    post: str
    synapse: int
    kind: MemoryKind
    projections: tuple[Projection, ...]
    projection: IntArray
    row: IntArray
    column: IntArray
    data: FloatArray

    @property
    def block(self) -> str:
        """The memory as findings name it."""
        return f"{self.kind.weights_name}[{self.synapse}]"

    def matrix(self, number: int, kept: BoolArray, data: FloatArray | None = None) -> CsrMatrix:
        """Return some weights of one of the projections.

        Args:
            number: of the projection.
            kept: ``(n,) bool``, of all weights.
            data: ``(n,)`` others to take in their place.
        """
        chosen = (self.projection == number) & kept
        values = self.data if data is None else data
        return CsrMatrix.from_triplets(
            self.row[chosen], self.column[chosen], values[chosen], self.projections[number].weights.shape
        )


def gather_words(case: Case, network: Network, posts: set[str]) -> Iterator[Words]:
    """Yield the weights onto some populations, by synapse and memory.

    Args:
        case: gives the way of each projection through the chip.
        network: its network, the sources onto the populations separate (:func:`snnmap.network.separate_sources`).
        posts: the populations.
    """
    groups: dict[tuple[str, int, MemoryKind], list[Projection]] = {}
    for part in network.projections:
        if part.post in posts and part.weights.nnz and case.mapped is not None:
            kind = case.mapped.route(part.pre, part.post, part.delay_steps).memory
            groups.setdefault((part.post, part.synapse, kind), []).append(part)
    for (post, synapse, kind), parts in groups.items():
        yield Words(
            post=post,
            synapse=synapse,
            kind=kind,
            projections=tuple(parts),
            projection=np.repeat(np.arange(len(parts)), [part.weights.nnz for part in parts]),
            row=np.concatenate([part.weights.rows for part in parts]),
            column=np.concatenate([part.weights.indices for part in parts]),
            data=np.concatenate([part.weights.data for part in parts]),
        )


def rank_words(words: Words, score: FloatArray) -> IntArray:
    """Return the place of each weight among those onto its neuron, ``(n,) int64``, the highest score first."""
    return rank_within(words.column, score)


def rank_within(group: IntArray, score: FloatArray) -> IntArray:
    """Return the place of each of some things within its group, ``(n,) int64``, the highest score first."""
    order = np.lexsort((-score, group))
    sorted_groups = group[order]
    rank = np.zeros(group.size, np.int64)
    rank[order] = np.arange(group.size) - np.searchsorted(sorted_groups, sorted_groups)
    return rank


def count_excess(finding: Diagnostic) -> int:
    """Return by how much what was counted is above its limit."""
    return int((finding.measured_value or 0) - (finding.limit_value or 0))


def count_room(mapped: MappedNetwork, route: Route, longest: int) -> int:
    """Return how many weights a source, or one of its relays, may have to others; a huge number where the chip has no limit.

    Args:
        mapped: the folded network.
        route: memory and relay.
        longest: the last relay of the source; to a further one each has a weight, and some chips' relays have one to themselves.
    """
    limit = mapped.chip.memory(route.memory).max_fan_out
    if not limit:
        return int(np.iinfo(np.int64).max)
    if route.memory is MemoryKind.OUTPUT:
        return limit
    own = route.hop > 0 and any(cell.self_weight for cell in find_relay_cells(mapped.chip).values())
    return limit - (route.hop < longest) - own

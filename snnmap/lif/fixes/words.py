"""The weights onto some populations as one table, by the words of the chip's memories that they take."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.chip import MemoryKind, find_relay_cells
from snnmap.core import BoolArray, CsrMatrix, FloatArray, IntArray
from snnmap.core.diagnostics import Diagnostic
from snnmap.lif.program import MappedNetwork, Route
from snnmap.network import Network, Projection

__all__ = ["Words", "count_excess", "count_room", "gather_words", "rank_within"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Weights of several projections, one after the other; none of them is from a sum, no two are of one source and delay.

    Attributes:
        projections: whose weights they are.
        routes: their ways through the chip.
        projection: ``(n,) int64``, place among these of each weight.
        row: ``(n,) int64``, its source.
        column: ``(n,) int64``, its target.
        data: ``(n,) float64``.
    """

    projections: tuple[Projection, ...]
    routes: tuple[Route, ...]
    projection: IntArray
    row: IntArray
    column: IntArray
    data: FloatArray

    @property
    def blocks(self) -> npt.NDArray[np.str_]:
        """The memory of each weight, as findings name it, ``(n,)``."""
        return self.spread(f"{route.memory.weights_name}[{part.synapse}]" for part, route in self._pairs())

    @property
    def targets(self) -> IntArray:
        """A number for each weight, the same for those onto one neuron that share its words in one memory, ``(n,) int64``."""
        return self._number(((part.post, part.synapse, route.memory) for part, route in self._pairs()), self.column)

    @property
    def sources(self) -> IntArray:
        """A number for each weight, the same for those from one neuron, channel or relay in one memory, ``(n,) int64``."""
        return self._number(((part.pre, route) for part, route in self._pairs()), self.row)

    def spread(self, values: Iterable[object]) -> npt.NDArray[Any]:
        """Return a value for each weight, from one for each projection."""
        return np.array([*values])[self.projection]

    def put(self, network: Network, change: Callable[[int, Projection], Iterable[Projection]]) -> Network:
        """Return a network with other projections in the place of each of these."""
        changed: Mapping[str, Iterable[Projection]] = {
            part.name: change(place, part) for place, part in enumerate(self.projections)
        }
        projections = (new for old in network.projections for new in changed.get(old.name, (old,)))
        return replace(network, projections=tuple(projections))

    def matrix(self, place: int, kept: BoolArray, data: FloatArray | None = None) -> CsrMatrix:
        """Return some weights of one projection.

        Args:
            place: of the projection.
            kept: ``(n,) bool``, of all weights.
            data: ``(n,)`` others to take in their place.
        """
        chosen = (self.projection == place) & kept
        values = self.data if data is None else data
        return CsrMatrix.from_triplets(
            self.row[chosen], self.column[chosen], values[chosen], self.projections[place].weights.shape
        )

    def _pairs(self) -> Iterable[tuple[Projection, Route]]:
        return zip(self.projections, self.routes, strict=True)

    def _number(self, keys: Iterable[Hashable], neurons: IntArray) -> IntArray:
        listed = [*keys]
        places = {key: place for place, key in enumerate(dict.fromkeys(listed))}
        return np.array([places[key] for key in listed])[self.projection] * (1 + int(neurons.max(initial=0))) + neurons


def gather_words(mapped: MappedNetwork, network: Network, posts: Iterable[str]) -> Words | None:
    """Gather the weights onto some populations; None where there are none.

    Args:
        mapped: gives the way of each projection through the chip.
        network: the sources onto the populations are separate in it (:func:`snnmap.network.separate_sources`).
        posts: the populations.
    """
    named = set(posts)
    parts = tuple(part for part in network.projections if part.post in named and part.weights.nnz)
    if not parts:
        return None
    return Words(
        projections=parts,
        routes=tuple(mapped.route(part.pre, part.post, part.delay_steps) for part in parts),
        projection=np.repeat(np.arange(len(parts)), [part.weights.nnz for part in parts]),
        row=np.concatenate([part.weights.rows for part in parts]),
        column=np.concatenate([part.weights.indices for part in parts]),
        data=np.concatenate([part.weights.data for part in parts]),
    )


def rank_within(group: IntArray, score: FloatArray) -> IntArray:
    """Return the place of each of some things within its group, ``(n,) int64``, the highest score first."""
    order = np.lexsort((-score, group))
    ordered = group[order]
    rank = np.zeros(group.size, np.int64)
    rank[order] = np.arange(group.size) - np.searchsorted(ordered, ordered)
    return rank


def count_excess(finding: Diagnostic) -> int:
    """Return by how much what was counted is above its limit."""
    return int((finding.measured_value or 0) - (finding.limit_value or 0))


def count_room(mapped: MappedNetwork, pre: str, route: Route) -> int:
    """Return how many weights to neurons a source, or one of its relays, may have; a huge number where the chip has no limit.

    To a further relay each has a weight, and some chips' relays have one to themselves.
    """
    limit = mapped.chip.memory(route.memory).max_fan_out
    if not limit:
        return int(np.iinfo(np.int64).max)
    if route.memory is MemoryKind.OUTPUT:
        return limit
    own = route.hop > 0 and any(cell.self_weight for cell in find_relay_cells(mapped.chip).values())
    return limit - bool(mapped.table.hidden_slots(pre, hop=route.hop + 1).size) - own

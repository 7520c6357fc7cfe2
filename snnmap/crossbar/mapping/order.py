"""Which core of the mesh is which: those of a computation cycle change places, so that bytes go over fewer links."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from snnmap.crossbar.mapping.parts import list_parts
from snnmap.crossbar.mapping.tiles import Mapped, Tile
from snnmap.crossbar.record import Architecture

__all__ = ["Order", "count_hop_bytes", "order_cores"]

Order = Literal["rule", "traffic"]
_MEMORY = 0
"""The core at which the activation memory is."""
_SUM_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    """Bytes that two cores send each other, each in a computation cycle."""

    one: tuple[int, int]
    other: tuple[int, int]
    n_bytes: int


def count_hop_bytes(mapped: Mapped) -> int:
    """Return how many bytes go over how many links for a sample: inputs and outputs of all strips, and their partial sums."""
    links = mapped.architecture.count_links
    values = sum(n_bytes * links(_MEMORY, core) for (_, core), n_bytes in _count_values(mapped).items())
    return values + sum(one.n_bytes * links(one.one[1], one.other[1]) for one in _list_sums(mapped))


def order_cores(mapped: Mapped) -> Mapped:
    """Let the cores of each computation cycle change places; where that saves nothing, they stay where they are.

    Two cores of a cycle change places as long as a pair is found that lowers bytes times links, the best first. It takes time
    with the third power of the cores.

    Args:
        mapped: in the order of the rule.
    """
    architecture = mapped.architecture
    distances = _measure_distances(architecture)
    values, sums = _count_values(mapped), _list_sums(mapped)
    places = np.tile(np.arange(architecture.cores), (mapped.n_cycles, 1))
    for cycle in range(mapped.n_cycles):
        near = np.outer([values[cycle, core] for core in range(architecture.cores)], distances[_MEMORY])
        flows = np.zeros_like(near)
        for core, other, n_bytes in _list_ends(sums, cycle):
            if other[0] == cycle:
                flows[core, other[1]] += n_bytes
            else:
                near[core] += n_bytes * distances[places[other]]
        places[cycle] = _settle(near, flows, distances)
    moved = replace(mapped, tiles=tuple(replace(tile, core=int(places[tile.cycle, tile.core])) for tile in mapped.tiles))
    saved = count_hop_bytes(mapped) - count_hop_bytes(moved)
    return replace(moved, saved_hop_bytes=saved) if saved > 0 else mapped


def _settle(near: Any, flows: Any, distances: Any) -> Any:
    """Return the place of each core ``(n_cores,)``, from which no two can change to any use.

    Args:
        near: ``(n_cores, n_cores)``, what it costs to put a core at a place, whatever the others do.
        flows: ``(n_cores, n_cores)`` bytes between two cores, symmetric, none of a core to itself.
        distances: ``(n_cores, n_cores)`` links between two places.
    """
    places = np.arange(len(near))
    while True:
        between = distances[np.ix_(places, places)]
        costs = near[:, places] + flows @ between
        kept = np.diagonal(costs)
        change = costs + costs.T - kept[:, np.newaxis] - kept + 2 * flows * between
        one, other = np.unravel_index(np.argmin(change), change.shape)
        if change[one, other] >= 0:
            return places
        places[[one, other]] = places[[other, one]]


def _measure_distances(architecture: Architecture) -> Any:
    """Return the links between two cores, ``(n_cores, n_cores)`` float64."""
    rows, columns = np.divmod(np.arange(architecture.cores), architecture.noc.columns)
    return np.abs(rows - rows[:, np.newaxis]) + np.abs(columns - columns[:, np.newaxis], dtype=float)


def _count_values(mapped: Mapped) -> dict[tuple[int, int], int]:
    """Return the bytes that each core of a cycle reads from and writes to the activation memory."""
    counts: dict[tuple[int, int], int] = defaultdict(int)
    for tile in mapped.tiles:
        counts[tile.cycle, tile.core] += mapped.strips[tile.strip].n_windows * tile.n_blocks * (tile.n_rows + tile.bias_row)
    for number, tiles in _group_tiles(mapped).items():
        strip = mapped.strips[number]
        counts[tiles[-1].cycle, tiles[-1].core] += strip.n_windows * strip.n_outputs
    return counts


def _list_sums(mapped: Mapped) -> list[_Sums]:
    """Return the partial sums that are sent to the core that writes the outputs, each from the last cycle that adds to them."""
    found = []
    for number, tiles in _group_tiles(mapped).items():
        strip, owner = mapped.strips[number], (tiles[-1].cycle, tiles[-1].core)
        cycles = {tile.core: tile.cycle for tile in tiles}
        for core, part in list_parts(strip, tiles).items():
            if core != owner[1]:
                n_bytes = _SUM_BYTES * part.count * strip.n_windows
                found.append(_Sums(one=(cycles[core], core), other=owner, n_bytes=n_bytes))
    return found


def _list_ends(sums: list[_Sums], cycle: int) -> Iterator[tuple[int, tuple[int, int], int]]:
    """Yield each core of a cycle that sends or receives sums, the other core, and how many bytes."""
    for one in sums:
        for here, there in ((one.one, one.other), (one.other, one.one)):
            if here[0] == cycle:
                yield here[1], there, one.n_bytes


def _group_tiles(mapped: Mapped) -> dict[int, list[Tile]]:
    tiles: dict[int, list[Tile]] = defaultdict(list)
    for tile in mapped.tiles:
        tiles[tile.strip].append(tile)
    return tiles

"""Pools as neurons of their own, where their weights multiplied out are more than a chip stores for a neuron."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from snnmap.chip import Chip, MemoryKind
from snnmap.convert.ann import INPUT, Affine, Ann
from snnmap.core import IntArray

__all__ = ["N_CONTROL", "POOLS", "choose_pools", "count_fan_in"]

POOLS = ("AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum", "MaxPool", "GlobalMaxPool", "ReduceMax")
"""Operations that several values become one by, which is never negative where these are not."""

N_CONTROL = {MemoryKind.INPUT: 3, MemoryKind.RECURRENT: 3, MemoryKind.OUTPUT: 1}
"""Weights that the conversion may add for a neuron: of clock, hold and release, directly or through relays, and of the repeated
clock."""

Lowered = tuple[Ann, Mapping[str, frozenset[str]]]
"""An ANN, and the pools that are multiplied out into the weights of each of its layers and of the output."""


def choose_pools(lower: Callable[[frozenset[str]], Lowered], chip: Chip) -> Ann:
    """Make neurons of pools that are multiplied out into layers which the chip cannot store, where that lets it store more.

    Args:
        lower: gives the ANN in which these pools are neurons, as far as they can be.
        chip: that the network is for.
    """
    chosen: frozenset[str] = frozenset()
    first, within = lower(chosen)
    best, ann = first, first
    while True:
        beyond = _find_beyond(ann, chip)
        wanted = chosen.union(*(within[name] for name in beyond if name in within))
        if wanted == chosen:
            break
        chosen = wanted
        ann, within = lower(chosen)
        best = min(best, ann, key=lambda tried: _rank(tried, chip))
    return best


def count_fan_in(affine: Affine, *, of_input: bool) -> IntArray:
    """Return how many weights other than 0 come to each value from the input, or from all layers, ``(n,)``."""
    counts = np.zeros(affine.size, np.int64)
    for source, weights in affine.terms.items():
        if (source == INPUT) == of_input:
            counts += np.bincount(weights.indices[weights.data != 0.0], minlength=affine.size)
    return counts


def _rank(ann: Ann, chip: Chip) -> tuple[int, int]:
    """Rank an ANN, less is better: neurons and then weights for which the chip has no room."""
    n_neurons = sum(layer.incoming.size for layer in ann.layers)
    return max(0, n_neurons - chip.hidden.count), sum(_find_beyond(ann, chip).values())


def _find_beyond(ann: Ann, chip: Chip) -> dict[str, int]:
    """Return the weights that the chip has no room for, by layer; those of a memory that is too small are all of it."""
    beyond = dict[str, int]()
    for kind in MemoryKind:
        memory, of_input = chip.memory(kind), kind is MemoryKind.INPUT
        counts = {name: count_fan_in(value, of_input=of_input) + N_CONTROL[kind] for name, value in _list_targets(ann, kind)}
        n_words = sum(int(count.sum()) for count in counts.values())
        for name, count in counts.items():
            over = int(np.maximum(count - memory.max_fan_in, 0).sum()) if memory.max_fan_in else 0
            over += int(count.sum()) if memory.is_sparse and n_words > memory.max_words else 0
            if over:
                beyond[name] = beyond.get(name, 0) + over
    return beyond


def _list_targets(ann: Ann, kind: MemoryKind) -> Sequence[tuple[str, Affine]]:
    if kind is MemoryKind.OUTPUT:
        return [("output", ann.output)]
    return [(layer.name, layer.incoming) for layer in ann.layers]

"""Pools as neurons of their own, where their weights multiplied out are more than a chip stores for a neuron."""

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from snnmap.chip import Chip, MemoryKind
from snnmap.convert.ann import Affine, Ann, measure_levels
from snnmap.core import IntArray

__all__ = ["POOLS", "choose_pools", "count_fan_in", "count_relays", "find_limits"]

POOLS = ("AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum", "MaxPool", "GlobalMaxPool", "ReduceMax")
"""Operations that several values become one by, which is never negative where these are not."""

_N_CONTROL = {MemoryKind.INPUT: 3, MemoryKind.RECURRENT: 3, MemoryKind.OUTPUT: 1}
"""Weights that the conversion may add for a neuron: of clock, hold and release, directly or through relays, and of the repeated
clock."""

_N_RELAY_WORDS = 2
"""Weights onto a relay: its source's and its own."""

Lowered = tuple[Ann, Mapping[str, frozenset[str]]]
"""An ANN, and the pools that are multiplied out into the weights of each of its layers and of the output."""


def choose_pools(lower: Callable[[frozenset[str]], Lowered], pools: frozenset[str], chip: Chip) -> Ann:
    """Make neurons of pools that are multiplied out into layers which the chip cannot store, where that lets it store more.

    Where weights are still too many, all pools are tried. Relays of skip connections are counted as neurons.

    Args:
        lower: gives the ANN in which these pools are neurons, as far as they can be.
        pools: of the graph.
        chip: that the network is for.
    """
    chosen = frozenset[str]()
    ann, within = lower(chosen)
    best = ann
    while chosen != pools and (beyond := _find_beyond(ann, chip)):
        wanted = chosen.union(*(within[name] for name in beyond if name in within))
        chosen = pools if wanted == chosen else wanted
        ann, within = lower(chosen)
        best = min(best, ann, key=lambda tried: _rank(tried, chip))
    return best


def count_fan_in(affine: Affine) -> IntArray:
    """Return how many weights other than 0 come to each value, ``(n,)``."""
    counts = np.zeros(affine.size, np.int64)
    for weights in affine.terms.values():
        counts += np.bincount(weights.indices[weights.data != 0.0], minlength=affine.size)
    return counts


def find_limits(ann: Ann, chip: Chip) -> dict[str, int]:
    """Return the most weights of the ANN that the chip stores for a neuron, by layer and for ``output``; 0 for no limit."""
    limits = {name: (chip.memory(kind).max_fan_in, _N_CONTROL[kind]) for name, kind in _find_memories(ann).items()}
    return {name: limit and max(1, limit - n_control) for name, (limit, n_control) in limits.items()}


def count_relays(ann: Ann) -> int:
    """Return the relays in which layers and inputs wait for those that are more than one level behind them."""
    levels, last = measure_levels(ann), dict[str, int]()
    sizes = {layer.name: layer.incoming.size for layer in ann.layers}
    values = [*((levels[layer.name], layer.incoming) for layer in ann.layers)]
    values.append((1 + max((levels[source] for source in ann.output.terms), default=0), ann.output))
    for level, value in values:
        for source, weights in value.terms.items():
            sizes.setdefault(source, weights.shape[0])
            last[source] = max(last.get(source, 0), level)
    return sum(sizes[source] * max(0, level - levels[source] - 1) for source, level in last.items())


def _find_memories(ann: Ann) -> dict[str, MemoryKind]:
    """Return which memory stores the weights of each layer and of ``output``.

    Inputs come to a layer behind others through relays, which are hidden neurons.
    """
    levels = measure_levels(ann)
    kinds = {layer.name: MemoryKind.INPUT if levels[layer.name] == 1 else MemoryKind.RECURRENT for layer in ann.layers}
    return {**kinds, "output": MemoryKind.OUTPUT}


def _rank(ann: Ann, chip: Chip) -> tuple[int, int]:
    """Rank an ANN, less is better: neurons and then weights for which the chip has no room."""
    n_neurons = sum(layer.incoming.size for layer in ann.layers) + count_relays(ann)
    return max(0, n_neurons - chip.hidden.count), sum(_find_beyond(ann, chip).values())


def _find_beyond(ann: Ann, chip: Chip) -> dict[str, int]:
    """Return the weights that the chip has no room for, by layer; those of a memory that is too small are all of it."""
    values = {**{layer.name: layer.incoming for layer in ann.layers}, "output": ann.output}
    counts, n_words = {name: count_fan_in(value) for name, value in values.items()}, Counter[MemoryKind]()
    limits, kinds = find_limits(ann, chip), _find_memories(ann)
    n_words[MemoryKind.RECURRENT] += _N_RELAY_WORDS * count_relays(ann)
    for name, count in counts.items():
        n_words[kinds[name]] += int(count.sum()) + count.size * _N_CONTROL[kinds[name]]
    beyond = {}
    for name, count in counts.items():
        memory = chip.memory(kinds[name])
        over = int(np.maximum(count - limits[name], 0).sum()) if limits[name] else 0
        over += int(count.sum()) if memory.is_sparse and n_words[kinds[name]] > memory.max_words else 0
        if over:
            beyond[name] = over
    return beyond

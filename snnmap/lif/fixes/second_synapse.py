"""Weights on a further synapse, where the chip has one."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from snnmap.chip import Chip, MemoryKind
from snnmap.core import BoolArray
from snnmap.lif.fixes.fix import Case, Change, fix
from snnmap.lif.fixes.words import Words, count_excess, gather_words, rank_within
from snnmap.lif.program import MappedNetwork, memories_of
from snnmap.network import Network, Population, Projection, find_fresh_name, separate_sources

__all__: list[str] = []


@fix("second-synapse", "SNN204", "SNN206", exact=True)
def move_weights(case: Case) -> Change | None:
    """Move weights that a memory has no room for to a further synapse of the same decay, whose weights another memory stores.

    The membrane takes the sum of both currents, as before. In the chip's integers each current is rounded by itself. No more
    weights move than the other memory has words left.
    """
    if case.mapped is None:
        return None
    network, told, free = case.network, [], _count_free(case.mapped)
    for finding in case.findings:
        left = count_excess(finding) if finding.rule == "SNN206" else None
        for post in [finding.location.population] if left is None else [part.name for part in network.populations]:
            separated = separate_sources(network, {post})
            words = gather_words(case.mapped, separated, {post})
            moved, other = (None, 0) if words is None else _choose(words, finding.location.block, left, network, case.chip, free)
            if words is not None and moved is not None and moved.any():
                network = _move(separated, words, moved, other)
                _take_words(free, words, moved, other)
                left = None if left is None else left - int(moved.sum())
                told.append(f"{int(moved.sum())} of {moved.size} onto '{post}'")
    return (
        Change(network=network, done=f"weights are on a further synapse of the same decay: {', '.join(told)}") if told else None
    )


def _count_free(mapped: MappedNetwork) -> dict[str, int]:
    """Return how many words are left in each list memory, as findings name it."""
    return {
        f"{name}[{synapse}]": max(0, memory.max_words - stored.nnz)
        for name, memory, matrices in memories_of(mapped)
        for synapse, stored in enumerate(matrices)
        if memory.is_sparse
    }


def _take_words(free: dict[str, int], words: Words, moved: BoolArray, other: int) -> None:
    """Take the words of weights that move to a synapse from those that are left."""
    block = _name_block(words.routes[int(words.projection[moved][0])].memory, other)
    if block in free:
        free[block] -= int(moved.sum())


def _name_block(memory: MemoryKind, synapse: int) -> str:
    return f"{memory.weights_name}[{synapse}]"


def _choose(
    words: Words, block: str, left: int | None, network: Network, chip: Chip, free: Mapping[str, int]
) -> tuple[BoolArray | None, int]:
    """Choose weights of a memory to move, where there is room, and the synapse to move them to; None where there is none.

    Args:
        words: all weights onto one population.
        block: the memory.
        left: weights to move, of any neurons; None for the smallest beyond the limit of each neuron.
        network: that they are of.
        chip: that has the memories.
        free: words that are left in each list memory.
    """
    inside = np.asarray(words.blocks == block)
    if not inside.any():
        return None, 0
    first = int(words.projection[inside][0])
    part, memory = words.projections[first], words.routes[first].memory
    other = _find_synapse(network, part.post, part.synapse, {found.synapse for found in words.projections}, chip)
    if other is None:
        return None, 0
    target, n_words = _name_block(memory, other), words.row.size
    limit = chip.memory(memory).max_fan_in or n_words
    taken = np.bincount(words.column[words.blocks == target], minlength=1 + int(words.column.max()))
    room = limit - taken[words.column]
    rank = rank_within(words.targets, words.data**2)
    fitting = (rank >= limit) & (rank < limit + room) if left is None else rank < room
    moved = np.zeros(n_words, np.bool_)
    moved[np.flatnonzero(inside & fitting)[: min(n_words if left is None else left, free.get(target, n_words))]] = True
    return moved, other


def _find_synapse(network: Network, post: str, synapse: int, used: set[int], chip: Chip) -> int | None:
    """Return another synapse of the same decay, one without weights, or one that the chip has and the population has not."""
    population, is_output = network.population(post), post in network.output_populations
    for other, alpha in enumerate(population.alpha):
        if other != synapse and (other not in used or np.array_equal(alpha, population.alpha[synapse])):
            return other
    most = chip.outputs.synapses if is_output else chip.hidden.synapses
    return population.n_synapses if population.n_synapses < most else None


def _move(network: Network, words: Words, moved: BoolArray, other: int) -> Network:
    taken = {part.name for part in network.projections}

    def split(place: int, part: Projection) -> Iterator[Projection]:
        name = find_fresh_name(f"{part.name} on synapse {other}", taken)
        for own, synapse, chosen in ((part.name, part.synapse, ~moved), (name, other, moved)):
            weights = words.matrix(place, chosen)
            if weights.nnz:
                yield replace(part, name=own, synapse=synapse, weights=weights)

    (post,) = {part.post for part in words.projections}
    (synapse,) = {words.projections[place].synapse for place in np.unique(words.projection[moved])}
    populations = (_with_synapse(part, synapse, other) if part.name == post else part for part in network.populations)
    return replace(words.put(network, split), populations=tuple(populations))


def _with_synapse(population: Population, synapse: int, other: int) -> Population:
    """Return a population whose other synapse has the decay of the first."""
    alpha = np.concatenate([population.alpha, population.alpha[synapse : synapse + 1]])[: max(population.n_synapses, other + 1)]
    alpha[other] = population.alpha[synapse]
    return replace(population, alpha=alpha)

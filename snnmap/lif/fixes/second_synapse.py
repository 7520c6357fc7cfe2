"""Weights on a further synapse, where the chip has one."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from snnmap.core import BoolArray, IntArray
from snnmap.core.diagnostics import Diagnostic
from snnmap.lif.fixes.fix import Case, Change, fix
from snnmap.lif.fixes.words import Words, count_excess, gather_words, rank_words
from snnmap.network import Network, Population, Projection, find_fresh_name, separate_sources

__all__: list[str] = []


@fix("second-synapse", "SNN204", "SNN206", exact=True)
def move_weights(case: Case) -> Change | None:
    """Move weights that a memory has no room for to a further synapse of the same decay, whose weights another memory stores.

    The membrane takes the sum of both currents, as before. In the chip's integers each current is rounded by itself.
    """
    network, told = case.network, []
    for finding in case.findings:
        for words, moved, other in _list_moves(case, finding, network):
            network = _move(separate_sources(network, {words.post}), words, moved, other)
            told.append(f"{int(moved.sum())} of {moved.size} onto '{words.post}'")
    return (
        Change(network=network, done=f"weights are on a further synapse of the same decay: {', '.join(told)}") if told else None
    )


def _list_moves(case: Case, finding: Diagnostic, network: Network) -> Iterator[tuple[Words, BoolArray, int]]:
    """Yield weights, which of them move, and to which synapse: of one population, or of all until a memory has few enough."""
    left = count_excess(finding) if finding.rule == "SNN206" else np.inf
    for population in network.populations:
        if finding.rule == "SNN204" and population.name != finding.location.population:
            continue
        groups = list(gather_words(case, separate_sources(network, {population.name}), {population.name}))
        for words in (found for found in groups if found.block == finding.location.block):
            other = _find_synapse(population, words.synapse, case, groups)
            if other is not None and left > 0:
                moved = _choose(words, _count_onto(groups, words, other), case, left)
                left -= int(moved.sum())
                if moved.any():
                    yield words, moved, other


def _find_synapse(population: Population, synapse: int, case: Case, groups: list[Words]) -> int | None:
    """Return another synapse of the same decay, one without weights, or one that the chip has and the population has not."""
    chip, used = case.chip, {words.synapse for words in groups}
    for other, alpha in enumerate(population.alpha):
        if other != synapse and (other not in used or np.array_equal(alpha, population.alpha[synapse])):
            return other
    is_output = population.name in case.network.output_populations
    most = chip.outputs.synapses if is_output else chip.hidden.synapses
    return population.n_synapses if population.n_synapses < most else None


def _count_onto(groups: list[Words], words: Words, other: int) -> IntArray:
    """Return the weights that each neuron has on the other synapse in the same kind of memory, by the weights' targets."""
    columns = [found.column for found in groups if (found.kind, found.synapse) == (words.kind, other)]
    joined = np.concatenate([*columns, np.zeros(0, np.int64)])
    return np.bincount(joined, minlength=int(words.column.max()) + 1)[words.column]


def _choose(words: Words, taken: IntArray, case: Case, left: float) -> BoolArray:
    """Choose what moves, where there is room: the smallest weights beyond each neuron's limit, or as many of all as are left."""
    memory = case.chip.memory(words.kind)
    rank, limit = rank_words(words, words.data**2), memory.max_fan_in
    if np.isinf(left):
        return (rank >= limit) & (rank < 2 * limit - taken)
    room = rank < (limit - taken if limit else rank + 1)
    moved = np.zeros(rank.size, np.bool_)
    moved[np.flatnonzero(room)[: int(left)]] = True
    return moved


def _move(network: Network, words: Words, moved: BoolArray, other: int) -> Network:
    populations = (_with_synapse(part, words.synapse, other) if part.name == words.post else part for part in network.populations)
    split = {part.name: list(_split(network, words, moved, number, other)) for number, part in enumerate(words.projections)}
    projections = (part for old in network.projections for part in split.get(old.name, [old]))
    return replace(network, populations=tuple(populations), projections=tuple(projections))


def _with_synapse(population: Population, synapse: int, other: int) -> Population:
    """Return a population whose other synapse has the decay of the first."""
    alpha = np.concatenate([population.alpha, population.alpha[synapse : synapse + 1]])[: max(population.n_synapses, other + 1)]
    alpha[other] = population.alpha[synapse]
    return replace(population, alpha=alpha)


def _split(network: Network, words: Words, moved: BoolArray, number: int, other: int) -> Iterator[Projection]:
    part, taken = words.projections[number], {found.name for found in network.projections}
    for chosen, synapse in ((~moved, words.synapse), (moved, other)):
        name = part.name if synapse == words.synapse else find_fresh_name(f"{part.name} on synapse {other}", taken)
        weights = words.matrix(number, chosen)
        if weights.nnz:
            yield replace(part, name=name, synapse=synapse, weights=weights)

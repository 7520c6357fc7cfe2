"""Neurons that are there twice, so that each has fewer targets."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from snnmap.core import CsrMatrix, IntArray
from snnmap.lif.drc import OnChip, capacity
from snnmap.lif.fixes.fix import Case, Change, Origin, fix
from snnmap.lif.fixes.words import count_room, gather_words, rank_within
from snnmap.lif.mapping import fold_network
from snnmap.lif.program import MappedNetwork
from snnmap.network import (
    Network,
    expand_terms,
    find_fresh_name,
    order_populations,
    separate_sources,
    take_neurons,
)

__all__: list[str] = []

_MOST_GROWTH = 2
"""Neurons of a network with clones, as a multiple of those without: in dense loops clones need clones without end."""


@fix("clone", "SNN205", exact=True)
def clone_neurons(case: Case) -> Change | None:
    """Clone neurons with more targets than the chip stores for one, and share the targets between the clones.

    A clone has the same inputs and so the same spikes; it takes a neuron, and a further target of each of its sources.
    """
    network, mapped, origins = case.network, case.mapped, dict[str, Origin]()
    while mapped is not None and (name := _find_last(network, mapped)):
        separated = separate_targets(network, name)
        change = split_neurons(separated, name, _share_targets(separated, name, mapped))
        if change is None or _count_neurons(change.network) > _MOST_GROWTH * _count_neurons(case.network):
            return None
        for clone, (source, neurons) in change.origins.items():
            first, numbers = origins.get(source, (source, np.arange(network.population(source).size)))
            origins[clone] = first, numbers[neurons]
        network, mapped = change.network, fold_network(change.network, case.chip)
    if not origins:
        return None
    told = ", ".join(f"{neurons.size} of '{source}' as '{clone}'" for clone, (source, neurons) in origins.items())
    return Change(network=network, done=f"neurons are cloned to share their targets: {told}", origins=origins)


def _find_last(network: Network, mapped: MappedNetwork) -> str | None:
    """Return the population with too many targets that comes last, since each clone is a target more for those before it."""
    found = capacity.check_fan_out.judge(OnChip(of=mapped, chip=mapped.chip))
    named = {diagnostic.location.population.partition(" (relay ")[0] for diagnostic in found}
    return next((name for name in reversed(order_populations(network)) if name in named), None)


def _count_neurons(network: Network) -> int:
    return sum(population.size for population in network.populations)


def separate_targets(network: Network, name: str) -> Network:
    """Return the same network without sums between a population and its targets."""
    posts = {part.post for part in network.projections if name in expand_terms(network, part.pre)}
    return separate_sources(network, posts)


def _share_targets(network: Network, name: str, mapped: MappedNetwork) -> Mapping[str, IntArray]:
    """Return for each weight from a population the clone that takes it, 0 for the neuron itself, by projection.

    Each neuron and each of its relays has a row of targets in each memory; a further relay and a synapse of its own count there.
    """
    posts = [part.name for part in network.populations]
    words = gather_words(
        mapped, replace(network, projections=tuple(part for part in network.projections if part.pre == name)), posts
    )
    if words is None:
        return {}
    rooms = words.spread(max(1, count_room(mapped, name, route)) for route in words.routes)
    shares = rank_within(words.sources, np.zeros(words.row.size)) // rooms
    return {part.name: shares[words.projection == place] for place, part in enumerate(words.projections)}


def split_neurons(network: Network, name: str, shares: Mapping[str, IntArray]) -> Change | None:
    """Give shares of the weights from a population to clones of its neurons.

    Args:
        network: in which no sum is between the population and its targets.
        name: of the population.
        shares: ``(nnz,)`` by projection: the clone that takes each weight, 0 for the neuron itself.
    """
    population = network.population(name)
    taken = set(network.source_sizes)
    clones: dict[int, Origin] = {}
    for number in range(1, 1 + max((int(share.max(initial=0)) for share in shares.values()), default=0)):
        rows = [part.weights.rows[shares[part.name] == number] for part in network.projections if part.name in shares]
        clones[number] = (find_fresh_name(f"{name} clone {number}", taken), np.unique(np.concatenate(rows)))
    if not clones:
        return None
    network = _add_inputs(_move_targets(network, shares, clones), name, clones)
    copies = [take_neurons(population, neurons, clone) for clone, neurons in clones.values()]
    populations = (new for old in network.populations for new in ([old, *copies] if old.name == name else [old]))
    told = ", ".join(f"{neurons.size} of '{name}' as '{clone}'" for clone, neurons in clones.values())
    origins = {clone: (name, neurons) for clone, neurons in clones.values()}
    done = f"neurons are cloned to share their targets: {told}"
    return Change(network=replace(network, populations=tuple(populations)), done=done, origins=origins)


def _move_targets(network: Network, shares: Mapping[str, IntArray], clones: Mapping[int, Origin]) -> Network:
    projections, taken = [], {part.name for part in network.projections}
    for part in network.projections:
        if part.name not in shares:
            projections.append(part)
            continue
        weights, share = part.weights, shares[part.name]
        for number, (pre, neurons) in {0: (part.pre, np.arange(weights.shape[0])), **clones}.items():
            chosen = share == number
            rows = np.searchsorted(neurons, weights.rows[chosen])
            found = CsrMatrix.from_triplets(rows, weights.indices[chosen], weights.data[chosen], (neurons.size, weights.shape[1]))
            if found.nnz:
                own = part.name if number == 0 else find_fresh_name(f"{part.name} from clone {number}", taken)
                projections.append(replace(part, name=own, pre=pre, weights=found))
    return replace(network, projections=tuple(projections))


def _add_inputs(network: Network, name: str, clones: Mapping[int, Origin]) -> Network:
    """Give clones the inputs of their neurons."""
    projections, taken = [], {part.name for part in network.projections}
    for part in network.projections:
        projections.append(part)
        if part.post == name:
            for number, (clone, neurons) in clones.items():
                own = find_fresh_name(f"{part.name} onto clone {number}", taken)
                taken.add(own)
                projections.append(replace(part, name=own, post=clone, weights=part.weights.select(columns=neurons)))
    return replace(network, projections=tuple(projections))

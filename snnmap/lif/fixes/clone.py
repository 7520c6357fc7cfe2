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
from snnmap.lif.quantise import is_codable
from snnmap.network import (
    Network,
    Population,
    Projection,
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
        separated = _separate_targets(network, name)
        change = _split(separated, name, _share_targets(separated, name, mapped))
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


@fix("repeat-outputs", "SNN109", "SNN503", exact=True)
def repeat_outputs(case: Case) -> Change | None:
    """Move outputs whose decays the chip does not code to its hidden neurons, where builds rebuild them, and repeat their spikes.

    It takes two hidden neurons an output, of which one is a relay, and a step; weights onto outputs are no longer stored there.
    Outputs without a synaptic memory are left to `carry-instant`.
    """
    return repeat_uncodable_outputs(case, instant=False)


def repeat_uncodable_outputs(case: Case, *, instant: bool) -> Change | None:
    """Do so for outputs of which some have a synapse without a memory, or for those of which none has."""
    network, told, origins = case.network, [], dict[str, Origin]()
    for name in _list_uncodable_outputs(case, instant):
        hidden = find_fresh_name(f"{name} hidden", set(network.source_sizes))
        network = _repeat(_separate_targets(network, name), name, hidden)
        origins[hidden] = name, np.arange(network.population(name).size)
        told.append(f"'{name}'")
    done = f"outputs repeat hidden neurons, whose decays are rebuilt: {', '.join(told)}"
    return Change(network=network, done=done, origins=origins) if told else None


def _list_uncodable_outputs(case: Case, instant: bool) -> list[str]:
    """List outputs read by their spikes, which are those of hidden neurons, and whose decays the chip does not code."""
    network, chip, names = case.network, case.chip, list[str]()
    otherwise = {name for port in network.outputs if port.readout != "spikes" for name in port.populations}
    for name in sorted(set(network.output_populations) - otherwise):
        output = network.population(name)
        lent = replace(output, alpha=np.where(output.alpha == 0.0, 0.5, output.alpha))
        alike = output.reset == chip.family.reset == "subtract" and (output.max_count == chip.hidden.max_count).all()
        if alike and (output.alpha == 0.0).any() == instant and chip.family.has_few_decays and not is_codable(lent, chip):
            names.append(name)
    return names


def _repeat(network: Network, name: str, hidden: str) -> Network:
    """Give all that an output does to a hidden population, of which it repeats the spikes in the same step."""
    output = network.population(name)
    most = float(output.max_count.max())
    repeating = Population.create(
        name,
        output.size,
        alpha=0.5,
        threshold=(most + 0.5) / (most + 1.0),
        max_count=output.max_count,
        source=output.source,
    )
    now = {name: hidden}
    moved = [replace(part, pre=now.get(part.pre, part.pre), post=now.get(part.post, part.post)) for part in network.projections]
    taken = {part.name for part in network.projections}
    neurons = np.arange(output.size)
    for delay, weight in ((0, 1.0), (1, -0.5)):
        own = find_fresh_name(f"{hidden}->{name}", taken)
        taken.add(own)
        weights = CsrMatrix.from_triplets(neurons, neurons, np.full(output.size, weight), (output.size, output.size))
        moved.append(Projection(name=own, pre=hidden, post=name, synapse=0, delay_steps=delay, weights=weights))
    populations = (
        new for old in network.populations for new in ([replace(old, name=hidden), repeating] if old is output else [old])
    )
    return replace(network, populations=tuple(populations), projections=tuple(moved))


@fix("clone-outputs", "SNN109", exact=True)
def clone_outputs(case: Case) -> Change | None:
    """Clone neurons that are read and have targets as well: those that are read keep no targets, and the clones are hidden.

    A clone has the same inputs and so the same spikes; where the chip's hidden neurons send more in a step there is none.
    """
    outputs = set(case.network.output_populations)
    sources = {leaf for part in case.network.projections for leaf in expand_terms(case.network, part.pre)}
    network, told, origins = case.network, [], dict[str, Origin]()
    for name in sorted(outputs & sources):
        if (network.population(name).max_count != case.chip.hidden.max_count).any():
            continue
        separated = _separate_targets(network, name)
        parts = {part.name: np.ones(part.weights.nnz, np.int64) for part in separated.projections if part.pre == name}
        change = _split(separated, name, parts)
        if change is not None:
            network, origins = change.network, {**origins, **change.origins}
            told.append(change.done)
    return Change(network=network, done="; ".join(told), origins=origins) if told else None


def _separate_targets(network: Network, name: str) -> Network:
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


def _split(network: Network, name: str, shares: Mapping[str, IntArray]) -> Change | None:
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

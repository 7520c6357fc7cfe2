"""Outputs that a chip cannot have as they are: they, or the inputs that reach them, are repeated or cloned."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce

import numpy as np

from snnmap.chip import Chip
from snnmap.core import CsrMatrix, IntArray
from snnmap.lif.fixes.clone import separate_targets, split_neurons
from snnmap.lif.fixes.fix import Case, Change, Origin, fix
from snnmap.lif.quantise import is_codable
from snnmap.network import (
    Network,
    Population,
    Projection,
    carry_instant_synapses,
    expand_terms,
    find_fresh_name,
    separate_sources,
)

__all__: list[str] = []

_NONE: IntArray = np.zeros(0, np.int64)


@fix("repeat-outputs", "SNN108", "SNN109", "SNN503", exact=True)
def repeat_outputs(case: Case) -> Change | None:
    """Move outputs to hidden neurons, which take inputs and any decays (builds rebuild these), and repeat their spikes.

    It takes two hidden neurons an output, of which one is a relay, and a step; weights onto outputs are no longer stored there.
    Outputs without a synaptic memory are left to `carry-instant`, and those of more neurons than channels reach them to
    `repeat-inputs`.
    """
    return _repeat_outputs(case, _list_outputs(case, instant=False))


def repeat_instant_outputs(case: Case) -> Change | None:
    """Do so for outputs of which some have a synapse without a memory, where the chip's have one."""
    return _repeat_outputs(case, _list_outputs(case, instant=True))


def _repeat_outputs(case: Case, names: Sequence[str]) -> Change | None:
    if not names:
        return None
    network, origins = case.network, dict[str, Origin]()
    for name in names:
        hidden = find_fresh_name(f"{name} hidden", set(network.source_sizes))
        network = _move_output(separate_targets(network, name), name, hidden, case.chip)
        origins[hidden] = name, np.arange(network.population(name).size)
    return _tell_change(case, network, "outputs repeat hidden neurons", origins)


@fix("repeat-inputs", "SNN108", exact=True)
def repeat_inputs(case: Case) -> Change | None:
    """Let hidden neurons repeat inputs that reach outputs, and send to these outputs in their place.

    It takes two hidden neurons a channel, of which one is a relay, and a step. Inputs that send more spikes than a hidden
    neuron are left to `clip-inputs`.
    """
    return _repeat_inputs(case) if case.chip.inputs.max_count <= case.chip.hidden.max_count else None


@fix("clip-inputs", "SNN108", exact=False)
def clip_inputs(case: Case) -> Change | None:
    """Do as `repeat-inputs`, but leave out the spikes of a step beyond those that a hidden neuron sends.

    Nothing changes where the data hold no more.
    """
    return _repeat_inputs(case) if case.chip.inputs.max_count > case.chip.hidden.max_count else None


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
        separated = separate_targets(network, name)
        parts = {part.name: np.ones(part.weights.nnz, np.int64) for part in separated.projections if part.pre == name}
        change = split_neurons(separated, name, parts)
        if change is not None:
            network, origins = change.network, {**origins, **change.origins}
            told.append(change.done)
    return Change(network=network, done="; ".join(told), origins=origins) if told else None


def _list_outputs(case: Case, *, instant: bool) -> list[str]:
    """List outputs that hidden neurons can stand for, and that inputs reach or whose decays the chip does not code.

    Those of more neurons than channels that reach them are cheaper otherwise.
    """
    network, chip, straight = case.network, case.chip, _find_channels(case.network)
    names = []
    for name in sorted(filter(partial(_can_repeat, case), network.output_populations)):
        output = network.population(name)
        is_instant = chip.family.decays_after_input and bool((output.alpha == 0.0).any())
        lent = replace(output, alpha=np.where(output.alpha == 0.0, 0.5, output.alpha))
        is_uncodable = chip.family.has_few_decays and not is_codable(lent, chip)
        n_channels = sum(channels.size for channels in straight.get(name, {}).values())
        if is_instant == instant and (is_uncodable or output.size <= n_channels):
            names.append(name)
    return names


def _find_channels(network: Network) -> Mapping[str, Mapping[str, IntArray]]:
    """Find the channels that reach an output population without hidden neurons, by population and port."""
    found = dict[str, dict[str, IntArray]]()
    ports = [port.name for port in network.inputs]
    for part in separate_sources(network, network.output_populations).projections:
        if part.post in network.output_populations and part.pre in ports:
            rows = found.setdefault(part.post, {}).get(part.pre, _NONE)
            found[part.post][part.pre] = np.union1d(rows, part.weights.rows)
    return found


def _can_repeat(case: Case, name: str) -> bool:
    """Say whether an output is read by its spikes alone, which are those of a hidden neuron."""
    network, chip, output = case.network, case.chip, case.network.population(name)
    otherwise = {one for port in network.outputs if port.readout != "spikes" for one in port.populations}
    alike = output.reset == chip.family.reset and (output.max_count == chip.hidden.max_count).all()
    return bool(alike) and name not in otherwise


def _move_output(network: Network, name: str, hidden: str, chip: Chip) -> Network:
    """Give all that an output does to a hidden population, of which it repeats the spikes in the same step."""
    output = network.population(name)
    repeating = _make_repeating(name, output.size, output.max_count, chip, output.source)
    now = {name: hidden}
    moved = [replace(part, pre=now.get(part.pre, part.pre), post=now.get(part.post, part.post)) for part in network.projections]
    populations = (
        new for old in network.populations for new in ([replace(old, name=hidden), repeating] if old is output else [old])
    )
    changed = replace(network, populations=tuple(populations), projections=tuple(moved))
    return _repeat(changed, hidden, name, np.arange(output.size), chip)


def _repeat_inputs(case: Case) -> Change | None:
    """Put repeating neurons between outputs and the channels that reach them."""
    straight = _find_channels(case.network)
    if not straight:
        return None
    network, origins = separate_sources(case.network, straight), dict[str, Origin]()
    for port in case.network.inputs:
        channels = reduce(np.union1d, (found[port.name] for found in straight.values() if port.name in found), _NONE)
        parts, rest = list[Projection](), list[Projection]()
        for part in network.projections:
            (parts if part.pre == port.name and part.post in straight else rest).append(part)
        network = replace(network, projections=tuple(rest))
        if channels.size:
            name = find_fresh_name(f"{port.name} repeat", set(network.source_sizes))
            origins[name] = port.name, channels
            repeating = _make_repeating(name, channels.size, case.chip.hidden.max_count, case.chip, port.name)
            moved = (replace(part, pre=name, weights=part.weights.select(channels)) for part in parts)
            network = replace(network, populations=(repeating, *network.populations), projections=(*rest, *moved))
            network = _repeat(network, port.name, name, channels, case.chip)
    return _tell_change(case, network, "neurons repeat channels that reach outputs", origins)


def _tell_change(case: Case, network: Network, what: str, origins: Mapping[str, Origin]) -> Change:
    """Return the change with what it takes."""
    told = ", ".join(f"{numbers.size} of '{source}' as '{name}'" for name, (source, numbers) in origins.items())
    relays = ", and as many relays" if case.chip.family.decays_after_input else ""
    done = f"{what}: {told}{relays}" if origins else "connections without weights are left out"
    return Change(network=network, done=done, origins=origins)


def _make_repeating(name: str, size: int, max_count: IntArray | int, chip: Chip, source: str) -> Population:
    """Return neurons that send each spike that they get, of weight 1, and have forgotten it in the next step."""
    most = float(np.max(max_count))
    return Population.create(
        name, size, threshold=(most + 0.5) / (most + 1.0), reset=chip.family.reset, max_count=max_count, source=source
    )


def _repeat(network: Network, pre: str, post: str, neurons: IntArray, chip: Chip) -> Network:
    """Connect a population of repeating neurons, with a memory that is taken back where the chip's synapses have one."""
    name = find_fresh_name(f"{pre}->{post}", {part.name for part in network.projections})
    shape = network.source_sizes[pre], neurons.size
    weights = CsrMatrix.from_triplets(neurons, np.arange(neurons.size), np.ones(neurons.size), shape)
    part = Projection(name=name, pre=pre, post=post, synapse=0, delay_steps=0, weights=weights)
    linked = replace(network, projections=(*network.projections, part))
    return carry_instant_synapses(linked, names=[post]) if chip.family.decays_after_input else linked

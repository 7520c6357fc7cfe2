"""Family 2: does the network fit the chip?"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from snnmap.chip import MemoryKind
from snnmap.core import BoolArray, IntArray
from snnmap.core.diagnostics import Least, Location
from snnmap.lif.drc.engine import Amount, Finding, OnChip, find_runs, rule
from snnmap.lif.program import MappedNetwork, QuantisedNetwork, memories_of, unfold_network
from snnmap.network import Network

__all__: list[str] = []


@rule("SNN201", "too-many-inputs", Network)
def check_inputs(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it does: counts the channels of all input ports.

    Why it matters: the chip has a fixed number of input channels.

    Example: 64 pixels on a chip with 16 inputs.

    How to fix: feed the data over more steps, or reduce the channels.
    """
    used, limit = sum(port.size for port in subject.of.inputs), subject.chip.inputs.count
    if used > limit:
        yield Finding(
            location=Location(port=", ".join(port.name for port in subject.of.inputs)),
            message="there are more input channels than the chip has",
            measured=Amount(used),
            limit=Amount(limit),
            unit="channels",
            least=Least(do="drop", n=used - limit, what="channels", of=used),
            fix="feed the data over more steps, reduce the channels, or take a chip with more (`snnmap chips`)",
        )


@rule("SNN202", "too-many-hidden-neurons", MappedNetwork)
def check_hidden(subject: OnChip[MappedNetwork]) -> Iterator[Finding]:
    """What it does: counts hidden neurons after folding, relays included.

    Why it matters: all hidden populations share the chip's one population, and so do the relays that align paths.

    Example: 950 neurons and 60 relays on a chip with 992 slots.

    How to fix: make populations smaller, or shorten skip connections: a skip around k populations costs k relays a neuron.
    """
    mapped = subject.of
    used, limit = mapped.hidden.size, subject.chip.hidden.count
    if used > limit:
        yield Finding(
            location=Location(),
            message=f"there are more hidden neurons than the chip has ({mapped.n_relays} of them are relays)",
            measured=Amount(used),
            limit=Amount(limit),
            unit="neurons",
            least=Least(do="drop", n=used - limit, what="neurons", of=used, instead=_shorten(mapped, used - limit)),
            fix="make populations smaller or skip connections shorter, or take a chip with more (`snnmap chips`)",
        )


@rule("SNN203", "too-many-outputs", Network)
def check_outputs(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it does: counts the neurons of all populations that output ports read.

    Why it matters: the chip has a fixed number of output neurons.

    Example: 20 classes on a chip with 16 outputs.

    How to fix: code the classes in fewer neurons.
    """
    network = subject.of
    sizes = {p.name: p.size for p in network.populations}
    used, limit = sum(sizes.get(name, 0) for name in network.output_populations), subject.chip.outputs.count
    if used > limit:
        yield Finding(
            location=Location(population=", ".join(network.output_populations)),
            message="there are more output neurons than the chip has",
            measured=Amount(used),
            limit=Amount(limit),
            unit="neurons",
            least=Least(do="drop", n=used - limit, what="outputs", of=used),
            fix="read fewer neurons (`snnmap.OutputPort(populations=...)`), or take a chip with more (`snnmap chips`)",
        )


@rule("SNN204", "fan-in-exceeded", MappedNetwork)
def check_fan_in(subject: OnChip[MappedNetwork]) -> Iterator[Finding]:
    """What it does: counts the weights onto each neuron in each memory, after folding.

    Why it matters: a memory stores at most N_F non-zero weights a neuron. Folding adds inputs: feed-forward, recurrent and
    skip weights share one memory, and a residual sum repeats a projection for each summand.

    Example: 200 feed-forward, 100 recurrent inputs, N_F = 256.

    How to fix: prune the named neurons, train with a mask, or move weights to the second synapse.
    """
    for name, memory, matrices in memories_of(subject.of):
        for synapse, matrix in enumerate(matrices):
            counts = matrix.column_lengths
            if memory.max_fan_in and (counts > memory.max_fan_in).any():
                by_output = name == MemoryKind.OUTPUT.weights_name
                yield from _report(
                    subject.of,
                    counts,
                    memory.max_fan_in,
                    f"{name}[{synapse}]",
                    "the memory stores fewer weights for one neuron",
                    "use the second synapse or prune (`snnmap check --fix`), or train with a mask (`snnmap.train.limit_fan_in`)",
                    by_output=by_output,
                )


@rule("SNN205", "fan-out-exceeded", MappedNetwork)
def check_fan_out(subject: OnChip[MappedNetwork]) -> Iterator[Finding]:
    """What it does: counts the weights from each neuron over the memories of all synapses, after folding.

    Why it matters: the chip stores a limited number of synapses a source.

    Example: a neuron with 70 targets where the chip stores 64.

    How to fix: prune weights, or clone the neuron and share its targets between the clones (exact).
    """
    for name, memory, matrices in memories_of(subject.of):
        counts = np.sum([matrix.row_lengths for matrix in matrices], axis=0)
        if memory.max_fan_out and (counts > memory.max_fan_out).any():
            yield from _report(
                subject.of,
                counts,
                memory.max_fan_out,
                name,
                "the memory stores fewer weights from one neuron",
                "clone the neuron or prune weights (`snnmap check --fix`)",
                by_input=name == MemoryKind.INPUT.weights_name,
            )


@rule("SNN206", "memory-words-exceeded", MappedNetwork)
def check_words(subject: OnChip[MappedNetwork]) -> Iterator[Finding]:
    """What it does: counts the weights in each list memory, those of relays included.

    Why it matters: all neurons share one pool of words.

    Example: 40,000 recurrent weights on a chip with 31,744 words.

    How to fix: prune weights, or make layers smaller or sparser.
    """
    for name, memory, matrices in memories_of(subject.of):
        for synapse, matrix in enumerate(matrices):
            if memory.is_sparse and matrix.nnz > memory.max_words:
                yield Finding(
                    location=Location(block=f"{name}[{synapse}]"),
                    message="there are more weights than words",
                    measured=Amount(matrix.nnz),
                    limit=Amount(memory.max_words),
                    unit="words",
                    least=Least(do="prune", n=matrix.nnz - memory.max_words, what="weights", of=matrix.nnz),
                    fix="use the second synapse or prune weights (`snnmap check --fix`), or make layers sparser",
                )


@rule("SNN207", "too-many-synapses", Network)
def check_synapses(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it does: compares the synapses of each population with those of the chip's neurons.

    Why it matters: a neuron has one current for each synapse, with a decay of its own.

    Example: two time constants a neuron on a chip with one, or on an output neuron.

    How to fix: train with fewer synapses, or split the population.
    """
    network, chip = subject.of, subject.chip
    for population in network.populations:
        is_output = population.name in network.output_populations
        limit = chip.outputs.synapses if is_output else chip.hidden.synapses
        if population.n_synapses > limit:
            yield Finding(
                location=Location(population=population.name, source=population.source),
                message=f"the chip's {'output' if is_output else 'hidden'} neurons have fewer synapses",
                measured=Amount(population.n_synapses),
                limit=Amount(limit),
                unit="synapses",
                least=Least(do="drop", n=population.n_synapses - limit, what="synapses", of=population.n_synapses),
                fix="merge synapses of one decay (`snnmap check --fix`), or train with fewer (`snnmap.nn.LIF(n_synapses=...)`)",
            )


@rule("SNN208", "input-slot-out-of-reach", MappedNetwork)
def check_input_reach(subject: OnChip[MappedNetwork]) -> Iterator[Finding]:
    """What it does: finds hidden neurons with inputs in slots that the input memory cannot address.

    Why it matters: on some chips inputs reach only some hidden slots; placement found no room for all that need one.

    Example: 200 neurons with inputs where inputs reach 128 slots.

    How to fix: let fewer neurons take inputs: a smaller first layer, skips from the input to fewer neurons.
    """
    mapped = subject.of
    reached = subject.chip.inputs.reach.slots(mapped.hidden.size)
    slots = np.unique(np.concatenate([matrix.indices for matrix in mapped.weights(MemoryKind.INPUT)]))
    yield from _report_reach(
        mapped,
        slots,
        reached,
        "takes inputs",
        "take inputs",
        "let fewer neurons take inputs, or take a chip that reaches more (`snnmap chips`)",
    )


@rule("SNN209", "output-slot-out-of-reach", MappedNetwork)
def check_output_reach(subject: OnChip[MappedNetwork]) -> Iterator[Finding]:
    """What it does: finds hidden neurons that outputs read in slots that the output memory cannot address.

    Why it matters: on some chips outputs read only some hidden slots; placement found no room for all that need one.
    Relays of a residual sum count as well.

    Example: a last layer of 200 where outputs read 128 slots.

    How to fix: let outputs read fewer neurons: a smaller last layer, no residual sum straight before the readout.
    """
    mapped = subject.of
    read = subject.chip.outputs.reach.slots(mapped.hidden.size)
    slots = np.unique(np.concatenate([matrix.rows for matrix in mapped.weights(MemoryKind.OUTPUT)]))
    yield from _report_reach(
        mapped,
        slots,
        read,
        "is read by outputs",
        "be read",
        "let outputs read fewer neurons, or take a chip that reaches more (`snnmap chips`)",
    )


@rule("SNN210", "bias-missing", Network)
def check_bias(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it does: finds biases where the chip's neurons have none.

    Why it matters: a dropped bias changes every spike of the neuron.

    Example: a biased layer on XyloAudio 2.

    How to fix: train without biases, or use a chip that has them.
    """
    network, chip = subject.of, subject.chip
    for population in network.populations:
        has_bias = chip.outputs.bias if population.name in network.output_populations else chip.hidden.bias
        for start, stop in () if has_bias else find_runs(population.bias != 0):
            yield Finding(
                location=Location(population=population.name, neurons=(start, stop), source=population.source),
                message="the chip's neurons have no bias",
                measured=Amount(np.abs(population.bias[start:stop]).max(), ".4g"),
                limit=Amount(0),
                least=Least(do="drop", n=stop - start, what="biases"),
                fix="train without biases (`torch.nn.Linear(bias=False)`) or choose another chip (`snnmap chips`)",
            )


@rule("SNN211", "alias-missing", QuantisedNetwork)
def check_alias(subject: OnChip[QuantisedNetwork]) -> Iterator[Finding]:
    """What it does: finds aliases on a chip that has none.

    Why it matters: an alias repeats counts in the same step; without it they are lost.

    Example: a program written for Xylo on the generic chip.

    How to fix: repeat the projections of the aliased neuron instead.
    """
    alias = subject.of.program.alias
    if not subject.chip.hidden.alias and (alias >= 0).any():
        used = np.flatnonzero(alias >= 0)
        yield Finding(
            location=Location(neurons=(int(used[0]), int(used[-1]) + 1)),
            message="the chip has no aliases",
            measured=Amount(used.size),
            limit=Amount(0),
            unit="aliases",
            fix="repeat the projections instead (`snnmap.Projection`)",
        )


@rule("SNN212", "readout-missing", Network)
def check_readout(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it does: checks that the chip can read what an output port asks for.

    Why it matters: not every chip shows membrane potentials or currents of its output neurons.

    Example: a leaky-integrator readout on a chip that only counts spikes.

    How to fix: read spike counts, or use another chip.
    """
    for port in subject.of.outputs:
        if port.readout not in subject.chip.outputs.readouts:
            yield Finding(
                location=Location(port=port.name),
                message="the chip cannot read this from its outputs",
                measured=port.readout,
                limit=", ".join(subject.chip.outputs.readouts),
                fix="read something that the chip shows (`snnmap.OutputPort(readout=...)`)",
            )


def _shorten(mapped: MappedNetwork, n_relays: int) -> str:
    """Say by how many steps which one connection must be shorter, to save so many relays; empty where none alone does.

    All connections of a source share its relays, so that only one which alone leaves at the last of them saves any.
    """
    network = unfold_network(mapped)
    for name, size in network.source_sizes.items():
        hops = [(mapped.route(name, part.post, part.delay_steps).hop, part) for part in network.projections if part.pre == name]
        last, second = [*sorted((hop for hop, _ in hops), reverse=True), 0, 0][:2]
        n_steps = -(-n_relays // max(1, size))
        if n_steps <= last - second:
            (longest,) = [part for hop, part in hops if hop == last]
            return f"shorten the connection '{longest.name}' by {n_steps} steps ({n_steps * size} relays fewer)"
    return ""


def _report(
    mapped: MappedNetwork,
    counts: IntArray,
    limit: int,
    block: str,
    message: str,
    fix: str,
    *,
    by_input: bool = False,
    by_output: bool = False,
) -> Iterator[Finding]:
    """Report neurons whose count is above a limit, grouped into runs of one population."""
    for location, chosen in _group(mapped, counts > limit, by_input=by_input, by_output=by_output):
        yield Finding(
            location=replace(location, block=block),
            message=message,
            measured=Amount(int(counts[chosen].max())),
            limit=Amount(limit),
            unit="synapses",
            least=Least(do="prune", n=int((counts[chosen] - limit).sum()), what="weights", of=int(counts[chosen].sum())),
            fix=fix,
        )


def _report_reach(mapped: MappedNetwork, slots: IntArray, reach: range, what: str, need: str, fix: str) -> Iterator[Finding]:
    wrong = np.zeros(mapped.hidden.size, np.bool_)
    wrong[slots] = True
    wrong[reach.start : reach.stop] = False
    fewest = wrong.sum() == slots.size - len(reach)  # else placing them in another way may do
    for location, chosen in _group(mapped, wrong):
        yield Finding(
            location=location,
            message=f"a neuron {what} in a slot out of reach ({slots.size} neurons need one of {len(reach)} slots)",
            measured=Amount(int(chosen[0]), words=f"slot {int(chosen[0])}"),
            limit=Amount(reach.stop - 1, words=f"{reach.start}..{reach.stop - 1}"),
            least=Least(do="let", n=chosen.size, what=f"neurons fewer {need}") if fewest else None,
            fix=fix,
        )


def _group(
    mapped: MappedNetwork, wrong: BoolArray, *, by_input: bool = False, by_output: bool = False
) -> Iterator[tuple[Location, IntArray]]:
    """Yield place and slots of each run of wrong slots of one population or port (relays apart)."""
    table = mapped.table
    if by_input:
        source, neuron, hop = table.channel_source, table.channel_neuron, np.zeros_like(table.channel_source)
    elif by_output:
        source, neuron, hop = table.output_source, table.output_neuron, np.zeros_like(table.output_source)
    else:
        source, neuron, hop = table.hidden_source, table.hidden_neuron, table.hidden_hop
    for index, step in sorted(set(zip(source[wrong].tolist(), hop[wrong].tolist(), strict=True))):
        slots = np.flatnonzero((source == index) & (hop == step))
        slots = slots[np.argsort(neuron[slots], kind="stable")]
        place = _locate(mapped, table.sources[index], step)
        for start, stop in find_runs(wrong[slots]):
            yield replace(place, neurons=(start, stop)), slots[start:stop]


def _locate(mapped: MappedNetwork, source: str, hop: int) -> Location:
    """Return the place of a population or port, or of its relays at one hop."""
    name, module = f"{source} (relay {hop})" if hop else source, mapped.modules.get(source, "")
    if source in {port.name for port in mapped.inputs}:
        return Location(port=name, source=module)
    return Location(population=name, source=module)

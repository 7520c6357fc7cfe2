"""Family 2: does the network fit the chip?"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from snnmap.chip import MemoryKind
from snnmap.core import IntArray
from snnmap.core.diagnostics import Least, Location
from snnmap.core.nouns import count_nouns
from snnmap.lif.drc.advice import advise_synapses
from snnmap.lif.drc.engine import Amount, Finding, OnChip, rule
from snnmap.lif.drc.runs import Row, find_runs, locate_neurons, locate_slots
from snnmap.lif.drc.sizes import LARGER, tell_hidden, tell_inputs, tell_outputs
from snnmap.lif.program import MappedNetwork, QuantisedNetwork, memories_of, unfold_network
from snnmap.network import Network

__all__: list[str] = []


@rule("SNN201", "too-many-inputs", Network)
def check_inputs(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: the channels of all input ports.

    Why it matters: the chip has a fixed number of input channels.

    Bad: three channels on a chip with two.

        from snnmap import check_model, sketch_network

        check_model(sketch_network({"in": 3, "h": 3, "out": 2}), "toy-4")

    Good:

        check_model(sketch_network({"in": 2, "h": 3, "out": 2}), "toy-4")

    How to fix: feed the data over more steps, or reduce the channels.
    """
    ports = subject.of.inputs
    yield from tell_inputs(", ".join(port.name for port in ports), sum(port.size for port in ports), subject.chip)


@rule("SNN202", "too-many-hidden-neurons", MappedNetwork)
def check_hidden(subject: OnChip[MappedNetwork]) -> Iterator[Finding]:
    """What it checks: the hidden neurons after folding, relays included.

    Why it matters: all hidden populations share the chip's one population, and so do the relays that align paths.

    Bad: five neurons on a chip with four.

        from snnmap import check_model, sketch_network

        check_model(sketch_network({"in": 2, "a": 4, "b": 1, "out": 1}), "toy-4")

    Good:

        check_model(sketch_network({"in": 2, "a": 3, "b": 1, "out": 1}), "toy-4")

    How to fix: make populations smaller, or shorten skip connections: a skip around k populations costs k relays a neuron.
    """
    mapped = subject.of
    excess = mapped.hidden.size - subject.chip.hidden.count
    instead = _shorten(mapped, excess) if excess > 0 else ""
    yield from tell_hidden(mapped.hidden.size, subject.chip, f"{mapped.n_relays} of them are relays", instead=instead)


@rule("SNN203", "too-many-outputs", Network)
def check_outputs(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: the neurons of all populations that output ports read.

    Why it matters: the chip has a fixed number of output neurons.

    Bad: three outputs on a chip with two.

        from snnmap import check_model, sketch_network

        check_model(sketch_network({"in": 2, "h": 4, "out": 3}), "toy-4")

    Good:

        check_model(sketch_network({"in": 2, "h": 4, "out": 2}), "toy-4")

    How to fix: code the classes in fewer neurons.
    """
    sizes, read = {p.name: p.size for p in subject.of.populations}, subject.of.output_populations
    framework, used = subject.of.provenance.get("framework", ""), sum(sizes.get(name, 0) for name in read)
    yield from tell_outputs(", ".join(read), used, subject.chip, framework)


@rule("SNN204", "fan-in-exceeded", MappedNetwork)
def check_fan_in(subject: OnChip[MappedNetwork]) -> Iterator[Finding]:
    """What it checks: the weights onto each neuron in each memory, after folding.

    Why it matters: a memory stores at most N_F non-zero weights a neuron. Folding adds inputs: feed-forward, recurrent and
    skip weights share one memory, and a residual sum repeats a projection for each summand.

    Bad: 257 inputs of one neuron, N_F = 256.

        from snnmap import check_model, sketch_network

        check_model(sketch_network({"in": 257, "h": 3, "out": 2}), "generic-4096")

    Good:

        check_model(sketch_network({"in": 256, "h": 3, "out": 2}), "generic-4096")

    How to fix: prune the named neurons, train with a mask, or move weights to the second synapse. Of an ANN, prune before
    converting, which keeps convolutions and says what it costs; pools can be neurons of their own (`ConvertOptions(pools=)`).
    """
    for name, memory, matrices in memories_of(subject.of):
        for synapse, matrix in enumerate(matrices):
            counts = matrix.column_lengths
            if memory.max_fan_in:
                yield from _report(
                    subject.of,
                    "output" if name == MemoryKind.OUTPUT.weights_name else "hidden",
                    counts,
                    memory.max_fan_in,
                    f"{name}[{synapse}]",
                    "the memory stores fewer weights for one neuron",
                    "use the second synapse or prune (`snnmap check --fix`; an ANN before it is converted: "
                    f"`snnmap build --read prune=True`), train with a mask (`snnmap.train.limit_fan_in`), or {LARGER}",
                )


@rule("SNN205", "fan-out-exceeded", MappedNetwork)
def check_fan_out(subject: OnChip[MappedNetwork]) -> Iterator[Finding]:
    """What it checks: the weights from each neuron over the memories of all synapses, after folding.

    Why it matters: the chip stores a limited number of synapses a source.

    Bad: a neuron with 65 targets where the chip stores 64.

        from snnmap import check_model, sketch_network

        check_model(sketch_network({"in": 2, "a": 2, "b": 65, "out": 2}), "xylo-audio-2")

    Good:

        check_model(sketch_network({"in": 2, "a": 2, "b": 64, "out": 2}), "xylo-audio-2")

    How to fix: prune weights, or clone the neuron and share its targets between the clones (exact).
    """
    for name, memory, matrices in memories_of(subject.of):
        counts = np.sum([matrix.row_lengths for matrix in matrices], axis=0)
        if memory.max_fan_out:
            yield from _report(
                subject.of,
                "input" if name == MemoryKind.INPUT.weights_name else "hidden",
                counts,
                memory.max_fan_out,
                name,
                "the memory stores fewer weights from one neuron",
                f"clone the neuron or prune weights (`snnmap check --fix`), or {LARGER}",
            )


@rule("SNN206", "memory-words-exceeded", MappedNetwork)
def check_words(subject: OnChip[MappedNetwork]) -> Iterator[Finding]:
    """What it checks: the weights in each list memory, those of relays included.

    Why it matters: all neurons share one pool of words.

    Bad: 32,064 recurrent weights on a chip with 32,000 words.

        from snnmap import check_model, sketch_network

        check_model(sketch_network({"in": 2, "a": 501, "b": 64, "out": 2}), "xylo-audio-2")

    Good:

        check_model(sketch_network({"in": 2, "a": 100, "b": 64, "out": 2}), "xylo-audio-2")

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
                    fix=f"use the second synapse or prune weights (`snnmap check --fix`), make layers sparser, or {LARGER}",
                )


@rule("SNN207", "too-many-synapses", Network)
def check_synapses(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: the synapses of each population against those of the chip's neurons.

    Why it matters: a neuron has one current for each synapse, with a decay of its own.

    Bad: two time constants a neuron on a chip with one.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2}, alpha={"h": [[0.5] * 3, [0.75] * 3]})
        check_model(network, "xylo-imu")

    Good:

        check_model(network, "xylo-audio-3")

    How to fix: train with fewer synapses, or split the population.
    """
    network, chip, fewer = subject.of, subject.chip, advise_synapses(subject.of.provenance.get("framework", ""))
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
                fix=f"merge synapses of one decay (`snnmap check --fix`), or {fewer}",
            )


@rule("SNN208", "input-slot-out-of-reach", MappedNetwork)
def check_input_reach(subject: OnChip[MappedNetwork]) -> Iterator[Finding]:
    """What it checks: that hidden neurons with inputs are in slots that the input memory can address.

    Why it matters: on some chips inputs reach only some hidden slots; placement found no room for all that need one.

    Bad: 129 neurons with inputs where inputs reach 128 slots.

        from snnmap import check_model, sketch_network

        check_model(sketch_network({"in": 2, "a": 129, "b": 8, "out": 2}), "xylo-audio-3")

    Good:

        check_model(sketch_network({"in": 2, "a": 128, "b": 8, "out": 2}), "xylo-audio-3")

    How to fix: let fewer neurons take inputs: a smaller first layer, skips from the input to fewer neurons.
    """
    fix = f"let fewer neurons take inputs, or {LARGER}"
    yield from _report_reach(subject.of, MemoryKind.INPUT, "takes inputs", "take inputs", fix)


@rule("SNN209", "output-slot-out-of-reach", MappedNetwork)
def check_output_reach(subject: OnChip[MappedNetwork]) -> Iterator[Finding]:
    """What it checks: that hidden neurons that outputs read are in slots that the output memory can address.

    Why it matters: on some chips outputs read only some hidden slots; placement found no room for all that need one.
    Relays of a residual sum count as well.

    Bad: a last layer of 129 where outputs read 128 slots.

        from snnmap import check_model, sketch_network

        check_model(sketch_network({"in": 2, "a": 8, "b": 129, "out": 2}), "xylo-audio-3")

    Good:

        check_model(sketch_network({"in": 2, "a": 8, "b": 128, "out": 2}), "xylo-audio-3")

    How to fix: let outputs read fewer neurons: a smaller last layer, no residual sum straight before the readout.
    """
    fix = f"let outputs read fewer neurons, or {LARGER}"
    yield from _report_reach(subject.of, MemoryKind.OUTPUT, "is read by outputs", "be read", fix)


@rule("SNN210", "bias-missing", Network)
def check_bias(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: that there are biases only where the chip's neurons have them.

    Why it matters: a dropped bias changes every spike of the neuron.

    Bad: a biased layer on XyloAudio 2.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2}, bias={"h": 0.1})
        check_model(network, "xylo-audio-2")

    Good:

        check_model(network, "xylo-audio-3")

    How to fix: train without biases, or use a chip that has them.
    """
    network, chip = subject.of, subject.chip
    for population in network.populations:
        has_bias = chip.outputs.bias if population.name in network.output_populations else chip.hidden.bias
        for start, stop in () if has_bias else find_runs(population.bias != 0):
            yield Finding(
                location=locate_neurons(population, start, stop),
                message="the chip's neurons have no bias",
                measured=Amount(np.abs(population.bias[start:stop]).max(), ".4g"),
                limit=Amount(0),
                least=Least(do="drop", n=stop - start, what="biases"),
                fix="train without biases (`torch.nn.Linear(bias=False)`) or choose another chip (`snnmap chips`)",
            )


@rule("SNN211", "alias-missing", QuantisedNetwork)
def check_alias(subject: OnChip[QuantisedNetwork]) -> Iterator[Finding]:
    """What it checks: that there are aliases only on a chip that has them.

    Why it matters: an alias repeats counts in the same step; without it they are lost.

    Bad: an alias on the generic chip.

        from dataclasses import replace

        from snnmap import check_model, sketch_network
        from snnmap.lif.drc import check_quantised

        quantised = check_model(sketch_network({"in": 2, "h": 3, "out": 2}), "generic-4096").quantised
        check_quantised(replace(quantised, program=replace(quantised.program, alias=[1, -1, -1])))

    Good:

        check_quantised(quantised)

    How to fix: repeat the projections of the aliased neuron instead.
    """
    used = np.flatnonzero(subject.of.program.alias >= 0)
    if used.size and not subject.chip.hidden.alias:
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
    """What it checks: that the chip can read what an output port asks for.

    Why it matters: not every chip shows membrane potentials or currents of its output neurons.

    Bad: a leaky-integrator readout on a chip that only counts spikes.

        from dataclasses import replace

        from snnmap import check_model, load_chip, sketch_network

        chip = load_chip("xylo-audio-3")
        counting = replace(chip, name="counting", outputs=replace(chip.outputs, readouts=("spikes",)))
        check_model(sketch_network({"in": 2, "h": 3, "out": 2}, readout="potential"), counting)

    Good:

        check_model(sketch_network({"in": 2, "h": 3, "out": 2}), counting)

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


@rule("SNN213", "alias-conflict", QuantisedNetwork)
def check_alias_targets(subject: OnChip[QuantisedNetwork]) -> Iterator[Finding]:
    """What it checks: that the alias of a neuron is another hidden neuron, and of no second one.

    Why it matters: a neuron repeats the counts of one other in the same step; the chip has no place for more.

    Bad: two neurons with one alias.

        from dataclasses import replace

        from snnmap import check_model, sketch_network
        from snnmap.lif.drc import check_quantised

        quantised = check_model(sketch_network({"in": 2, "h": 3, "out": 2}), "xylo-audio-3").quantised
        check_quantised(replace(quantised, program=replace(quantised.program, alias=[2, 2, -1])))

    Good:

        check_quantised(replace(quantised, program=replace(quantised.program, alias=[2, -1, -1])))

    How to fix: give each neuron an alias of its own, or repeat the projections of the aliased neuron instead.
    """
    if not subject.chip.hidden.alias:
        return
    alias = subject.of.program.alias
    used = alias != -1
    targets, times = np.unique(alias[used], return_counts=True)
    for message, wrong in (
        ("the alias is no hidden neuron", used & ((alias < 0) | (alias >= alias.size))),
        ("the neuron is its own alias", alias == np.arange(alias.size)),
        ("the alias is that of another neuron, too", np.isin(alias, targets[times > 1])),
    ):
        for start, stop in find_runs(wrong):
            yield Finding(
                location=Location(neurons=(start, stop)),
                message=message,
                measured=Amount(stop - start, adds=True),
                limit=Amount(0),
                unit="aliases",
                fix="give each neuron an alias of its own, or repeat the projections instead (`snnmap.Projection`)",
            )


def _shorten(mapped: MappedNetwork, n_relays: int) -> str:
    """Say by how many steps which one connection must be shorter, to save so many relays; empty where none alone does.

    All connections of a source share its relays, so that only one which alone leaves at the last of them saves any; fewer where
    other paths then wait longer.
    """
    network = unfold_network(mapped)
    for name, size in network.source_sizes.items():
        parts = [part for part in network.projections if part.pre == name]
        hops = {part.name: mapped.route(name, part.post, part.delay_steps).hop for part in parts}
        *_, second, last = sorted([0, 0, *hops.values()])
        n_steps = -(-n_relays // max(1, size))
        if n_steps <= last - second:
            longest = max(hops, key=hops.__getitem__)
            fewer = count_nouns(n_steps * size, "relay")
            return f"shorten the connection '{longest}' by {count_nouns(n_steps, 'step')} (up to {fewer} fewer)"
    return ""


def _report(
    mapped: MappedNetwork, row: Row, counts: IntArray, limit: int, block: str, message: str, fix: str
) -> Iterator[Finding]:
    """Report neurons whose count is above a limit, grouped into runs of one population."""
    for location, chosen in locate_slots(mapped, counts > limit, row):
        yield Finding(
            location=replace(location, block=block),
            message=message,
            measured=Amount(int(counts[chosen].max())),
            limit=Amount(limit),
            unit="synapses",
            least=Least(do="prune", n=int((counts[chosen] - limit).sum()), what="weights", of=int(counts[chosen].sum())),
            fix=fix,
        )


def _report_reach(mapped: MappedNetwork, kind: MemoryKind, what: str, need: str, fix: str) -> Iterator[Finding]:
    """Report hidden neurons that a memory uses in slots out of its reach."""
    n, chip = mapped.hidden.size, mapped.chip
    reaches = {MemoryKind.INPUT: chip.inputs.reach.slots(n), MemoryKind.OUTPUT: chip.outputs.reach.slots(n)}
    used = {
        MemoryKind.INPUT: np.unique(np.concatenate([matrix.indices for matrix in mapped.weights(MemoryKind.INPUT)])),
        MemoryKind.OUTPUT: np.unique(np.concatenate([matrix.rows for matrix in mapped.weights(MemoryKind.OUTPUT)])),
    }
    slots, within = used[kind], reaches[kind]
    wrong = np.zeros(n, np.bool_)
    wrong[slots] = True
    wrong[within.start : within.stop] = False
    if slots.size > len(within):
        why = f"{slots.size} neurons need one of {len(within)} slots"
    else:
        why = _explain_clash(used[MemoryKind.INPUT], used[MemoryKind.OUTPUT], *reaches.values())
    fewest = wrong.sum() == slots.size - len(within)  # else placing them in another way may do
    for location, chosen in locate_slots(mapped, wrong):
        yield Finding(
            location=location,
            message=f"a neuron {what} in a slot out of reach ({why})",
            measured=Amount(int(chosen[0]), words=f"slot {int(chosen[0])}"),
            limit=Amount(within.stop - 1, words=f"{within.start}..{within.stop - 1}"),
            least=Least(do="let", n=chosen.size, what=f"neurons fewer {need}") if fewest else None,
            fix=fix,
        )


def _explain_clash(taking: IntArray, read: IntArray, reached: range, shown: range) -> str:
    """Say why neurons have no slots though each memory alone reaches as many as it needs: slots that both need are too few."""
    both, either = np.intersect1d(taking, read).size, np.union1d(taking, read).size
    n_shared = len(range(max(reached.start, shown.start), min(reached.stop, shown.stop)))
    if both > n_shared:
        return f"{both} neurons take inputs and are read by outputs as well, for which there are {n_shared} slots"
    n_all = len(reached) + len(shown) - n_shared
    if either <= n_all:
        return "neurons that could stand elsewhere are in those within reach"
    return f"{either} neurons take inputs or are read by outputs, and {n_all} slots are within reach of one or the other"

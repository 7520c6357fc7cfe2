"""Family 1, on a chip: has it connections for the network? The rules of any network are in :mod:`snnmap.network.structure`."""

from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np

from snnmap.chip import Chip
from snnmap.core import BoolArray, IntArray
from snnmap.core.diagnostics import Least, Location, Severity
from snnmap.lif.drc.advice import advise_delays, advise_layer
from snnmap.lif.drc.engine import Amount, Finding, OnChip, rule
from snnmap.lif.drc.runs import find_runs, locate_neurons
from snnmap.network import Network, Population, Projection, expand_terms, is_sound

__all__: list[str] = []

_CLONE = "let `snnmap check --fix` clone it: what is read then keeps no targets"
_CLONE_ELSEWHERE = "take a chip of one spike a step (generic-4096-single), where `snnmap check --fix` clones it"


@rule("SNN105", "unreachable-neuron", Network, Severity.WARNING)
def check_reachable(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: that an input, or a neuron with a positive bias, leads to every neuron.

    Why it matters: they can never fire, and take slots and memory. It is advice: no later stage fails, and what is built does
    what the model does.

    Bad: two neurons that only wait for each other.

        from snnmap import check_model, sketch_network

        around = [[0, 0, 0], [0, 0, 0.4], [0, 0.4, 0]]  # the second and the third neuron wait for each other
        network = sketch_network(
            {"in": 1, "h": 3, "out": 2}, weights={"in->h": [[1.5, 0, 0]], "h->h": around}, delay_steps={"h->h": 1}
        )
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network(
            {"in": 1, "h": 3, "out": 2}, weights={"in->h": [[1.5, 0.8, 0]], "h->h": around}, delay_steps={"h->h": 1}
        )
        check_model(network, "xylo-audio-3")

    How to fix: connect or remove them.
    """
    network = subject.of
    if not is_sound(network):
        return
    awake = {port.name: np.ones(port.size, np.bool_) for port in network.inputs}
    awake |= {p.name: p.bias > 0 for p in network.populations}
    reached = _spread(network, awake, forwards=True)
    yield from _report_runs(network, lambda p: ~reached[p.name], "no input or bias leads to these neurons", "connect")


@rule("SNN106", "dead-neuron", Network, Severity.WARNING)
def check_dead(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: that every neuron has a positive weight onto it, or a positive bias.

    Why it matters: their potential never rises, so they never fire. It is advice: no later stage fails, and what is built does
    what the model does.

    Bad: a neuron whose positive weights were all pruned.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 1, "h": 3, "out": 2}, weights={"in->h": [[1.5, -1.0, 1.2]]})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 1, "h": 3, "out": 2}, weights={"in->h": [[1.5, 1.0, 1.2]]})
        check_model(network, "xylo-audio-3")

    How to fix: remove the neuron, or train it again.
    """
    network = subject.of
    if not is_sound(network):
        return
    driven = {p.name: p.bias > 0 for p in network.populations}
    for projection in network.projections:
        weights = projection.weights
        driven[projection.post] = driven[projection.post].copy()
        driven[projection.post][weights.indices[weights.data > 0]] = True

    def is_dead(population: Population) -> BoolArray:
        return ~driven[population.name] & np.isfinite(population.threshold)

    yield from _report_runs(network, is_dead, "no positive weight or bias drives these neurons", "retrain")


@rule("SNN107", "unread-neuron", Network, Severity.WARNING)
def check_read(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: that a path leads from every neuron to an output port.

    Why it matters: they change nothing, and take slots and memory. It is advice: no later stage fails, and what is built does
    what the model does.

    Bad: a neuron whose weights to the output were all pruned.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 1}, weights={"h->out": [[0.8], [0.0], [0.9]]})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 2, "h": 3, "out": 1}, weights={"h->out": [[0.8], [0.7], [0.9]]})
        check_model(network, "xylo-audio-3")

    How to fix: read or remove them.
    """
    network = subject.of
    if not is_sound(network):
        return
    read = {part.name: np.zeros(part.size, np.bool_) for part in network.inputs}
    read |= {p.name: np.full(p.size, p.name in network.output_populations) for p in network.populations}
    used = _spread(network, read, forwards=False)
    yield from _report_runs(network, lambda p: ~used[p.name], "no path leads from these neurons to an output", "read")


@rule("SNN108", "input-straight-to-output", Network, stops_folding=True)
def check_input_to_output(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: that no input port projects to a population that an output port reads.

    Why it matters: the chip has weights from inputs to hidden and from hidden to output neurons, but none between.

    Bad: an input that also goes straight to the readout.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2}, weights={"in->out": 0.2})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 2, "first": 3, "h": 3, "out": 2}, weights={"in->h": 0.2})
        check_model(network, "xylo-audio-3")

    How to fix: put a hidden population between input and output, or let neurons repeat the inputs or the outputs.
    """
    network = subject.of
    if not is_sound(network):
        return
    inputs, layer = {port.name for port in network.inputs}, advise_layer(network.provenance.get("framework", ""))
    for projection in network.projections:
        if projection.post in network.output_populations and inputs & set(expand_terms(network, projection.pre)):
            yield Finding(
                location=_at(projection),
                message=f"an input projects straight to output population '{projection.post}'",
                fix=f"put a hidden population between them ({layer}), or let neurons repeat the inputs or the outputs"
                " (`snnmap check --fix`)",
            )


@rule("SNN109", "output-feeds-back", Network, stops_folding=True)
def check_output_feeds_back(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: that nothing is projected out of populations that an output port reads.

    Why it matters: the chip's output neurons have no outgoing weights.

    Bad: a recurrent readout.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2}, weights={"out->h": -0.2}, delay_steps={"out->h": 3})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 2, "h": 3, "last": 2, "out": 2}, weights={"last->h": -0.2}, delay_steps={"last->h": 3})
        check_model(network, "xylo-audio-3")

    How to fix: read it through a population of its own, behind weights.
    """
    network = subject.of
    if not is_sound(network):
        return
    outputs, layer = set(network.output_populations), advise_layer(network.provenance.get("framework", ""))
    apart = f"read it through an output population of its own ({layer})"
    for projection in network.projections:
        for name in sorted(outputs & set(expand_terms(network, projection.pre))):
            mend = network.provenance.get("fix of outputs that feed back", apart)
            yield Finding(
                location=_at(projection),
                message=f"output population '{name}' projects to '{projection.post}'",
                fix=f"{mend}{_tell_clones(network.population(name).max_count, subject.chip)}",
            )


def _tell_clones(max_count: IntArray, chip: Chip) -> str:
    """Say where the fix `clone-outputs` helps, which needs hidden neurons of as many spikes a step."""
    if (max_count == chip.hidden.max_count).all():
        return f", or {_CLONE}"
    return f", or {_CLONE_ELSEWHERE}" if (max_count == 1).all() else ""


@rule("SNN110", "nothing-to-map", Network, stops_folding=True)
def check_not_empty(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: that there is an input port, a hidden population and a population that is read, that none of them is empty,
    and that every output port reads something.

    Why it matters: without one of them there is nothing to put on the chip. A part of size 0 is most often a mistake in a
    size that was computed.

    Bad: an output port of which nothing is read.

        from dataclasses import replace

        from snnmap import OutputPort, check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2})
        empty = OutputPort(name="empty", populations=())
        check_model(replace(network, outputs=(*network.outputs, empty)), "xylo-audio-3")

    Good:

        check_model(network, "xylo-audio-3")

    How to fix: add the missing part, remove the empty one.
    """
    network, layer = subject.of, advise_layer(subject.of.provenance.get("framework", ""))
    hidden = [p.name for p in network.populations if p.name not in network.output_populations]
    for what, parts in (
        ("an input port (`snnmap.InputPort`)", network.inputs),
        (f"a hidden population (a layer of neurons before the last; {layer})", hidden),
        ("an output population (`snnmap.OutputPort(populations=...)`)", network.output_populations),
    ):
        if not parts:
            yield Finding(
                location=Location(),
                message=f"the network lacks {what.partition(' (')[0]}",
                measured=Amount(0),
                limit=Amount(1),
                fix=f"add {what}",
            )
    yield from _empty_parts(network)


def _empty_parts(network: Network) -> Iterator[Finding]:
    for port in network.inputs:
        if port.size < 1:
            yield _empty(
                Location(port=port.name), "the input port has no channels", port.size, "channels", "`snnmap.InputPort(size=...)`"
            )
    for population in network.populations:
        if population.size < 1:
            location = Location(population=population.name, source=population.source)
            yield _empty(
                location, "the population has no neurons", population.size, "neurons", "`snnmap.Population.create(size=...)`"
            )
    for output in network.outputs:
        if not output.populations:
            yield _empty(
                Location(port=output.name),
                "the output port reads no population",
                0,
                "populations",
                "`snnmap.OutputPort(populations=...)`",
            )


def _empty(location: Location, message: str, size: int, unit: str, how: str) -> Finding:
    return Finding(
        location=location,
        message=message,
        measured=Amount(size),
        limit=Amount(1),
        unit=unit,
        fix=f"remove it, or fill it ({how})",
    )


@rule("SNN111", "delay-too-long", Network, stops_folding=True)
def check_delays(subject: OnChip[Network]) -> Iterator[Finding]:
    """What it checks: that delays are no longer than the chip has hidden neurons, and one step for each population on the way.

    Why it matters: a delay is made of relays, neurons that pass counts on a step later. One that is longer than the chip has
    neurons is longer than all of its relays.

    Bad: a delay in steps of a microsecond where a step is a millisecond.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 1, "out": 1}, delay_steps={"h->out": 1000})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 2, "h": 1, "out": 1}, delay_steps={"h->out": 10})
        check_model(network, "xylo-audio-3")

    How to fix: shorten the delay, or take longer steps.
    """
    network = subject.of
    limit, shorten = subject.chip.hidden.count + len(network.populations), advise_delays(network.provenance.get("framework", ""))
    for projection in network.projections:
        if projection.delay_steps > limit:
            yield Finding(
                location=_at(projection),
                message="the delay is longer than all neurons of the chip can hold",
                measured=Amount(projection.delay_steps),
                limit=Amount(limit),
                unit="steps",
                least=Least(do="shorten it by", n=projection.delay_steps - limit, what="steps", of=projection.delay_steps),
                fix=f"{shorten} or take longer steps",
            )


def _at(projection: Projection) -> Location:
    return Location(projection=projection.name, source=projection.source)


def _spread(network: Network, start: dict[str, BoolArray], *, forwards: bool) -> dict[str, BoolArray]:
    """Follow stored synapses from marked neurons until nothing new is marked; cost grows with synapses."""
    marked = {name: flags.copy() for name, flags in start.items()}
    leaving: defaultdict[str, list[tuple[str, IntArray, IntArray]]] = defaultdict(list)
    for projection in network.projections:
        ends = projection.weights.rows, projection.weights.indices
        for leaf in expand_terms(network, projection.pre):
            near, far = (leaf, projection.post) if forwards else (projection.post, leaf)
            leaving[near].append((far, *(ends if forwards else ends[::-1])))
    pending = dict.fromkeys(marked)
    while pending:
        near = next(iter(pending))
        del pending[near]
        for far, here, there in leaving[near]:
            reached = there[marked[near][here]]
            if not marked[far][reached].all():
                marked[far][reached] = True
                pending[far] = None
    return marked


def _report_runs(network: Network, wrong: Callable[[Population], BoolArray], message: str, do: str) -> Iterator[Finding]:
    for population in network.populations:
        is_read = population.name in network.output_populations
        fix = f"{do} them (`snnmap.Projection`)" if is_read else f"{do} or remove them (`snnmap check --fix` removes them)"
        for start, stop in find_runs(wrong(population)):
            location = locate_neurons(population, start, stop)
            yield Finding(
                location=location,
                message=message,
                measured=Amount(stop - start, adds=True),
                limit=Amount(0),
                unit="neurons",
                fix=fix,
            )

"""What a network must be to have a meaning on any machine: the first design rules, which the network also holds itself to."""

from collections.abc import Iterator

from snnmap.core.cached import cached
from snnmap.core.diagnostics import Diagnostic, Location
from snnmap.core.errors import DesignRuleError
from snnmap.core.rules import Amount, Finding, Subject, rule
from snnmap.network.graph import find_zero_delay_loops, has_loop
from snnmap.network.network import Network, Projection, SpikeSum

__all__ = ["find_structure_problems", "is_sound", "require_structure"]


@rule("SNN101", "unknown-name", Network, stops_folding=True)
def check_names(subject: Subject[Network]) -> Iterator[Finding]:
    """What it checks: that projections, sums and output ports name parts that exist.

    Why it matters: a connection to nowhere has no meaning, and dropping it would change the network.

    Bad: a projection onto `hiden`.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "hidden": 3, "out": 2}, weights={"hidden->hiden": 0.1})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 2, "hidden": 3, "out": 2})
        check_model(network, "xylo-audio-3")

    How to fix: name an existing input port, population or sum.
    """
    network = subject.of
    populations = {population.name for population in network.populations}
    sources = populations | {port.name for port in network.inputs} | {addition.name for addition in network.sums}
    for projection in network.projections:
        for role, name, known in (("source", projection.pre, sources), ("target", projection.post, populations)):
            if name not in known:
                yield Finding(
                    location=_at(projection),
                    message=f"the {role} '{name}' does not exist",
                    fix="name an existing population or port (`snnmap.Projection(pre=..., post=...)`)",
                )
    for port in network.outputs:
        for name in port.populations:
            if name not in populations:
                yield Finding(
                    location=Location(port=port.name),
                    message=f"population '{name}' does not exist",
                    fix="read an existing population (`snnmap.OutputPort(populations=...)`)",
                )
    for addition in network.sums:
        for name in addition.terms:
            if name not in sources:
                yield Finding(
                    location=_at(addition),
                    message=f"the summand '{name}' does not exist",
                    fix="add existing populations, ports or sums (`snnmap.SpikeSum(terms=...)`)",
                )


@rule("SNN102", "shape-mismatch", Network, stops_folding=True)
def check_shapes(subject: Subject[Network]) -> Iterator[Finding]:
    """What it checks: that weights are (n_pre, n_post), delays not negative, synapses and summands there.

    Why it matters: weights of another shape belong to other neurons.

    Bad: 1 x 2 weights onto a population of 3.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 1, "h": 3, "out": 2}, weights={"in->h": [[1.0, 1.5]]})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 1, "h": 3, "out": 2}, weights={"in->h": [[1.0, 1.5, 1.2]]})
        check_model(network, "xylo-audio-3")

    How to fix: give weights, delay and synapse that fit source and target.
    """
    network, sizes = subject.of, subject.of.source_sizes
    synapses = {population.name: population.n_synapses for population in network.populations}
    for projection in network.projections:
        yield from _wrong_projection(projection, sizes.get(projection.pre), sizes.get(projection.post), synapses)
    for addition in network.sums:
        found = {sizes[term] for term in addition.terms if term in sizes}
        if len(found) > 1:
            yield Finding(
                location=_at(addition),
                message="the summands differ in size",
                measured=str(sorted(found)),
                limit="one size",
                fix="add sources of one size (`snnmap.SpikeSum(terms=...)`)",
            )


def _wrong_projection(
    projection: Projection, n_pre: int | None, n_post: int | None, synapses: dict[str, int]
) -> Iterator[Finding]:
    if n_pre is not None and n_post is not None and projection.weights.shape != (n_pre, n_post):
        yield Finding(
            location=_at(projection),
            message="the weights do not fit source and target",
            measured=str(projection.weights.shape),
            limit=str((n_pre, n_post)),
            fix="give weights of shape (n_pre, n_post) (`snnmap.Projection(weights=...)`)",
        )
    if projection.delay_steps < 0:
        yield Finding(
            location=_at(projection),
            message="the delay is negative",
            measured=Amount(projection.delay_steps),
            limit=Amount(0),
            unit="steps",
            fix="use a delay of 0 or more (`snnmap.Projection(delay_steps=...)`)",
        )
    n_synapses = synapses.get(projection.post, projection.synapse + 1)
    if not 0 <= projection.synapse < n_synapses:
        yield Finding(
            location=_at(projection),
            message=f"the target has no synapse {projection.synapse}",
            measured=Amount(projection.synapse),
            limit=Amount(n_synapses - 1),
            fix="use an existing synapse (`snnmap.Projection(synapse=...)`)",
        )


@rule("SNN103", "zero-delay-loop", Network, stops_folding=True)
def check_zero_delay_loops(subject: Subject[Network]) -> Iterator[Finding]:
    """What it checks: that no populations wait for each other within one step.

    Why it matters: there is no order in which to compute them.

    Bad: a recurrent projection with delay 0.

        from snnmap import check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2}, weights={"h->h": 0.1})
        check_model(network, "xylo-audio-3")

    Good:

        network = sketch_network({"in": 2, "h": 3, "out": 2}, weights={"h->h": 0.1}, delay_steps={"h->h": 1})
        check_model(network, "xylo-audio-3")

    How to fix: give one projection of the loop a delay of at least 1.
    """
    if any(check_sums.check(subject)):  # then no source is known
        return
    for loop in find_zero_delay_loops(subject.of):
        yield Finding(
            location=Location(population=loop[0]),
            message=f"populations wait for each other within one step: {' -> '.join([*loop, loop[0]])}",
            measured=Amount(0),
            limit=Amount(1),
            unit="steps around the loop",
            fix="give one projection of the loop a delay of 1 (`snnmap.Projection(delay_steps=1)`)",
        )


@rule("SNN104", "circular-sum", Network, stops_folding=True)
def check_sums(subject: Subject[Network]) -> Iterator[Finding]:
    """What it checks: that no spike sums contain each other, and that none is of nothing.

    Why it matters: such a sum has no value.

    Bad: sum a of h and b, sum b of a.

        from dataclasses import replace

        from snnmap import SpikeSum, check_model, sketch_network

        network = sketch_network({"in": 2, "h": 3, "out": 2})
        sums = (SpikeSum(name="a", terms=("h", "b")), SpikeSum(name="b", terms=("a",)))
        check_model(replace(network, sums=sums), "xylo-audio-3")

    Good:

        sums = (SpikeSum(name="a", terms=("h", "h")), SpikeSum(name="b", terms=("a",)))
        check_model(replace(network, sums=sums), "xylo-audio-3")

    How to fix: put a population between them, or remove the sum.
    """
    for circle in _find_circles(subject.of):
        yield Finding(
            location=Location(population=circle[0]),
            message=f"sums contain each other: {', '.join(circle)}",
            fix="put a population between them (`snnmap.Population.create`)",
        )
    for addition in subject.of.sums:
        if not addition.terms:
            yield Finding(
                location=Location(population=addition.name),
                message="the sum has no terms",
                fix="add terms or remove it (`snnmap.SpikeSum(terms=...)`)",
            )


@cached
def _find_circles(network: Network) -> tuple[tuple[str, ...], ...]:
    """Find the sets of sums that contain each other, by name."""
    if not has_loop({addition.name: addition.terms for addition in network.sums}):
        return ()
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_edges_from((addition.name, term) for addition in network.sums for term in addition.terms)
    components = [tuple(sorted(component)) for component in nx.strongly_connected_components(graph)]
    return tuple(found for found in components if len(found) > 1 or graph.has_edge(found[0], found[0]))


@cached
def _find_problems(network: Network) -> tuple[Diagnostic, ...]:
    rules, subject = (check_names, check_shapes, check_zero_delay_loops, check_sums), Subject(of=network)
    return tuple(problem for entry in rules for problem in entry.judge(subject))


def find_structure_problems(network: Network) -> Iterator[Diagnostic]:
    """Report what keeps a network from having a meaning: violations of the rules of this module."""
    yield from _find_problems(network)


def is_sound(network: Network) -> bool:
    """Say whether names, shapes and sums make sense, so that rules may follow the graph."""
    return all(problem.rule == check_zero_delay_loops.id for problem in _find_problems(network))


def require_structure(network: Network) -> None:
    """Check that the network can be run at all: names, shapes, delays, no loop within a step.

    Raises:
        DesignRuleError: with every problem found.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from dataclasses import replace
        >>> require_structure(network)
        >>> require_structure(replace(network, inputs=()))
        Traceback (most recent call last):
            ...
        snnmap.core.errors.DesignRuleError: 1 design rule violation
        error SNN101 [unknown-name] projection 'first': the source 'in' does not exist
            fix: name an existing population or port (`snnmap.Projection(pre=..., post=...)`)
    """
    problems = _find_problems(network)
    if problems:
        raise DesignRuleError(problems)


def _at(part: Projection | SpikeSum) -> Location:
    if isinstance(part, Projection):
        return Location(projection=part.name, source=part.source)
    return Location(population=part.name, source=part.source)

"""Questions about a network's graph: order, loops, who reaches whom."""

from collections.abc import Iterator
from graphlib import TopologicalSorter
from itertools import chain, pairwise

import networkx as nx
import numpy as np

from snnmap.diagnostics import Diagnostic, Location, Severity
from snnmap.errors import DesignRuleError
from snnmap.ir.network import Network
from snnmap.ir.record import FloatArray, record

__all__ = [
    "ShortLoop",
    "count_fan_out",
    "expand_terms",
    "find_short_loops",
    "find_structure_problems",
    "find_zero_delay_loops",
    "order_populations",
    "require_structure",
]


def expand_terms(network: Network, source: str) -> tuple[str, ...]:
    """Give the input ports and populations whose counts a source adds up; a name may occur more than once.

    Raises:
        CycleError: when sums contain each other; :func:`find_structure_problems` reports that first.
    """
    terms = {addition.name: addition.terms for addition in network.sums}
    if source not in terms:
        return (source,)
    leaves: dict[str, tuple[str, ...]] = {}
    for name in TopologicalSorter(terms).static_order():
        leaves[name] = tuple(chain.from_iterable(leaves[term] for term in terms[name])) if name in terms else (name,)
    return leaves[source]


def count_fan_out(network: Network) -> dict[str, FloatArray]:
    """Give the weights that leave each neuron, ``(size,)`` by source; a spike sum passes on its summands' spikes."""
    fan_out = {name: np.zeros(size) for name, size in network.source_sizes.items()}
    for projection in network.projections:
        for leaf in expand_terms(network, projection.pre):
            fan_out[leaf] = fan_out[leaf] + projection.weights.row_lengths
    return fan_out


def order_populations(network: Network) -> list[str]:
    """Order populations so that zero-delay projections go forward; ties keep the network's own order."""
    position = {population.name: index for index, population in enumerate(network.populations)}
    graph = _zero_delay_graph(network)
    return list(nx.lexicographical_topological_sort(graph, key=lambda name: position[name]))


def find_zero_delay_loops(network: Network) -> list[list[str]]:
    """Give, for each set of populations that wait for each other within one step, a shortest loop through its first, in order."""
    graph = _zero_delay_graph(network)
    components = sorted(sorted(component) for component in nx.strongly_connected_components(graph))
    return [_loop_through(c[0], sorted(graph.subgraph(c).edges)) for c in components if graph.subgraph(c).edges]


def _loop_through(name: str, edges: list[tuple[str, str]]) -> list[str]:
    graph: nx.DiGraph[str] = nx.DiGraph(edges)
    ways_back = [nx.shortest_path(graph, successor, name) for successor in sorted(graph.successors(name))]
    return [name, *min(ways_back, key=len)[:-1]]


def _zero_delay_graph(network: Network) -> "nx.DiGraph[str]":
    graph: nx.DiGraph[str] = nx.DiGraph()
    names = {population.name for population in network.populations}
    graph.add_nodes_from(population.name for population in network.populations)
    for projection in network.projections:
        if projection.delay_steps == 0:
            leaves = expand_terms(network, projection.pre)
            graph.add_edges_from((leaf, projection.post) for leaf in leaves if leaf in names)
    return graph


def require_structure(network: Network) -> None:
    """Check that the network can be run at all: names, shapes, delays, no loop within a step.

    Raises:
        DesignRuleError: with every problem found.
    """
    problems = list(find_structure_problems(network))
    if problems:
        raise DesignRuleError(problems)


def find_structure_problems(network: Network) -> Iterator[Diagnostic]:
    """Report what keeps a network from having a meaning; the design rules of family 1 pass these on."""
    yield from _unknown_names(network)
    yield from _broken_sums(network)
    yield from _wrong_shapes(network)
    if not any(True for _ in _broken_sums(network)):
        yield from _zero_delay_loops(network)


def _problem(
    rule: str, name: str, location: Location, message: str, fix: str, measured: str = "", limit: str = "", unit: str = ""
) -> Diagnostic:
    return Diagnostic(
        rule=rule,
        name=name,
        severity=Severity.ERROR,
        location=location,
        message=message,
        fix=fix,
        measured=measured,
        limit=limit,
        unit=unit,
    )


def _unknown_names(network: Network) -> Iterator[Diagnostic]:
    populations = {population.name for population in network.populations}
    sources = populations | {port.name for port in network.inputs} | {addition.name for addition in network.sums}
    for projection in network.projections:
        for role, name, known in (("source", projection.pre, sources), ("target", projection.post, populations)):
            if name not in known:
                location = Location(projection=projection.name, source=projection.source)
                yield _problem(
                    "SNN101",
                    "unknown-name",
                    location,
                    f"the {role} '{name}' does not exist",
                    "name an existing population or port",
                )
    for port in network.outputs:
        for name in port.populations:
            if name not in populations:
                yield _problem(
                    "SNN101",
                    "unknown-name",
                    Location(port=port.name),
                    f"population '{name}' does not exist",
                    "read an existing population",
                )
    for addition in network.sums:
        for name in addition.terms:
            if name not in sources:
                location = Location(population=addition.name, source=addition.source)
                yield _problem(
                    "SNN101",
                    "unknown-name",
                    location,
                    f"the summand '{name}' does not exist",
                    "add existing populations, ports or sums",
                )


def _broken_sums(network: Network) -> Iterator[Diagnostic]:
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_edges_from((addition.name, term) for addition in network.sums for term in addition.terms)
    for component in nx.strongly_connected_components(graph):
        first = min(component)
        if len(component) > 1 or graph.has_edge(first, first):
            location = Location(population=first)
            yield _problem(
                "SNN104",
                "circular-sum",
                location,
                f"sums contain each other: {', '.join(sorted(component))}",
                "put a population between them",
            )
    for addition in network.sums:
        if not addition.terms:
            yield _problem(
                "SNN104", "circular-sum", Location(population=addition.name), "the sum has no terms", "add terms or remove it"
            )


def _wrong_shapes(network: Network) -> Iterator[Diagnostic]:
    sizes = network.source_sizes
    synapses = {population.name: population.n_synapses for population in network.populations}
    for projection in network.projections:
        location = Location(projection=projection.name, source=projection.source)
        expected = (sizes.get(projection.pre), sizes.get(projection.post))
        if None not in expected and projection.weights.shape != expected:
            yield _problem(
                "SNN102", "shape-mismatch", location, "the weights do not fit source and target",
                "give weights of shape (n_pre, n_post)", str(projection.weights.shape), str(expected),
            )  # fmt: skip
        if projection.delay_steps < 0:
            yield _problem(
                "SNN102",
                "shape-mismatch",
                location,
                "the delay is negative",
                "use a delay of 0 or more",
                str(projection.delay_steps),
                "0",
                "steps",
            )
        n_synapses = synapses.get(projection.post, projection.synapse + 1)
        if not 0 <= projection.synapse < n_synapses:
            message = f"the target has no synapse {projection.synapse}"
            yield _problem(
                "SNN102",
                "shape-mismatch",
                location,
                message,
                "use an existing synapse",
                str(projection.synapse),
                str(n_synapses - 1),
            )
    for addition in network.sums:
        found = {sizes[term] for term in addition.terms if term in sizes}
        if len(found) > 1:
            location = Location(population=addition.name, source=addition.source)
            yield _problem(
                "SNN102",
                "shape-mismatch",
                location,
                "the summands differ in size",
                "add sources of one size",
                str(sorted(found)),
                "one size",
            )


def _zero_delay_loops(network: Network) -> Iterator[Diagnostic]:
    for loop in find_zero_delay_loops(network):
        location = Location(population=loop[0])
        message = f"populations wait for each other within one step: {' -> '.join([*loop, loop[0]])}"
        yield _problem(
            "SNN103",
            "zero-delay-loop",
            location,
            message,
            "give one projection of the loop a delay of 1",
            "0",
            "1",
            "steps around the loop",
        )


@record
class ShortLoop:
    """A loop of populations that comes round in fewer steps than the chip needs.

    Attributes:
        populations: in the order of the loop.
        delay_steps: sum of the source network's delays around it.
        needed_steps: sum of the chip's delays around it.
    """

    populations: tuple[str, ...]
    delay_steps: int
    needed_steps: int


def find_short_loops(network: Network, hop_steps: int) -> list[ShortLoop]:
    """Find loops that no choice of lags can fold: sum of delays below sum of the chip's delays (design, section 5).

    Args:
        network: well-formed. Projections without weights count for nothing, as in folding.
        hop_steps: what one hidden-to-hidden hop takes on the chip.

    Returns:
        The loops of one population, then one loop for each set of populations that feed each other; empty exactly when
        the network can be folded.
    """
    graph = _slack_graph(network, hop_steps)
    found = [_short_loop(graph, [name, name], hop_steps) for name in sorted(graph) if _is_short_self_loop(graph, name)]
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))  # networkx 3.6 fails on them in find_negative_cycle
    for component in sorted(nx.strongly_connected_components(graph), key=min):
        part = graph.subgraph(sorted(component)).copy()
        if nx.negative_edge_cycle(part, weight="slack"):
            found.append(_short_loop(graph, nx.find_negative_cycle(part, min(component), weight="slack"), hop_steps))
    return found


def _slack_graph(network: Network, hop_steps: int) -> "nx.DiGraph[str]":
    """Give the hidden connections that have weights, each with its shortest delay and what that leaves beyond a hop."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    names = {population.name for population in network.populations}
    for projection in (wired for wired in network.projections if wired.weights.data.any()):
        for leaf in sorted(names.intersection(expand_terms(network, projection.pre))):
            known = graph.get_edge_data(leaf, projection.post, {"delay": projection.delay_steps})["delay"]
            delay = min(known, projection.delay_steps)
            graph.add_edge(leaf, projection.post, delay=delay, slack=delay - hop_steps)
    return graph


def _is_short_self_loop(graph: "nx.DiGraph[str]", name: str) -> bool:
    return graph.has_edge(name, name) and graph.edges[name, name]["slack"] < 0


def _short_loop(graph: "nx.DiGraph[str]", cycle: list[str], hop_steps: int) -> ShortLoop:
    """Measure a loop that is written with its first population at both ends."""
    delays = [int(graph.edges[edge]["delay"]) for edge in pairwise(cycle)]
    return ShortLoop(populations=tuple(cycle[:-1]), delay_steps=sum(delays), needed_steps=hop_steps * len(delays))

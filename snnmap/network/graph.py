"""Questions about a network's graph: order, loops, who reaches whom."""

from collections.abc import Mapping
from graphlib import TopologicalSorter
from itertools import chain, pairwise

import networkx as nx
import numpy as np

from snnmap.core.cached import cached
from snnmap.core.record import FloatArray, record
from snnmap.network.network import Network

__all__ = [
    "ShortLoop",
    "count_fan_out",
    "expand_terms",
    "find_short_loops",
    "find_zero_delay_loops",
    "order_populations",
]


def expand_terms(network: Network, source: str) -> tuple[str, ...]:
    """Return the input ports and populations whose counts a source adds up; a name may occur more than once.

    Raises:
        CycleError: when sums contain each other; :func:`find_structure_problems` reports that first.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from dataclasses import replace
        >>> from snnmap.network import SpikeSum
        >>> expand_terms(replace(network, sums=(SpikeSum(name="both", terms=("h", "in", "h")),)), "both")
        ('h', 'in', 'h')
    """
    return _leaves(network).get(source, (source,))


@cached
def _leaves(network: Network) -> Mapping[str, tuple[str, ...]]:
    """Return the summands of each sum that are no sums themselves."""
    terms = {addition.name: addition.terms for addition in network.sums}
    leaves: dict[str, tuple[str, ...]] = {}
    for name in TopologicalSorter(terms).static_order():
        leaves[name] = tuple(chain.from_iterable(leaves[term] for term in terms[name])) if name in terms else (name,)
    return leaves


def count_fan_out(network: Network) -> dict[str, FloatArray]:
    """Return the weights that leave each neuron, ``(size,)`` by source; a spike sum passes on its summands' spikes.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> {name: weights.tolist() for name, weights in count_fan_out(network).items()}
        {'in': [1.0, 1.0], 'h': [1.0, 1.0], 'out': [0.0, 0.0]}
    """
    fan_out = {name: np.zeros(size) for name, size in network.source_sizes.items()}
    for projection in network.projections:
        for leaf in expand_terms(network, projection.pre):
            fan_out[leaf] = fan_out[leaf] + projection.weights.row_lengths
    return fan_out


def order_populations(network: Network) -> list[str]:
    """Order populations so that zero-delay projections go forward; ties keep the network's own order.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> order_populations(network)
        ['h', 'out']
    """
    return list(_order(network))


@cached
def _order(network: Network) -> tuple[str, ...]:
    position = {population.name: index for index, population in enumerate(network.populations)}
    return tuple(nx.lexicographical_topological_sort(_zero_delay_graph(network), key=lambda name: position[name]))


def find_zero_delay_loops(network: Network) -> list[list[str]]:
    """Return, for each set of populations that wait for each other in a step, a shortest loop through its first, in order."""
    return [list(loop) for loop in _zero_delay_loops(network)]


@cached
def _zero_delay_loops(network: Network) -> tuple[tuple[str, ...], ...]:
    graph = _zero_delay_graph(network)
    components = sorted(sorted(component) for component in nx.strongly_connected_components(graph))
    waiting = [c for c in components if len(c) > 1 or graph.has_edge(c[0], c[0])]
    return tuple(_loop_through(c[0], sorted(graph.subgraph(c).edges)) for c in waiting)


def _loop_through(name: str, edges: list[tuple[str, str]]) -> tuple[str, ...]:
    graph: nx.DiGraph[str] = nx.DiGraph(edges)
    ways_back = [nx.shortest_path(graph, successor, name) for successor in sorted(graph.successors(name))]
    return (name, *min(ways_back, key=len)[:-1])


@cached
def _zero_delay_graph(network: Network) -> "nx.DiGraph[str]":
    graph: nx.DiGraph[str] = nx.DiGraph()
    names = {population.name for population in network.populations}
    graph.add_nodes_from(population.name for population in network.populations)
    for projection in network.projections:
        if projection.delay_steps == 0:
            leaves = expand_terms(network, projection.pre)
            graph.add_edges_from((leaf, projection.post) for leaf in leaves if leaf in names)
    return graph


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
    """Find loops that no choice of lags can fold: sum of delays below sum of the chip's delays (docs/architecture.md).

    Args:
        network: well-formed. Projections without weights count for nothing, as in folding.
        hop_steps: what one hidden-to-hidden hop takes on the chip.

    Returns:
        The loops of one population, then one loop for each set of populations that feed each other; empty exactly when
        the network can be folded.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from dataclasses import replace
        >>> back = replace(network.projections[1], name="back", post="h", delay_steps=0)
        >>> loop = find_short_loops(replace(network, projections=(*network.projections, back)), 1)[0]
        >>> loop.populations, loop.delay_steps, loop.needed_steps
        (('h',), 0, 1)
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
    """Return the hidden connections that have weights, each with its shortest delay and what that leaves beyond a hop."""
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

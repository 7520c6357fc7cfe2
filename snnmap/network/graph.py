"""Questions about a network's graph: order, loops, who reaches whom."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from heapq import heapify, heappop, heappush
from itertools import chain, pairwise

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
    "has_loop",
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
    sorter = TopologicalSorter(_zero_delay_sources(network))
    sorter.prepare()
    ready, order = [(position[name], name) for name in sorter.get_ready()], []
    heapify(ready)
    while ready:
        _, name = heappop(ready)
        order.append(name)
        sorter.done(name)
        for following in sorter.get_ready():
            heappush(ready, (position[following], following))
    return tuple(order)


def has_loop(sources: Mapping[str, Iterable[str]]) -> bool:
    """Say whether a graph, given as the sources of each target, has a loop; what finds loops is then worth its import."""
    try:
        TopologicalSorter(sources).prepare()
    except CycleError:
        return True
    return False


def find_zero_delay_loops(network: Network) -> list[list[str]]:
    """Return, for each set of populations that wait for each other in a step, a shortest loop through its first, in order."""
    return [list(loop) for loop in _zero_delay_loops(network)]


@cached
def _zero_delay_loops(network: Network) -> tuple[tuple[str, ...], ...]:
    sources = _zero_delay_sources(network)
    if not has_loop(sources):
        return ()
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph((source, target) for target in sources for source in sources[target])
    components = sorted(sorted(component) for component in nx.strongly_connected_components(graph))
    waiting = [c for c in components if len(c) > 1 or graph.has_edge(c[0], c[0])]
    return tuple(_loop_through(c[0], sorted(graph.subgraph(c).edges)) for c in waiting)


def _loop_through(name: str, edges: list[tuple[str, str]]) -> tuple[str, ...]:
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph(edges)
    ways_back = [nx.shortest_path(graph, successor, name) for successor in sorted(graph.successors(name))]
    return (name, *min(ways_back, key=len)[:-1])


@cached
def _zero_delay_sources(network: Network) -> Mapping[str, set[str]]:
    """Return the populations that each population waits for within a step."""
    names = {population.name for population in network.populations}
    sources: dict[str, set[str]] = {name: set() for name in names}
    for projection in network.projections:
        if projection.delay_steps == 0:
            sources.setdefault(projection.post, set()).update(names.intersection(expand_terms(network, projection.pre)))
    return sources


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
    delays = _hidden_delays(network)
    short = [[pre, post] for pre, post in sorted(delays) if pre == post and delays[pre, post] < hop_steps]
    sources: dict[str, set[str]] = {post: set() for _, post in delays}
    for pre, post in delays:
        sources[post] |= {pre} - {post}
    if has_loop(sources):
        short += _short_cycles(delays, hop_steps)
    return [_short_loop(delays, cycle, hop_steps) for cycle in short]


def _hidden_delays(network: Network) -> dict[tuple[str, str], int]:
    """Return the shortest delay of each hidden connection that has weights, by its ends."""
    delays: dict[tuple[str, str], int] = {}
    names = {population.name for population in network.populations}
    for projection in (wired for wired in network.projections if wired.weights.data.any()):
        for leaf in sorted(names.intersection(expand_terms(network, projection.pre))):
            ends = leaf, projection.post
            delays[ends] = min(delays.get(ends, projection.delay_steps), projection.delay_steps)
    return delays


def _short_cycles(delays: Mapping[tuple[str, str], int], hop_steps: int) -> list[list[str]]:
    """Find a short loop in each set of populations that feed each other, with its first population at both ends."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    for (pre, post), delay in delays.items():
        graph.add_edge(pre, post, slack=delay - hop_steps)
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))  # networkx 3.6 fails on them in find_negative_cycle
    found = []
    for component in sorted(nx.strongly_connected_components(graph), key=min):
        part = graph.subgraph(sorted(component)).copy()
        if nx.negative_edge_cycle(part, weight="slack"):
            found.append(nx.find_negative_cycle(part, min(component), weight="slack"))
    return found


def _short_loop(delays: Mapping[tuple[str, str], int], cycle: list[str], hop_steps: int) -> ShortLoop:
    """Measure a loop that is written with its first population at both ends."""
    around = [delays[ends] for ends in pairwise(cycle)]
    return ShortLoop(populations=tuple(cycle[:-1]), delay_steps=sum(around), needed_steps=hop_steps * len(around))

"""Delays that NIR leaves open: latencies, and the one step of a loop without Delay."""

from collections.abc import Iterable, Mapping, Sequence

import networkx as nx

from snnmap.core.errors import FrontendError
from snnmap.frontends.nir.build import Wire
from snnmap.frontends.nir.options import NirOptions
from snnmap.network import Projection, SpikeSum

__all__ = ["delay_loops"]

ROOT = ""


def delay_loops(
    wires: Sequence[Wire], ports: Iterable[str], sums: Iterable[SpikeSum], options: NirOptions
) -> tuple[tuple[Projection, ...], str]:
    """Give every projection its delay.

    A loop without Delay needs a step somewhere. It is put on the edge that leads back: from a population to one through
    which every way from the inputs to it goes (a dominator). Where no such edge opens the loop, the graph is ambiguous.

    Returns:
        The projections, and which of them came round a loop, as text.

    Raises:
        FrontendError: an ambiguous loop.
    """
    inputs = set(ports)
    leaves = _expand(sums)
    delays = [_latency(wire, inputs, options) for wire in wires]
    at_once = _graph(wires, leaves, delays)
    flow = _flow([wire for wire in wires if not wire.is_constant], inputs, leaves)
    late = [index for index, wire in enumerate(wires) if not delays[index] and _leads_back(wire, at_once, flow, leaves)]
    for index in late:
        delays[index] = 1
    _require_no_loop(wires, delays, leaves)
    projections = tuple(_delayed(wire.projection, delay) for wire, delay in zip(wires, delays, strict=True))
    return projections, ", ".join(wires[index].projection.name for index in late)


def _latency(wire: Wire, inputs: set[str], options: NirOptions) -> int:
    projection = wire.projection
    if projection.pre in inputs:
        return projection.delay_steps + options.input_latency_steps
    return projection.delay_steps if wire.is_timed else options.layer_latency_steps


def _expand(sums: Iterable[SpikeSum]) -> dict[str, tuple[str, ...]]:
    """Return the populations and ports of each sum; sums come before the sums that add them."""
    leaves: dict[str, tuple[str, ...]] = {}
    for addition in sums:
        leaves[addition.name] = tuple(leaf for term in addition.terms for leaf in leaves.get(term, (term,)))
    return leaves


def _graph(wires: Sequence[Wire], leaves: Mapping[str, tuple[str, ...]], delays: Sequence[int]) -> "nx.DiGraph[str]":
    """Return who feeds whom within a step."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    for wire, delay in zip(wires, delays, strict=True):
        if delay == 0:
            graph.add_edges_from((leaf, wire.projection.post) for leaf in _leaves(wire, leaves))
    return graph


def _flow(wires: Sequence[Wire], inputs: set[str], leaves: Mapping[str, tuple[str, ...]]) -> "nx.DiGraph[str]":
    """Return who feeds whom, whatever the delay, from a root that feeds the ports and what nothing feeds."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_edges_from((ROOT, port) for port in inputs)
    graph.add_edges_from((leaf, wire.projection.post) for wire in wires for leaf in _leaves(wire, leaves))
    graph.add_edges_from([(ROOT, name) for name in list(graph) if name != ROOT and graph.in_degree(name) == 0])
    return graph


def _leads_back(wire: Wire, at_once: "nx.DiGraph[str]", flow: "nx.DiGraph[str]", leaves: Mapping[str, tuple[str, ...]]) -> bool:
    """Say whether a projection whose delay is open closes a loop within a step, and ends at a dominator of its source."""
    post = wire.projection.post
    closing = [leaf for leaf in _leaves(wire, leaves) if leaf in at_once and nx.has_path(at_once, post, leaf)]
    return not wire.is_timed and any(_dominates(flow, post, leaf) for leaf in closing)


def _dominates(flow: "nx.DiGraph[str]", name: str, other: str) -> bool:
    """Say whether every way from the root to ``other`` goes through ``name``; a population dominates itself."""
    if name == other:
        return True
    reached = nx.descendants(flow, ROOT) if ROOT in flow else set()
    without = nx.restricted_view(flow, [name], [])
    return other in reached and not nx.has_path(without, ROOT, other)


def _require_no_loop(wires: Sequence[Wire], delays: Sequence[int], leaves: Mapping[str, tuple[str, ...]]) -> None:
    try:
        loop = [pre for pre, _ in nx.find_cycle(_graph(wires, leaves, delays))]
    except nx.NetworkXNoCycle:
        return
    raise FrontendError(
        "NIR does not say which edge of this loop is late by a step, and its inputs do not tell",
        where=" -> ".join([*loop, loop[0]]), measured="0 steps around the loop", limit="1",
        fix="put a Delay of dt_s on the edge that leads back",
    )  # fmt: skip


def _leaves(wire: Wire, leaves: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return leaves.get(wire.projection.pre, (wire.projection.pre,))


def _delayed(projection: Projection, delay_steps: int) -> Projection:
    return Projection(
        name=projection.name, pre=projection.pre, post=projection.post, weights=projection.weights,
        synapse=projection.synapse, delay_steps=delay_steps, source=projection.source,
    )  # fmt: skip

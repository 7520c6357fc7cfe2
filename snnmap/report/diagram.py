"""The graph of a network, before and after folding, and of an ANN's layers, as SVG."""

from collections.abc import Iterable
from xml.etree import ElementTree

from snnmap.core.diagram import Arrow, Box, draw_diagram
from snnmap.core.html import Element, make_element
from snnmap.graph import LayerGraph
from snnmap.lif.program import MappedNetwork
from snnmap.network import InputPort, Network, Population, SpikeSum, expand_terms

__all__ = ["draw_layers", "draw_network"]

_GAP = 24


def draw_network(network: Network, mapped: MappedNetwork | None = None) -> str:
    """Draw a network: ports, sums and populations as boxes, a column for each projection in a row; and below it, folded.

    Args:
        network: to draw; projections with a delay tell it.
        mapped: the same network, folded (:func:`snnmap.fold_network`).

    Returns:
        An SVG document.
    """
    title = f"network '{network.name}'"
    parts = [(title, _draw_source(network))]
    if mapped is not None:
        told = f"folded for {mapped.chip.name}: latency {mapped.latency_steps} steps, {mapped.n_relays} relays (orange)"
        parts.append((told, _draw_folded(network, mapped)))
    return _stack(parts)


def draw_layers(graph: LayerGraph) -> str:
    """Draw the graph of an ANN's layers: a box a node, with its operation and shape.

    Returns:
        An SVG document.
    """
    edges = [(name, node.name) for node in graph.nodes for name in node.inputs if name in graph.types or name in graph.inputs]
    names = [*graph.inputs, *(node.name for node in graph.nodes)]
    ranks = _rank(names, edges)
    boxes = [Box(key=name, lines=(name, str(kind)), column=ranks[name], kind="input") for name, kind in graph.inputs.items()]
    for node in graph.nodes:
        kind = "output" if node.name in graph.outputs else "neurons"
        lines = (node.name, node.kind, str(graph.types[node.name]))
        boxes.append(Box(key=node.name, lines=lines, column=ranks[node.name], kind=kind))
    known = set(names)
    arrows = [Arrow(source=pre, target=post) for pre, post in dict.fromkeys(edges) if pre in known]
    return _stack([("layers", draw_diagram(boxes, arrows))])


def _draw_source(network: Network) -> Element:
    edges = [(p.pre, p.post) for p in network.projections if not p.delay_steps]
    edges += [(term, addition.name) for addition in network.sums for term in addition.terms]
    parts: list[InputPort | Population | SpikeSum] = [*network.inputs, *network.populations, *network.sums]
    ranks = _rank([part.name for part in parts], edges)
    boxes = [Box(key=p.name, lines=(p.name, f"{p.size} channels"), column=ranks[p.name], kind="input") for p in network.inputs]
    for population in network.populations:
        kind = "output" if population.name in network.output_populations else "neurons"
        lines = (population.name, f"{population.size} neurons")
        boxes.append(Box(key=population.name, lines=lines, column=ranks[population.name], kind=kind))
    boxes += [Box(key=a.name, lines=(a.name, "sum"), column=ranks[a.name], kind="sum") for a in network.sums]
    arrows = [Arrow(source=term, target=addition.name) for addition in network.sums for term in addition.terms]
    arrows += [
        Arrow(source=p.pre, target=p.post, label=f"delay {p.delay_steps}" if p.delay_steps else "") for p in network.projections
    ]
    return draw_diagram(boxes, arrows)


def _draw_folded(network: Network, mapped: MappedNetwork) -> Element:
    """Draw a folded network, a column a step of lag; arrows are named after the memory that holds their weights."""
    table, outputs = mapped.table, mapped.output_populations
    boxes = [Box(key=_key(p.name, 0), lines=(p.name, f"{p.size} channels"), column=0, kind="input") for p in mapped.inputs]
    for number, name in enumerate(table.sources):
        for hop in sorted(set(table.hidden_hop[table.hidden_source == number].tolist())):
            size, lag = table.hidden_slots(name, hop=hop).size, mapped.relay_lag(name, hop)
            lines = (f"relay {hop} of {name}" if hop else name, f"{size} neurons")
            boxes.append(Box(key=_key(name, hop), lines=lines, column=lag + 1, kind="relay" if hop else "neurons"))
    for name in outputs:
        lines = (name, f"{table.output_slots(name).size} outputs")
        boxes.append(Box(key=_key(name, 0), lines=lines, column=mapped.lags[name] + 1, kind="output"))
    known = {box.key for box in boxes}
    hops = [Arrow(source=_key(name, hop - 1), target=_key(name, hop)) for name, _, hop in map(_split, known) if hop]
    heads = ["input", *(f"lag {lag}" for lag in range(max((box.column for box in boxes), default=0)))]
    return draw_diagram(boxes, [*sorted(hops, key=lambda arrow: arrow.target), *_list_wires(network, mapped)], heads=heads)


def _list_wires(network: Network, mapped: MappedNetwork) -> list[Arrow]:
    """Return an arrow for each way that a projection takes; sums are lowered to one a summand."""
    arrows = {}
    for projection in network.projections:
        for leaf in expand_terms(network, projection.pre):
            route = mapped.route(leaf, projection.post, projection.delay_steps)
            arrow = Arrow(source=_key(leaf, route.hop), target=_key(projection.post, 0), label=route.memory.name.lower())
            arrows[arrow.source, arrow.target] = arrow
    return list(arrows.values())


def _key(name: str, hop: int) -> str:
    return f"{name}\0{hop}" if hop else name


def _split(key: str) -> tuple[str, str, int]:
    name, mark, hop = key.partition("\0")
    return name, mark, int(hop or 0)


def _rank(names: Iterable[str], edges: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return the longest way to each name; those on a loop share one."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(names)
    graph.add_edges_from(edges)
    loops = nx.condensation(graph)
    generations = enumerate(nx.topological_generations(loops))
    return {name: rank for rank, generation in generations for loop in generation for name in loops.nodes[loop]["members"]}


def _stack(parts: list[tuple[str, Element]]) -> str:
    """Return one SVG document of titled pictures, one below the other."""
    drawn, y, width = [], 0.0, 0.0
    for title, picture in parts:
        drawn.append(make_element("text", title, x=8, y=f"{y + 16:.0f}", font_family="sans-serif", font_size=13, fill="#000000"))
        picture.set("y", f"{y + _GAP:.0f}")
        drawn.append(picture)
        y += _GAP + float(picture.get("height", 0)) + _GAP
        width = max(width, float(picture.get("width", 0)), 8.0 * len(title))
    paper = make_element("rect", width="100%", height="100%", fill="#ffffff")
    size = {"width": f"{width:.0f}", "height": f"{y:.0f}", "viewBox": f"0 0 {width:.0f} {y:.0f}"}
    root = make_element("svg", paper, *drawn, xmlns="http://www.w3.org/2000/svg", **size)
    return ElementTree.tostring(root, encoding="unicode") + "\n"

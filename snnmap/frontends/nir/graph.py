"""From a `.nir` file or a NIRGraph to one flat graph whose edges are sound."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnmap.core.errors import FrontendError
from snnmap.core.packages import import_package

__all__ = ["FlatGraph", "flatten_graph", "read_file", "type_name"]

Edge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class FlatGraph:
    """NIR nodes without nesting.

    Attributes:
        nodes: NIR node by path, such as ``block.lif``; a nested graph's Input and Output pass signals through.
        edges: pairs of paths, in the graph's order.
        ports: paths of the outermost Input and Output nodes.
        metadata: of the outermost graph.
    """

    nodes: Mapping[str, Any]
    edges: tuple[Edge, ...]
    ports: frozenset[str]
    metadata: Mapping[str, Any]


def type_name(node: Any) -> str:
    """Return NIR's name of a node's type."""
    return type(node).__name__


def read_file(path: Path) -> Any:
    """Read a `.nir` file without NIR's own shape inference, which is wrong for some layers and adds nodes.

    Raises:
        FrontendError: the file is not readable, is not NIR, or holds a node that cannot be built; it says which.
    """
    nir = import_package("nir")
    import h5py

    if not path.exists():
        raise FrontendError("there is no such NIR file", where=str(path), fix="give the path of a .nir file")
    try:
        with h5py.File(path, "r") as file:
            content = nir.serialization.hdf2dict(file["node"])
    except (OSError, KeyError, AttributeError, RuntimeError, UnicodeDecodeError) as error:
        raise FrontendError.from_failure(
            "the file cannot be read as NIR", error, where=str(path), fix="give a file that nir.write made"
        ) from error
    try:
        return _build_graph(nir, content, "")
    except FrontendError as error:
        raise error.within(str(path)) from error


def _build_graph(nir: Any, content: Mapping[str, Any], path: str) -> Any:
    if "edges" not in content or not isinstance(content.get("nodes"), Mapping):
        raise FrontendError("a graph without nodes or edges", where=_place(path), fix="write the graph with nir.write")
    nodes = {name: _build_node(nir, node, _join(path, name)) for name, node in content["nodes"].items()}
    metadata = content.get("metadata", {})
    if not isinstance(metadata, Mapping):
        raise FrontendError("the metadata is no group", where=_place(path), fix="delete it, or write the graph with nir.write")
    return nir.NIRGraph(nodes=nodes, edges=_read_edges(content["edges"], path), metadata=dict(metadata), type_check=False)


def _read_edges(content: Any, path: str) -> list[Edge]:
    try:
        return [(_text(pre), _text(post)) for pre, post in content]
    except (TypeError, ValueError) as error:
        raise FrontendError.from_failure(
            "the edges are no pairs of names", error, where=_place(path), fix="write the graph with nir.write"
        ) from error


def _build_node(nir: Any, content: Any, path: str) -> Any:
    kind = _text(content.get("type", "")) if isinstance(content, Mapping) else ""
    if kind == "NIRGraph":
        return _build_graph(nir, content, path)
    if kind not in nir.ir.__all__ or kind in ("NIRNode", "str2NIRNode", "dict2NIRNode"):
        raise FrontendError("the node's type is unknown", where=_place(path), measured=repr(kind), fix="use a type of NIR 1.0")
    try:
        with np.errstate(all="ignore"):
            return nir.dict2NIRNode(dict(content))
    except Exception as error:  # nir checks by assert and by what numpy happens to raise
        raise FrontendError.from_failure(
            f"the {kind} cannot be built", error, where=f"{_place(path)} ({kind})", fix="give all of its parameters, in one shape"
        ) from error


def flatten_graph(graph: Any) -> FlatGraph:
    """Write nested graphs into the outermost one and check every edge.

    An edge to a nested graph leads to its only Input, an edge from it leaves its only Output; of several, an edge names
    one as ``graph.port``.

    Raises:
        FrontendError: an edge to a missing node, an edge into an Input or out of an Output, twice the same edge, or an
            ambiguous or empty nested port.
    """
    nodes: dict[str, Any] = {}
    edges: list[Edge] = []
    _inline(graph, "", nodes, edges)
    ports = frozenset(name for name, node in graph.nodes.items() if type_name(node) in ("Input", "Output"))
    for pre, post in edges:
        if post in ports and type_name(nodes[post]) == "Input":
            raise _bad_edge((pre, post), "an edge leads into an Input", "remove it, or add the signal behind the Input")
        if pre in ports and type_name(nodes[pre]) == "Output":
            raise _bad_edge((pre, post), "an edge leaves an Output", "start it at the node before the Output")
    twice = [edge for edge, count in Counter(edges).items() if count > 1]
    if twice:
        raise _bad_edge(twice[0], "an edge is there twice; NIR does not say whether it counts twice", "keep one")
    metadata = graph.metadata if isinstance(graph.metadata, Mapping) else {}
    return FlatGraph(nodes=nodes, edges=tuple(edges), ports=ports, metadata=metadata)


def _inline(graph: Any, path: str, nodes: dict[str, Any], edges: list[Edge]) -> None:
    for name, node in graph.nodes.items():
        if type_name(node) == "NIRGraph":
            _inline(node, _join(path, name), nodes, edges)
            continue
        if _join(path, name) in nodes:
            raise FrontendError("two nodes have the same path", where=_place(_join(path, name)), fix="rename one")
        nodes[_join(path, name)] = node
    for pre, post in _read_edges(graph.edges, path):
        ends = _find_end(graph, pre, "Output", (pre, post)), _find_end(graph, post, "Input", (pre, post))
        edges.append((_join(path, ends[0]), _join(path, ends[1])))


def _find_end(graph: Any, name: str, port_type: str, edge: Edge) -> str:
    """Return the path inside ``graph`` of the node that an edge's end means."""
    node = graph.nodes.get(name)
    if node is None:
        for inner, nested in graph.nodes.items():
            if type_name(nested) == "NIRGraph" and name.startswith(inner + "."):
                return _join(inner, _find_end(nested, name[len(inner) + 1 :], port_type, edge))
        raise _bad_edge(edge, f"an edge names a node that does not exist: '{name}'", f"use one of: {_some(graph.nodes)}")
    if type_name(node) != "NIRGraph":
        return name
    ports = [port for port, inner in node.nodes.items() if type_name(inner) == port_type]
    if len(ports) != 1:
        raise _bad_edge(
            edge, f"an edge meets a nested graph that has {len(ports)} {port_type} nodes", f"name one, as '{name}.port'"
        )
    return _join(name, ports[0])


def _bad_edge(edge: Edge, what: str, fix: str) -> FrontendError:
    return FrontendError(what, where=f"edge '{edge[0]}' -> '{edge[1]}'", fix=fix)


def _some(names: Mapping[str, Any]) -> str:
    shown = sorted(names)[:8]
    return ", ".join(shown) + (", ..." if len(names) > len(shown) else "")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _place(path: str) -> str:
    return f"node '{path}'" if path else "graph"


def _text(value: Any) -> str:
    return value.decode("utf8") if isinstance(value, bytes) else str(value)

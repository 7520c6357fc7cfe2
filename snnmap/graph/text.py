"""The text form of a layer graph: a line a node, which reads back."""

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import takewhile
from typing import Any

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.graph import LayerGraph, Node
from snnmap.graph.operation import OPERATIONS, Array, TensorType
from snnmap.graph.operations.fused import Fused

__all__ = ["format_graph", "parse_graph"]

_HEAD = re.compile(r"graph '(?P<name>.*)' from '(?P<framework>.*)'")
_VALUE = re.compile(r"(?P<kind>input|constant) (?P<name>\S+): (?P<dtype>\w+) (?P<shape>[\w]+)( #\w+)?")
_NODE = re.compile(
    r"((?P<sign>[+-]) )?(?P<name>\S+) = (?P<kind>\w+)\((?P<inputs>[^;)]*)(; (?P<fields>.*?))?\)( -> \S+ \S+)?"
    r"( of '(?P<source>[^']*)')?( as '(?P<tensor>[^']*)')?"
)


def format_graph(graph: LayerGraph, *, digests: bool = False) -> str:
    """Write a graph as text; equal graphs give equal text.

    Weights are told by type and shape, not by value: :func:`parse_graph` takes them beside the text. Attributes that have
    their default are left out. Nodes that a node stands
    for follow it, indented: ``+`` the steps of what was fused, ``-`` what was folded away.

    Args:
        graph: to write.
        digests: whether each constant's line ends in a digest of its values.
    """
    lines = [f"graph '{graph.name}' from '{graph.framework}'"]
    lines += [f"input {name}: {kind}" for name, kind in graph.inputs.items()]
    lines += [_format_constant(graph, name, digests) for name in sorted(graph.constants)]
    for node in graph.nodes:
        lines += _format_node(node, str(graph.types[node.name]))
    return "\n".join([*lines, *(f"output {name}" for name in graph.outputs)]) + "\n"


def parse_graph(text: str, constants: Mapping[str, Array] | None = None) -> LayerGraph:
    """Read what :func:`format_graph` wrote.

    Args:
        text: to read.
        constants: by name, such as those of the graph that was written; those left out are zeros.

    Raises:
        NetworkError: a line is none of the form, or the graph does not hold together.
    """
    lines = text.splitlines()
    head = _HEAD.fullmatch(lines[0]) if lines else None
    if head is None:
        raise _malformed(1, lines[0] if lines else "")
    inputs: dict[str, TensorType] = {}
    arrays: dict[str, Array] = {}
    outputs, body = [], []
    for number, line in enumerate(lines[1:], 2):
        value = _VALUE.fullmatch(line)
        if value is not None and value["kind"] == "input":
            inputs[value["name"]] = TensorType(shape=_parse_shape(value["shape"])[1:], dtype=value["dtype"])
        elif value is not None:
            given = (constants or {}).get(value["name"])
            arrays[value["name"]] = np.zeros(_parse_shape(value["shape"]), value["dtype"]) if given is None else given
        elif line.startswith("output "):
            outputs.append(line.removeprefix("output "))
        else:
            body.append((number, line))
    return LayerGraph(
        name=head["name"],
        framework=head["framework"],
        inputs=inputs,
        nodes=tuple(node for _, node in _parse_nodes(body)),
        outputs=tuple(outputs),
        constants=arrays,
    )


def _format_constant(graph: LayerGraph, name: str, digests: bool) -> str:
    array = np.ascontiguousarray(graph.constants[name])
    digest = " #" + hashlib.sha256(str(array.dtype).encode() + array.tobytes()).hexdigest()[:12] if digests else ""
    return f"constant {name}: {graph.types[name]}{digest}"


def _format_node(node: Node, kind: str = "", mark: str = "") -> Iterator[str]:
    steps = node.operation.steps if isinstance(node.operation, Fused) else ()
    shown = [f"{name}={value!r}" for name, value in _told_fields(node)]
    told = ", ".join(node.inputs) + ("; " + ", ".join(shown) if shown else "")
    origin = (f" of '{node.source}'" if node.source else "") + (f" as '{node.tensor}'" if node.tensor else "")
    yield f"{mark}{node.name} = {node.kind}({told}){f' -> {kind}' if kind else ''}{origin}"
    depth = " " * (len(mark) + 2)
    for sign, inner in [("+", step) for step in steps] + [("-", one) for one in node.replaces]:
        yield from _format_node(inner, mark=f"{depth}{sign} ")


def _told_fields(node: Node) -> Iterator[tuple[str, Any]]:
    """Yield the fields that are not as a record without them would have them; names that are the inputs' are told by these."""
    for field in fields(node.operation):
        value = getattr(node.operation, field.name)
        is_told = isinstance(node.operation, Fused) and (field.name == "steps" or value == node.inputs)
        if not is_told and value != field.default:
            yield field.name, value


def _parse_nodes(lines: list[tuple[int, str]]) -> list[tuple[str, Node]]:
    """Return sign and node of each line that is not deeper than the first; deeper ones are parts of the one before."""
    found: list[tuple[str, Node]] = []
    while lines:
        depth = _measure_depth(lines[0][1])
        inner = list(takewhile(lambda line, depth=depth: _measure_depth(line[1]) > depth, lines[1:]))  # type: ignore[misc]
        found.append(_parse_node(*lines[0], _parse_nodes(inner)))
        lines = lines[1 + len(inner) :]
    return found


def _parse_node(number: int, line: str, inner: list[tuple[str, Node]]) -> tuple[str, Node]:
    match = _NODE.fullmatch(line.lstrip())
    if match is None or match["kind"] not in OPERATIONS:
        raise _malformed(number, line)
    try:
        inputs = tuple(match["inputs"].split(", "))
        steps = tuple(node for sign, node in inner if sign == "+")
        fused = {"names": inputs, "steps": steps} if match["kind"] == "Fused" else {}
        operation = OPERATIONS[match["kind"]](**{**fused, **_parse_fields(match["fields"] or "")})
    except (TypeError, ValueError, SyntaxError) as error:
        raise _malformed(number, line) from error
    node = Node(
        name=match["name"],
        operation=operation,
        inputs=inputs,
        source=match["source"] or "",
        tensor=match["tensor"] or "",
        replaces=tuple(node for sign, node in inner if sign == "-"),
    )
    return match["sign"] or "", node


def _parse_fields(text: str) -> dict[str, Any]:
    finite = re.sub(r"(?<==)(-?)inf", r"\g<1>1e999", text)  # which Python reads as infinity
    call = ast.parse(f"f({finite})", mode="eval").body
    assert isinstance(call, ast.Call)
    return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}


def _parse_shape(text: str) -> tuple[int, ...]:
    """Return the sides of a shape; the batch counts as 1."""
    return () if text == "scalar" else tuple(1 if side == "N" else int(side) for side in text.split("x"))


def _measure_depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _malformed(number: int, line: str) -> NetworkError:
    return NetworkError(
        "a line of the graph's text is malformed", where=f"line {number}", measured=line.strip(), fix="write it with format_graph"
    )

"""A picture of a layer graph, as Mermaid text, which Markdown viewers draw."""

from snnmap.graph.graph import LayerGraph, Node
from snnmap.graph.operations.fused import Fused

__all__ = ["format_mermaid"]

_SHAPES = {"Conv": ("[", "]"), "MatMul": ("[", "]"), "Act": ("([", "])"), "Pool": ("[/", "\\]"), "Fused": ("[[", "]]")}


def format_mermaid(graph: LayerGraph) -> str:
    """Draw a graph from top to bottom: a box a node with its name, operation and shape, an arrow a value.

    What was fused tells its steps, joined by ``+``. Weights are left out.
    """
    numbers = {name: f"n{number}" for number, name in enumerate([*graph.inputs, *(node.name for node in graph.nodes)])}
    lines = ["flowchart TD"]
    lines += [f'    {numbers[name]}(["{name}<br/>{kind}"])' for name, kind in graph.inputs.items()]
    for node in graph.nodes:
        left, right = _SHAPES.get(node.operation.role, ("(", ")"))
        lines.append(f'    {numbers[node.name]}{left}"{_tell(node)}<br/>{graph.types[node.name]}"{right}')
        lines += [f"    {numbers[name]} --> {numbers[node.name]}" for name in node.inputs if name in numbers]
    for place, name in enumerate(graph.outputs):
        lines += [f'    out{place}(["output"])', f"    {numbers[name]} --> out{place}"]
    return "\n".join(lines) + "\n"


def _tell(node: Node) -> str:
    steps = node.operation.steps if isinstance(node.operation, Fused) else ()
    kind = " + ".join(step.kind for step in steps) or node.kind
    return f"{node.name}<br/>{kind}".replace('"', "'")

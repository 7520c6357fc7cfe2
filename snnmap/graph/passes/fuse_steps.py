"""Fuse a Conv or MatMul with what follows it and one core can compute in the same cycle; and take it apart again."""

from collections.abc import Sequence

from snnmap.graph.graph import LayerGraph, Node
from snnmap.graph.operation import Role
from snnmap.graph.operations.fused import Fused

__all__ = ["FOLLOWING", "fuse_steps", "unfuse_steps"]

FOLLOWING: tuple[Role, ...] = ("Norm", "Add", "Mul", "Div", "Act")
"""Roles of the operations that fuse with the weights before them."""


def fuse_steps(
    graph: LayerGraph, following: Sequence[Role] = FOLLOWING, *, starting: Sequence[Role] = ("Conv", "MatMul")
) -> LayerGraph:
    """Return the graph in which each Conv, Gemm and MatMul is one node with the operations that follow it in a row.

    A row ends where a value is taken by two, or is an output, or where another kind of operation comes. An Add of another
    activation, as a residual one, is fused with the branch that is computed later. The fused node has the last step's name, so
    that nothing else changes, and its steps are the nodes as they were.

    Args:
        graph: to fuse.
        following: roles of the operations that fuse.
        starting: roles of the operations that begin a row, where they follow none.
    """
    rows: dict[str, list[Node]] = {}
    uses, order = graph.count_uses(), {node.name: number for number, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if graph.types[node.name].is_constant:
            continue
        open_rows = [name for name in node.inputs if name in rows and uses[name] == 1] if node.operation.role in following else []
        if open_rows:
            last = max(open_rows, key=lambda name: order[name])
            rows[node.name] = [*rows.pop(last), node]
        elif node.operation.role in starting:
            rows[node.name] = [node]
    inside = {step.name for row in rows.values() for step in row[:-1]}
    return graph.with_nodes([_fuse(rows.get(node.name, [node])) for node in graph.nodes if node.name not in inside])


def unfuse_steps(graph: LayerGraph) -> LayerGraph:
    """Return the graph with the steps of each fused node as nodes again."""
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += node.operation.steps if isinstance(node.operation, Fused) else (node,)
    return graph.with_nodes(nodes)


def _fuse(row: list[Node]) -> Node:
    if len(row) == 1:
        return row[0]
    inside = {step.name for step in row}
    inputs = tuple(dict.fromkeys(name for step in row for name in step.inputs if name not in inside))
    return Node(name=row[-1].name, operation=Fused(names=inputs, steps=tuple(row)), inputs=inputs, source=row[0].source)

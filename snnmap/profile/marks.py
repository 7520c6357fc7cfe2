"""Where a network's values get fewer places, and which layer is the last before each such reduction."""

from math import prod
from typing import TYPE_CHECKING

from snnmap.graph.operation import Shape
from snnmap.profile.rows import Row, Rows

if TYPE_CHECKING:
    from networkx import DiGraph

__all__ = ["find_reductions", "find_taps", "measure_reduction"]

_START = ""
_LEAST_REDUCTION = 2**1.5
"""Sides that are this many times shorter than the input's are a quarter of them, but for rounding."""


def measure_reduction(rows: Rows, name: str) -> float:
    """Return how many times shorter a value's sides are than those of the network's input; 1 where they cannot be compared."""
    if not any(row.main.operation.role in ("Conv", "Pool") for row in rows.rows):
        return 1.0  # sides are those of no picture
    whole, part = (_places(rows.shape_of(one)) for one in (next(iter(rows.graph.inputs)), name))
    return float((prod(whole) / prod(part)) ** (1 / len(whole))) if whole and len(whole) == len(part) else 1.0


def find_reductions(rows: Rows) -> set[str]:
    """Return the names of the convolutions and pools that leave fewer places by strides, or one of all.

    A mean over all places whose result is spread over places again, as a channel's attention is, is none of them.
    """
    import networkx

    graph = _link(rows)
    shapes = {row.name: _places(rows.shape_of(row.name)) for row in rows.rows}
    found = set()
    for row in rows.rows:
        before, after = prod(_places(rows.shape_of(row.taken))), prod(shapes[row.name])
        strides = getattr(row.main.operation, "strides", ())
        is_reduction = max(strides, default=1) > 1 or after == 1
        if row.main.operation.role not in ("Conv", "Pool") or after >= before or not is_reduction:
            continue
        if after > 1 or all(prod(shapes[one]) == 1 for one in networkx.descendants(graph, row.name)):
            found.add(row.name)
    return found


def find_taps(rows: Rows, reductions: set[str]) -> set[str]:
    """Return the names of the rows that are the last before a reduction, from a quarter of the input's sides on.

    Where several branches reduce at once, it is the last row that all of them come from.
    """
    import networkx

    taps = set()
    above = networkx.immediate_dominators(_link(rows), _START)
    for stage in _list_stages(rows, reductions):
        name = _find_common(above, [above[row.name] for row in stage])
        is_same = name != _START and _places(rows.shape_of(name)) == _places(rows.shape_of(stage[0].taken))
        if is_same and measure_reduction(rows, name) >= _LEAST_REDUCTION:
            taps.add(name)
    return taps


def _list_stages(rows: Rows, reductions: set[str]) -> list[list[Row]]:
    """Return the rows that reduce, those of as many reductions before them together."""
    depth: dict[str, int] = {}
    stages: dict[int, list[Row]] = {}
    for row in rows.rows:
        number = depth.get(rows.origins.get(row.taken, row.taken), 0) + (row.name in reductions)
        depth[row.name] = max([number, *(depth.get(name, 0) for name in row.inputs)])
        if row.name in reductions:
            stages.setdefault(number, []).append(row)
    return list(stages.values())


def _find_common(above: dict[str, str], names: list[str]) -> str:
    """Return the nearest row that dominates all of some rows."""
    chains = []
    for name in names:
        chain = [name]
        while chain[-1] not in (_START, above.get(chain[-1])):
            chain.append(above[chain[-1]])
        chains.append(chain)
    return next((name for name in chains[0] if all(name in chain for chain in chains)), _START)


def _link(rows: Rows) -> "DiGraph[str]":
    """Return rows as nodes, with an edge to each row that takes its value; the network's inputs are one node before all."""
    import networkx

    names = {row.name for row in rows.rows}
    graph: DiGraph[str] = networkx.DiGraph()
    graph.add_node(_START)
    for row in rows.rows:
        graph.add_edges_from((name if name in names else _START, row.name) for name in row.inputs or (_START,))
    return graph


def _places(shape: Shape) -> Shape:
    """Return the sides behind the channels, of a sample that has some."""
    return shape[1:]

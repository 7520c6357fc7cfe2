"""Which activations must be in memory at the same time."""

from collections.abc import Callable, Mapping

from snnmap.profile.rows import Rows

__all__ = ["measure_live"]


def measure_live(rows: Rows, count_bits: Callable[[str], int]) -> Mapping[str, tuple[int, int]]:
    """Return how many values, and bits, are in memory while each row is computed, by its name.

    A value is there from the row that gives it (an input from the start) to the last one that takes it, an output to the end;
    one in another shape is the same value.

    Args:
        rows: in the order in which they are computed.
        count_bits: of a value by name.
    """
    last = {name: place for place, row in enumerate(rows.rows) for name in row.inputs}
    last |= {rows.origins.get(name, name): len(rows.rows) for name in rows.graph.outputs}
    live = {name for name in rows.graph.inputs if name in last}
    found = {}
    for place, row in enumerate(rows.rows):
        live.add(row.name)
        found[row.name] = sum(map(rows.count_elements, live)), sum(map(count_bits, live))
        live -= {name for name in live if last.get(name, -1) <= place}
    return found

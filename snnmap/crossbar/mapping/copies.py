"""Which layers get several copies of their weights: the slowest, as long as there are empty elements."""

from snnmap.crossbar.lower import LayerProgram, MatrixLayer
from snnmap.crossbar.record import Architecture

__all__ = ["count_elements", "plan_copies"]


def count_elements(layer: MatrixLayer, architecture: Architecture) -> int:
    """Return the fewest elements that hold a layer, when each of its blocks begins in an element of its own."""
    bias = architecture.weights.bias == "row"
    return layer.n_blocks * architecture.count_rows(layer.n_rows + bias) * architecture.count_columns(layer.n_filters)


def plan_copies(program: LayerProgram, architecture: Architecture, most: int, *, share: float, n_cycles: int) -> dict[int, int]:
    """Return how many copies each layer gets, by its position.

    A copy goes to the layer whose windows take longest, each being driven block by block, until no such layer has room.

    Args:
        program: of layers.
        architecture: with elements.
        most: copies of a layer.
        share: of the empty elements that copies may take.
        n_cycles: computation cycles of one copy.
    """
    needed = {number: count_elements(layer, architecture) for number, layer in program.matrices}
    works = {number: layer.windows.n_windows * layer.n_blocks for number, layer in program.matrices}
    copies = dict.fromkeys(needed, 1)
    empty = int(share * (n_cycles * architecture.cores * architecture.elements_per_core - sum(needed.values())))
    while True:
        limit = {number: min(most, layer.windows.n_windows, architecture.cores) for number, layer in program.matrices}
        open_ = [number for number in copies if copies[number] < limit[number] and needed[number] <= empty]
        if not open_:
            return copies
        slowest = max(open_, key=lambda number: works[number] / copies[number])
        copies[slowest] += 1
        empty -= needed[slowest]

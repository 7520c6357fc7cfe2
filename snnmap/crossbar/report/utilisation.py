"""How full the crossbars are, and in how many computation cycles, beside the fewest that there can be."""

from dataclasses import dataclass

from snnmap.crossbar.lower import LayerProgram
from snnmap.crossbar.mapping import Mapped, count_elements, split_rows
from snnmap.crossbar.record import Architecture

__all__ = ["LayerUse", "Utilisation", "bound_cycles", "list_uses", "measure_utilisation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerUse:
    """What a layer takes.

    Attributes:
        name: of the layer.
        module: path in the author's model.
        blocks: matrices that share no inputs.
        rows: of a block.
        filters: of a block.
        windows: of a sample.
        elements: that hold it.
        copies: of its weights, which compute a share of the windows each.
        filled: share of their cells that hold weights.
        split: parts of its rows that are summed up.
        cycles: first and last computation cycle.
        cores: how many hold parts of it.
    """

    name: str
    module: str
    blocks: int
    rows: int
    filters: int
    windows: int
    elements: int
    copies: int
    filled: float
    split: int
    cycles: tuple[int, int]
    cores: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Utilisation:
    """How full the crossbars are.

    Attributes:
        weights: cells that hold weights, of all copies.
        elements: that hold weights, in all cycles.
        filled: share of these elements' cells that hold weights.
        cycles: computation cycles.
        bound: fewest computation cycles in which as many elements can be.
        per_cycle: share of all elements that are used, by cycle.
        cores_per_cycle: cores that hold weights, by cycle.
    """

    weights: int
    elements: int
    filled: float
    cycles: int
    bound: int
    per_cycle: tuple[float, ...]
    cores_per_cycle: tuple[int, ...]


def bound_cycles(program: LayerProgram, architecture: Architecture) -> int:
    """Return the fewest computation cycles that a program can take."""
    needed = sum(count_elements(layer, architecture) for _, layer in program.matrices)
    return max(1, -(-needed // (architecture.cores * architecture.elements_per_core)))


def measure_utilisation(mapped: Mapped) -> Utilisation:
    """Measure how full the crossbars are."""
    architecture = mapped.architecture
    cells = len(architecture.cell_scales)
    weights = sum(layer.n_weights * mapped.copies[number] for number, layer in mapped.program.matrices) * cells
    used, cores = [0] * mapped.n_cycles, [set[int]() for _ in range(mapped.n_cycles)]
    for tile in mapped.tiles:
        used[tile.cycle] += tile.n_elements
        cores[tile.cycle].add(tile.core)
    size = architecture.elements.rows * architecture.elements.columns
    return Utilisation(
        weights=weights,
        elements=sum(used),
        filled=weights / max(1, sum(used) * size),
        cycles=mapped.n_cycles,
        bound=bound_cycles(mapped.program, architecture),
        per_cycle=tuple(count / (architecture.cores * architecture.elements_per_core) for count in used),
        cores_per_cycle=tuple(map(len, cores)),
    )


def list_uses(mapped: Mapped) -> list[LayerUse]:
    """Return what each layer with weights takes."""
    architecture = mapped.architecture
    size = architecture.elements.rows * architecture.elements.columns
    tiles = {
        number: [tile for tile in mapped.tiles if mapped.strips[tile.strip].layer == number]
        for number, _ in mapped.program.matrices
    }
    return [
        LayerUse(
            name=layer.name,
            module=layer.module,
            blocks=layer.n_blocks,
            rows=layer.n_rows,
            filters=layer.n_filters,
            windows=layer.windows.n_windows,
            elements=sum(tile.n_elements for tile in tiles[number]),
            copies=mapped.copies[number],
            filled=mapped.copies[number]
            * layer.n_weights
            * len(architecture.cell_scales)
            / (size * sum(tile.n_elements for tile in tiles[number])),
            split=len(split_rows(layer, architecture)),
            cycles=(tiles[number][0].cycle, tiles[number][-1].cycle),
            cores=len({tile.core for tile in tiles[number]}),
        )
        for number, layer in mapped.program.matrices
    ]

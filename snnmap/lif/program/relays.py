"""Which weight shifts let a chip's relay cell be built in a folded network."""

import numpy as np

from snnmap.chip import HIDDEN_MEMORIES, Chip, MemoryKind, find_relay_cells
from snnmap.lif.program.mapped import MappedNetwork

__all__ = ["fits_relay_cell", "relay_memories"]


def relay_memories(mapped: MappedNetwork) -> tuple[MemoryKind, ...]:
    """Return the memories that relays have weights in: two, where one repeats an input channel."""
    relays = np.asarray(mapped.table.hidden_hop > 0)
    from_input = any(relays[matrix.indices].any() for matrix in mapped.weights(MemoryKind.INPUT))
    return HIDDEN_MEMORIES if from_input else (MemoryKind.RECURRENT,)


def fits_relay_cell(chip: Chip, shifts: tuple[int, ...]) -> bool:
    """Say whether there is a relay cell for the coarsest of some memories whose weights fit the words of the finest."""
    cell = find_relay_cells(chip).get(max(shifts))
    return cell is not None and max(cell.weight, -cell.self_weight) << (max(shifts) - min(shifts)) <= chip.bits.weight_range[1]

"""Which weight shifts let a chip's relay cell be built in a folded network."""

import numpy as np

from snnmap.chip import Chip, find_relay_cells
from snnmap.ir.mapped import MappedNetwork

__all__ = ["fits_relay_cell", "relay_shifts"]


def relay_shifts(mapped: MappedNetwork, input_shift: int, recurrent_shift: int) -> tuple[int, ...]:
    """Give the weight shifts of the memories that relays have weights in: two, where one repeats an input channel."""
    relays = np.asarray(mapped.table.hidden_hop > 0)
    from_input = any(relays[matrix.indices].any() for matrix in mapped.input_weights)
    return (input_shift, recurrent_shift) if from_input else (recurrent_shift,)


def fits_relay_cell(chip: Chip, shifts: tuple[int, ...]) -> bool:
    """Say whether there is a relay cell for the coarsest of some memories whose weights fit the words of the finest."""
    cell = find_relay_cells(chip).get(max(shifts))
    return cell is not None and max(cell.weight, -cell.self_weight) << (max(shifts) - min(shifts)) <= chip.bits.weight_range[1]

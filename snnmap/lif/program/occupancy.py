"""How full the chip is."""

from collections.abc import Iterable

import numpy as np

from snnmap.chip import MemoryKind, WeightMemory, find_relay_cells
from snnmap.core import CsrMatrix
from snnmap.core.record import record
from snnmap.lif.program.mapped import MappedNetwork
from snnmap.lif.program.program import Program

__all__ = ["Occupancy", "measure_occupancy", "memories_of"]


@record
class Occupancy:
    """Use of one resource of the chip.

    Attributes:
        block: what, such as ``recurrent_weights[0]`` or ``hidden neurons``.
        used: words or neurons in use; in a dense memory the non-zero words.
        capacity: words or neurons there are.
        largest_fan_in: most weights onto one neuron in a weight memory, 0 for other resources.
        largest_fan_out: most weights from one neuron in a weight memory, 0 for other resources.
    """

    block: str
    used: int
    capacity: int
    largest_fan_in: int = 0
    largest_fan_out: int = 0

    @property
    def share(self) -> float:
        """Used part, 0..1; above 1 where there is too little."""
        return self.used / self.capacity


def memories_of(mapped: MappedNetwork) -> tuple[tuple[str, WeightMemory, tuple[CsrMatrix, ...]], ...]:
    """Return name, record and matrices of the three kinds of weight memory, with relays' synapses onto themselves."""
    weights = {kind: mapped.weights(kind) for kind in MemoryKind}
    weights[MemoryKind.RECURRENT] = (_with_own_synapses(mapped), *weights[MemoryKind.RECURRENT][1:])
    return tuple((kind.weights_name, mapped.chip.memory(kind), matrices) for kind, matrices in weights.items())


def _with_own_synapses(mapped: MappedNetwork) -> CsrMatrix:
    """Add what the quantiser will add to the first recurrent matrix: each relay's synapse onto itself, where its cell has one."""
    matrix, relays = mapped.weights(MemoryKind.RECURRENT)[0], np.flatnonzero(mapped.table.hidden_hop)
    if not relays.size or not any(cell.self_weight for cell in find_relay_cells(mapped.chip).values()):
        return matrix
    return CsrMatrix.from_triplets(
        np.concatenate([matrix.rows, relays]),
        np.concatenate([matrix.indices, relays]),
        np.concatenate([matrix.data, np.ones(relays.size)]),
        matrix.shape,
    )


def measure_occupancy(placed: Program | MappedNetwork) -> tuple[Occupancy, ...]:
    """Measure neurons and weight memories, in the chip's order, of a network that was folded or quantised."""
    chip = placed.chip
    n_inputs = placed.n_inputs if isinstance(placed, Program) else placed.table.channel_source.size
    neurons = (
        Occupancy(block="input channels", used=n_inputs, capacity=chip.inputs.count),
        Occupancy(block="hidden neurons", used=placed.hidden.size, capacity=chip.hidden.count),
        Occupancy(block="output neurons", used=placed.outputs.size, capacity=chip.outputs.count),
    )
    return neurons + tuple(_measure_memories(placed.memories if isinstance(placed, Program) else memories_of(placed)))


def _measure_memories(memories: Iterable[tuple[str, WeightMemory, tuple[CsrMatrix, ...]]]) -> Iterable[Occupancy]:
    for name, memory, matrices in memories:
        for synapse, matrix in enumerate(matrices):
            yield Occupancy(
                block=f"{name}[{synapse}]",
                used=matrix.nnz,
                capacity=memory.max_words,
                largest_fan_in=int(matrix.column_lengths.max(initial=0)),
                largest_fan_out=int(matrix.row_lengths.max(initial=0)),
            )

"""How full the chip is."""

from collections.abc import Iterable, Sequence
from typing import Self

from snnmap.chip import MemoryKind, WeightMemory, find_relay_cells
from snnmap.core import CsrMatrix, IntArray, record
from snnmap.lif.program.mapped import MappedNetwork
from snnmap.lif.program.program import Program

__all__ = ["Occupancy", "WeightCounts", "measure_occupancy", "memories_of"]


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


@record
class WeightCounts:
    """How many weights a matrix stores.

    Attributes:
        nnz: in all.
        row_lengths: fan-out of each source, ``(n_pre,) int64``.
        column_lengths: fan-in of each target, ``(n_post,) int64``.
    """

    nnz: int
    row_lengths: IntArray
    column_lengths: IntArray

    @classmethod
    def of(cls, matrix: CsrMatrix) -> Self:
        """Count the weights of a matrix."""
        return cls(nnz=matrix.nnz, row_lengths=matrix.row_lengths, column_lengths=matrix.column_lengths)


def memories_of(mapped: MappedNetwork) -> tuple[tuple[str, WeightMemory, tuple[WeightCounts, ...]], ...]:
    """Return name, record and counts by synapse of the three kinds of weight memory, with relays' synapses onto themselves."""
    counts = {kind: tuple(map(WeightCounts.of, mapped.weights(kind))) for kind in MemoryKind}
    first, *others = counts[MemoryKind.RECURRENT]
    counts[MemoryKind.RECURRENT] = (_with_own_synapses(mapped, first), *others)
    return tuple((kind.weights_name, mapped.chip.memory(kind), found) for kind, found in counts.items())


def _with_own_synapses(mapped: MappedNetwork, counts: WeightCounts) -> WeightCounts:
    """Count what the quantiser will add to the first recurrent matrix: a relay's synapse onto itself, where its cell has one."""
    is_relay = mapped.table.hidden_hop > 0
    if not is_relay.any() or not any(cell.self_weight for cell in find_relay_cells(mapped.chip).values()):
        return counts
    return WeightCounts(
        nnz=counts.nnz + int(is_relay.sum()),
        row_lengths=counts.row_lengths + is_relay,
        column_lengths=counts.column_lengths + is_relay,
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


def _measure_memories(
    memories: Iterable[tuple[str, WeightMemory, Sequence[WeightCounts | CsrMatrix]]],
) -> Iterable[Occupancy]:
    for name, memory, matrices in memories:
        for synapse, matrix in enumerate(matrices):
            yield Occupancy(
                block=f"{name}[{synapse}]",
                used=matrix.nnz,
                capacity=memory.max_words,
                largest_fan_in=int(matrix.column_lengths.max(initial=0)),
                largest_fan_out=int(matrix.row_lengths.max(initial=0)),
            )

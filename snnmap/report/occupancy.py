"""How full the chip is."""

from snnmap.core import record
from snnmap.lif.program import Program

__all__ = ["Occupancy", "measure_occupancy"]


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
        """Used part, 0..1."""
        return self.used / self.capacity


def measure_occupancy(program: Program) -> tuple[Occupancy, ...]:
    """Measure neurons and weight memories, in the chip's order."""
    chip = program.chip
    neurons = (
        Occupancy(block="input channels", used=program.n_inputs, capacity=chip.inputs.count),
        Occupancy(block="hidden neurons", used=program.hidden.size, capacity=chip.hidden.count),
        Occupancy(block="output neurons", used=program.outputs.size, capacity=chip.outputs.count),
    )
    memories = tuple(
        Occupancy(
            block=f"{name}[{synapse}]",
            used=matrix.nnz,
            capacity=memory.max_words,
            largest_fan_in=int(matrix.column_lengths.max(initial=0)),
            largest_fan_out=int(matrix.row_lengths.max(initial=0)),
        )
        for name, memory, matrices in program.memories
        for synapse, matrix in enumerate(matrices)
    )
    return neurons + memories

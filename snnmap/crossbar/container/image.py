"""What an accelerator is loaded with: tensors, constants, and each core's instructions and weights."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnmap.core.record import record
from snnmap.crossbar.isa import Instruction
from snnmap.crossbar.record import Architecture

__all__ = ["Image", "Role", "TensorEntry"]

Role = int
VALUE, INPUT, OUTPUT = 0, 1, 2
"""What a tensor is to the host: nothing, written by it, or read by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorEntry:
    """A tensor in the activation memory, a byte a value, in the order of channels, rows, columns.

    Attributes:
        name: of the value in the author's model.
        address: first byte.
        channels: of one sample.
        height: likewise.
        width: likewise.
        zero: level that stands for 0.
        scale: of one level, as float32.
        role: 0; 1 for an input, which the host writes; 2 for an output, which it reads.
        storage: number of the tensor whose bytes it takes; its own where it has its own.
    """

    name: str
    address: int
    channels: int
    height: int
    width: int
    zero: int
    scale: float
    role: Role
    storage: int

    @property
    def n_places(self) -> int:
        """Values of a channel."""
        return self.height * self.width

    @property
    def size(self) -> int:
        """Values, and bytes."""
        return self.channels * self.n_places


@record
class Image:
    """The content of all memories before a run.

    Attributes:
        name: of the model.
        architecture: that it is for.
        tensors: by number.
        constants: biases and factors.
        weights: cells of each core, in the order in which its instructions store them.
        programs: instructions of each core.
    """

    name: str
    architecture: Architecture
    tensors: tuple[TensorEntry, ...]
    constants: bytes
    weights: tuple[bytes, ...]
    programs: tuple[tuple[Instruction, ...], ...]

    @property
    def n_instructions(self) -> int:
        """Instructions of all cores."""
        return sum(map(len, self.programs))

    def to_units(self, name: str, levels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return levels of a tensor in the model's units, ``(levels - zero) * scale``, as DequantizeLinear gives them.

        Args:
            name: of the tensor.
            levels: of any shape.
        """
        tensor = next(one for one in self.tensors if one.name == name)
        return (levels.astype(np.float32) - np.float32(tensor.zero)) * np.float32(tensor.scale)

"""What every operation of a layer graph is: a frozen record that tells its output's type and computes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar, dataclass_transform

import numpy.typing as npt

from snnmap.core.errors import NetworkError

__all__ = ["Array", "OPERATIONS", "Operation", "Role", "Shape", "TensorType", "operation"]

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Role = Literal[
    "Conv", "MatMul", "Norm", "Add", "Mul", "Div", "Act", "Pool", "Shape", "Squeeze", "Unsqueeze", "Quantise", "Fused", "Opaque"
]
"""What an operation is to a mapper: sums and differences are ``Add``; ``Shape`` only moves values."""

T = TypeVar("T", bound="Operation")


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorType:
    """Shape and type of a value.

    Attributes:
        shape: of one sample, such as ``(channels, height, width)``; of a constant, the whole shape.
        dtype: numpy's name; ``float32`` stands for every floating-point type, whichever a run computes in.
        is_constant: whether it is a weight or another constant, and has no batch.
    """

    shape: Shape
    dtype: str = "float32"
    is_constant: bool = False

    def __str__(self) -> str:
        sides = ([] if self.is_constant else ["N"]) + [str(side) for side in self.shape]
        return f"{self.dtype} {'x'.join(sides) or 'scalar'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operator of ONNX, under ONNX's name, with its attributes in ONNX's order and meaning as fields.

    An axis counts as in ONNX, the batch being axis 0; no operation mixes samples. Weights are no part of it, but inputs of the
    node that holds it. A field that ONNX takes as a constant input is named in ``constant_inputs`` with its place. The
    class is written once, with :func:`operation` over it; the ONNX reader, the run and the text form find it by its name.
    """

    role: ClassVar[Role] = "Shape"
    n_inputs: ClassVar[tuple[int, int]] = (1, 1)
    """Least and greatest number of inputs; -1 is any."""
    constant_inputs: ClassVar[Mapping[str, int]] = {}
    domain: ClassVar[str] = ""

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        """Return the output's type from those of the inputs, which are as many as ``n_inputs`` says.

        Raises:
            NetworkError: the inputs do not fit the operation.
        """
        raise NotImplementedError

    def run(self, inputs: Sequence[Array]) -> Array:
        """Compute the output, ``(batch, ...)``, in the floating-point type of the inputs."""
        raise NotImplementedError

    def infer_checked(self, inputs: Sequence[TensorType]) -> TensorType:
        """Check how many inputs there are, and :meth:`infer`."""
        least, most = self.n_inputs
        if len(inputs) < least or len(inputs) > most >= 0:
            limit = f"{least}" if least == most else f"{least} or more" if most < 0 else f"{least} to {most}"
            raise NetworkError("the operation has another number of inputs", measured=str(len(inputs)), limit=limit)
        return self.infer(inputs)


OPERATIONS: dict[str, type[Operation]] = {}
"""Every operation by its name."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
def operation(cls: type[T]) -> type[T]:
    """Make a class a frozen record and an operation of layer graphs."""
    made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
    OPERATIONS[made.__name__] = made
    return made

"""Calls of a framework that are no operation."""

from collections.abc import Sequence
from typing import ClassVar

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, Role, Shape, TensorType, operation

__all__ = ["Opaque"]


@operation
class Opaque(Operation):
    """A call of which only the shape and type of what it gives are known; whoever read it keeps the call beside the graph.

    Attributes:
        call: what the framework calls it.
        shape: of one sample.
        dtype: numpy's name; ``object`` where it gives something else than samples, which only other such calls take.
    """

    role: ClassVar[Role] = "Opaque"
    n_inputs: ClassVar[tuple[int, int]] = (1, -1)
    domain: ClassVar[str] = "snnmap"

    call: str
    shape: Shape = ()
    dtype: str = "float32"

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        return TensorType(shape=self.shape, dtype=self.dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        raise NetworkError(
            f"a call {self.call} of the framework is no operation, and only the framework can run it",
            fix="write it with layers and functions that have an operation, or write an operation in snnmap/graph/operations",
        )

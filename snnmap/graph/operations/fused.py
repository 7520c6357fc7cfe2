"""Consecutive operations as one, which one core computes in one pass."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from snnmap.graph.operation import Array, Operation, Role, TensorType, operation

if TYPE_CHECKING:
    from snnmap.graph.graph import Node

__all__ = ["Fused"]


@operation
class Fused(Operation):
    """Steps of which each takes what those before gave, or one of the inputs, and the last gives the result.

    Attributes:
        names: what the steps call the inputs, in their order.
        steps: the nodes as they were.
    """

    role: ClassVar[Role] = "Fused"
    n_inputs: ClassVar[tuple[int, int]] = (1, -1)

    names: tuple[str, ...]
    steps: tuple["Node", ...]

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        known = dict(zip(self.names, inputs, strict=True))
        for step in self.steps:
            known[step.name] = step.operation.infer_checked([known[name] for name in step.inputs])
        return known[self.steps[-1].name]

    def run(self, inputs: Sequence[Array]) -> Array:
        known = dict(zip(self.names, inputs, strict=True))
        for step in self.steps:
            known[step.name] = step.operation.run([known[name] for name in step.inputs])
        return known[self.steps[-1].name]

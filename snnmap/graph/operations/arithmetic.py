"""Arithmetic of two operands, spread over each other as numpy does."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, Role, Shape, TensorType, operation

__all__ = ["Add", "Div", "Equal", "Max", "Min", "Mul", "Pow", "Sub", "Sum", "Where", "infer_spread"]


class _Binary(Operation):
    __slots__ = ()
    n_inputs: ClassVar[tuple[int, int]] = (2, 2)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        return TensorType(shape=infer_spread(inputs))


@operation
class Add(_Binary):
    """A sum."""

    role: ClassVar[Role] = "Add"

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(inputs[0] + inputs[1])


@operation
class Sum(_Binary):
    """A sum under ONNX's name for one of any number, which is an :class:`Add` but between integers: onnxruntime has none."""

    role: ClassVar[Role] = "Add"

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(inputs[0] + inputs[1])


@operation
class Sub(_Binary):
    """A difference."""

    role: ClassVar[Role] = "Add"

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(inputs[0] - inputs[1])


@operation
class Mul(_Binary):
    """A product, element by element."""

    role: ClassVar[Role] = "Mul"

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(inputs[0] * inputs[1])


@operation
class Div(_Binary):
    """A quotient."""

    role: ClassVar[Role] = "Div"

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(inputs[0] / inputs[1])


@operation
class Pow(_Binary):
    """The first to the power of the second."""

    role: ClassVar[Role] = "Act"

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(np.power(inputs[0], inputs[1]))


@operation
class Max(_Binary):
    """The greater of two values."""

    role: ClassVar[Role] = "Act"

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(np.maximum(inputs[0], inputs[1]))


@operation
class Min(_Binary):
    """The smaller of two values."""

    role: ClassVar[Role] = "Act"

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(np.minimum(inputs[0], inputs[1]))


@operation
class Equal(_Binary):
    """1 where two values are the same, else 0: a number, as all values of a layer graph are, where ONNX has a truth."""

    role: ClassVar[Role] = "Act"

    def run(self, inputs: Sequence[Array]) -> Array:
        kind = np.result_type(*inputs)
        return np.asarray(inputs[0] == inputs[1]).astype(kind if kind.kind == "f" else np.float32)


@operation
class Where(Operation):
    """The second value where the first, of 0 and 1, is 1, else the third."""

    role: ClassVar[Role] = "Act"
    n_inputs: ClassVar[tuple[int, int]] = (3, 3)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        return TensorType(shape=infer_spread(inputs))

    def run(self, inputs: Sequence[Array]) -> Array:
        chosen, one, other = inputs
        return np.where(chosen.astype(bool), one, other)


def infer_spread(inputs: Sequence[TensorType]) -> Shape:
    """Return the shape of operands that are spread over each other.

    Raises:
        NetworkError: activations of different ranks, whose batch would be taken for another axis, or shapes that do not fit.
    """
    moving = [found for found in inputs if not found.is_constant]
    rank = max((len(found.shape) for found in moving), default=0)
    inputs = [_drop_batch(found, rank) for found in inputs]
    told = " and ".join(str(found) for found in inputs)
    if any(len(found.shape) != rank for found in moving) or any(len(found.shape) > rank for found in inputs):
        raise NetworkError(
            "operands of different numbers of dimensions, whose samples would mix",
            measured=told,
            limit="activations of one number of dimensions, constants of no more",
            fix="reshape one of them",
        )
    try:
        return tuple(np.broadcast_shapes(*(found.shape for found in inputs)))
    except ValueError as error:
        raise NetworkError(
            "the operands' shapes do not fit", measured=told, limit="equal sides, or 1", fix="check them"
        ) from error


def _drop_batch(found: TensorType, rank: int) -> TensorType:
    """Return the type of a constant without a side of 1 where the batch is."""
    has_batch = found.is_constant and len(found.shape) == rank + 1 and found.shape[0] == 1
    return replace(found, shape=found.shape[1:]) if has_batch else found

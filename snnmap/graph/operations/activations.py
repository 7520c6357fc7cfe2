"""Activation functions."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, Role, TensorType, operation

__all__ = [
    "Abs", "Clip", "Elu", "Exp", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "LogSoftmax", "PRelu", "Relu", "Sigmoid",
    "Softmax", "Softplus", "Tanh",
]  # fmt: skip


class _Activation(Operation):
    __slots__ = ()
    role: ClassVar[Role] = "Act"

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        return inputs[0]


@operation
class Relu(_Activation):
    """``max(x, 0)``."""

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(np.maximum(inputs[0], 0))


@operation
class Clip(_Activation):
    """``min(max(x, min), max)``; ReLU6 is one, from 0 to 6."""

    constant_inputs: ClassVar[Mapping[str, int]] = {"min": 1, "max": 2}

    min: float = -np.inf
    max: float = np.inf

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        if not self.min <= self.max:
            raise NetworkError(
                "a clip whose bounds are in the wrong order", measured=f"{self.min:g} to {self.max:g}", fix="swap them"
            )
        return inputs[0]

    def run(self, inputs: Sequence[Array]) -> Array:
        kind = inputs[0].dtype.type
        return np.asarray(np.clip(inputs[0], kind(self.min), kind(self.max)))


@operation
class LeakyRelu(_Activation):
    """``x`` where it is positive, else ``alpha x``."""

    alpha: float = 0.01

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.where(inputs[0] >= 0, inputs[0], inputs[0] * inputs[0].dtype.type(self.alpha))


@operation
class PRelu(_Activation):
    """``x`` where it is positive, else ``slope x``; the second input, slopes, is spread over a sample."""

    n_inputs: ClassVar[tuple[int, int]] = (2, 2)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data, slope = inputs
        try:
            fits = np.broadcast_shapes(data.shape, slope.shape) == data.shape
        except ValueError:
            fits = False
        if not fits:
            raise NetworkError(
                "the slopes do not fit their input", measured=f"{slope.shape} on {data.shape}", fix="check the layer"
            )
        return data

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.where(inputs[0] >= 0, inputs[0], inputs[0] * inputs[1])


@operation
class Elu(_Activation):
    """``x`` where it is positive, else ``alpha (exp(x) - 1)``."""

    alpha: float = 1.0

    def run(self, inputs: Sequence[Array]) -> Array:
        data = inputs[0]
        return np.where(data >= 0, data, data.dtype.type(self.alpha) * np.expm1(np.minimum(data, 0)))


@operation
class Abs(_Activation):
    """The absolute value."""

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(np.abs(inputs[0]))


@operation
class Exp(_Activation):
    """``exp(x)``."""

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(np.exp(inputs[0]))


@operation
class Log(_Activation):
    """The natural logarithm."""

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(np.log(inputs[0]))


@operation
class Neg(_Activation):
    """``-x``."""

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(-inputs[0])


@operation
class Sqrt(_Activation):
    """The square root."""

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(np.sqrt(inputs[0]))


@operation
class Sigmoid(_Activation):
    """``1 / (1 + exp(-x))``."""

    def run(self, inputs: Sequence[Array]) -> Array:
        return _sigmoid(inputs[0])


@operation
class Tanh(_Activation):
    """The hyperbolic tangent."""

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(np.tanh(inputs[0]))


@operation
class Softplus(_Activation):
    """``log(1 + exp(x))``."""

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(np.logaddexp(inputs[0], inputs[0].dtype.type(0)))


@operation
class HardSigmoid(_Activation):
    """``min(max(alpha x + beta, 0), 1)``; torch's has alpha 1/6 and beta 1/2."""

    alpha: float = 0.2
    beta: float = 0.5

    def run(self, inputs: Sequence[Array]) -> Array:
        kind = inputs[0].dtype.type
        return np.asarray(np.clip(kind(self.alpha) * inputs[0] + kind(self.beta), kind(0), kind(1)))


@operation
class HardSwish(_Activation):
    """``x min(max(x / 6 + 1/2, 0), 1)``."""

    def run(self, inputs: Sequence[Array]) -> Array:
        data = inputs[0]
        kind = data.dtype.type
        return np.asarray(data * np.clip(data / kind(6) + kind(0.5), kind(0), kind(1)))


@operation
class Softmax(_Activation):
    """``exp(x) / sum(exp(x))`` over one axis."""

    axis: int = -1

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        return _within_sample(self.axis, inputs[0])

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(np.exp(_log_softmax(inputs[0], self.axis)))


@operation
class LogSoftmax(_Activation):
    """``x - log(sum(exp(x)))`` over one axis."""

    axis: int = -1

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        return _within_sample(self.axis, inputs[0])

    def run(self, inputs: Sequence[Array]) -> Array:
        return _log_softmax(inputs[0], self.axis)


def _sigmoid(values: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(values.dtype.type(0), -values)))


def _log_softmax(values: Array, axis: int) -> Array:
    shifted = values - values.max(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def _within_sample(axis: int, data: TensorType) -> TensorType:
    rank = len(data.shape) + 1
    if not -rank < axis < rank or axis == 0:
        raise NetworkError("a softmax over the samples", measured=f"axis {axis} of {data}", limit=f"axis 1 to {rank - 1}")
    return data

"""Normalisation by statistics that training has left."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, Role, TensorType, operation
from snnmap.graph.windows import check_channels, spread_channels

__all__ = ["LRN", "BatchNormalization"]


@operation
class BatchNormalization(Operation):
    """``scale (x - mean) / sqrt(variance + epsilon) + bias``, each ``(channels,)``; inputs are x, scale, bias, mean, variance."""

    role: ClassVar[Role] = "Norm"
    n_inputs: ClassVar[tuple[int, int]] = (5, 5)

    epsilon: float = 1e-5

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data, *parameters = inputs
        shapes = {parameter.shape for parameter in parameters}
        if len(shapes) != 1 or not data.shape:
            raise NetworkError(
                "the normalisation's parameters do not fit each other",
                measured=", ".join(str(parameter.shape) for parameter in parameters),
                limit="(channels,)",
                fix="check the layer",
            )
        check_channels(data.shape[0], int(np.prod(shapes.pop())), "normalisation")
        return data

    def run(self, inputs: Sequence[Array]) -> Array:
        data, scale, bias, mean, variance = inputs
        factor = scale / np.sqrt(variance + data.dtype.type(self.epsilon))
        shift = bias - mean * factor
        return np.asarray(data * spread_channels(factor, data.ndim) + spread_channels(shift, data.ndim))


@operation
class LRN(Operation):
    """Local response normalisation: ``x / (bias + alpha / size * sum(x**2))**beta``, summed over ``size`` channels around x."""

    role: ClassVar[Role] = "Norm"

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        if self.size < 1:
            raise NetworkError("a normalisation over no channels", measured=str(self.size), limit=">= 1", fix="check the layer")
        return inputs[0]

    def run(self, inputs: Sequence[Array]) -> Array:
        data, before = inputs[0], (self.size - 1) // 2
        padded = np.pad(data**2, [(0, 0), (before, self.size - 1 - before), *[(0, 0)] * (data.ndim - 2)])
        total = sum(padded[:, start : start + data.shape[1]] for start in range(self.size))
        return np.asarray(data / (self.bias + self.alpha / self.size * total) ** self.beta, dtype=data.dtype)

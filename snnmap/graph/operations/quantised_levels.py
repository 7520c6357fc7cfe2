"""Functions of one quantised value, and values brought to one scale."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, Role, TensorType, operation
from snnmap.graph.operations.activations import LeakyRelu, Sigmoid, Softmax
from snnmap.graph.operations.movement import Concat
from snnmap.graph.operations.qlinear import require_integers
from snnmap.graph.operations.quantisation import DequantizeLinear, QuantizeLinear

__all__ = ["Lookup", "QLinearConcat", "QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax"]


@operation
class Lookup(Operation):
    """A function of one quantised value, as a table of 256 levels, or one a channel.

    Inputs are x in uint8, the table ``(256,)`` or ``(channels, 256)``, scale and zero of y.
    """

    role: ClassVar[Role] = "Act"
    n_inputs: ClassVar[tuple[int, int]] = (4, 4)
    domain: ClassVar[str] = "snnmap"

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        if inputs[0].dtype != "uint8" or inputs[1].shape not in ((256,), (*inputs[0].shape[:1], 256)):
            raise NetworkError("a table that does not fit", measured=f"{inputs[1]} of {inputs[0]}", limit="256 levels of uint8")
        return TensorType(shape=inputs[0].shape, dtype=inputs[1].dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        data, table = inputs[:2]
        if table.ndim == 1:
            return np.asarray(table[data])
        return np.asarray(table[np.arange(len(table)).reshape(-1, *(1,) * (data.ndim - 2)), data])


class _Function(Operation):
    """A function between DequantizeLinear and QuantizeLinear; inputs are x, its scale and zero, scale and zero of y."""

    __slots__ = ()
    role: ClassVar[Role] = "Act"
    n_inputs: ClassVar[tuple[int, int]] = (5, 5)
    domain: ClassVar[str] = "com.microsoft"

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        require_integers(inputs[0])
        return TensorType(shape=inputs[0].shape, dtype=inputs[4].dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        values = self.function().run([DequantizeLinear().run(inputs[:3])])
        return QuantizeLinear().run([values, *inputs[3:]])

    def function(self) -> Operation:
        """Return what is computed of floats."""
        raise NotImplementedError


@operation
class QLinearLeakyRelu(_Function):
    """A LeakyRelu of quantised values."""

    alpha: float = 0.01

    def function(self) -> Operation:
        return LeakyRelu(alpha=self.alpha)


@operation
class QLinearSigmoid(_Function):
    """A Sigmoid of quantised values."""

    def function(self) -> Operation:
        return Sigmoid()


@operation
class QLinearSoftmax(_Function):
    """A Softmax of quantised values, to the nearest level; onnxruntime's exponentials differ from it by one at times."""

    axis: int = -1
    opset: int = 13

    def function(self) -> Operation:
        return Softmax(axis=self.axis)


@operation
class QLinearConcat(Operation):
    """Quantised values brought to one scale, side by side; inputs are scale and zero of y, then each part, its scale and zero."""

    n_inputs: ClassVar[tuple[int, int]] = (5, -1)
    domain: ClassVar[str] = "com.microsoft"

    axis: int

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        if len(inputs) % 3 != 2:
            raise NetworkError("a part without its scale or zero", measured=f"{len(inputs)} inputs", limit="2 + 3 a part")
        require_integers(*inputs[2::3])
        return TensorType(shape=Concat(axis=self.axis).infer(inputs[2::3]).shape, dtype=inputs[1].dtype)

    def run(self, inputs: Sequence[Array]) -> Array:
        floats = [DequantizeLinear().run(inputs[place : place + 3]) for place in range(2, len(inputs), 3)]
        return QuantizeLinear().run([np.concatenate(floats, axis=self.axis), *inputs[:2]])

"""Products with matrices."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, Role, Shape, TensorType, operation

__all__ = ["Gemm", "MatMul", "SparseMatMul", "infer_product"]


@operation
class Gemm(Operation):
    """``alpha x W + beta b`` of weights ``(n, m)``, or ``(m, n)`` with ``trans_b``; the bias may be left out."""

    role: ClassVar[Role] = "MatMul"
    n_inputs: ClassVar[tuple[int, int]] = (2, 3)

    alpha: float = 1.0
    beta: float = 1.0
    trans_a: int = 0
    trans_b: int = 0

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data, weight, *bias = inputs
        if self.trans_a or data.is_constant:
            raise NetworkError("the activation is transposed, and samples would mix", measured="transA=1", limit="transA=0")
        n, m = (weight.shape[::-1] if self.trans_b else weight.shape) if len(weight.shape) == 2 else (-1, -1)
        if data.shape != (n,):
            raise _misfit(data.shape, weight.shape)
        if bias and bias[0].shape not in ((m,), (1,), (), (1, m), (1, 1)):
            raise NetworkError("the bias does not fit the weights", measured=str(bias[0].shape), limit=f"({m},)")
        return TensorType(shape=(m,))

    def run(self, inputs: Sequence[Array]) -> Array:
        data, weight, *bias = inputs
        found = self.alpha * (data @ (weight.T if self.trans_b else weight))
        return np.asarray(found + self.beta * bias[0] if bias else found)


@operation
class MatMul(Operation):
    """A matrix product over the last dimension of one operand and the last but one of the other."""

    role: ClassVar[Role] = "MatMul"
    n_inputs: ClassVar[tuple[int, int]] = (2, 2)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        one, other = inputs
        return TensorType(shape=infer_product(one, other))

    def run(self, inputs: Sequence[Array]) -> Array:
        return np.asarray(np.matmul(inputs[0], inputs[1]))


@operation
class SparseMatMul(Operation):
    """A vector times a sparse matrix of ``n_out`` columns.

    Inputs are x ``(n,)``, the stored weights row by row, their columns, and where each row starts ``(n + 1,)``, as a csr_array
    has them.
    """

    role: ClassVar[Role] = "MatMul"
    n_inputs: ClassVar[tuple[int, int]] = (4, 4)
    domain: ClassVar[str] = "snnmap"

    n_out: int

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        data, weights, columns, starts = inputs
        if starts.shape != (*(side + 1 for side in data.shape),) or weights.shape != columns.shape or len(weights.shape) != 1:
            raise _misfit(data.shape, starts.shape)
        return TensorType(shape=(self.n_out,))

    def run(self, inputs: Sequence[Array]) -> Array:
        from scipy.sparse import csr_array

        data, weights, columns, starts = inputs
        return np.asarray(data @ csr_array((weights, columns, starts), shape=(data.shape[1], self.n_out)))


def infer_product(one: TensorType, other: TensorType) -> Shape:
    """Return the shape of a sample's matrix product.

    Raises:
        NetworkError: the operands do not fit, or a sample's vector would be taken for a matrix of samples.
    """
    is_vector = len(one.shape) == 1 and not one.is_constant
    left = (1, *one.shape) if is_vector else one.shape
    if min(len(left), len(other.shape)) < 2 or left[-1] != other.shape[-2]:
        raise _misfit(one.shape, other.shape)
    if is_vector and not (other.is_constant and len(other.shape) == 2):
        raise _misfit(one.shape, other.shape)
    try:
        batch = np.broadcast_shapes(left[:-2], other.shape[:-2])
    except ValueError as error:
        raise _misfit(one.shape, other.shape) from error
    return (*batch, other.shape[-1]) if is_vector else (*batch, left[-2], other.shape[-1])


def _misfit(data: Shape, weight: Shape) -> NetworkError:
    return NetworkError(
        "the weights do not fit their input",
        measured=f"{data} by {weight}",
        limit="(..., n) by (n, m), or (m, n) as torch's Linear has them",
        fix="check the shape of the input and the layer's weights",
    )

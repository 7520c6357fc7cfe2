"""Values whose batch is one axis with all others but the last, as Dense layers on places are written; samples keep their axes."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snnmap.frontends.onnx.node import OnnxNode
from snnmap.graph import UnreadableError
from snnmap.graph.operation import Array
from snnmap.graph.operations.activations import LogSoftmax, Softmax
from snnmap.graph.operations.arithmetic import Add, Mul
from snnmap.graph.operations.gemm import MatMul
from snnmap.graph.operations.movement import Identity, Reshape

if TYPE_CHECKING:
    from snnmap.frontends.onnx.read import OnnxReader

__all__ = ["JOINED", "read_joined_reshape", "refuse_joined"]

_UNARY = (
    "Abs", "Clip", "Dropout", "Elu", "Exp", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Neg", "Relu", "Sigmoid",
    "Softplus", "Sqrt", "Tanh",
)  # fmt: skip
_SPREAD = ("Add", "Div", "Max", "Min", "Mul", "Sub")


def read_joined_reshape(reader: "OnnxReader", node: OnnxNode, numbers: Sequence[int]) -> bool:
    """Read a reshape that joins the batch with all axes but the last, or parts them again; say whether it is one.

    Between both, as TensorFlow writes a Dense layer on places, the layer graph has the sample's own axes.

    Args:
        reader: that reads the graph.
        node: the reshape.
        numbers: sides that it gives; -1 for the batch that was counted.
    """
    name, output = node.inputs[0], node.outputs[0]
    shape = reader.shape_of(name)
    if _joins(reader, shape, numbers):
        if name in reader.joined or any(output in user.input for user in reader.graph.node):
            _add(reader, node, Identity(), [reader.name_of(name)])
            return True
        return False
    if name not in reader.joined:
        return False
    size, known = int(np.prod(shape)), int(np.prod([number for number in numbers[1:] if number != -1]))
    sides = tuple(size // max(known, 1) if number == -1 else number for number in numbers[1:])
    if numbers[0] not in (-1, reader.batch) or list(numbers[1:]).count(-1) > 1 or int(np.prod(sides)) != size:
        raise UnreadableError(
            f"samples of shape {shape}, whose batch is one axis with others, are reshaped to {list(numbers)} and would mix",
            "part the batch from the other axes again, as the first",
        )
    reader.add(node, Identity() if sides == shape else Reshape(shape=sides), [name])
    return True


def _joins(reader: "OnnxReader", shape: Sequence[int], numbers: Sequence[int]) -> bool:
    n_places = int(np.prod(shape[:-1]))
    if n_places < 2 or len(numbers) != 2 or list(numbers) == [-1, -1]:
        return False
    n_rows = reader.batch * n_places if reader.batch > 0 else -1
    return numbers[0] in (-1, n_rows) and numbers[1] in (-1, shape[-1])


def refuse_joined() -> UnreadableError:
    """Return the error about a value whose batch is one axis with others where it must be alone."""
    return UnreadableError("the batch is one axis with others", "part them again before, with the batch first")


def _read_unary(reader: "OnnxReader", node: OnnxNode) -> None:
    operation, _ = reader.make_operation(node)
    _add(reader, node, operation, [reader.name_of(node.inputs[0])])


def _read_spread(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read an operation on two values that are joined alike, or one and a constant with one row."""
    operation, names = reader.make_operation(node)
    shapes = {reader.shape_of(name)[:-1] for name in names if name in reader.joined}
    if len(shapes) > 1 or any(name in reader.values and name not in reader.joined for name in names):
        raise refuse_joined()
    _add(reader, node, operation, [_take_row(reader, name) for name in names])


def _read_softmax(reader: "OnnxReader", node: OnnxNode) -> None:
    if node.get("axis", -1) not in (-1, 1):
        raise UnreadableError("a softmax over the samples", "take it over the last axis")
    _add(reader, node, Softmax() if node.kind == "Softmax" else LogSoftmax(), [reader.name_of(node.inputs[0])])


def _read_product(reader: "OnnxReader", node: OnnxNode) -> None:
    if reader.constant(node, 1).ndim != 2:
        raise UnreadableError("a product whose samples would mix", "keep the batch as the first dimension")
    _add(reader, node, MatMul(), [reader.name_of(node.inputs[0]), reader.name_of(node.inputs[1])])


def _read_gemm(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read a Gemm as a product of the last axis, and the sum of it and the bias."""
    if node.get("transA", 0):
        raise refuse_joined()
    weights, bias = reader.constant(node, 1), reader.constant(node, 2)
    factors = weights.T if node.get("transB", 0) else weights
    operands = [
        reader.name_of(node.inputs[0]),
        _hold(reader, node, "weights", factors * factors.dtype.type(node.get("alpha", 1))),
    ]
    if bias is None:
        _add(reader, node, MatMul(), operands)
        return
    product = reader.builder.add(f"{node.name}.product", MatMul(), operands, source=node.source)
    added = _hold(reader, node, "bias", _drop_row(bias * bias.dtype.type(node.get("beta", 1))))
    _add(reader, node, Add(), [product, added])


def _read_norm(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read a BatchNormalization of the last axis as a product and a sum."""
    if node.get("training_mode", 0):
        raise UnreadableError("it is in training mode", "export in evaluation mode")
    scale, bias, mean, variance = (np.asarray(reader.constant(node, place), np.float64) for place in range(1, 5))
    factor = scale / np.sqrt(variance + node.get("epsilon", 1e-5))
    operands = [reader.name_of(node.inputs[0]), _hold(reader, node, "scale", factor.astype(np.float32))]
    product = reader.builder.add(f"{node.name}.product", Mul(), operands, source=node.source)
    _add(reader, node, Add(), [product, _hold(reader, node, "bias", (bias - mean * factor).astype(np.float32))])


def _take_row(reader: "OnnxReader", name: str) -> str:
    array = reader.constants.get(name)
    if array is not None and name not in reader.values:
        reader.constants[name] = _drop_row(array)
    return reader.name_of(name)


def _drop_row(array: Array) -> Array:
    """Return a constant of one row, or none, without the side of the joined axis."""
    if array.ndim > 2 or (array.ndim == 2 and len(array) != 1):
        raise refuse_joined()
    return array.reshape(array.shape[-1:])


def _hold(reader: "OnnxReader", node: OnnxNode, suffix: str, array: Array) -> str:
    return reader.builder.add_constant(f"{node.name}.{suffix}", array)


def _add(reader: "OnnxReader", node: OnnxNode, operation: Any, names: Sequence[str]) -> None:
    """Add a node that gives a joined value, which has another shape in the model."""
    reader.values[node.outputs[0]] = reader.builder.add(node.name, operation, names, source=node.source)
    reader.joined.add(node.outputs[0])


JOINED: Mapping[str, Callable[["OnnxReader", OnnxNode], None]] = {
    **dict.fromkeys(_UNARY, _read_unary),
    **dict.fromkeys(_SPREAD, _read_spread),
    **dict.fromkeys(("LogSoftmax", "Softmax"), _read_softmax),
    "BatchNormalization": _read_norm,
    "Gemm": _read_gemm,
    "MatMul": _read_product,
}
"""What reads values whose batch is one axis with others; Reshape and Flatten, by which they come to be, read them too."""

"""Operators of ONNX's domain for classical models, as skl2onnx writes linear models: products, functions of scores, scaling."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from snnmap.frontends.onnx.node import OnnxNode
from snnmap.graph import Operation, UnreadableError
from snnmap.graph.operations.activations import Abs, Sigmoid, Softmax
from snnmap.graph.operations.arithmetic import Div, Mul, Sub
from snnmap.graph.operations.gemm import Gemm
from snnmap.graph.operations.movement import Identity
from snnmap.graph.operations.pooling import ReduceSum

if TYPE_CHECKING:
    from snnmap.frontends.onnx.read import OnnxReader

__all__ = ["CLASSICAL", "list_scores"]

_FUNCTIONS: Mapping[str, Operation] = {"LOGISTIC": Sigmoid(), "SOFTMAX": Softmax(axis=1), "NONE": Identity()}


def list_scores(graph: Any) -> list[str]:
    """Return the outputs without the decisions of a classical model, whole numbers or texts, where there are scores beside them.

    Args:
        graph: ``onnx.GraphProto``.
    """
    from onnx import TensorProto

    kinds = {entry.name: entry.type.tensor_type.elem_type for entry in graph.output}
    scores = [name for name, kind in kinds.items() if kind not in (TensorProto.INT64, TensorProto.STRING)]
    is_classical = any(node.domain == "ai.onnx.ml" for node in graph.node)
    return scores if is_classical and scores else list(kinds)


def _read_classifier(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read the scores of a linear classifier, its second output."""
    n_classes = len(node.get("classlabels_ints", ()) or node.get("classlabels_strings", ()))
    _add_linear(reader, node, n_classes, node.outputs[1])


def _read_regressor(reader: "OnnxReader", node: OnnxNode) -> None:
    _add_linear(reader, node, int(node.get("targets", 1)), node.outputs[0])


def _add_linear(reader: "OnnxReader", node: OnnxNode, n_out: int, output: str) -> None:
    """Add a product with a row of coefficients an output, and the function behind it."""
    (n_in,), function = reader.shape_of(node.inputs[0]), node.get("post_transform", "NONE")
    coefficients = np.asarray(node.get("coefficients", ()), np.float32)
    n_rows = len(node.get("intercepts", ()))
    if n_rows == n_out > 0 and coefficients.size % n_out == 0 and coefficients.size // n_out != n_in:
        size = coefficients.size // n_out
        what, fix = "the input has another size than there are coefficients for", f"give input_shape=({size},), or --shape"
        raise UnreadableError(what, fix, measured=f"{n_in}", limit=f"{size}")
    if coefficients.size != n_in * n_out or function not in _FUNCTIONS:
        raise UnreadableError(
            "coefficients or a function of scores that are not known",
            "export it with a row of coefficients for each class, and LOGISTIC, SOFTMAX or NONE behind them",
            measured=f"{coefficients.size} coefficients, {function}",
            limit=f"{n_out} x {n_in}, {', '.join(_FUNCTIONS)}",
        )
    bias = np.asarray(node.get("intercepts", ()) or np.zeros(n_out), np.float32)
    weights: dict[str, Any] = {"coefficients": coefficients.reshape(n_out, n_in), "intercepts": bias}
    scores = _add(reader, node, Gemm(trans_b=1), reader.name_of(node.inputs[0]), suffix="scores", **weights)
    reader.values[output] = _add(reader, node, _FUNCTIONS[function], scores, tensor=output)


def _read_scaler(reader: "OnnxReader", node: OnnxNode) -> None:
    offset, scale = (np.asarray(node.get(name, default), np.float32) for name, default in (("offset", 0.0), ("scale", 1.0)))
    shifted = _add(reader, node, Sub(), reader.name_of(node.inputs[0]), suffix="shifted", offset=offset)
    reader.values[node.outputs[0]] = _add(reader, node, Mul(), shifted, tensor=node.outputs[0], scale=scale)


def _read_normalizer(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read a division by the sum of magnitudes, which behind a softmax is 1."""
    before = reader.name_of(node.inputs[0])
    if node.get("norm", "MAX") != "L1":
        raise UnreadableError(f"a norm {node.get('norm', 'MAX')}", "normalise by L1, or scale before the model")
    if reader.kind_of(node.inputs[0]) == "Softmax":
        reader.add(node, Identity(), node.inputs)
        return
    total = _add(reader, node, ReduceSum(axes=(1,)), _add(reader, node, Abs(), before, suffix="abs"), suffix="sum")
    reader.values[node.outputs[0]] = _add(reader, node, Div(), before, total, tensor=node.outputs[0])


def _read_names(reader: "OnnxReader", node: OnnxNode) -> None:
    """Read scores by the names of their classes as the scores alone."""
    reader.add(node, Identity(), node.inputs)


def _add(
    reader: "OnnxReader", node: OnnxNode, operation: Operation, *names: str, suffix: str = "", tensor: str = "", **constants: Any
) -> str:
    """Add one of the nodes that an operator is, of values by name and of constants; gives its name."""
    name = f"{node.name}.{suffix}" if suffix else node.name
    inputs = [*names, *(reader.builder.add_constant(f"{node.name}.{key}", array) for key, array in constants.items())]
    return reader.builder.add(name, operation, inputs, source=node.source, tensor=tensor)


CLASSICAL: Mapping[str, Callable[["OnnxReader", OnnxNode], None]] = {
    "LinearClassifier": _read_classifier,
    "LinearRegressor": _read_regressor,
    "Normalizer": _read_normalizer,
    "Scaler": _read_scaler,
    "ZipMap": _read_names,
}

"""From an ONNX graph of linear operators and ReLUs to an ANN of affine maps."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from snnmap.convert.affine import apply_map, combine, make_identity, reshape, scale
from snnmap.convert.ann import INPUT, Affine, Ann, ReluLayer
from snnmap.convert.layers import LayerList
from snnmap.convert.levels import is_non_negative
from snnmap.convert.onnx_windows import read_window, require_no_ceil
from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError, NetworkError
from snnmap.core.spatial import index_windows, lower_convolution, lower_windows
from snnmap.frontends.onnx import open_model

__all__ = ["OnnxNode", "read_onnx"]

_FIX = (
    "use Gemm, MatMul, Conv, Add, Sub, Mul, Div, BatchNormalization, Relu, Clip, pools, Flatten, Reshape, Squeeze, Unsqueeze, "
    "QuantizeLinear and DequantizeLinear; export in evaluation mode with constants folded"
)


def read_onnx(source: Any, input_shape: Sequence[int] | None = None) -> Ann:
    """Read an ONNX model of operator set 13 or later; consecutive linear operators become one affine map.

    A quantised activation, ``QuantizeLinear`` with its zero point at the least integer, or of values that are never negative,
    and ``DequantizeLinear`` behind it, becomes a ReLU with the scale as its step, as :class:`snnmap.nn.QuantisedReLU` is one.
    Around the input and the output, and of weights, quantisation is computed or passed over: inputs are coded as spike counts
    anyway.

    Args:
        source: path of a file, or ``onnx.ModelProto``.
        input_shape: of one sample, without the batch; that of the graph where left out.

    Returns:
        ReLU layers named by node, and the output.

    Raises:
        FrontendError: onnx is missing, the file cannot be read, or a node has no counterpart; it says which and why.
    """
    model, _, framework = open_model(source)
    return _Reader(model.graph, framework).read(input_shape)


class OnnxNode:
    """A node of the graph, its attributes as Python values."""

    def __init__(self, node: Any, number: int) -> None:
        from onnx import helper

        self.domain = node.domain
        self.kind, self.name = node.op_type, node.name or f"{node.op_type}{number}"
        self.inputs, self.outputs = tuple(node.input), tuple(node.output)
        self.attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        self.where = f"node '{self.name}' ({self.kind})"

    def get(self, name: str, default: Any) -> Any:
        """Return an attribute."""
        return self.attributes.get(name, default)

    def refuse(self, what: str, measured: str = "", limit: str = "", fix: str = _FIX) -> FrontendError:
        """Return the error that names this node."""
        return FrontendError(what, where=self.where, measured=measured, limit=limit, fix=fix)


class _Reader:
    """Follows the graph in its order, with an affine map for each value and an array for each constant."""

    def __init__(self, graph: Any, framework: str) -> None:
        from onnx import numpy_helper

        self.graph, self.framework = graph, framework
        self.constants = {entry.name: np.asarray(numpy_helper.to_array(entry)) for entry in graph.initializer}
        self.values: dict[str, Affine] = {}
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.layers = LayerList()
        self.batch, self.input = -1, ""
        self.steps: dict[str, float] = {}
        """Step of the values that are whole numbers of it, by name."""
        self.zeros: dict[str, int] = {}
        """Zero point of quantised values, by name."""

    def read(self, input_shape: Sequence[int] | None) -> Ann:
        given = [entry for entry in self.graph.input if entry.name not in self.constants]
        if len(given) != 1 or len(self.graph.output) != 1:
            raise FrontendError(
                "the graph has not one input and one output",
                where=f"graph '{self.graph.name}'",
                measured=f"{len(given)} inputs, {len(self.graph.output)} outputs",
                limit="1 and 1",
                fix="export the model with one of each",
            )
        shape = tuple(input_shape) if input_shape is not None else _read_shape(given[0])
        self.input = given[0].name
        self.values[self.input] = make_identity(INPUT, shape)
        self.batch = given[0].type.tensor_type.shape.dim[0].dim_value or -1 if given[0].type.tensor_type.shape.dim else -1
        for number, node in enumerate(self.graph.node):
            self._read_node(OnnxNode(node, number))
        output = self.values.get(self.graph.output[0].name)
        if output is None:
            raise FrontendError(
                "the output does not depend on the input", where=f"output '{self.graph.output[0].name}'", fix="export it again"
            )
        name = self.graph.name or "onnx"
        return Ann(name=name, n_inputs=int(np.prod(shape)), layers=self.layers.layers, output=output, framework=self.framework)

    def _read_node(self, node: OnnxNode) -> None:
        if node.domain not in ("", "ai.onnx"):
            raise node.refuse(
                "the operator is none of ONNX's own", f"domain '{node.domain}'", fix="export without custom operators"
            )
        if node.kind in _CONSTANT and all(name in self.constants or not name for name in node.inputs):
            self.constants[node.outputs[0]] = self._compute(node)
            return
        read = _READERS.get(node.kind)
        if read is None:
            raise node.refuse(f"operator {node.kind} has no LIF counterpart")
        if any(name and name not in self.values and name not in self.constants for name in node.inputs):
            missing = next(name for name in node.inputs if name and name not in self.values and name not in self.constants)
            raise node.refuse("an input of the node is not known", measured=missing, fix="check the file with onnx.checker")
        try:
            self.values[node.outputs[0]] = read(self, node)
        except NetworkError as error:
            raise node.refuse(error.what, error.measured, error.limit, error.fix) from error
        if node.kind in _KEEP_LEVELS and node.inputs[0] in self.steps:
            self.steps[node.outputs[0]] = self.steps[node.inputs[0]]
        if node.kind in _KEEP_LEVELS and node.kind != "DequantizeLinear" and node.inputs[0] in self.zeros:
            self.zeros[node.outputs[0]] = self.zeros[node.inputs[0]]

    def _compute(self, node: OnnxNode) -> Any:
        try:
            return _CONSTANT[node.kind](node, [self.constants.get(name) for name in node.inputs])
        except (ValueError, IndexError, TypeError) as error:
            raise node.refuse(
                "the node's constants do not fit each other", str(error), fix="check the file with onnx.checker"
            ) from error

    def value(self, node: OnnxNode, place: int = 0) -> Affine:
        """Return an input that is an activation."""
        if place >= len(node.inputs) or node.inputs[place] not in self.values:
            raise node.refuse("the node computes with constants only, or with an activation in another place than usual")
        return self.values[node.inputs[place]]

    def constant(self, node: OnnxNode, place: int, default: FloatArray | None = None) -> FloatArray:
        """Return an input that is a constant, as float64."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        if name in self.constants:
            found = np.asarray(self.constants[name], np.float64)
            if not np.isfinite(found).all() and node.kind != "Clip":
                raise node.refuse("a constant is not finite", f"{np.count_nonzero(~np.isfinite(found))} values of '{name}'", "0")
            return found
        if default is None or name:
            raise node.refuse("an operand is not constant", measured=name or "nothing")
        return default

    def read_gemm(self, node: OnnxNode) -> Affine:
        weight = self.constant(node, 1) * float(node.get("alpha", 1.0))
        weight = weight.T if node.get("transB", 0) else weight
        if node.get("transA", 0):
            raise node.refuse("the activation is transposed", measured="transA=1", limit="transA=0")
        bias = self.constant(node, 2, np.zeros(weight.shape[1])) * float(node.get("beta", 1.0))
        return _multiply(node, self.value(node), weight, np.broadcast_to(bias.reshape(-1), weight.shape[1:]))

    def read_matmul(self, node: OnnxNode) -> Affine:
        weight = self.constant(node, 1)
        return _multiply(node, self.value(node), weight, np.zeros(weight.shape[-1]))

    def read_conv(self, node: OnnxNode) -> Affine:
        value, weight = self.value(node), self.constant(node, 1)
        window, shape, flat = read_window(node, value.shape, kernel=weight.shape[2:])
        weight = weight[:, :, np.newaxis] if flat else weight
        matrix, out_shape = lower_convolution(weight, window, int(node.get("group", 1)), shape, node.where)
        bias = np.repeat(self.constant(node, 2, np.zeros(len(weight))), int(np.prod(out_shape[1:])))
        return apply_map(value, matrix, bias, _drop_height(out_shape, flat), node.where)

    def read_average(self, node: OnnxNode) -> Affine:
        value = self.value(node)
        require_no_ceil(node)
        window, shape, flat = read_window(node, value.shape)
        index, out_shape = index_windows(window, shape, node.where)
        counted = index.shape[1] if node.get("count_include_pad", 0) else (index >= 0).sum(axis=1, keepdims=True)
        matrix = lower_windows(index, 1.0 / np.asarray(counted, np.float64), shape)
        return apply_map(value, matrix, np.zeros(matrix.shape[1]), _drop_height(out_shape, flat), node.where)

    def read_global_average(self, node: OnnxNode) -> Affine:
        value = self.value(node)
        n_places = int(np.prod(value.shape[1:]))
        matrix = lower_windows(np.arange(value.size).reshape(value.shape[0], n_places, 1), 1.0 / n_places, value.shape)
        shape = (value.shape[0], *(1 for _ in value.shape[1:]))
        return apply_map(value, matrix, np.zeros(value.shape[0]), shape, node.where)

    def read_maxima(self, node: OnnxNode) -> Affine:
        value = self.value(node)
        require_no_ceil(node)
        window, shape, flat = read_window(node, value.shape)
        index, out_shape = index_windows(window, shape, node.where)
        return self.layers.pool_maxima(node.name, index, _drop_height(out_shape, flat), value, node.where)

    def read_normalisation(self, node: OnnxNode) -> Affine:
        value = self.value(node)
        if node.get("training_mode", 0):
            raise node.refuse("the normalisation is in training mode", "training_mode=1", fix="export in evaluation mode")
        gamma, beta, mean, variance = (self.constant(node, place) for place in range(1, 5))
        factor = gamma / np.sqrt(variance + float(node.get("epsilon", 1e-5)))
        if value.shape[0] != factor.size:
            raise node.refuse("the normalisation has other channels than its input", str(value.shape[0]), str(factor.size))
        repeats = value.size // factor.size
        return scale(value, np.repeat(factor, repeats), np.repeat(beta - mean * factor, repeats))

    def read_relu(self, node: OnnxNode) -> Affine:
        return self.layers.rectify(ReluLayer(name=node.name, incoming=self.value(node)))

    def read_clip(self, node: OnnxNode) -> Affine:
        low, high = (self.constant(node, place, np.array(bound)).item() for place, bound in ((1, -np.inf), (2, np.inf)))
        if low != 0.0 or not high > 0.0:
            raise node.refuse(
                "a clip whose least value is not 0 has no LIF counterpart", f"{low:g} to {high:g}", "0 to a number > 0"
            )
        return self.layers.rectify_and_clip(ReluLayer(name=node.name, incoming=self.value(node)), high)

    def read_sum(self, node: OnnxNode) -> Affine:
        sign = 1.0 if node.kind == "Add" else -1.0
        if all(name in self.values for name in node.inputs):
            one, other = self.value(node), self.value(node, 1)
            if one.shape != other.shape:
                raise node.refuse("activations of different shapes are added", f"{one.shape} and {other.shape}", "one shape")
            return combine(one, other, sign)
        place = 0 if node.inputs[0] in self.values else 1
        value = self.value(node, place)
        shift = _spread(node, self.constant(node, 1 - place), value)
        if place == 1 and node.kind == "Sub":
            return scale(value, np.full(value.size, -1.0), shift)
        return replace(value, bias=value.bias + sign * shift)

    def read_product(self, node: OnnxNode) -> Affine:
        place = 0 if node.inputs[0] in self.values else 1
        if all(name in self.values for name in node.inputs) or (place == 1 and node.kind == "Div"):
            raise node.refuse("a product or quotient of activations has no LIF counterpart", fix="multiply by constants only")
        value = self.value(node, place)
        factor = _spread(node, self.constant(node, 1 - place), value)
        if node.kind == "Div" and not factor.all():
            raise node.refuse("a division by 0")
        return scale(value, factor if node.kind == "Mul" else 1.0 / factor, np.zeros(value.size))

    def read_shape(self, node: OnnxNode) -> Affine:
        value = self.value(node)
        if node.kind == "Flatten":
            if node.get("axis", 1) != 1:
                raise node.refuse("flattening other than of a whole sample", f"axis {node.get('axis', 1)}", "axis 1")
            return reshape(value, (value.size,))
        return reshape(value, _new_shape(node, value.shape, self.constant(node, 1, np.zeros(0)), self.batch))

    def read_identity(self, node: OnnxNode) -> Affine:
        return self.value(node)

    def read_quantise(self, node: OnnxNode) -> Affine:
        """Take a quantised activation for what it stands for: a ReLU with a step, or the input or the output itself."""
        value, step = self.value(node), self.constant(node, 1)
        zero = self.constants.get(node.inputs[2], np.zeros(1, np.uint8)) if len(node.inputs) > 2 else np.zeros(1, np.uint8)
        if step.size != 1 or np.asarray(zero).size != 1:
            fix = "quantise activations by layer, or convert the torch module"
            raise node.refuse(
                "a quantised activation with a step a channel is not read from ONNX", f"{step.size} steps", "1 step", fix
            )
        step_size = float(step.item())
        if node.inputs[0] == self.input:
            self.zeros[node.outputs[0]] = int(np.asarray(zero).item())
        if node.inputs[0] == self.input or self.steps.get(node.inputs[0]) == step_size:
            self.steps[node.outputs[0]] = step_size
            return value
        words, offset = np.iinfo(np.asarray(zero).dtype), int(np.asarray(zero).item())
        self.zeros[node.outputs[0]] = offset
        if offset == words.min or is_non_negative(value):
            n_levels = int(words.max) - offset
            alone = self.layers.take_last(value) if self.uses[node.inputs[0]] == 1 else None
            layer = alone or ReluLayer(name=node.name, incoming=value)
            self.steps[node.outputs[0]] = step_size
            return self.layers.rectify_and_clip(replace(layer, step=step_size), n_levels * step_size)
        if self._leads_to_output(node):
            return value
        raise node.refuse(
            "a quantised activation with negative levels has no LIF counterpart",
            measured=f"{np.asarray(zero).dtype}, zero point {np.asarray(zero).item()}",
            limit="a zero point at the least integer, or values that are never negative",
            fix="quantise activations behind their ReLU",
        )

    def read_dequantise(self, node: OnnxNode) -> Affine:
        """Return the activation that was quantised, if it comes back with its own scale."""
        step, known = self.constant(node, 1), self.steps.get(node.inputs[0])
        if known is not None and (step.size != 1 or not np.isclose(step.item(), known, rtol=1e-6)):
            raise node.refuse("an activation comes back with another scale", f"{step.reshape(-1)[0]:.6g}", f"{known:.6g}")
        zero = self.constant(node, 2, np.zeros(1)) if len(node.inputs) > 2 else np.zeros(1)
        wanted = self.zeros.get(node.inputs[0])
        if wanted is not None and (zero != wanted).any():
            raise node.refuse("an activation comes back with another zero point", f"{zero.reshape(-1)[0]:g}", f"{wanted}")
        return self.value(node)

    def read_mean(self, node: OnnxNode) -> Affine:
        """Read a mean over all places as a global pool."""
        value = self.value(node)
        given = node.get("axes", None)
        axes = self.constant(node, 1, np.zeros(0)).reshape(-1).astype(int).tolist() if given is None else list(given)
        rank = len(value.shape) + 1
        if sorted(axis % rank for axis in axes) != list(range(2, rank)) or rank < 3:
            raise node.refuse(
                "a mean over other things than all places of a channel", f"axes {axes}", f"axes {list(range(2, rank))}"
            )
        pooled = self.read_global_average(node)
        return pooled if node.get("keepdims", 1) else reshape(pooled, (value.shape[0],))

    def _leads_to_output(self, node: OnnxNode) -> bool:
        """Say whether nothing but dequantisation lies between a node and the graph's output."""
        names, final = set(node.outputs), self.graph.output[0].name
        for other in self.graph.node:
            if other.op_type == "DequantizeLinear" and names & set(other.input):
                names |= set(other.output)
        used = {name for other in self.graph.node if other.op_type != "DequantizeLinear" for name in other.input}
        return final in names and not names & used


def _read_shape(entry: Any) -> tuple[int, ...]:
    """Return the shape of one sample, the first dimension being the batch."""
    sizes = [dimension.dim_value for dimension in entry.type.tensor_type.shape.dim][1:]
    if not sizes or not all(sizes):
        raise FrontendError(
            "the graph does not say the shape of its input",
            where=f"input '{entry.name}'",
            measured=str(sizes),
            fix="give input_shape, without the batch",
        )
    return tuple(sizes)


def _multiply(node: OnnxNode, value: Affine, weight: FloatArray, bias: FloatArray) -> Affine:
    from scipy.sparse import csr_array

    if len(value.shape) != 1 or weight.ndim != 2 or weight.shape[0] != value.size:
        raise node.refuse("the weights do not fit their input", f"{value.shape} by {weight.shape}", "(n,) by (n, m)")
    return apply_map(value, csr_array(weight), np.asarray(bias, np.float64), (weight.shape[1],), node.where)


def _spread(node: OnnxNode, constant: FloatArray, value: Affine) -> FloatArray:
    """Broadcast a constant to a sample's values, ``(size,)``."""
    if constant.ndim > len(value.shape):
        if constant.shape[0] != 1:
            raise node.refuse("the constant differs from sample to sample", str(constant.shape), f"(1, {value.shape})")
        constant = constant[0]
    try:
        return np.asarray(np.broadcast_to(constant, value.shape).reshape(-1), np.float64)
    except ValueError as error:
        raise node.refuse("the constant does not fit the activation", str(constant.shape), str(value.shape)) from error


def _new_shape(node: OnnxNode, shape: tuple[int, ...], given: FloatArray, batch: int) -> tuple[int, ...]:
    """Return the shape of a sample after Reshape, Squeeze or Unsqueeze, whose numbers include the batch."""
    numbers, whole = [int(number) for number in given.reshape(-1)], (1, *shape)
    find = {"Reshape": _reshaped, "Squeeze": _squeezed, "Unsqueeze": _unsqueezed}[node.kind]
    new = find(whole, numbers)
    if not new or new[0] not in (1, -1, batch) or int(np.prod(new[1:])) != int(np.prod(shape)):
        raise node.refuse("the batch is reshaped too", f"(batch, {shape}) to {numbers}", "(batch, ...) of one size a sample")
    return tuple(new[1:])


def _reshaped(whole: tuple[int, ...], numbers: list[int]) -> list[int]:
    new = [whole[axis] if number == 0 and axis < len(whole) else number for axis, number in enumerate(numbers)]
    if -1 in new[1:]:
        known = int(np.prod([number for number in new[1:] if number != -1]))
        new = [new[0], *(int(np.prod(whole)) // max(known, 1) if number == -1 else number for number in new[1:])]
    return new


def _squeezed(whole: tuple[int, ...], numbers: list[int]) -> list[int]:
    axes = {axis % len(whole) for axis in numbers} or {axis for axis, size in enumerate(whole) if size == 1 and axis}
    return [] if 0 in axes else [size for axis, size in enumerate(whole) if axis not in axes]


def _unsqueezed(whole: tuple[int, ...], numbers: list[int]) -> list[int]:
    rank, rest = len(whole) + len(numbers), iter(whole)
    axes = {axis % rank for axis in numbers}
    return [] if 0 in axes else [1 if axis in axes else next(rest) for axis in range(rank)]


def _drop_height(shape: tuple[int, ...], flat: bool) -> tuple[int, ...]:
    return (shape[0], shape[2]) if flat else shape


def _read_constant(node: OnnxNode, _: list[Any]) -> Any:
    from onnx import numpy_helper

    if "value" in node.attributes:
        return np.asarray(numpy_helper.to_array(node.attributes["value"]))
    for name in ("value_float", "value_floats", "value_int", "value_ints"):
        if name in node.attributes:
            return np.asarray(node.attributes[name])
    raise node.refuse("a constant of an unknown kind", ", ".join(node.attributes))


def _quantise(node: OnnxNode, inputs: list[Any]) -> Any:
    zero = np.asarray(inputs[2]) if len(inputs) > 2 and inputs[2] is not None else np.zeros((), np.uint8)
    step, offset = _along_axis(node, np.asarray(inputs[0]), np.asarray(inputs[1], np.float64), zero.astype(np.float64))
    limits = np.iinfo(zero.dtype)
    return np.clip(np.rint(np.asarray(inputs[0], np.float64) / step) + offset, limits.min, limits.max).astype(zero.dtype)


def _along_axis(node: OnnxNode, values: Any, step: FloatArray, zero: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return steps and zero points in the shape in which they are broadcast over the values."""
    if node.get("block_size", 0):
        raise node.refuse("quantisation by blocks", f"block_size {node.get('block_size', 0)}", "a step, or one a channel")
    if step.size == 1:
        return step.reshape(()), zero.reshape(-1)[:1].reshape(())
    axis = int(node.get("axis", 1)) % values.ndim
    if step.ndim != 1 or step.size != values.shape[axis]:
        raise node.refuse("the steps do not fit the axis", f"{step.shape} on {values.shape}", f"({values.shape[axis]},)")
    sides = [step.size if other == axis else 1 for other in range(values.ndim)]
    return step.reshape(sides), np.broadcast_to(zero.reshape(-1), (step.size,)).reshape(sides)


def _dequantise(node: OnnxNode, inputs: list[Any]) -> Any:
    words, step = np.asarray(inputs[0], np.float64), np.asarray(inputs[1], np.float64)
    zero = np.asarray(inputs[2], np.float64) if len(inputs) > 2 and inputs[2] is not None else np.zeros_like(step)
    step, zero = _along_axis(node, words, step, zero)
    return (words - zero) * step


def _fold_shape(node: OnnxNode, inputs: list[Any]) -> Any:
    array = np.asarray(inputs[0])
    if node.kind == "Transpose":
        return array.transpose(node.get("perm", list(range(array.ndim))[::-1]))
    if node.kind == "Identity":
        return array
    numbers = [int(number) for number in np.asarray(inputs[1]).reshape(-1)]
    return array.reshape([array.shape[axis] if number == 0 else number for axis, number in enumerate(numbers)])


_CONSTANT: Mapping[str, Callable[[OnnxNode, list[Any]], Any]] = {
    "Constant": _read_constant,
    "DequantizeLinear": _dequantise,
    "Identity": _fold_shape,
    "QuantizeLinear": _quantise,
    "Reshape": _fold_shape,
    "Transpose": _fold_shape,
}
"""Operators that are computed where all of their inputs are constants."""

_KEEP_LEVELS = ("DequantizeLinear", "Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Unsqueeze")
"""Operators whose values are whole numbers of a step where their input's are."""

_READERS: Mapping[str, Callable[[_Reader, OnnxNode], Affine]] = {
    "Add": _Reader.read_sum,
    "AveragePool": _Reader.read_average,
    "BatchNormalization": _Reader.read_normalisation,
    "Clip": _Reader.read_clip,
    "Conv": _Reader.read_conv,
    "DequantizeLinear": _Reader.read_dequantise,
    "Div": _Reader.read_product,
    "Dropout": _Reader.read_identity,
    "Flatten": _Reader.read_shape,
    "Gemm": _Reader.read_gemm,
    "GlobalAveragePool": _Reader.read_global_average,
    "Identity": _Reader.read_identity,
    "MatMul": _Reader.read_matmul,
    "MaxPool": _Reader.read_maxima,
    "Mul": _Reader.read_product,
    "QuantizeLinear": _Reader.read_quantise,
    "ReduceMean": _Reader.read_mean,
    "Relu": _Reader.read_relu,
    "Reshape": _Reader.read_shape,
    "Squeeze": _Reader.read_shape,
    "Sub": _Reader.read_sum,
    "Unsqueeze": _Reader.read_shape,
}

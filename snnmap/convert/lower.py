"""From a layer graph to ReLU layers with sparse matrices between them: the one place where layers are lowered to these."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snnmap.chip import Chip
from snnmap.convert.affine import apply_map, combine, make_identity, require_finite, reshape, scale
from snnmap.convert.ann import INPUT, Affine, Ann, ReluLayer, drop_unused
from snnmap.convert.count import require_room
from snnmap.convert.layers import NO_BOUND, LayerList
from snnmap.convert.levels import Levels, is_non_negative, quantise_activation
from snnmap.convert.lower_linear import (
    find_windows,
    lower_average,
    lower_convolution,
    lower_move,
    lower_product,
    lower_sum,
    probe,
)
from snnmap.convert.options import Pools, Signed
from snnmap.convert.pools import POOLS, choose_pools
from snnmap.convert.quantised import leads_to_output, lower_dequantise, lower_quantise
from snnmap.core import FloatArray, IntArray
from snnmap.core.errors import FrontendError
from snnmap.graph import LayerGraph, Node, remove_identity, split_quantised
from snnmap.graph.fixes import BY_KIND
from snnmap.graph.operation import Array
from snnmap.graph.operations.movement import Expand

__all__ = ["Place", "Lowering", "lower_graph"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A node as the model's author knows it.

    Attributes:
        name: of the layer that it becomes.
        noun: what it is, such as ``module ELU``.
        where: it stands.
    """

    name: str
    noun: str
    where: str


def lower_graph(
    graph: LayerGraph,
    find_place: Callable[[Node], Place],
    fix: str,
    *,
    signed: Signed = "refuse",
    pools: Pools = "weights",
    chips: Sequence[Chip] = (),
    lowerings: Mapping[str, "Lower"] | None = None,
) -> Ann:
    """Lower a layer graph of one input and one output; consecutive linear operations become one affine map.

    Maxima, clips and leaks are written as ReLUs, exactly; a quantised activation is a ReLU with a step. A softmax or sigmoid at
    the end is left out (:attr:`Ann.left_out`): it keeps the order of its inputs, the logits, which are the outputs then.

    Args:
        graph: to lower; its weights are taken in float64.
        find_place: how layers and errors are named.
        fix: what to do about an operation that has no counterpart.
        signed: what to do about quantised activations with negative levels.
        pools: as in :class:`ConvertOptions`.
        chips: of which one must have room for the network.
        lowerings: of operations that one framework alone has, by name.

    Raises:
        FrontendError: an operation has no counterpart among ReLUs; it says which and where.
        NoRoomError: none of the chips has channels and neurons enough.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise FrontendError(
            "the graph has not one input and one output",
            where=f"graph '{graph.name}'",
            measured=f"{len(graph.inputs)} inputs, {len(graph.outputs)} outputs",
            limit="1 and 1",
            fix="let forward take and return one tensor, or cut the ONNX file to one (onnx.utils.extract_model); a layer "
            "graph can leave outputs out: graph.with_nodes(graph.nodes, outputs=graph.outputs[:1])",
        )
    plain = split_quantised(remove_identity(graph))
    require_room(plain, chips)

    def lower(as_neurons: frozenset[str]) -> tuple[Ann, Mapping[str, frozenset[str]]]:
        lowering = Lowering(plain, find_place, fix, signed, as_neurons)
        return lowering.lower({**_LOWERINGS, **(lowerings or {})}), lowering.pools_within

    every = frozenset(node.name for node in plain.select_kinds(*POOLS))
    if pools == "auto" and len(chips) == 1:
        return choose_pools(lower, every, chips[0])
    return lower(every if pools == "neurons" else frozenset())[0]


class Lowering:
    """Follows a graph with an affine map for each activation and an array for each constant.

    Attributes:
        graph: that is lowered.
        layers: so far.
        values: activations by name.
        constants: arrays by name, floating-point ones in float64.
        steps: of values that are whole numbers of a step, by name.
        zeros: zero points of quantised values, by name.
        pools_within: pools that are multiplied out into a layer's weights, or those of ``output``.
    """

    def __init__(
        self, graph: LayerGraph, find_place: Callable[[Node], Place], fix: str, signed: Signed, as_neurons: frozenset[str]
    ) -> None:
        self.graph, self.find_place, self.fix, self.signed = graph, find_place, fix, signed
        self.as_neurons, self.pools_within = as_neurons, dict[str, frozenset[str]]()
        self._pools_in: dict[str, frozenset[str]] = {}
        self.layers, self.left_out = LayerList(), ""
        self.uses = graph.count_uses()
        self.constants = {name: _to_double(array) for name, array in graph.constants.items()}
        self.values = {name: make_identity(INPUT, kind.shape) for name, kind in graph.inputs.items()}
        self.steps: dict[str, float] = {}
        self.zeros: dict[str, int] = {}

    def lower(self, lowerings: Mapping[str, "Lower"]) -> Ann:
        """Lower all nodes."""
        for node in self.graph.nodes:
            if all(name in self.constants for name in node.inputs):
                self.constants[node.name] = node.operation.run([self.constants[name] for name in node.inputs])
                continue
            lower = lowerings.get(node.kind)
            if lower is None or (any(name in self.constants for name in node.inputs[:1]) and node.kind not in _EITHER):
                raise self.refuse(node, f"{self.find_place(node).noun} has no LIF counterpart", fix=BY_KIND.get(node.kind, ""))
            n_before = len(self.layers)
            self.values[node.name] = lower(self, node)
            require_finite(self.values[node.name], self.where(node))
            self._follow_pools(node, n_before)
        graph = self.graph
        (name,) = graph.inputs
        self.pools_within["output"] = self._pools_in.get(graph.outputs[0], frozenset())
        ann = Ann(
            name=graph.name,
            n_inputs=self.values[name].size,
            layers=self.layers.layers,
            output=self.values[graph.outputs[0]],
            framework=graph.framework,
            left_out=self.left_out,
        )
        return drop_unused(ann)  # a ReLU that is one with the quantiser behind it

    def _follow_pools(self, node: Node, n_before: int) -> None:
        """Note the pools in what a node gives, and in the layers that it added; make neurons of a pool that is to be some."""
        within = frozenset[str]().union(*(self._pools_in.get(name, ()) for name in node.inputs))
        self.pools_within |= {layer.name: within for layer in self.layers.layers[n_before:]}
        value = self.values[node.name]
        if node.kind in POOLS and is_non_negative(value):
            if node.name in self.as_neurons:
                pool = ReluLayer(name=self.name(node), incoming=value, kind="pool", step=self.steps.get(node.name))
                self.values[node.name] = self.layers.rectify(pool)
                self.pools_within[self.layers.layers[-1].name] = within
                within = frozenset()
            else:
                within |= {node.name}
        self._pools_in[node.name] = frozenset() if node.kind in _RECTIFYING else within

    def value(self, node: Node, place: int = 0) -> Affine:
        """Return an input that is an activation."""
        return self.values[node.inputs[place]]

    def optional(self, node: Node, place: int) -> FloatArray | None:
        """Return an input that is constant, or None where it is left out."""
        return self.constant(node, place) if place < len(node.inputs) else None

    def constant(self, node: Node, place: int) -> FloatArray:
        """Return an input that is constant.

        Raises:
            FrontendError: it is an activation.
        """
        if node.inputs[place] in self.values:
            raise self.refuse(node, "an operand is not constant", measured=f"input {place}")
        return self.constants[node.inputs[place]]

    def shape(self, node: Node) -> tuple[int, ...]:
        """Return the shape of a sample of what a node gives."""
        return self.graph.types[node.name].shape

    def name(self, node: Node) -> str:
        """Return what the layer of a node is called."""
        return self.find_place(node).name

    def where(self, node: Node) -> str:
        """Return what errors call a node."""
        return self.find_place(node).where

    def refuse(self, node: Node, what: str, *, measured: str = "", limit: str = "", fix: str = "") -> FrontendError:
        """Return the error that names a node."""
        return FrontendError(what, where=self.where(node), measured=measured, limit=limit, fix=fix or self.fix)


Lower = Callable[[Lowering, Node], Affine]


def _to_double(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _lower_conv(lowering: Lowering, node: Node) -> Affine:
    weight, bias = lowering.constant(node, 1), lowering.optional(node, 2)
    if weight.ndim > 4:
        raise lowering.refuse(node, f"{lowering.find_place(node).noun} has no LIF counterpart in three dimensions")
    return lower_convolution(node.operation, lowering.value(node), weight, bias, lowering.where(node))


def _lower_gemm(lowering: Lowering, node: Node) -> Affine:
    operation: Any = node.operation
    weight, bias = lowering.constant(node, 1), lowering.optional(node, 2)
    weight = operation.alpha * (weight.T if operation.trans_b else weight)
    shape = lowering.shape(node)
    bias = None if bias is None else np.broadcast_to(operation.beta * bias.reshape(-1), shape)
    return lower_product(lowering.value(node), weight, bias, shape, lowering.where(node))


def _lower_matmul(lowering: Lowering, node: Node) -> Affine:
    if all(name in lowering.values for name in node.inputs):
        raise _refuse_product(lowering, node)
    is_first = node.inputs[0] in lowering.constants
    weight, value = lowering.constants[node.inputs[1 - int(is_first)]], lowering.value(node, int(is_first))
    if weight.ndim != 2:
        return _lower_probed(lowering, node)
    axis, weight = (-2, weight.T) if is_first else (-1, weight)
    return lower_product(value, weight, None, lowering.shape(node), lowering.where(node), axis=axis)


def _lower_sparse(lowering: Lowering, node: Node) -> Affine:
    from scipy.sparse import csr_array

    weights, columns, starts = (lowering.constant(node, place) for place in (1, 2, 3))
    value, shape = lowering.value(node), lowering.shape(node)
    matrix: Any = csr_array((weights, columns, starts), shape=(value.size, shape[0]))
    return apply_map(value, matrix, np.zeros(shape), shape, lowering.where(node))


def _lower_probed(lowering: Lowering, node: Node) -> Affine:
    """Lower what is linear in its one activation, all else constant."""
    (place,) = (place for place, name in enumerate(node.inputs) if name in lowering.values)

    def run(units: Array) -> Array:
        return node.operation.run([units if at == place else lowering.constants[name] for at, name in enumerate(node.inputs)])

    return probe(run, lowering.value(node, place), lowering.shape(node), lowering.where(node))


def _lower_shape(lowering: Lowering, node: Node) -> Affine:
    _keep_levels(lowering, node)
    return reshape(lowering.value(node), lowering.shape(node))


def _lower_move(lowering: Lowering, node: Node) -> Affine:
    operation: Any = node.operation
    zeros = {lowering.zeros.get(name, 0) for name in node.inputs if name in lowering.values}
    zero = min(zeros)  # of integers, what stands for 0
    fills = node.kind == "Pad" and operation.mode == "constant" and any(side > 0 for side in operation.pads)
    if len(zeros) > 1 or (fills and operation.value != zero):
        raise lowering.refuse(
            node,
            "padding by other values than its arguments'",
            measured=f"{operation.value:g}" if fills else f"zero points {', '.join(map(str, sorted(zeros)))}",
            limit=f"{zero}",
            fix="pad with zeros",
        )
    lowering.zeros |= {node.name: zero} if node.inputs[0] in lowering.zeros else {}
    operation = replace(operation, value=0.0) if fills else operation
    values = [lowering.values[name] for name in node.inputs if name in lowering.values]
    constants = [lowering.constants[name] for name in node.inputs if name in lowering.constants]
    return lower_move(operation, values, constants, lowering.shape(node), lowering.where(node))


def _lower_resize(lowering: Lowering, node: Node) -> Affine:
    operation: Any = node.operation
    value = lowering.value(node)
    for axis, matrix in enumerate(operation.find_matrices(value.shape)):
        if matrix is not None:
            shape = (*value.shape[:axis], matrix.shape[1], *value.shape[axis + 1 :])
            value = lower_product(value, matrix, None, shape, lowering.where(node), axis=axis)
    return value


def _lower_maxima(lowering: Lowering, node: Node) -> Affine:
    value = lowering.value(node)
    if node.kind == "GlobalMaxPool":
        index = np.arange(value.size).reshape(value.shape[0], -1, 1)
    elif node.kind == "MaxPool":
        index = find_windows(node.operation, value.shape)
    else:
        index = _find_reduced(node, value.shape)
    _keep_levels(lowering, node)
    return lowering.layers.pool_maxima(lowering.name(node), index, lowering.shape(node), value, lowering.where(node))


def _find_reduced(node: Node, shape: tuple[int, ...]) -> IntArray:
    """Return which places of a sample become one, ``(1, places, results)``."""
    axes = _find_axes(node, shape)
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    index = np.arange(int(np.prod(shape))).reshape(shape).transpose(*axes, *kept)
    return index.reshape(1, int(np.prod([shape[axis] for axis in axes])), -1)


def _find_axes(node: Node, shape: tuple[int, ...]) -> list[int]:
    """Return the axes over which a node reduces, counted from 0 without the batch; those of places where it tells none."""
    rank = len(shape) + 1
    return [axis % rank - 1 for axis in getattr(node.operation, "axes", range(2, rank))]


def _lower_minima(lowering: Lowering, node: Node) -> Affine:
    value, where = _negate(lowering.value(node)), lowering.where(node)
    index = _find_reduced(node, value.shape)
    return _negate(lowering.layers.pool_maxima(lowering.name(node), index, lowering.shape(node), value, where))


def _keep_levels(lowering: Lowering, node: Node) -> None:
    """Note that a node gives whole numbers of a step where its input does."""
    before = node.inputs[0]
    if before in lowering.steps:
        lowering.steps[node.name] = lowering.steps[before]
    if before in lowering.zeros:
        lowering.zeros[node.name] = lowering.zeros[before]


def _lower_average(lowering: Lowering, node: Node) -> Affine:
    return lower_average(node.operation, lowering.value(node), lowering.shape(node), lowering.where(node))


def _lower_reduction(lowering: Lowering, node: Node) -> Affine:
    value = lowering.value(node)
    axes, is_mean = _find_axes(node, value.shape), node.kind != "ReduceSum"
    return lower_sum(value, axes, lowering.shape(node), lowering.where(node), mean=is_mean)


def _lower_norm(lowering: Lowering, node: Node) -> Affine:
    value, epsilon = lowering.value(node), getattr(node.operation, "epsilon", 0.0)
    gamma, beta, mean, variance = (lowering.constant(node, place) for place in range(1, 5))
    factor = gamma / np.sqrt(variance + epsilon)
    repeats = value.size // factor.size
    return scale(value, np.repeat(factor, repeats), np.repeat(beta - mean * factor, repeats))


def _lower_sum(lowering: Lowering, node: Node) -> Affine:
    one, other = (_spread(lowering, node, place) for place in (0, 1))
    return combine(one, other, -1.0 if node.kind == "Sub" else 1.0)


def _spread(lowering: Lowering, node: Node, place: int) -> Affine:
    """Return an operand, an activation or a constant, spread to the shape of the result."""
    name, shape = node.inputs[place], lowering.shape(node)
    if name in lowering.constants:
        constant = np.broadcast_to(lowering.constants[name], (1, *shape)).reshape(-1)
        return Affine(terms={}, bias=constant.astype(np.float64), shape=shape)
    value = lowering.values[name]
    return value if value.shape == shape else lower_move(Expand(shape=shape), [value], [], shape, lowering.where(node))


def _lower_factor(lowering: Lowering, node: Node) -> Affine:
    if all(name in lowering.values for name in node.inputs):
        raise _refuse_product(lowering, node)
    is_first = node.inputs[0] in lowering.constants
    value, factor = _spread(lowering, node, int(is_first)), _spread(lowering, node, 1 - int(is_first)).bias
    if node.kind == "Div" and (is_first or not factor.all()):
        raise _refuse_product(lowering, node, ", nor has a division by 0")
    return scale(value, factor if node.kind == "Mul" else 1.0 / factor, np.zeros(value.size))


def _refuse_product(lowering: Lowering, node: Node, more: str = "") -> FrontendError:
    what = f"a product or quotient of activations has no LIF counterpart{more}"
    return lowering.refuse(node, what, fix="multiply activations by numbers only")


def _lower_negative(lowering: Lowering, node: Node) -> Affine:
    return _negate(lowering.value(node))


def _negate(value: Affine) -> Affine:
    return scale(value, np.full(value.size, -1.0), np.zeros(value.size))


def _lower_relu(lowering: Lowering, node: Node) -> Affine:
    return lowering.layers.rectify(ReluLayer(name=lowering.name(node), incoming=lowering.value(node)))


def _lower_clip(lowering: Lowering, node: Node) -> Affine:
    operation: Any = node.operation
    low, high = (np.sign(bound) * np.inf if abs(bound) >= NO_BOUND else bound for bound in (operation.min, operation.max))
    return lowering.layers.clip(lowering.name(node), lowering.value(node), low, high)


def _lower_hard_sigmoid(lowering: Lowering, node: Node) -> Affine:
    value, operation = lowering.value(node), node.operation
    ones = np.ones(value.size)
    scaled = scale(value, ones * getattr(operation, "alpha", 0.0), ones * getattr(operation, "beta", 0.0))
    return lowering.layers.clip(lowering.name(node), scaled, 0.0, 1.0)


def _lower_leak(lowering: Lowering, node: Node) -> Affine:
    """Lower what leaks by a slope: of 1 to the other side, an absolute value."""
    value = lowering.value(node)
    slope: Any = {"Abs": -1.0, "LeakyRelu": getattr(node.operation, "alpha", 0.0)}.get(node.kind)
    slopes = np.broadcast_to(lowering.constant(node, 1) if slope is None else slope, value.shape)
    return lowering.layers.rectify_leaky(lowering.name(node), value, slopes.reshape(-1).astype(np.float64))


def _lower_bound(lowering: Lowering, node: Node) -> Affine:
    """Lower the greater or the smaller of two operands."""
    one, other = (_spread(lowering, node, place) for place in (0, 1))
    greater = lowering.layers.maximum(lowering.name(node), one, other)
    return greater if node.kind == "Max" else combine(combine(one, other, 1.0), greater, -1.0)


def _lower_last(lowering: Lowering, node: Node) -> Affine:
    """Leave a softmax over the outputs, or their sigmoid, away where nothing comes behind it."""
    value, name = lowering.value(node), _LEFT_OUT[node.kind]
    is_last = leads_to_output(lowering, node)
    if not is_last and node.kind == "Sigmoid":
        what = f"{lowering.find_place(node).noun} has no LIF counterpart but at the end"
        raise lowering.refuse(node, what)
    if not is_last or (len(value.shape) != 1 and node.kind != "Sigmoid"):
        raise lowering.refuse(
            node,
            f"{lowering.find_place(node).noun} has no LIF counterpart but at the end, over the outputs",
            measured=f"over dimension {getattr(node.operation, 'axis', 1)} of (batch, {', '.join(map(str, value.shape))})",
            limit="over dimension 1 of (batch, outputs), as the last operation",
            fix="give the logits to what follows",
        )
    lowering.left_out = name
    return value


def _lower_levels(lowering: Lowering, node: Node) -> Affine:
    value, operation = lowering.value(node), node.operation
    axis, bottom, top, rounding = (getattr(operation, name) for name in ("axis", "bottom", "top", "rounding"))
    steps = lowering.constant(node, 1)
    step: float | FloatArray = float(steps.item()) if not steps.ndim else _spread_axis(steps, axis - 1, value.shape)
    levels = Levels(step=step, bottom=bottom, top=top, rounding=rounding)
    return quantise_activation(lowering.layers, lowering.name(node), value, levels, lowering.where(node), signed=lowering.signed)


def _spread_axis(steps: FloatArray, axis: int, shape: tuple[int, ...]) -> FloatArray:
    sides = [1] * len(shape)
    sides[axis] = steps.size
    return np.ascontiguousarray(np.broadcast_to(steps.reshape(sides), shape)).reshape(-1)


_EITHER = ("Add", "Sub", "Mul", "Div", "Max", "Min", "MatMul")
"""Operations whose first input may be a constant."""

_RECTIFYING = ("Relu", "Clip", "HardSigmoid", "Abs", "LeakyRelu", "PRelu", "Levels", "QuantizeLinear")
"""Operations whose values are layers of their own."""

_LEFT_OUT = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}
"""Functions that keep the order of the outputs."""

_LOWERINGS: Mapping[str, Lower] = {
    "Conv": _lower_conv,
    "ConvTranspose": _lower_probed,
    "Gemm": _lower_gemm,
    "MatMul": _lower_matmul,
    "SparseMatMul": _lower_sparse,
    **dict.fromkeys(("Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Unsqueeze"), _lower_shape),
    **dict.fromkeys(("Concat", "Expand", "Gather", "Pad", "Slice", "Transpose"), _lower_move),
    **dict.fromkeys(("MaxPool", "GlobalMaxPool", "ReduceMax"), _lower_maxima),
    "ReduceMin": _lower_minima,
    "Resize": _lower_resize,
    "AveragePool": _lower_average,
    **dict.fromkeys(("GlobalAveragePool", "ReduceMean", "ReduceSum"), _lower_reduction),
    "BatchNormalization": _lower_norm,
    **dict.fromkeys(("Add", "Sub"), _lower_sum),
    **dict.fromkeys(("Mul", "Div"), _lower_factor),
    **dict.fromkeys(("Max", "Min"), _lower_bound),
    "Neg": _lower_negative,
    "Relu": _lower_relu,
    "Clip": _lower_clip,
    "HardSigmoid": _lower_hard_sigmoid,
    **dict.fromkeys(("Abs", "LeakyRelu", "PRelu"), _lower_leak),
    **dict.fromkeys(_LEFT_OUT, _lower_last),
    "Levels": _lower_levels,
    "QuantizeLinear": lower_quantise,
    "DequantizeLinear": lower_dequantise,
}

"""Take operations between DequantizeLinear and QuantizeLinear for what they stand for: operations of integers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np

from snnmap.graph.graph import LayerGraph, Node
from snnmap.graph.operation import Array, Operation
from snnmap.graph.operations.movement import Pad
from snnmap.graph.operations.pooling import AveragePool
from snnmap.graph.operations.qlinear import QGemm, QLinearConv, QLinearMatMul
from snnmap.graph.operations.quantisation import DequantizeLinear, QuantizeLinear
from snnmap.graph.operations.quantised_levels import Lookup, QLinearConcat
from snnmap.graph.operations.quantised_pairs import QLinearAdd, QLinearMul, QuantisedPair
from snnmap.graph.operations.quantised_pools import QLinearAveragePool, QLinearGlobalAveragePool

__all__ = ["has_integer_form", "join_quantised"]

_MOVES = (
    "Dropout", "Flatten", "Gather", "GlobalMaxPool", "Identity", "MaxPool", "Pad", "Reshape", "Resize", "Slice", "Squeeze",
    "Transpose", "Unsqueeze",
)  # fmt: skip
"""What gives integers their places and changes none of them."""
_SPREADING = ("Act", "Add", "Div", "Mul", "Norm")
"""Roles of functions of one value, if what they take beside it is constant."""
_OVER_AXES = ("LRN", "LogSoftmax", "Rates", "Softmax")
"""Functions that take more than one value."""


def join_quantised(graph: LayerGraph) -> LayerGraph:
    """Return the graph in which what is computed between integers is one operation of integers.

    Conv, Gemm, MatMul, Add, Mul, Concat, AveragePool and GlobalAveragePool between DequantizeLinear and QuantizeLinear become
    QLinearConv, QGemm, QLinearMatMul, QLinearAdd, QLinearMul, QLinearConcat, QLinearAveragePool and QLinearGlobalAveragePool of
    the quantiser's name, with a ReLU or Clip that the integers' range makes needless; Sub, Div, Max, Min and Sum of two
    activations a QuantisedPair. Activations, arithmetic with constants by channel, and a change of scale become tables of levels
    (Lookup). Greatest values, shapes, slices and pads move before the DequantizeLinear. What has no such counterpart stays.
    """
    joiner = _Joiner(graph=graph, constants=dict(graph.constants))
    for node in graph.nodes:
        joiner.take(node)
    nodes = joiner.select_needed()
    return graph.with_nodes(nodes, joiner.constants, outputs=[joiner.names.get(name, name) for name in graph.outputs])


def has_integer_form(node: Node) -> bool:
    """Say whether a node of floats is one of integers between DequantizeLinear and QuantizeLinear."""
    is_function = node.operation.role in _SPREADING and node.kind not in _OVER_AXES
    return is_function or _is_move(node) or node.kind in _JOINS or node.operation.role == "Quantise"


def _is_move(node: Node) -> bool:
    """Say whether a node gives values of its input, and computes none: of resizes, those to the nearest place."""
    return node.kind in _MOVES and getattr(node.operation, "mode", "") not in ("linear", "cubic")


@dataclass(kw_only=True)
class _Joiner:
    graph: LayerGraph
    constants: dict[str, Array]
    nodes: dict[str, Node] = field(default_factory=dict)
    integers: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """Of a float value: the integers that it stands for, their scale and their zero."""
    names: dict[str, str] = field(default_factory=dict)
    """Quantisers that change nothing, and the integers that they give back."""

    def take(self, node: Node) -> None:
        """Add a node, and what it is in integers, to those that there are."""
        node = replace(node, inputs=tuple(self.names.get(name, name) for name in node.inputs))
        self.nodes[node.name] = node
        if node.kind == "DequantizeLinear":
            self.integers[node.name] = (node.inputs[0], node.inputs[1], self._zero_of(node))
        elif _is_move(node) and node.inputs[0] in self.integers and self._keeps_integers(node):
            data, scale, zero = self.integers[node.inputs[0]]
            moved = replace(node, name=f"{node.name}.integers", inputs=(data, *node.inputs[1:]), tensor="")
            if isinstance(node.operation, Pad):
                moved = replace(moved, operation=self.pad_integers(node.operation, scale, zero))
            self.nodes[moved.name] = moved
            self.integers[node.name] = (moved.name, scale, zero)
            if node.name in self.graph.outputs:
                del self.nodes[node.name]  # it comes behind the integers
                self.nodes[node.name] = replace(node, operation=DequantizeLinear(), inputs=self.integers[node.name])
        elif node.kind == "QuantizeLinear" and not self.graph.types[node.name].is_constant:
            self._join(node)

    def select_needed(self) -> list[Node]:
        """Return the nodes on which the outputs depend, in order."""
        needed = {self.names.get(name, name) for name in self.graph.outputs}
        for node in reversed(self.nodes.values()):
            needed |= set(node.inputs) if node.name in needed else set()
        return [node for node in self.nodes.values() if node.name in needed]

    def _join(self, node: Node) -> None:
        """Take a quantiser for the last part of the operation before it."""
        given = self.integers.get(node.inputs[0])
        if given and self._are_equal(given[1], node.inputs[1]) and self._are_equal(given[2], self._zero_of(node)):
            self.names[node.name] = given[0]
            if given[0] not in self.graph.types:  # a move of integers, which is what the quantiser gives
                self.nodes[given[0]] = replace(self.nodes[given[0]], tensor=node.tensor)
            return
        if self._tabulate(node):
            return
        before = self._skip_rectifiers(node)
        join = _JOINS.get(before.kind) if before is not None else None
        made = join(self, before, (node.inputs[1], self._zero_of(node))) if join is not None and before is not None else None
        if made is not None and before is not None:
            operation, inputs = made
            joined = Node(
                name=node.name, operation=operation, inputs=inputs, source=before.source, tensor=node.tensor, replaces=(before,)
            )
            del self.nodes[node.name]  # it comes behind the parts that were made for it
            self.nodes[node.name] = joined

    def _tabulate(self, node: Node) -> bool:
        """Take functions of one quantised value, or none but another scale, for tables of what each level becomes."""
        steps, name = [node], node.inputs[0]
        while name not in self.integers:
            before = self.nodes.get(name)
            taken = self._find_argument(before) if before is not None else None
            if before is None or taken is None:
                return False
            steps, name = [before, *steps], taken
        data, scale, zero = self.integers[name]
        kinds = [self.constants[one].dtype for one in (zero, self._zero_of(node)) if one in self.constants]
        if kinds != [np.uint8, np.uint8] or any(self.constants[one].size != 1 for one in (scale, zero, node.inputs[1])):
            return False
        table = self._run_levels(steps, name)
        if table is None:
            return False
        self.constants[f"{node.name}.table"] = table
        inputs = (data, f"{node.name}.table", node.inputs[1], self._zero_of(node))
        self.nodes[node.name] = replace(node, operation=Lookup(), inputs=inputs, replaces=tuple(steps))
        return True

    def _find_argument(self, node: Node) -> str | None:
        """Return the one input of a function of one value, whose others are constants; None where it is none."""
        is_settled = node.kind not in _JOINS
        moving = [
            name for name in node.inputs if name not in self.constants and not (is_settled and self.graph.types[name].is_constant)
        ]
        is_function = node.operation.role in _SPREADING and node.kind not in _OVER_AXES
        return moving[0] if is_function and len(moving) == 1 else None

    def _run_levels(self, steps: list[Node], name: str) -> Array | None:
        """Return what 256 levels become, ``(256,)`` or ``(channels, 256)``; None where places of a channel differ."""
        _, scale, zero = self.integers[name]
        shape = self.graph.types[name].shape
        levels = np.arange(256) - int(self.constants[zero].item())
        values: Array = (levels.astype(np.float32) * np.float32(self.constants[scale].item())).reshape(-1, *(1,) * len(shape))
        if any(step.operation.role == "Norm" for step in steps):
            values = np.broadcast_to(values, (256, *shape[:1], *values.shape[2:]))
        for step in steps:
            with np.errstate(all="ignore"):
                values = step.operation.run([self._get_constant(one, values) for one in step.inputs])
        if values[0].size != 1 and values.shape[1:] != (*shape[:1], *(1 for _ in shape[1:])):
            return None
        table = values.reshape(256, -1).T
        return np.ascontiguousarray(table[0] if len(table) == 1 else table)

    def _get_constant(self, name: str, otherwise: Array) -> Array:
        """Return a constant, or what a quantised one stands for."""
        if name in self.constants or not (name in self.graph.types and self.graph.types[name].is_constant):
            return self.constants.get(name, otherwise)
        node = self.nodes[name]
        return node.operation.run([self._get_constant(one, otherwise) for one in node.inputs])

    def _keeps_integers(self, node: Node) -> bool:
        """Say whether a move of floats is one of integers: not a pad by a value between two levels."""
        if not isinstance(node.operation, Pad) or node.operation.mode != "constant":
            return True
        _, scale, zero = self.integers[node.inputs[0]]
        if any(name not in self.constants or self.constants[name].size != 1 for name in (scale, zero)):
            return False
        level = self.pad_integers(node.operation, scale, zero).value - float(self.constants[zero].item())
        return bool(np.float32(level) * np.float32(self.constants[scale].item()) == np.float32(node.operation.value))

    def _skip_rectifiers(self, node: Node) -> Node | None:
        """Return the node before a quantiser and the ReLUs and Clips before it that its range makes needless."""
        before = self.nodes.get(node.inputs[0])
        while before is not None and before.kind in ("Relu", "Clip") and self._is_needless(before.operation, node):
            before = self.nodes.get(before.inputs[0])
        return before

    def _is_needless(self, operation: Operation, node: Node) -> bool:
        scale, zero = self.constants.get(node.inputs[1]), self.constants.get(self._zero_of(node))
        if scale is None or zero is None or scale.size != 1:
            return False
        limits = np.iinfo(zero.dtype)
        least, most = ((int(side) - int(zero.item())) * float(scale.item()) for side in (limits.min, limits.max))
        bottom, top = getattr(operation, "min", 0.0), getattr(operation, "max", np.inf)
        return bool(least >= bottom and most <= top * (1 + 1e-6))

    def quantised(self, node: Node, place: int) -> tuple[str, str, str] | None:
        """Return the integers, scale and zero that an input of a node stands for; those of weights are constants."""
        found = self.integers.get(node.inputs[place]) if place < len(node.inputs) else None
        return None if found is None else (self._settle(found[0]), *found[1:])

    def bias(self, node: Node, scales: tuple[str, str]) -> tuple[str, ...] | None:
        """Return the name of a bias of integers in steps of both scales; () without one, None where it is none."""
        if len(node.inputs) < 3:
            return ()
        found = self.quantised(node, 2)
        if found is None or found[0] not in self.constants:
            return None
        known = [np.asarray(self.constants[name], np.float64) for name in (*scales, found[1])]
        return (found[0],) if np.allclose(known[0] * known[1], known[2], rtol=1e-4, atol=0) else None

    def pad_integers(self, pad: Pad, scale: str, zero: str) -> Pad:
        """Return a pad of integers by what its value becomes in their steps."""
        value = QuantizeLinear().run([np.asarray(pad.value, np.float32), self.constants[scale], self.constants[zero]])
        return replace(pad, value=float(value.item()))

    def requantise(self, node: Node, steps: tuple[str, str]) -> str:
        """Return the integers of a node's input in other steps."""
        quantiser = Node(name=f"{node.name}.quantised", operation=QuantizeLinear(), inputs=(node.inputs[0], *steps))
        self.nodes[quantiser.name] = quantiser
        self._join(quantiser)
        return self.names.get(quantiser.name, quantiser.name)

    def spread_bias(self, like: str, bias: tuple[str, ...], n: int) -> str:
        """Return the name of a bias of one number an output; of zeros where there is none."""
        values = self.constants[bias[0]] if bias else np.zeros(n, np.int32)
        if bias and values.shape == (n,):
            return bias[0]
        name = f"{like}.bias"
        self.constants[name] = np.broadcast_to(values.reshape(-1), (n,))
        return name

    def _settle(self, name: str) -> str:
        """Compute weights that are quantised from floats, and return the name of the constant that they are."""
        node = self.nodes.get(name)
        if node is None or not all(one in self.constants for one in node.inputs):
            return name
        self.constants[f"{name}.weights"] = node.operation.run([self.constants[one] for one in node.inputs])
        return f"{name}.weights"

    def _zero_of(self, node: Node) -> str:
        if len(node.inputs) > 2:
            return node.inputs[2]
        kind = np.dtype(np.uint8 if node.kind == "QuantizeLinear" else self.graph.types[node.inputs[0]].dtype)
        size = self.graph.types[node.inputs[1]].shape
        name = f"{node.name}.zero"
        self.constants[name] = np.zeros(size, kind)
        return name

    def _are_equal(self, one: str, other: str) -> bool:
        return one == other or (one in self.constants and other in self.constants and _same(self.constants, one, other))


def _same(constants: Mapping[str, Array], one: str, other: str) -> bool:
    left, right = constants[one], constants[other]
    return left.dtype == right.dtype and np.array_equal(left.reshape(-1), right.reshape(-1))


_Made = tuple[Operation, tuple[str, ...]] | None


def _join_conv(joiner: _Joiner, node: Node, steps: tuple[str, str]) -> _Made:
    data, weight = joiner.quantised(node, 0), joiner.quantised(node, 1)
    bias = None if data is None or weight is None else joiner.bias(node, (data[1], weight[1]))
    if data is None or weight is None or bias is None:
        return None
    names = ("kernel_shape", "strides", "dilations", "pads", "group")
    values: dict[str, Any] = {name: getattr(node.operation, name) for name in names}
    return QLinearConv(**values), (*data, *weight, *steps, *bias)


def _join_gemm(joiner: _Joiner, node: Node, steps: tuple[str, str]) -> _Made:
    data, weight = joiner.quantised(node, 0), joiner.quantised(node, 1)
    bias = None if data is None or weight is None else joiner.bias(node, (data[1], weight[1]))
    turned = int(getattr(node.operation, "trans_b", 0))
    scales = [getattr(node.operation, name) for name in ("alpha", "beta")]
    if data is None or weight is None or bias is None or scales != [1.0, 1.0]:
        return None
    n_out = joiner.constants[weight[0]].shape[0 if turned else 1]
    return QGemm(trans_b=turned), (*data, *weight, joiner.spread_bias(node.name, bias, n_out), *steps)


def _join_product(joiner: _Joiner, node: Node, steps: tuple[str, str]) -> _Made:
    data, weight = joiner.quantised(node, 0), joiner.quantised(node, 1)
    return None if data is None or weight is None else (QLinearMatMul(), (*data, *weight, *steps))


def _join_pair(joiner: _Joiner, node: Node, steps: tuple[str, str]) -> _Made:
    one, other = joiner.quantised(node, 0), joiner.quantised(node, 1)
    if one is None or other is None:
        return None
    pairs: dict[str, Operation] = {"Add": QLinearAdd(), "Mul": QLinearMul()}
    return pairs.get(node.kind) or QuantisedPair(function=node.kind), (*one, *other, *steps)  # type: ignore[arg-type]


def _join_concat(joiner: _Joiner, node: Node, steps: tuple[str, str]) -> _Made:
    parts = [joiner.quantised(node, place) for place in range(len(node.inputs))]
    axis = int(getattr(node.operation, "axis"))  # noqa: B009
    known = [part for part in parts if part is not None]
    return (QLinearConcat(axis=axis), (*steps, *chain(*known))) if len(known) == len(parts) else None


def _join_pad(joiner: _Joiner, node: Node, steps: tuple[str, str]) -> _Made:
    """Bring what is padded to the result's steps, in which the pad's value is rounded."""
    if not isinstance(node.operation, Pad) or joiner.constants[steps[0]].size != 1:
        return None
    return joiner.pad_integers(node.operation, *steps), (joiner.requantise(node, steps),)


def _join_mean(joiner: _Joiner, node: Node, steps: tuple[str, str]) -> _Made:
    data = joiner.quantised(node, 0)
    return None if data is None else (QLinearGlobalAveragePool(), (*data, *steps))


def _join_average(joiner: _Joiner, node: Node, steps: tuple[str, str]) -> _Made:
    data, pool = joiner.quantised(node, 0), node.operation
    if data is None or not isinstance(pool, AveragePool) or set(pool.dilations) - {1}:
        return None
    names = ("kernel_shape", "strides", "pads", "ceil_mode", "count_include_pad")
    return QLinearAveragePool(**{name: getattr(pool, name) for name in names}), (*data, *steps)


_JOINS: Mapping[str, Callable[[_Joiner, Node, tuple[str, str]], _Made]] = {
    **dict.fromkeys(("Add", "Div", "Max", "Min", "Mul", "Sub", "Sum"), _join_pair),
    "AveragePool": _join_average,
    "Concat": _join_concat,
    "Conv": _join_conv,
    "Gemm": _join_gemm,
    "GlobalAveragePool": _join_mean,
    "MatMul": _join_product,
    "Pad": _join_pad,
}

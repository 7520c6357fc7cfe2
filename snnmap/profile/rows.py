"""Which nodes are one layer, and what it holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from math import prod

from snnmap.graph import LayerGraph, Node, fuse_steps, remove_identity, unfuse_steps
from snnmap.graph.operation import Role, Shape
from snnmap.graph.operations.fused import Fused
from snnmap.graph.operations.opaque import Opaque
from snnmap.graph.passes.fuse_steps import FOLLOWING
from snnmap.profile.count import BIAS_PLACES, WEIGHT_PLACES

__all__ = ["Parameters", "Row", "Rows", "list_rows"]

_STARTING: tuple[Role, ...] = ("Conv", "MatMul", *FOLLOWING, "Pool", "Shape", "Squeeze", "Unsqueeze", "Quantise", "Opaque")
_VIEWS = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
_FOLDING = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_SHIFTING = ("Add", "Sub", "BatchNormalization")
_BY_CHANNEL = ("Add", "Sub", "Mul", "Div", "Max", "Min")
"""Operations with constants that count as parameters, a scalar apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Values of the constants of a layer by name, each once.

    Attributes:
        weights: that values are multiplied by and summed up.
        biases: that are added, of a channel or a place.
        norms: of normalisations, and others that values are multiplied by.
        folded: how many parameters there are when normalisations are folded into weights and biases where that can be.
    """

    weights: Mapping[str, int]
    biases: Mapping[str, int]
    norms: Mapping[str, int]
    folded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Nodes that are computed in one pass.

    Attributes:
        steps: nodes, each of which takes what the one before gives.
        inputs: names of the activations that they read from elsewhere, each once.
        taken: what the first node calls the first activation that it takes.
    """

    steps: tuple[Node, ...]
    inputs: tuple[str, ...]
    taken: str

    @property
    def main(self) -> Node:
        """The first node, which all others follow."""
        return self.steps[0]

    @property
    def name(self) -> str:
        """Name of what they give."""
        return self.steps[-1].name


@dataclass(frozen=True)
class Rows:
    """All layers of a graph.

    Attributes:
        graph: without nodes that change nothing.
        rows: in order.
        origins: what a value lies in that is another's in other shape, or quantised, by name.
    """

    graph: LayerGraph
    rows: tuple[Row, ...]
    origins: Mapping[str, str]

    @cached_property
    def producers(self) -> dict[str, Node]:
        """The node of every value, by name."""
        return self.graph.producers()

    def shape_of(self, name: str) -> Shape:
        """Return the shape of a value's sample."""
        return self.graph.types[name].shape

    def count_elements(self, name: str) -> int:
        """Count the values of a sample."""
        return prod(self.shape_of(name))

    def list_parameters(self, row: Row) -> Parameters:
        """Return what a row holds."""
        kinds: tuple[dict[str, int], dict[str, int], dict[str, int]] = ({}, {}, {})
        n_folded = self._count_folded(row)
        for step in row.steps:
            for place, name, size in self._list_constants(step):
                kinds[_sort_constant(step, place)][name] = size
        weights, biases, norms = kinds
        rest = sum(size for step in row.steps[n_folded:] for _, _, size in self._list_constants(step))
        has_bias = any(step.kind in _SHIFTING or len(step.inputs) > 2 for step in row.steps[:n_folded])
        channels = self.shape_of(row.main.name)[_channel_axis(row.main)] if has_bias else 0
        folded = sum(weights.values()) + channels + rest if n_folded else sum(map(sum, (kind.values() for kind in kinds)))
        return Parameters(weights=weights, biases=biases, norms=norms, folded=folded)

    def _count_folded(self, row: Row) -> int:
        """Count the first steps of a row that are one product with weights and one bias a channel when they are folded."""
        if row.main.kind not in _FOLDING:
            return 0
        axis = _channel_axis(row.main)
        return 1 + len(list(takewhile(lambda step: self._is_affine(step, axis), row.steps[1:])))

    def _list_constants(self, node: Node) -> Iterator[tuple[int, str, int]]:
        """Yield place, name and size of the constants that are parameters."""
        for place, name in enumerate(node.inputs):
            kind = self.graph.types[name]
            is_known = place in (*WEIGHT_PLACES.get(node.kind, ()), BIAS_PLACES.get(node.kind)) or node.kind == "PRelu"
            is_learned = node.operation.role in ("Norm", "Opaque") or (node.kind in _BY_CHANNEL and prod(kind.shape) > 1)
            if kind.is_constant and (is_known or is_learned):
                yield place, self._find_constant(name), prod(kind.shape)

    def _find_constant(self, name: str) -> str:
        """Return the constant that a value is computed from, as quantised weights are."""
        while name in self.producers:
            name = self.producers[name].inputs[0]
        return name

    def _is_affine(self, step: Node, axis: int) -> bool:
        """Say whether a step scales and shifts each channel, a place of an axis of the sample, by constants."""
        rank = len(self.shape_of(step.name))
        if step.kind == "BatchNormalization":
            return axis % rank == 0
        shapes = [self.shape_of(name) for name in step.inputs if self.graph.types[name].is_constant]
        if step.kind not in ("Add", "Sub", "Mul", "Div") or len(shapes) != 1:
            return False
        sides = (1,) * (rank - len(shapes[0])) + shapes[0]
        return all(side == 1 for place, side in enumerate(sides) if place != axis % rank)


def list_rows(graph: LayerGraph) -> Rows:
    """Find the layers of a graph: each operation with the sums, normalisations and activations that follow it alone."""
    plain = remove_identity(unfuse_steps(graph))
    origins: dict[str, str] = {}
    rows = []
    for node in fuse_steps(plain, (*FOLLOWING, "Quantise"), starting=_STARTING).nodes:
        steps = node.operation.steps if isinstance(node.operation, Fused) else (node,)
        views = steps if all(map(_is_view, steps)) else tuple(takewhile(lambda step: step.kind in _VIEWS, steps))
        for step in views:
            origins[step.name] = origins.get(step.inputs[0], step.inputs[0])
        steps = steps[len(views) :]
        if not steps or plain.types[node.name].is_constant:
            continue
        inside = {step.name for step in steps}
        given = [name for step in steps for name in step.inputs if not plain.types[name].is_constant and name not in inside]
        inputs = tuple(dict.fromkeys(origins.get(name, name) for name in given))
        rows.append(Row(steps=steps, inputs=inputs, taken=given[0]))
    return Rows(graph=plain, rows=tuple(rows), origins=origins)


def _is_view(node: Node) -> bool:
    """Say whether a node gives the values that it takes, in their order."""
    return node.kind in _VIEWS or node.operation.role == "Quantise"


def _sort_constant(node: Node, place: int) -> int:
    """Return 0 for a weight, 1 for a bias, 2 for another parameter."""
    if isinstance(node.operation, Opaque):
        return 2 if "norm" in node.operation.call.lower() else 0
    if place in WEIGHT_PLACES.get(node.kind, ()):
        return 0
    return 1 if place == BIAS_PLACES.get(node.kind) or node.kind in ("Add", "Sub") else 2


def _channel_axis(node: Node) -> int:
    """Return the axis of the channels in a sample of what a product with weights gives."""
    return -1 if node.operation.role == "MatMul" else 0

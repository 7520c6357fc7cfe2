"""From a layer graph to layers of integers; what cannot be computed is told of every node at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from snnmap.core.diagnostics import Location
from snnmap.core.rules import Finding
from snnmap.crossbar.lower.blocks import make_blocks
from snnmap.crossbar.lower.layers import (
    AddLayer,
    Layer,
    LayerProgram,
    MatrixLayer,
    MeanLayer,
    PoolLayer,
    TableLayer,
    Tensor,
    WindowGeometry,
)
from snnmap.crossbar.record import Architecture
from snnmap.graph import LayerGraph, Node, join_quantised

__all__ = ["Lowered", "Refused", "lower_graph"]

_QUANTISE = (
    "quantise it: snnmap crossbar build --calibration, or onnxruntime.quantization.quantize_static with"
    " activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8"
)
RefusalKind = Literal["operation", "quantisation", "weights", "activations"]
_SHAPES = ("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a node cannot be computed: what the finding is about, and the finding."""

    kind: RefusalKind
    finding: Finding


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """What a graph is on an accelerator, as far as it can be.

    Attributes:
        program: its layers; None where some node has none.
        refused: what cannot be computed.
    """

    program: LayerProgram | None
    refused: tuple[Refused, ...]


class _Refusal(Exception):  # noqa: N818
    """What is wrong with a node, and what to do."""

    def __init__(self, what: str, fix: str, measured: str = "", limit: str = "", *, kind: RefusalKind = "operation") -> None:
        super().__init__(what)
        self.what, self.fix, self.measured, self.limit, self.kind = what, fix, measured, limit, kind


def lower_graph(graph: LayerGraph, architecture: Architecture) -> Lowered:
    """Read a quantised layer graph as layers of an accelerator.

    Args:
        graph: with QuantizeLinear and DequantizeLinear around its operations, or of QLinear operations.
        architecture: whose elements say how many groups a block holds.
    """
    joined = join_quantised(graph)
    lowering = _Lowering(graph=joined, architecture=architecture)
    for node in joined.nodes:
        lowering.take(node)
    lowering.require_outputs()
    if lowering.refused:
        return Lowered(program=None, refused=tuple(lowering.refused))
    program = LayerProgram(
        name=graph.name,
        tensors=tuple(lowering.tensors),
        layers=tuple(lowering.layers),
        inputs=tuple(lowering.inputs),
        outputs=tuple(lowering.positions[name] for name in joined.outputs),
        graph=joined,
    )
    return Lowered(program=program, refused=())


@dataclass(kw_only=True)
class _Lowering:
    graph: LayerGraph
    architecture: Architecture
    tensors: list[Tensor] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    """Of the tensor that a value of the graph is."""
    unknown: set[str] = field(default_factory=set)
    refused: list[Refused] = field(default_factory=list)

    def take(self, node: Node) -> None:
        """Lower a node, or note why it cannot be; weights that are computed are told at the node that takes them."""
        if self.graph.types[node.name].is_constant:
            return
        if self.unknown & set(node.inputs):
            self.unknown.add(node.name)
            return
        try:
            _LOWERINGS.get(node.kind, _refuse)(self, node)
        except _Refusal as refusal:
            self.unknown.add(node.name)
            self.refused.append(Refused(kind=refusal.kind, finding=self._find(node, refusal)))

    def require_outputs(self) -> None:
        """Note outputs that are no tensors, of nodes that were lowered."""
        for name in self.graph.outputs:
            if name not in self.positions and name not in self.unknown:
                finding = Finding(location=Location(port=name), message="the output is not quantised", fix=_QUANTISE)
                self.refused.append(Refused(kind="quantisation", finding=finding))

    def constant(self, node: Node, place: int) -> Any:
        """Return an input that is a constant."""
        name = node.inputs[place]
        if name not in self.graph.constants:
            raise _Refusal(f"its input '{name}' depends on the model's input", "export it with constants folded")
        return self.graph.constants[name]

    def single(self, node: Node, place: int, what: str) -> Any:
        """Return a constant that is one number."""
        found = self.constant(node, place)
        if found.size != 1:
            raise _Refusal(
                f"its {what} differs from channel to channel",
                "quantise activations by layer",
                str(found.size),
                "one number",
                kind="activations",
            )
        return found.reshape(())[()]

    def tensor(self, node: Node, place: int) -> int:
        """Return the position of an input that is a tensor, and check that it is quantised as the node takes it."""
        name = node.inputs[place]
        if name not in self.positions:
            raise _Refusal(f"its input '{name}' is not a quantised activation", _QUANTISE, kind="quantisation")
        return self.positions[name]

    def add_tensor(self, node: Node, scale: Any, zero: Any, *, storage: int | None = None) -> int:
        """Add the tensor that a node gives, and return its position."""
        if np.asarray(zero).dtype != np.uint8:
            fix = "quantise activations as unsigned: activation_type=QuantType.QUInt8"
            raise _Refusal("its activations are no uint8", fix, str(np.asarray(zero).dtype), "uint8", kind="activations")
        shape = self.graph.types[node.name].shape
        if len(shape) > 3:
            raise _Refusal("its values have more than two places", "use layers of one or two dimensions", str(shape), "3 sides")
        channels, height, width = shape if len(shape) == 3 else (shape[0], 1, *shape[1:]) if len(shape) == 2 else (*shape, 1, 1)
        position = len(self.tensors)
        self.tensors.append(
            Tensor(
                name=node.name, channels=channels, height=height, width=width, scale=float(scale), zero=int(zero),
                storage=position if storage is None else storage,
            )
        )  # fmt: skip
        self.positions[node.name] = position
        return position

    def _find(self, node: Node, refusal: _Refusal) -> Finding:
        module = node.source if node.source != node.name else ""
        return Finding(
            location=Location(population=node.name, source=module),
            message=f"{node.kind}: {refusal.what}",
            measured=refusal.measured,
            limit=refusal.limit,
            fix=refusal.fix,
        )


def _refuse(lowering: _Lowering, node: Node) -> None:
    is_float = lowering.graph.types[node.name].dtype == "float32"
    if is_float and _has_integers(node):
        raise _Refusal("the model is not quantised here", _QUANTISE, kind="quantisation")
    raise _Refusal("no core computes this operation", "replace it, or cut the model before it and compute the rest on the host")


def _has_integers(node: Node) -> bool:
    return node.kind in ("Conv", "Gemm", "MatMul", "Add", "GlobalAveragePool", "MaxPool", "Relu", "Clip", "BatchNormalization")


def _lower_quantise(lowering: _Lowering, node: Node) -> None:
    """Take the quantiser of an input, which the host computes."""
    if node.inputs[0] not in lowering.graph.inputs:
        raise _Refusal("it quantises what no core computes", "replace the operation before it, or quantise its input")
    zero = lowering.single(node, 2, "zero point") if len(node.inputs) > 2 else np.uint8(0)
    lowering.inputs.append(lowering.add_tensor(node, lowering.single(node, 1, "scale"), zero))


def _lower_dequantise(lowering: _Lowering, node: Node) -> None:
    """Let an output that the host scales stand for its integers; what takes floats is told at the node that does."""
    position = lowering.tensor(node, 0)
    if node.name in lowering.graph.outputs:
        lowering.positions[node.name] = position


def _lower_shape(lowering: _Lowering, node: Node) -> None:
    """Give a tensor another shape, in the same bytes."""
    before = lowering.tensors[lowering.tensor(node, 0)]
    lowering.add_tensor(node, before.scale, np.uint8(before.zero), storage=before.storage)


def _lower_conv(lowering: _Lowering, node: Node) -> None:
    source = lowering.tensors[lowering.tensor(node, 0)]
    operation: Any = node.operation
    weight = _read_weights(lowering, node, axis=0)
    groups = operation.group
    matrix = weight.reshape(groups, len(weight) // groups, -1).transpose(0, 2, 1)
    windows = _read_windows(operation, lowering.graph.types[node.name].shape[1:])
    bias = lowering.constant(node, 8) if len(node.inputs) > 8 else np.zeros(len(weight), np.int64)
    _add_matrix(lowering, node, source, windows, matrix, bias, 6)


def _lower_gemm(lowering: _Lowering, node: Node) -> None:
    operation: Any = node.operation
    weight = _read_weights(lowering, node, axis=0 if operation.trans_b else 1)
    matrix = weight.T if operation.trans_b else weight
    _add_matrix(lowering, node, _flat(lowering, node), WindowGeometry(), matrix[np.newaxis], lowering.constant(node, 6), 7)


def _lower_product(lowering: _Lowering, node: Node) -> None:
    weight = _read_weights(lowering, node, axis=1)
    bias = np.zeros(weight.shape[1], np.int64)
    _add_matrix(lowering, node, _flat(lowering, node), WindowGeometry(), weight[np.newaxis], bias, 6)


def _flat(lowering: _Lowering, node: Node) -> Tensor:
    source = lowering.tensors[lowering.tensor(node, 0)]
    if source.n_places != 1:
        raise _Refusal(
            "it multiplies several vectors of a sample", "flatten before it, or use a convolution", str(source.n_places), "1"
        )
    return source


def _read_weights(lowering: _Lowering, node: Node, *, axis: int) -> Any:
    """Return weights as signed integers without a zero point."""
    weight, zero = lowering.constant(node, 3), lowering.constant(node, 5)
    if weight.ndim != 2 and node.kind != "QLinearConv":
        raise _Refusal("its weights are no matrix", "use a linear layer or a convolution", str(weight.shape), "(n, m)")
    shape = [-1 if place == axis and zero.size > 1 else 1 for place in range(weight.ndim)]
    is_plain = weight.dtype == np.int8 and not zero.any()
    values = weight if is_plain else weight.astype(np.int64) - zero.astype(np.int64).reshape(shape)
    bits = lowering.architecture.weights.bits
    magnitude = 2 ** (bits - 1)
    least, most = int(values.min(initial=0)), int(values.max(initial=0))
    if least < -magnitude or most > magnitude - 1:
        raise _Refusal(
            "its weights are beyond the cells of a weight",
            f"quantise weights to {bits} bits, symmetric, or choose an architecture with wider weights",
            f"{least} to {most}",
            f"{-magnitude} to {magnitude - 1}",
            kind="weights",
        )
    return np.asarray(values, np.int8)


def _read_windows(operation: Any, counts: tuple[int, ...]) -> WindowGeometry:
    rank = len(operation.kernel_shape)
    if rank > 2:
        raise _Refusal("its windows have more than two sides", "use layers of one or two dimensions", str(rank), "2")
    lead = (1,) * (2 - rank)
    ones = (1,) * rank
    return WindowGeometry(
        kernel=_pair(lead + tuple(operation.kernel_shape)),
        strides=_pair(lead + (operation.strides or ones)),
        dilations=_pair(lead + (operation.dilations or ones)),
        pads=_pair((0,) * (2 - rank) + (operation.pads[:rank] or (0,) * rank)),
        counts=_pair(lead + counts),
    )


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    first, second = values
    return int(first), int(second)


def _add_matrix(
    lowering: _Lowering, node: Node, source: Tensor, windows: WindowGeometry, matrix: Any, bias: Any, steps: int
) -> None:
    """Add a layer of weights ``(groups, rows, filters)``, whose scale and zero of the result are inputs ``steps`` and after."""
    scale, zero = lowering.single(node, steps, "scale"), lowering.single(node, steps + 1, "zero point")
    target = lowering.add_tensor(node, scale, zero)
    factor = np.float32(source.scale) * lowering.constant(node, 4).astype(np.float32).reshape(-1) / np.float32(scale)
    n_out = matrix.shape[0] * matrix.shape[2]
    shifted = np.asarray(bias, np.int64).reshape(-1) - source.zero * matrix.sum(axis=1, dtype=np.int32).astype(np.int64).reshape(
        -1
    )
    blocks, holds = make_blocks(matrix, lowering.architecture)
    layer = MatrixLayer(
        name=node.name,
        source=lowering.positions[node.inputs[0]],
        target=target,
        windows=windows,
        weights=blocks,
        holds=holds,
        bias=shifted,
        factor=np.broadcast_to(factor, n_out).astype(np.float32),
        n_groups=matrix.shape[0],
        module=node.source,
    )
    lowering.layers.append(layer)


def _lower_pool(lowering: _Lowering, node: Node) -> None:
    source = lowering.tensor(node, 0)
    before = lowering.tensors[source]
    windows = _read_windows(node.operation, lowering.graph.types[node.name].shape[1:])
    target = lowering.add_tensor(node, before.scale, np.uint8(before.zero))
    lowering.layers.append(PoolLayer(name=node.name, source=source, target=target, windows=windows, module=node.source))


def _lower_mean(lowering: _Lowering, node: Node) -> None:
    source = lowering.tensor(node, 0)
    before = lowering.tensors[source]
    scale, zero = lowering.single(node, 3, "scale"), lowering.single(node, 4, "zero point")
    factor = np.float32(before.scale) / (np.float32(scale) * np.float32(before.n_places))
    target = lowering.add_tensor(node, scale, zero)
    lowering.layers.append(MeanLayer(name=node.name, source=source, target=target, factor=factor, module=node.source))


def _lower_add(lowering: _Lowering, node: Node) -> None:
    one, other = lowering.tensor(node, 0), lowering.tensor(node, 3)
    first, second = lowering.tensors[one], lowering.tensors[other]
    if first.size != second.size:
        raise _Refusal("its operands are spread over each other", "add values of one shape", str(second.size), str(first.size))
    scale, zero = np.float32(lowering.single(node, 6, "scale")), lowering.single(node, 7, "zero point")
    ratios = np.float32(first.scale) / scale, np.float32(second.scale) / scale
    shift = np.float32(zero) - (ratios[0] * np.float32(first.zero) + ratios[1] * np.float32(second.zero))
    target = lowering.add_tensor(node, scale, zero)
    layer = AddLayer(name=node.name, source=one, other=other, target=target, factors=ratios, shift=shift, module=node.source)
    lowering.layers.append(layer)


def _lower_lookup(lowering: _Lowering, node: Node) -> None:
    source, table = lowering.tensor(node, 0), lowering.constant(node, 1)
    target = lowering.add_tensor(node, lowering.single(node, 2, "scale"), lowering.single(node, 3, "zero point"))
    layer = TableLayer(name=node.name, sources=(source,), target=target, tables=(table.tobytes(),), module=node.source)
    lowering.layers.append(layer)


def _lower_concat(lowering: _Lowering, node: Node) -> None:
    """Copy tensors of one scale behind each other."""
    sources = tuple(lowering.tensor(node, place) for place in range(len(node.inputs)))
    steps = {(lowering.tensors[source].scale, lowering.tensors[source].zero) for source in sources}
    if getattr(node.operation, "axis", 0) != 1 or len(steps) != 1:
        raise _Refusal("it joins values of several scales, or along another axis", "join channels, in a quantised model of QDQ")
    ((scale, zero),) = steps
    target = lowering.add_tensor(node, scale, np.uint8(zero))
    tables = (bytes(range(256)),) * len(sources)
    lowering.layers.append(TableLayer(name=node.name, sources=sources, target=target, tables=tables, module=node.source))


_LOWERINGS: Mapping[str, Callable[[_Lowering, Node], None]] = {
    **dict.fromkeys(_SHAPES, _lower_shape),
    "Concat": _lower_concat,
    "DequantizeLinear": _lower_dequantise,
    "Lookup": _lower_lookup,
    "MaxPool": _lower_pool,
    "QGemm": _lower_gemm,
    "QLinearAdd": _lower_add,
    "QLinearConv": _lower_conv,
    "QLinearGlobalAveragePool": _lower_mean,
    "QLinearMatMul": _lower_product,
    "QuantizeLinear": _lower_quantise,
}

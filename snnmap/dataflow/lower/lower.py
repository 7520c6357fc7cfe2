"""From a layer graph to streams and layers; what has no template is told of every node at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.dataflow.device import Device
from snnmap.dataflow.lower.flow import accumulate_flow, index_places, map_flow, window_flow
from snnmap.dataflow.lower.layers import Flow, Kind, Layer, Loops, Matrix, Stream, StreamGraph
from snnmap.dataflow.lower.matrices import read_conv, read_product
from snnmap.dataflow.lower.refusal import Refusal
from snnmap.graph import LayerGraph, Node, has_integer_form, join_quantised, leave_to_host, shift_signed
from snnmap.graph.operation import Array, Shape
from snnmap.graph.operations.movement import Concat, Pad

__all__ = ["NoTemplateError", "lower_graph"]

_VIEWS = ("Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")
_DENSE = ("QGemm", "QLinearMatMul")
_QUANTISE = (
    "quantise the model first: snnmap.frontends.onnx.quantise_model(path, typical_inputs), or snnmap dataflow build --calibration"
)


class NoTemplateError(NetworkError):
    """Nodes of a graph have no template.

    Attributes:
        refusals: of each node, in order.
    """

    def __init__(self, name: str, refusals: Mapping[str, Refusal]) -> None:
        self.refusals = dict(refusals)
        noun = "node of the model has" if len(self.refusals) == 1 else "nodes of the model have"
        lines = [f"{len(self.refusals)} {noun} no template", *(f"  - {place}: {one}" for place, one in self.refusals.items())]
        super().__init__("\n".join(lines), where=name, fix="change these nodes as told, or cut the model before them")


@dataclass(kw_only=True)
class _Lowering:
    graph: LayerGraph
    device: Device
    inputs: list[Stream] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    streams: dict[str, Stream] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    def take(self, node: Node) -> None:
        """Lower a node, or note what is wrong; what is wrong behind it for that reason is not told."""
        if any(name in self.refused for name in node.inputs):
            self.refused.add(node.name)
            return
        try:
            _LOWERINGS.get(node.kind, _refuse)(self, node)
        except Refusal as refusal:
            self.refused.add(node.name)
            self.refusals[node.where] = refusal

    def find_stream(self, name: str) -> Stream | None:
        """Return the stream that a value lies in; None of a constant or of floats."""
        return self.streams.get(self.views.get(name, name))

    def list_streams(self, node: Node) -> list[tuple[int, Stream]]:
        """Return place and stream of each input of a node that is one."""
        found = [(place, self.find_stream(name)) for place, name in enumerate(node.inputs)]
        return [(place, stream) for place, stream in found if stream is not None]

    def single(self, node: Node) -> Stream:
        """Return the one stream that a node reads."""
        found = self.find_stream(node.inputs[0])
        if found is None:
            raise Refusal("what it reads is not quantised", _QUANTISE)
        return found

    def add(self, node: Node, kind: Kind, loops: Loops, flow: Flow, *, matrix: Matrix | None = None, line_words: int = 1) -> None:
        """Add a layer that gives the node's value."""
        target = self.add_stream(node.name, node)
        sources = tuple(stream.name for _, stream in self.list_streams(node))
        self.layers.append(
            Layer(
                node=node, kind=kind, sources=sources, target=target, loops=loops, flow=flow, matrix=matrix, line_words=line_words
            )
        )

    def add_stream(self, name: str, node: Node) -> Stream:
        """Add the stream of a node's value."""
        kind = self.graph.types[node.name]
        if kind.dtype not in ("uint8", "float32"):
            fix = "quantise activations as unsigned: activation_type=QuantType.QUInt8"
            raise Refusal(f"its values are no uint8 but {kind.dtype}", fix)
        self.streams[name] = Stream.from_shape(name, kind.shape)
        return self.streams[name]


def lower_graph(graph: LayerGraph, device: Device) -> StreamGraph:
    """Read a quantised layer graph as streams and layers.

    Args:
        graph: with QuantizeLinear and DequantizeLinear around its operations, or of QLinear operations; activations of int8
            become uint8, 128 higher. A Softmax that is last is left to the host.
        device: whose widths weights and sums must fit.

    Raises:
        NoTemplateError: nodes have no template; it tells all of them.
    """
    kept, _ = leave_to_host(graph)
    joined = join_quantised(shift_signed(kept))
    lowering = _Lowering(graph=joined, device=device)
    for name, kind in joined.inputs.items():
        if kind.dtype == "uint8":
            lowering.streams[name] = Stream.from_shape(name, kind.shape)
            lowering.inputs.append(lowering.streams[name])
    for node in joined.nodes:
        lowering.take(node)
    outputs = [_find_output(lowering, name) for name in joined.outputs if name not in lowering.refused]
    if lowering.refusals:
        raise NoTemplateError(graph.name, lowering.refusals)
    return StreamGraph(
        name=graph.name,
        inputs=tuple(lowering.inputs),
        layers=tuple(lowering.layers),
        outputs=tuple(outputs),
        graph=joined,
        views=lowering.views,
    )


def _find_output(lowering: _Lowering, name: str) -> str:
    stream = lowering.find_stream(name)
    if stream is None or stream in lowering.inputs:
        lowering.refusals[f"output '{name}'"] = Refusal("no layer computes it as integers", _QUANTISE)
    return "" if stream is None else stream.name


def _refuse(lowering: _Lowering, node: Node) -> None:
    is_float = lowering.graph.types[node.name].dtype == "float32"
    if is_float and has_integer_form(node):
        raise Refusal("it is not quantised", _QUANTISE)
    raise Refusal("no template computes this operation", "replace it, or compute it on the host")


def _lower_quantise(lowering: _Lowering, node: Node) -> None:
    """Take the quantiser of an input, which the host computes; of a weight, nothing."""
    if lowering.graph.types[node.name].is_constant:
        return
    if node.inputs[0] not in lowering.graph.inputs:
        raise Refusal("it quantises what no template computes", "replace the operation before it")
    lowering.inputs.append(lowering.add_stream(node.name, node))


def _lower_dequantise(lowering: _Lowering, node: Node) -> None:
    """Let a value that the host scales stand for its integers."""
    stream = lowering.find_stream(node.inputs[0])
    if stream is not None and node.name in lowering.graph.outputs:
        lowering.views[node.name] = stream.name


def _lower_conv(lowering: _Lowering, node: Node) -> None:
    source, sides = lowering.single(node), lowering.graph.types[node.inputs[0]].shape[1:]
    operation, matrix = read_conv(lowering.graph, node, lowering.device)
    windows = operation.windows()
    _, outputs, channels, kernel = matrix.weights.shape
    kind: Kind = "depthwise" if channels == 1 and source.channels > 1 else "pointwise" if kernel == 1 else "convolution"
    loops = Loops(outputs=outputs, channels=channels, kernel=kernel)
    lowering.add(node, kind, loops, window_flow(windows, sides), matrix=matrix, line_words=windows.count_line(sides))


def _lower_product(lowering: _Lowering, node: Node) -> None:
    source = lowering.single(node)
    matrix = read_product(lowering.graph, node, source, lowering.device)
    loops = Loops(outputs=matrix.weights.shape[1], channels=source.channels)
    lowering.add(node, "dense", loops, accumulate_flow(source.n_words), matrix=matrix)


def _lower_pool(lowering: _Lowering, node: Node) -> None:
    source, sides = lowering.single(node), lowering.graph.types[node.inputs[0]].shape[1:]
    windows = node.operation.windows()  # type: ignore[attr-defined]
    _require_sides(sides)
    loops = Loops(outputs=source.channels, kernel=prod(windows.kernel))
    lowering.add(node, "pool", loops, window_flow(windows, sides), line_words=windows.count_line(sides))


def _lower_reduction(lowering: _Lowering, node: Node) -> None:
    source = lowering.single(node)
    _require_sides(lowering.graph.types[node.inputs[0]].shape[1:])
    lowering.add(node, "reduce", Loops(outputs=source.channels), accumulate_flow(source.n_words))


def _lower_table(lowering: _Lowering, node: Node) -> None:
    source = lowering.single(node)
    taken = np.arange(1, source.n_words + 1)
    lowering.add(node, "table", Loops(outputs=source.channels), Flow(needs=(taken,), frees=(taken,), gives=taken))


def _lower_pair(lowering: _Lowering, node: Node) -> None:
    shape = lowering.graph.types[node.name].shape
    streams = lowering.list_streams(node)
    constants = [node.inputs[place] in lowering.graph.constants for place in (0, 3)]
    if len(streams) + sum(constants) != 2 or not streams:
        raise Refusal("what it reads is not quantised", _QUANTISE)
    places = [
        (np.broadcast_to(index_places(lowering.graph.types[node.inputs[place]].shape), shape), stream.n_words)
        for place, stream in streams
    ]
    target = Stream.from_shape(node.name, shape)
    lowering.add(node, "pair", Loops(outputs=target.channels), map_flow(places, target.n_words))


def _lower_move(lowering: _Lowering, node: Node) -> None:
    """Lower what moves values: a view where the words stay as they are, else a layer that gives them in another order."""
    source, shape = lowering.single(node), lowering.graph.types[node.name].shape
    target = Stream.from_shape(node.name, shape)
    if node.kind in _VIEWS and (_same_words(source, target) or _feeds_products(lowering, node)):
        lowering.views[node.name] = source.name
        return
    operation = replace(node.operation, value=-1.0) if isinstance(node.operation, Pad) else node.operation
    taken = index_places(lowering.graph.types[node.inputs[0]].shape)[np.newaxis].astype(np.float64)
    constants = [lowering.graph.constants[name] for name in node.inputs[1:]]
    moved = operation.run([taken, *constants])[0].astype(np.int64)
    kind: Kind = "resize" if node.kind == "Resize" else "move"
    lowering.add(node, kind, Loops(outputs=target.channels), map_flow([(moved, source.n_words)], target.n_words))


def _lower_concat(lowering: _Lowering, node: Node) -> None:
    operation = Concat(axis=node.operation.axis)  # type: ignore[attr-defined]
    streams = lowering.list_streams(node)
    parts = node.inputs[2::3] if node.kind == "QLinearConcat" else node.inputs
    if len(streams) != len(parts):
        raise Refusal("a part of it is not quantised, or a constant", _QUANTISE)
    shapes = [lowering.graph.types[name].shape for name in parts]
    target = Stream.from_shape(node.name, lowering.graph.types[node.name].shape)
    places: list[tuple[Array, int]] = []
    for number, (_, stream) in enumerate(streams):
        marks = [index_places(shape) if other == number else np.full(shape, -1) for other, shape in enumerate(shapes)]
        places.append((operation.run([mark[np.newaxis] for mark in marks])[0], stream.n_words))
    lowering.add(node, "move", Loops(outputs=target.channels), map_flow(places, target.n_words))


def _same_words(one: Stream, other: Stream) -> bool:
    return (one.channels, one.height, one.width) == (other.channels, other.height, other.width)


def _feeds_products(lowering: _Lowering, node: Node) -> bool:
    """Say whether a vector goes to products alone, whose weights can be put into the order in which its values come."""
    users = [user for user in lowering.graph.nodes if node.name in user.inputs]
    is_vector = len(lowering.graph.types[node.name].shape) == 1
    return is_vector and all(user.kind in (*_DENSE, "DequantizeLinear") for user in users)


def _require_sides(sides: Shape) -> None:
    if len(sides) > 2:
        raise Refusal(f"its input has {len(sides)} sides", "use layers of one or two dimensions")


_LOWERINGS: Mapping[str, Callable[[_Lowering, Node], None]] = {
    **dict.fromkeys(("AveragePool", "MaxPool", "QLinearAveragePool"), _lower_pool),
    **dict.fromkeys(("GlobalMaxPool", "QLinearGlobalAveragePool"), _lower_reduction),
    **dict.fromkeys(("Lookup", "QLinearLeakyRelu", "QLinearSigmoid"), _lower_table),
    **dict.fromkeys(("QLinearAdd", "QLinearMul", "QuantisedPair"), _lower_pair),
    **dict.fromkeys((*_VIEWS, "Gather", "Pad", "Resize", "Slice", "Transpose"), _lower_move),
    **dict.fromkeys(("Concat", "QLinearConcat"), _lower_concat),
    **dict.fromkeys(_DENSE, _lower_product),
    "DequantizeLinear": _lower_dequantise,
    "QLinearConv": _lower_conv,
    "QuantizeLinear": _lower_quantise,
}

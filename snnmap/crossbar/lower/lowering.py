"""What the lowering of each kind of node has in common: tensors, layers, and what is refused."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np

from snnmap.core.diagnostics import Location
from snnmap.core.rules import Finding
from snnmap.crossbar.lower.layers import Layer, LayerProgram, Tensor, WindowGeometry
from snnmap.crossbar.record import Architecture
from snnmap.graph import LayerGraph, Node, has_integer_form

__all__ = ["QUANTISE", "Lowered", "Lowering", "Refusal", "Refused", "read_windows", "require_computed"]

QUANTISE = (
    "quantise it: snnmap crossbar build --calibration, or onnxruntime.quantization.quantize_static with"
    " activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8"
)
_CUT = "replace it, or cut the model before it and compute the rest on the host"
_FIXES = {
    "LRN": "train the model with batch normalisation in its place, or cut the model before it",
    "ReduceMean": "quantise the model of floats with snnmap crossbar build --calibration, which makes it a GlobalAveragePool if"
    " it is over all places",
    "Softmax": "cut the model before it and compute the rest on the host; one that is the last is left out",
}
RefusalKind = Literal["operation", "quantisation", "weights", "activations"]


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
        left: nodes behind the outputs that the host computes.
    """

    program: LayerProgram | None
    refused: tuple[Refused, ...]
    left: tuple[Node, ...] = ()


class Refusal(Exception):  # noqa: N818
    """What is wrong with a node, and what to do."""

    def __init__(self, what: str, fix: str, measured: str = "", limit: str = "", *, kind: RefusalKind = "operation") -> None:
        super().__init__(what)
        self.what, self.fix, self.measured, self.limit, self.kind = what, fix, measured, limit, kind


@dataclass(kw_only=True)
class Lowering:
    """What has been lowered of a graph.

    Attributes:
        graph: of operations on integers.
        architecture: whose elements say how many groups a block holds.
        tensors: of the program.
        layers: likewise.
        inputs: positions of the tensors that the host writes.
        positions: of the tensor that a value of the graph is, by name.
        unknown: values that could not be lowered, and all that need them.
        refused: why.
    """

    graph: LayerGraph
    architecture: Architecture
    tensors: list[Tensor] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    refused: list[Refused] = field(default_factory=list)

    def take(self, node: Node, lower: Callable[["Lowering", Node], None]) -> None:
        """Lower a node, or note why it cannot be; weights that are computed are told at the node that takes them."""
        if self.graph.types[node.name].is_constant:
            return
        try:
            if not self.unknown & set(node.inputs):
                lower(self, node)
                return
            self.unknown.add(node.name)
            require_computed(self, node)
        except Refusal as refusal:
            self.unknown.add(node.name)
            self.refused.append(Refused(kind=refusal.kind, finding=self._find(node, refusal)))

    def require_outputs(self) -> None:
        """Note outputs that are no tensors, of nodes that were lowered, and inputs that are given back."""
        for name in self.graph.outputs:
            if name not in self.positions and name not in self.unknown:
                finding = Finding(location=Location(port=name), message="the output is not quantised", fix=QUANTISE)
                self.refused.append(Refused(kind="quantisation", finding=finding))
            elif self.positions.get(name) in self.inputs:
                finding = Finding(
                    location=Location(port=name), message="the output is an input, which no core computes", fix="leave it out"
                )
                self.refused.append(Refused(kind="operation", finding=finding))

    def constant(self, node: Node, place: int) -> Any:
        """Return an input that is a constant."""
        name = node.inputs[place]
        if name not in self.graph.constants:
            raise Refusal(f"its input '{name}' depends on the model's input", "export it with constants folded")
        return self.graph.constants[name]

    def single(self, node: Node, place: int, what: str) -> Any:
        """Return a constant that is one number."""
        found = self.constant(node, place)
        if found.size != 1:
            raise Refusal(
                f"its {what} differs from channel to channel",
                "quantise activations by layer",
                str(found.size),
                "one number",
                kind="activations",
            )
        return found.reshape(())[()]

    def tensor(self, node: Node, place: int) -> int:
        """Return the position of an input that is a tensor."""
        name = node.inputs[place]
        if name not in self.positions:
            raise Refusal(f"its input '{name}' is not a quantised activation", QUANTISE, kind="quantisation")
        return self.positions[name]

    def scaled_tensor(self, node: Node, place: int) -> int:
        """Return the position of an input behind which its scale and zero point stand, and check that they are the tensor's."""
        position = self.tensor(node, place)
        tensor = self.tensors[position]
        zero = self.single(node, place + 2, "zero point") if place + 2 < len(node.inputs) else np.uint8(0)
        found, known = (np.float32(self.single(node, place + 1, "scale")), int(zero)), (np.float32(tensor.scale), tensor.zero)
        if found != known:
            raise Refusal(
                f"its input '{tensor.name}' is read with another scale or zero point than it is written with",
                "give both the same",
                *(f"scale {scale:g}, zero {level}" for scale, level in (found, known)),
                kind="activations",
            )
        return position

    def add_tensor(self, node: Node, scale: Any, zero: Any, *, storage: int | None = None) -> int:
        """Add the tensor that a node gives, and return its position."""
        if np.asarray(zero).dtype != np.uint8:
            fix = "quantise activations as unsigned: activation_type=QuantType.QUInt8"
            raise Refusal("its activations are no uint8", fix, str(np.asarray(zero).dtype), "uint8", kind="activations")
        if not (np.isfinite(scale) and np.float32(scale) > 0):
            raise Refusal("its scale is not positive", "quantise it anew", f"{scale:g}", "> 0", kind="activations")
        shape = self.graph.types[node.name].shape
        *lead, height, width = shape if len(shape) > 2 else (shape[0], 1, *shape[1:]) if len(shape) == 2 else (*shape, 1, 1)
        position = len(self.tensors)
        self.tensors.append(
            Tensor(
                name=node.name, channels=prod(lead), height=height, width=width, scale=float(scale), zero=int(zero),
                storage=position if storage is None else storage,
            )
        )  # fmt: skip
        self.positions[node.name] = position
        return position

    def _find(self, node: Node, refusal: Refusal) -> Finding:
        module = node.source if node.source != node.name else ""
        return Finding(
            location=Location(population=node.name, source=module),
            message=f"{node.kind}: {refusal.what}",
            measured=refusal.measured,
            limit=refusal.limit,
            fix=refusal.fix,
        )


def require_computed(lowering: Lowering, node: Node) -> None:
    """Refuse a node that cores compute in no model.

    Raises:
        Refusal: it says what to do.
    """
    is_float = lowering.graph.types[node.name].dtype == "float32"
    if (is_float and not has_integer_form(node)) or node.kind == "QLinearSoftmax":
        raise Refusal("no core computes this operation", _FIXES.get(node.kind.removeprefix("QLinear"), _CUT))


def read_windows(operation: Any, counts: tuple[int, ...]) -> WindowGeometry:
    """Return how the windows of a convolution or a pool slide, of which there are so many."""
    rank = len(operation.kernel_shape)
    if rank > 2:
        raise Refusal("its windows have more than two sides", "use layers of one or two dimensions", str(rank), "2")
    lead = (1,) * (2 - rank)
    ones = (1,) * rank
    return WindowGeometry(
        kernel=_pair(lead + tuple(operation.kernel_shape)),
        strides=_pair(lead + (operation.strides or ones)),
        dilations=_pair(lead + (getattr(operation, "dilations", ()) or ones)),
        pads=_pair((0,) * (2 - rank) + (operation.pads[:rank] or (0,) * rank)),
        counts=_pair(lead + counts),
    )


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    first, second = values
    return int(first), int(second)

"""A network's layers as their author wrote them: operations, raw weights, shapes, names."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from snnmap.core.errors import NetworkError
from snnmap.graph.operation import Array, Operation, TensorType
from snnmap.graph.operations.fused import Fused

__all__ = ["LayerGraph", "Node", "freeze_constant", "infer_at", "type_constant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operation at its place; the value that it gives has the node's name.

    Attributes:
        name: unique in the graph; the module's path or the ONNX node's name.
        operation: what it computes.
        inputs: names of values and constants, in the operation's order.
        source: path of the module in the author's model, where it is known.
        tensor: what the value is called there: a tensor of ONNX, a node of torch.fx.
        replaces: nodes that this one stands for, with their own weights, where a pass has folded some into one.
    """

    name: str
    operation: Operation
    inputs: tuple[str, ...]
    source: str = ""
    tensor: str = ""
    replaces: tuple["Node", ...] = ()

    @property
    def kind(self) -> str:
        """Name of the operation."""
        return type(self.operation).__name__

    @property
    def where(self) -> str:
        """What errors call it."""
        module = f", module '{self.source}'" if self.source not in ("", self.name) else ""
        return f"node '{self.name}' ({self.kind}){module}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerGraph:
    """A network of operations in an order in which they can be computed; it knows nothing of spikes or of a chip.

    Two graphs are equal where their texts with digests of the constants are (:func:`snnmap.graph.format_graph`).

    Attributes:
        name: of the model.
        inputs: types of the inputs by name.
        nodes: in an order in which they can be computed.
        outputs: names of the values that are the model's results.
        constants: weights and other constants by name, read-only, in their own type; two nodes that name one share it.
        framework: what it was read from.
        types: of every value and constant by name; found and checked when the graph is made.

    Raises:
        NetworkError: a name is missing or given twice, or inputs do not fit their operation; it says which node.
    """

    name: str
    inputs: Mapping[str, TensorType]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Array]
    framework: str = ""
    types: Mapping[str, TensorType] = field(init=False)

    def __post_init__(self) -> None:
        constants = {name: freeze_constant(array) for name, array in self.constants.items()}
        object.__setattr__(self, "constants", MappingProxyType(constants))
        object.__setattr__(self, "inputs", MappingProxyType(dict(self.inputs)))
        object.__setattr__(self, "types", MappingProxyType(self._infer_types()))

    def __eq__(self, other: object) -> bool:
        from snnmap.graph.text import format_graph

        if not isinstance(other, LayerGraph):
            return NotImplemented
        return format_graph(self, digests=True) == format_graph(other, digests=True)

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, name: str) -> Node:
        """Return a node by name."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def producers(self) -> dict[str, Node]:
        """Return the node of every value that a node gives, by name."""
        return {node.name: node for node in self.nodes}

    def count_uses(self) -> Counter[str]:
        """Count how often each name is an input of a node or an output of the graph."""
        return Counter([name for node in self.nodes for name in node.inputs] + list(self.outputs))

    def select_kinds(self, *kinds: str) -> Iterator[Node]:
        """Return the nodes whose operation has one of these names, in order."""
        return (node for node in self.nodes if node.kind in kinds)

    def with_nodes(
        self, nodes: Sequence[Node], constants: Mapping[str, Array] | None = None, outputs: Sequence[str] | None = None
    ) -> "LayerGraph":
        """Return a graph of other nodes.

        Args:
            nodes: in an order in which they can be computed.
            constants: that come to those that there are; those that no node names go.
            outputs: names of values; as they were where left out.
        """
        known = {**self.constants, **(constants or {})}
        used = {name for node in nodes for name in _named_by(node)}
        return replace(
            self,
            nodes=tuple(nodes),
            constants={name: array for name, array in known.items() if name in used},
            outputs=self.outputs if outputs is None else tuple(outputs),
        )

    def _infer_types(self) -> dict[str, TensorType]:
        types = {**self.inputs, **{name: type_constant(array) for name, array in self.constants.items()}}
        if len(types) < len(self.inputs) + len(self.constants):
            raise NetworkError("an input and a constant have one name", where=self.name, fix="give each a name of its own")
        for node in self.nodes:
            if node.name in types:
                raise NetworkError("a name is given twice", where=node.where, fix="give each node a name of its own")
            missing = [name for name in node.inputs if name not in types]
            if missing:
                raise NetworkError(
                    "an input of the node is not known before it",
                    where=node.where,
                    measured=", ".join(missing),
                    fix="name an input, a constant or an earlier node",
                )
            types[node.name] = infer_at(node, [types[name] for name in node.inputs])
        missing = [name for name in self.outputs if name not in types]
        if missing or not self.outputs:
            raise NetworkError(
                "an output is not known", where=self.name, measured=", ".join(missing) or "none", fix="name a node"
            )
        return types


def infer_at(node: Node, inputs: Sequence[TensorType]) -> TensorType:
    """Infer the type that a node gives; errors name the node."""
    try:
        return node.operation.infer_checked(inputs)
    except NetworkError as error:
        raise error.within(node.where) from error


def freeze_constant(array: Array) -> Array:
    """Copy to a read-only array, unless it is one already."""
    if isinstance(array, np.ndarray) and not array.flags.writeable and (array.base is None or _is_frozen(array.base)):
        return array
    copied = np.array(array)
    copied.setflags(write=False)
    return copied


def _is_frozen(base: object) -> bool:
    return isinstance(base, np.ndarray) and base.base is None and not base.flags.writeable


def type_constant(array: Array) -> TensorType:
    """Return a constant's type; every floating-point type is ``float32``, as for values."""
    return TensorType(shape=array.shape, dtype="float32" if array.dtype.kind == "f" else str(array.dtype), is_constant=True)


def _named_by(node: Node) -> Iterator[str]:
    """Yield every constant or value that a node, or one that it stands for, names."""
    yield from node.inputs
    steps = node.operation.steps if isinstance(node.operation, Fused) else ()
    for inner in (*node.replaces, *steps):
        yield from _named_by(inner)

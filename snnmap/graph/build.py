"""Making a layer graph node by node, as a reader does; what cannot be read is collected, and told at once."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from snnmap.core.errors import FrontendError, NetworkError, SnnmapError
from snnmap.graph.graph import LayerGraph, Node, infer_at, type_constant
from snnmap.graph.operation import Array, Operation, Shape, TensorType

__all__ = ["BATCHES", "GraphBuilder", "Unreadable", "UnreadableError", "UnreadableModelError", "make_readable"]

BATCHES = (1, 2, 7)
"""Sizes of the batch for which readers compute a constant that depends on it, to see whether each sample has the same."""
_N_NAMED = 3
"""Parts that an error names of those of which it tells the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A part of a model that has no operation.

    Attributes:
        name: of the node or module.
        operator: what the framework calls it.
        where: it stands, as the framework's user calls it.
        error: what is wrong, and what the user can do.
    """

    name: str
    operator: str
    where: str
    error: "UnreadableError"

    @property
    def told(self) -> str:
        """Its operator, what is wrong and what the user can do."""
        return f"({self.operator}): {self.error}" + (f"; {self.error.fix}" if self.error.fix else "")


class UnreadableError(Exception):
    """Raised within a reader, which notes it and goes on: what is wrong with a part of a model, and what to do about it.

    Args:
        what: is wrong.
        fix: what the user can do.
        measured: the value found.
        limit: the value allowed.
        is_unknown: whether no operation of a layer graph is what the part is.
    """

    def __init__(self, what: str, fix: str, *, measured: str = "", limit: str = "", is_unknown: bool = False) -> None:
        super().__init__(what + (f" (measured {measured}, limit {limit})" if measured else ""))
        self.what, self.fix, self.measured, self.limit, self.is_unknown = what, fix, measured, limit, is_unknown

    @classmethod
    def from_misfit(cls, error: SnnmapError) -> "UnreadableError":
        """Return what an operation says about inputs that do not fit it."""
        return cls(error.what, error.fix, measured=error.measured, limit=error.limit)


class UnreadableModelError(FrontendError):
    """Parts of a model have no operation in a layer graph.

    Attributes:
        problems: the parts.
    """

    def __init__(self, name: str, problems: Sequence[Unreadable]) -> None:
        self.problems = tuple(problems)
        noun = "part of the model has" if len(self.problems) == 1 else "parts of the model have"
        lines = [f"{len(self.problems)} {noun} no operation in a layer graph", *_list_alike(self.problems)]
        super().__init__(
            "\n".join(lines),
            where=name,
            fix="change these parts as told, or write an operation for them in snnmap/graph/operations",
        )


def _list_alike(problems: Sequence[Unreadable]) -> Iterator[str]:
    """Yield a line for all parts of which the same is told, with the names of the first."""
    names = defaultdict[str, list[str]](list)
    for problem in problems:
        names[problem.told].append(f"'{problem.name}'")
    for told, alike in names.items():
        more = f" and {len(alike) - _N_NAMED} more" if len(alike) > _N_NAMED else ""
        yield f"  - {', '.join(alike[:_N_NAMED])}{more} {told}"


class GraphBuilder:
    """Collects nodes in order, gives each a unique name and infers what it gives.

    Args:
        name: of the model.
        framework: what it is read from.

    Attributes:
        types: of what has a name.
        problems: parts that cannot be read.
        nodes: in order.
    """

    def __init__(self, name: str, framework: str) -> None:
        self.name, self.framework = name, framework
        self.types: dict[str, TensorType] = {}
        self.problems: list[Unreadable] = []
        self._inputs: dict[str, TensorType] = {}
        self._constants: dict[str, Array] = {}
        self._taken: dict[str, list[tuple[str, Array]]] = {}
        """Names that constants got, by the names that were wanted."""
        self.nodes: list[Node] = []

    def add_input(self, name: str, shape: Shape, dtype: str = "float32") -> str:
        """Add an input of samples of a shape; gives its name."""
        name = self._take_name(name)
        self._inputs[name] = self.types[name] = TensorType(shape=shape, dtype=dtype)
        return name

    def add_constant(self, name: str, array: Array) -> str:
        """Add a constant, once for each array of one name; gives its name."""
        wanted = name
        for known, given in self._taken.get(wanted, ()):
            if given is array:
                return known
        name = self._take_name(wanted)
        self._constants[name] = array
        self._taken.setdefault(wanted, []).append((name, array))
        self.types[name] = type_constant(array)
        return name

    def add(self, name: str, operation: Operation, inputs: Sequence[str], *, source: str = "", tensor: str = "") -> str:
        """Add a node; gives the name of its value.

        Raises:
            NetworkError: the inputs do not fit the operation.
        """
        node = Node(
            name=self._take_name(name),
            operation=operation,
            inputs=tuple(inputs),
            source=make_readable(source),
            tensor=make_readable(tensor),
        )
        try:
            self.types[node.name] = infer_at(node, [self.types[one] for one in inputs])
        except NetworkError:
            del self.types[node.name]
            raise
        self.nodes.append(node)
        return node.name

    def forget(self, n_kept: int) -> None:
        """Take back the nodes behind the first ones, whose names are free again."""
        for node in self.nodes[n_kept:]:
            del self.types[node.name]
        del self.nodes[n_kept:]

    def refuse(self, name: str, operator: str, where: str, error: UnreadableError) -> None:
        """Note a part of the model that cannot be read."""
        self.problems.append(Unreadable(name=name, operator=operator, where=where, error=error))

    def build(self, outputs: Sequence[str]) -> LayerGraph:
        """Return the graph of all nodes that an output needs.

        Raises:
            UnreadableModelError: parts of the model could not be read; it tells all of them.
        """
        self.require_readable()
        needed, nodes = set(outputs), []
        for node in reversed(self.nodes):
            if node.name in needed:
                nodes.append(node)
                needed |= set(node.inputs)
        constants = {name: array for name, array in self._constants.items() if name in needed}
        return LayerGraph(
            name=make_readable(self.name),
            inputs=self._inputs,
            nodes=tuple(reversed(nodes)),
            outputs=tuple(outputs),
            constants=constants,
            framework=self.framework,
        )

    def require_readable(self) -> None:
        """Refuse the model if a part could not be read.

        Raises:
            UnreadableModelError: it tells all parts, their operators and what to do.
        """
        if self.problems:
            raise UnreadableModelError(self.name, self.problems)

    def _take_name(self, wanted: str) -> str:
        base = name = make_readable(wanted) or "value"
        number = 1
        while name in self.types:
            number += 1
            name = f"{base}#{number}"
        self.types[name] = TensorType(shape=())
        return name


def make_readable(name: str) -> str:
    """Return a name without what the text form separates names by."""
    return re.sub(r"[\s,;()']+", "_", name)

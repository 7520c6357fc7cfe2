"""From a torch module of one sample a call to a layer graph of which only some operations are read, and torch runs all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from snnmap.frontends.torch.call import Call, Value, call_node
from snnmap.frontends.torch.layers import find_layer
from snnmap.frontends.torch.probe import LINEAR, MOVING, add_probed_module
from snnmap.frontends.torch.read import UNKNOWN, Reader, TorchReader
from snnmap.frontends.torch.shapes import is_shape_query
from snnmap.graph import LayerGraph, Operation
from snnmap.graph.operations.opaque import Opaque

__all__ = ["TorchCall", "read_partly", "record_results"]


@dataclass(frozen=True, slots=True)
class TorchCall:
    """What torch runs at a node of a layer graph.

    Attributes:
        name: path of the module, or what torch.fx calls a function's call.
        module: that is called, or None for a function or method.
        run: gives the node's value, from the values ``(1, ...)`` that it asks for by name.
    """

    name: str
    module: nn.Module | None
    run: Callable[[Callable[[str], Any]], Any]


def record_results(module: fx.GraphModule, example: Tensor) -> dict[fx.Node, Any]:
    """Run a traced module of one input and return what each node gives, before another changes it in place."""
    results: dict[fx.Node, Any] = {}

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            found = super().run_node(n)
            results[n] = found.clone() if isinstance(found, Tensor) and n.op != "get_attr" else found
            return found

    with torch.no_grad():
        Recorder(module).run(example.clone())
    return results


def read_partly(
    module: fx.GraphModule, results: Mapping[fx.Node, Any], operations: tuple[type[Operation], ...]
) -> tuple[LayerGraph, dict[str, TorchCall]]:
    """Read the calls of a traced module that are one of some operations; all others need only be runnable.

    Args:
        module: traced, in evaluation, of one input.
        results: of :func:`record_results`, the input's being ``(1, ...)``.
        operations: to read, where a call is nothing but one of them. Every other call is an ``Opaque``; where it gives no
            ``(1, ...)`` of the input's type, but a tuple, say, its type is ``object``. What depends on no input is no node.

    Returns:
        The graph, whose nodes are one call each, and these by the node's name.

    Raises:
        FrontendError: the output depends on no input.
    """
    reader = _PartialReader(module, results, operations)
    return reader.read(module.graph), reader.calls


class _PartialReader(TorchReader):
    batch = 1

    def __init__(self, module: fx.GraphModule, results: Mapping[fx.Node, Any], operations: tuple[type[Operation], ...]) -> None:
        example = next(results[node] for node in module.graph.nodes if node.op == "placeholder")
        super().__init__(module, "stream", [tuple(example.shape[1:])])
        self.calls: dict[str, TorchCall] = {}
        self._results, self._operations, self._dtype = results, operations, example.dtype
        self._names: dict[fx.Node, str] = {}
        """Values of the graph, by the nodes that depend on the input."""

    def _find_outputs(self, node: fx.Node) -> list[str]:
        found: Any = node.args[0]  # which may be no sample
        return [self._names[found]] if found in self._names else super()._find_outputs(node)

    def _read_node(self, node: fx.Node) -> Any:
        result = self._results[node]
        if node.op == "placeholder":
            return self._keep(node, super()._read_node(node))
        sources = [one for one in node.all_input_nodes if one in self._names]
        call, read = self._find_reader(node)
        arguments, keywords = self.settle(tuple(node.args)), self.settle(dict(node.kwargs))
        if not sources or (_asks_for_shape(call, arguments) and not isinstance(result, Tensor)):
            return result
        is_readable = read is not None and all(self.values[source] is not UNKNOWN for source in sources)
        found = self._read_whole(call, read, arguments, keywords) if is_readable else None
        if found is None:
            found = self._add_opaque(call, sources)
        if found.name not in self._names.values():  # it is another's where the call was passed over
            self.calls[found.name] = self._bind(call, sources)
        return self._keep(node, found)

    def _keep(self, node: fx.Node, value: Value) -> Any:
        self._names[node] = value.name
        return value if self._is_sample(self._results[node]) else UNKNOWN

    def _read_whole(self, call: Call, read: Reader | None, arguments: Any, keywords: Any) -> Value | None:
        """Read a call as at most one node of the operations that are wanted, or give None."""
        if call.operator in MOVING or call.operator in LINEAR or find_layer(self.modules.get(call.name)) is add_probed_module:
            return None  # which takes many runs to read
        n_before, result = len(self.builder.nodes), self._results[call.node]
        try:
            found = self._read_call(call, read, arguments, keywords)
        except Exception:  # whatever a call has that its reader does not expect
            found = None
        added = self.builder.nodes[n_before:]
        is_wanted = len(added) <= 1 and all(isinstance(node.operation, self._operations) for node in added)
        if is_wanted and isinstance(found, Value) and self._is_sample(result) and found.shape == tuple(result.shape[1:]):
            return found
        self.builder.forget(n_before)
        return None

    def _add_opaque(self, call: Call, sources: list[fx.Node]) -> Value:
        result = self._results[call.node]
        kind: Any = {"shape": tuple(result.shape[1:])} if self._is_sample(result) else {"dtype": "object"}
        names = dict.fromkeys(self._names[source] for source in sources)
        return call.add(Opaque(call=call.operator, **kind), [Value(name, ()) for name in names])

    def _bind(self, call: Call, sources: list[fx.Node]) -> TorchCall:
        node = call.node
        names = {source: self._names[source] for source in sources}
        constants = {one: self._results[one] for one in node.all_input_nodes if one not in names}
        module = self.modules[str(node.target)] if node.op == "call_module" else None

        def run(fetch: Callable[[str], Any]) -> Any:
            def find(one: fx.Node) -> Any:
                return fetch(names[one]) if one in names else _protect(one, constants[one])

            arguments: Any = fx.map_arg(node.args, find)
            keywords: Any = fx.map_arg(node.kwargs, find)
            return call_node(node, arguments, keywords) if module is None else module(*arguments, **keywords)

        return TorchCall(call.name, module, run)

    def _is_sample(self, result: Any) -> bool:
        """Say whether a result is one sample's values, ``(1, ...)``, of the example's type."""
        if not isinstance(result, Tensor) or result.ndim == 0 or result.dtype != self._dtype:
            return False
        return result.shape[0] == 1 and result.numel() > 0


def _asks_for_shape(call: Call, arguments: Any) -> bool:
    return is_shape_query(call.operator, arguments) or call.operator == "numel"


def _protect(node: fx.Node, constant: Any) -> Any:
    """Return a constant that a call may change in place; tracing refuses that of what belongs to a module."""
    return constant.clone() if isinstance(constant, Tensor) and node.op != "get_attr" else constant

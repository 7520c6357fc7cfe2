"""From a torch module to a layer graph, by torch.fx."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snnmap.core.errors import FrontendError, NetworkError
from snnmap.core.packages import import_package
from snnmap.frontends.torch.accept import require_module, require_own_forward, unwrap
from snnmap.frontends.torch.call import FIX, FIXES, Call, Moved, Value, call_node, find_values, first_value, to_doubles
from snnmap.frontends.torch.exported import GUARDS, find_exported_batch, is_exported, name_operator
from snnmap.frontends.torch.functions import TAKING_ROWS, find_function
from snnmap.frontends.torch.layers import find_layer
from snnmap.frontends.torch.made import CREATORS, compute_rows, create_like, run_layer
from snnmap.frontends.torch.moved import read_moved
from snnmap.frontends.torch.own_layers import list_own_layers
from snnmap.frontends.torch.script import read_script
from snnmap.frontends.torch.shapes import Rows, describe, has_batch, is_shape_query
from snnmap.frontends.torch.weight_hooks import list_weight_hooks
from snnmap.graph import GraphBuilder, LayerGraph, UnreadableError, refuse_moved
from snnmap.graph.operation import Array

if TYPE_CHECKING:
    from torch import fx

__all__ = ["TorchReader", "read_layer_graph"]

Reader = Callable[[Call, Any, Any], Any]


def read_layer_graph(module: Any, *input_shapes: Sequence[int], opaque: bool = False) -> LayerGraph:
    """Read a torch module, in evaluation mode, as a layer graph.

    Nodes are named by the path of their module, or by what torch.fx calls a function's call; a module that is called twice
    shares its weights. Identity and Dropout are passed over. Weights keep their type.

    Args:
        module: ``torch.nn.Module`` whose forward depends on no values; it is not changed. One within ``torch.compile`` or
            ``DataParallel``, a TorchScript module or a ``torch.export.ExportedProgram`` is read likewise.
        input_shapes: of one sample, without the batch, for each input of forward.
        opaque: whether calls that have no operation, or one only by running them many times, are
            :class:`~snnmap.graph.operations.opaque.Opaque` ones with the parameters of their module, where they give
            ``(batch, ...)``; these cannot be run.

    Raises:
        FrontendError: torch is missing, forward cannot be followed, or parts have no operation; it tells all of them, each with
            its name, its operator and what to do.
    """
    torch = import_package("torch")
    from snnmap.nn.tracing import refuse_stale_values, trace_module

    module = unwrap(module)
    require_module(module, "read_layer_graph")
    if isinstance(module, torch.jit.ScriptModule):
        return read_script(module, input_shapes, opaque=opaque)
    whole = torch.nn.Sequential(module) if find_layer(module) is not None else module  # a layer is one node, not its forward
    from snnmap.frontends.torch.opaque import OpaqueReader

    kind, shapes = OpaqueReader if opaque else TorchReader, [tuple(shape) for shape in input_shapes]
    if is_exported(whole):
        refuse_stale_values(whole.graph, whole)
        reader = kind(whole, "exported", shapes)
        reader.batch = find_exported_batch(whole.graph) or reader.batch
        return reader.read(whole.graph)
    graph = trace_module(whole, list_own_layers(), defaults=True, shapes=input_shapes, hooks=list_weight_hooks())
    return kind(whole, type(module).__name__, shapes).read(graph)


UNKNOWN = object()
"""What a part gives that cannot be read."""


class TorchReader:
    """Follows a traced graph with an activation, a constant or a plain value of Python for each node.

    Attributes:
        batch: how many samples calls are run on that tell a shape.
        probes: whether calls are run as often as it takes to see what they do.
    """

    batch = 2
    probes = True

    def __init__(self, module: Any, name: str, input_shapes: Sequence[tuple[int, ...]]) -> None:
        import torch

        self.module, self.shapes = module, list(input_shapes)
        self.modules = dict(module.named_modules())
        self.paths = {id(parameter): path for path, parameter in module.named_parameters()}
        self.builder = GraphBuilder(name, f"torch {torch.__version__}")
        self.values: dict[Any, Any] = {}
        self.arrays: dict[int, tuple[Any, Array]] = {}

    def read(self, graph: "fx.Graph") -> LayerGraph:
        """Read all nodes, then tell what cannot be read."""
        for node in graph.nodes:
            if node.op == "output":
                return self.builder.build(self._find_outputs(node))
            if node.users or (node.op == "call_module" and node.target != GUARDS):
                self.values[node] = self._read_node(node)
        raise FrontendError("the module has no output", where="forward", fix="give a tensor back")

    def to_array(self, value: Any) -> Array:
        """Return a tensor's or number's array, the same one each time; numbers are float32 where that is exact."""
        if id(value) in self.arrays:
            return self.arrays[id(value)][1]
        array = np.array(_to_numpy(value))
        self.arrays[id(value)] = (value, array)  # which keeps the tensor, and so its id
        return array

    def settle(self, arguments: Any) -> Any:
        """Return arguments with the values that nodes have."""
        from torch.fx.node import map_arg

        return map_arg(arguments, lambda node: self.values[node])

    def _find_outputs(self, node: "fx.Node") -> list[str]:
        self.builder.require_readable()
        found = self.settle(node.args[0])
        values = list(found.values()) if isinstance(found, dict) else list(found) if isinstance(found, tuple | list) else [found]
        for number, value in enumerate(values):
            if isinstance(value, Moved):
                error = refuse_moved(value.batch_axis)
                raise FrontendError(
                    error.what, where=f"output {number}", measured=error.measured, limit=error.limit, fix=error.fix
                )
            if not isinstance(value, Value):
                raise FrontendError(
                    "an output of the module depends on no input",
                    where=f"output {number}",
                    measured=type(value).__name__,
                    fix="give tensors back that are computed from the input",
                )
        return [value.name for value in values]

    def _read_node(self, node: "fx.Node") -> Any:
        if node.op == "placeholder":
            return self._read_input(node)
        if node.op == "get_attr":
            return _find_attribute(self.module, str(node.target))
        call, read = self._find_reader(node)
        arguments, keywords = self.settle(tuple(node.args)), self.settle(dict(node.kwargs))
        try:
            if any(argument is UNKNOWN for argument in (*_flatten(arguments), *_flatten(keywords))):
                return self._pass_unknown(call, read, arguments)
            return self._read_call(call, read, arguments, keywords)
        except UnreadableError as error:
            found = error
        except (NetworkError, FrontendError) as error:
            found = UnreadableError.from_misfit(error)
        where = f"module '{call.name}'" if node.op == "call_module" else f"forward, {node.name}"
        self.builder.refuse(call.name, call.operator, where, found)
        return UNKNOWN

    def _pass_unknown(self, call: Call, read: Reader | None, arguments: Any) -> Any:
        """Go on behind a part that could not be read, so that others are told too."""
        if read is None and call.operator not in CREATORS and not is_shape_query(call.operator, arguments):
            raise UnreadableError("no operation of a layer graph does this", FIXES.get(call.operator, FIX), is_unknown=True)
        return UNKNOWN

    def _read_call(self, call: Call, read: Reader | None, arguments: Any, keywords: Any) -> Any:
        moved = [one for one in _flatten((arguments, keywords)) if isinstance(one, Moved)]
        if moved and is_shape_query(call.operator, arguments):
            return describe(moved[0].value, *_find_question(call, arguments), moved[0].batch_axis)
        if moved:
            return read_moved(call, read, arguments, keywords)
        if call.node.op != "call_module":
            if is_shape_query(call.operator, arguments) and isinstance(arguments[0], Value | Rows):
                return describe(arguments[0], *_find_question(call, arguments))
            if not find_values((arguments, keywords)):
                compute = compute_rows if has_batch((arguments, keywords)) else _compute
                return compute(call, arguments, keywords)
            if call.operator in CREATORS:
                return create_like(call, arguments, keywords)
        elif not find_values((arguments, keywords)):
            return run_layer(self.modules[str(call.node.target)], arguments, keywords)
        if isinstance(call.node.target, type) and issubclass(call.node.target, tuple):  # of outputs with names
            return call.node.target(*arguments, **keywords)
        if read is None:
            raise UnreadableError("no operation of a layer graph does this", FIXES.get(call.operator, FIX), is_unknown=True)
        if call.operator not in TAKING_ROWS and any(isinstance(one, Rows) for one in _flatten((arguments, keywords))):
            raise UnreadableError("a constant that forward makes, beside activations", "make it in __init__, as a buffer")
        return read(call, arguments, keywords)

    def _read_input(self, node: "fx.Node") -> Any:
        if self.shapes:
            name = self.builder.add_input("input" if node.target in ("x", "input") else str(node.target), self.shapes.pop(0))
            return Value(name, self.builder.types[name].shape)
        if node.args:
            return node.args[0]  # a default, which tracing has put in
        raise FrontendError(
            "the module takes more inputs than shapes were given",
            where=f"forward, {node.name}",
            fix="give a shape for each (--input-shape)",
        )

    def _find_reader(self, node: "fx.Node") -> tuple[Call, Reader | None]:
        """Return the call, and what reads it, or None where nothing does."""
        if node.op != "call_module":
            name = name_operator(node.target)
            return Call(self, node, node.name, self._find_source(node), name), find_function(name)
        path, module = str(node.target), self.modules[str(node.target)]
        call = Call(self, node, path, path, type(module).__name__)
        read = find_layer(module)
        if read is None:
            return call, None

        def read_module(call: Call, arguments: Any, keywords: Any) -> Any:
            require_own_forward(module, call.name)
            return read(call, module, first_value(arguments, keywords))

        return call, read_module

    def _find_source(self, node: "fx.Node") -> str:
        """Return the path of the module whose forward makes a call."""
        stack = node.meta.get("nn_module_stack", {})
        return next((str(entry[0]) for entry in reversed(stack.values()) if entry[0]), "")


def _find_question(call: Call, arguments: Any) -> tuple[str, tuple[Any, ...]]:
    """Return what is asked of a shape or type, and of which axis."""
    return (arguments[1], ()) if call.operator == "getattr" else (call.operator, arguments[1:])


def _to_numpy(value: Any) -> Any:
    if not hasattr(value, "detach"):
        exact = np.float64(value)
        return np.asarray(value) if isinstance(value, np.ndarray) else np.float32(value) if np.float32(value) == exact else exact
    tensor = value.detach().cpu()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()  # numpy has no such type


def _compute(call: Call, arguments: Any, keywords: Any) -> Any:
    """Compute what depends on no activation, in float64; it is float32 where that is exact."""
    import torch

    try:
        with torch.no_grad():
            found = call_node(call.node, to_doubles(arguments), to_doubles(keywords))
    except Exception as error:  # whatever the user's call raises
        fix = "compute it in __init__, as a buffer, and nothing from the size of the batch"
        raise UnreadableError(f"a constant of forward cannot be computed: {error}", fix) from error
    is_single = isinstance(found, torch.Tensor) and found.dtype == torch.float64 and torch.equal(found.float().double(), found)
    return found.float() if is_single else found


def _flatten(arguments: Any) -> list[Any]:
    if isinstance(arguments, dict):
        arguments = tuple(arguments.values())
    return [one for part in arguments for one in _flatten(part)] if isinstance(arguments, tuple | list) else [arguments]


def _find_attribute(module: Any, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name)
    return module

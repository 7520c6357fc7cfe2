"""Following the forward of a user's torch module with torch.fx, refusing what would be read as something else than it does."""

import dis
import inspect
import operator
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cache, cached_property
from pathlib import Path
from types import BuiltinFunctionType, CodeType
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.utils._pytree import tree_flatten

from snnmap.core.errors import FrontendError, SnnmapError
from snnmap.nn.scopes import find_scopes

__all__ = ["foreign_hooks", "refuse_hooks", "refuse_stale_values", "trace_module", "user_line"]

_CREATORS = ("arange", "empty", "eye", "full", "ones", "rand", "randn", "zeros")
"""Functions of torch that take numbers alone, for which fx has no part in a graph."""
_FIX_OF_HIDDEN = "hold all layers as attributes of the module, or in nn.ModuleList and nn.ModuleDict, not in lists and dicts"
_FIX = "write forward without branches or loops over data"
_VIEWS = (
    "_unsafe_view", "chunk", "contiguous", "detach", "diagonal", "dropout", "expand", "flatten", "hsplit", "identity", "move",
    "narrow", "permute", "ravel", "reshape", "select", "slice", "split", "squeeze", "swap", "tensor_split", "transpose", "unbind",
    "unflatten", "unfold", "unsqueeze", "view", "vsplit",
)  # fmt: skip
"""How the names of functions start that may give the memory of their argument."""
_PARTING = ("chunk", "hsplit", "split", "tensor_split", "unbind", "vsplit")
"""Those of them whose parts share no memory with each other."""
_SHORT_VIEWS = frozenset({"alias", "cpu", "double", "float", "getitem", "t", "to", "type", "type_as"})
_VIEWING_FIELDS = frozenset({"H", "T", "data", "mH", "mT"})
_QUESTIONS = frozenset({"dim", "ndimension", "numel", "size", "sym_size"})
_IN_PLACE = "snnmap_in_place"
"""Note of a node that the user wrote as ``a += b``."""
_CHECKPOINTING = frozenset({"context_fn", "debug", "determinism_check", "early_stop", "preserve_rng_state", "use_reentrant"})
"""Arguments of torch.utils.checkpoint that change nothing of what is computed."""


def trace_module(
    module: nn.Module,
    leaves: tuple[type[nn.Module], ...],
    *,
    fix: str = _FIX,
    defaults: bool = False,
    shapes: Sequence[Sequence[int]] = (),
    hooks: tuple[type, ...] = (),
) -> fx.Graph:
    """Return the operations of a module's forward in evaluation mode, in order; the module is left as it was.

    Args:
        module: to follow.
        leaves: classes whose own forward is known and not followed, beside those of torch itself. A user's subclass with
            another forward is followed, and so is a forward that was replaced on the instance.
        fix: what the error tells the user to do.
        defaults: whether arguments of forward that have defaults are these.
        shapes: of one sample of each input, without the batch, which decide branches and loops that depend on shapes alone.
        hooks: classes of forward hooks whose effect is known.

    Returns:
        The graph; its leaf calls name the module's path.

    Raises:
        FrontendError: forward depends on data or fails, or hooks or operations in place make it another than it looks.
    """
    refuse_hooks(module, hooks)
    _refuse_own_calls(module)
    given = _find_defaults(module) if defaults else {}
    try:
        with _evaluation_mode(module):
            try:
                graph = _trace(module, leaves, shapes, given, follows_buffers=False)
            except TypeError:  # a method of a buffer, called with the size of the batch
                graph = _trace(module, leaves, shapes, given, follows_buffers=True)
    except SnnmapError:
        raise
    except (Exception, SystemExit) as error:
        where = f"{type(module).__name__}{user_line(error)}"
        fix = _FIX_OF_HIDDEN if "not installed as a submodule" in str(error) else fix
        raise FrontendError.from_failure("the module's forward cannot be followed", error, where=where, fix=fix) from error
    refuse_stale_values(graph, module)
    return graph


def _trace(
    module: nn.Module,
    leaves: tuple[type[nn.Module], ...],
    shapes: Sequence[Sequence[int]],
    given: dict[str, object],
    *,
    follows_buffers: bool,
) -> fx.Graph:
    tracer = _ShapedTracer(leaves, _Examples(module, shapes)) if shapes else _Tracer(leaves)
    tracer.proxy_buffer_attributes = follows_buffers
    with _follow_creators(module, tracer):
        return tracer.trace(module, concrete_args=given or None)


class _FollowedTorch:
    """Stands for torch in the user's code, whose functions are calls in the graph where an argument is a value of it.

    Torch itself has no part for what makes tensors of a size.
    """

    def __init__(self, tracer: fx.Tracer) -> None:
        self._tracer = tracer

    def __getattr__(self, name: str) -> Any:
        found = getattr(torch, name)
        return _make_creator(self._tracer, found) if name in _CREATORS or isinstance(found, BuiltinFunctionType) else found


def _make_creator(tracer: fx.Tracer, function: Any) -> Any:
    def create(*args: Any, **kwargs: Any) -> Any:
        is_followed = any(issubclass(type(leaf), fx.Proxy) for leaf in tree_flatten((args, kwargs))[0])
        return tracer.create_proxy("call_function", function, args, kwargs) if is_followed else function(*args, **kwargs)

    return create


@contextmanager
def _follow_creators(module: nn.Module, tracer: fx.Tracer) -> Iterator[None]:
    """Let the forwards of a module, and the functions that they name, find functions that make tensors as calls of the graph.

    Checkpoints are plain calls. Torch itself stays as it is.
    """
    from torch.utils import checkpoint

    stand_ins = {id(torch): _FollowedTorch(tracer), id(checkpoint.checkpoint): _call_now}
    stand_ins |= {id(getattr(torch, name)): _make_creator(tracer, getattr(torch, name)) for name in _CREATORS}
    parts = list(module.modules())
    held = [one for part in parts for one in vars(part).values() if callable(one) and not isinstance(one, nn.Module)]
    scopes = find_scopes([*map(type, parts), *held])
    names = [(scope, name) for scope in scopes for name, value in scope.items() if id(value) in stand_ins]
    names.append((vars(checkpoint), "checkpoint"))
    before = [scope[name] for scope, name in names]
    for (scope, name), value in zip(names, before, strict=True):
        scope[name] = stand_ins[id(value)]
    try:
        yield
    finally:
        for (scope, name), value in zip(names, before, strict=True):
            scope[name] = value


def _call_now(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Do what ``torch.utils.checkpoint.checkpoint`` does to values."""
    return function(*args, **{name: value for name, value in kwargs.items() if name not in _CHECKPOINTING})


class _Tracer(fx.Tracer):
    """Takes torch's own modules and some classes as they are, where their forward is that of the class."""

    def __init__(self, leaves: tuple[type[nn.Module], ...]) -> None:
        super().__init__()
        self.leaves = leaves

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if "forward" in vars(m):
            return False
        if isinstance(m, self.leaves):
            return any(type(m).forward is cls.forward for cls in self.leaves if isinstance(m, cls))
        return super().is_leaf_module(m, module_qualified_name)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _TensorProxy(node, self)

    def create_arg(self, a: Any) -> Any:
        if isinstance(a, fx.Proxy):  # first, for a proxy says that it is a tensor
            return a.node
        return super().create_arg(a.item() if isinstance(a, np.generic) else a)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        is_part = isinstance(m, nn.Sequential) and all(m is not part for part in self.root.modules())  # such as layers[:3]
        return forward(*args, **kwargs) if is_part else super().call_module(m, forward, args, kwargs)

    def gives_tensor(self, node: fx.Node) -> bool:
        """Say whether what a node gives is a tensor, as all is where no shapes are known."""
        return True


class _ShapedTracer(_Tracer):
    """Takes the branches and loops that shapes alone decide."""

    def __init__(self, leaves: tuple[type[nn.Module], ...], examples: "_Examples") -> None:
        super().__init__(leaves)
        self.examples = examples

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _ShapedProxy(node, self)

    def gives_tensor(self, node: fx.Node) -> bool:
        return self.examples.are_tensors(node)

    def to_bool(self, obj: fx.Proxy) -> bool:
        return bool(self.examples.answer(obj.node))

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        parts: Any = obj
        return (parts[place] for place in range(self.examples.count(obj.node)))

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        return forward(*args, **kwargs) if self.examples.is_running else super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val if self.examples.is_running else super().getattr(attr, attr_val, parameter_proxy_cache)


class _Examples:
    """What the nodes of a growing graph give for batches of several sizes; nothing but types and shapes is computed."""

    _BATCHES = (1, 3, 1000)

    def __init__(self, module: nn.Module, shapes: Sequence[Sequence[int]]) -> None:
        self.module, self.shapes = module, [tuple(shape) for shape in shapes]
        self.dtype = next((one.dtype for one in module.parameters() if one.is_floating_point()), torch.float32)
        self.values: dict[fx.Node, list[Any]] = {}
        self.inputs: list[fx.Node] = []
        self.is_running = False
        """Whether calls of modules are those of an example, and none of the forward that is followed."""

    def answer(self, node: fx.Node) -> Any:
        """Return the number or truth that a node gives, whatever the values and the batch.

        Raises:
            TraceError: it depends on either.
        """
        found = self._find(node)
        if not all(isinstance(one, bool | int | float) for one in found) or len(set(found)) != 1:
            raise fx.proxy.TraceError("a branch, loop or number that depends on values or on the size of the batch")
        return found[0]

    def are_tensors(self, node: fx.Node) -> bool:
        """Say whether what a node gives is a tensor."""
        return all(isinstance(one, torch.Tensor) for one in self._find(node))

    def count(self, node: fx.Node) -> int:
        """Return how many parts a tuple or a shape has.

        Raises:
            TraceError: it is none, but a tensor, of which the first axis is the batch's.
        """
        found = self._find(node)
        if all(isinstance(one, torch.Tensor) and one.ndim for one in found) and len({len(one) for one in found}) == 1:
            return len(found[0])  # of a constant, or of what stands before the batch
        if not all(isinstance(one, tuple | list) for one in found) or len({len(one) for one in found}) != 1:
            raise fx.proxy.TraceError("a loop over samples, or len() of a batch: x.shape[0] is its size")
        return len(found[0])

    @cached_property
    def without_values(self) -> nn.Module:
        """The module with tensors that have a shape and no values."""
        tensors = [*self.module.parameters(), *self.module.buffers()]
        tensors += [one for part in self.module.modules() for one in vars(part).values() if isinstance(one, torch.Tensor)]
        return deepcopy(self.module, {id(one): one.detach().to("meta") for one in tensors})

    def _find(self, node: fx.Node) -> list[Any]:
        for other in node.graph.nodes:
            if other not in self.values:
                self.values[other] = [self._compute(other, place) for place in range(len(self._BATCHES))]
        return self.values[node]

    def _compute(self, node: fx.Node, place: int) -> Any:
        self.is_running = True
        try:
            with torch.device("meta"), torch.no_grad():
                return self._run(node, place)
        except Exception as error:  # whatever the user's call raises; the node's users do then
            return error
        finally:
            self.is_running = False

    def _run(self, node: fx.Node, place: int) -> Any:
        if node.op == "placeholder":
            self.inputs += [] if node in self.inputs else [node]
            return self._make_input(node, self._BATCHES[place])
        if node.op == "get_attr":
            found = _follow(self.module, str(node.target))  # which may be a constant that tracing has added
            return found.detach().to("meta") if isinstance(found, torch.Tensor) else found
        arguments: Any = fx.map_arg(node.args, lambda one: self.values[one][place])
        keywords: Any = fx.map_arg(node.kwargs, lambda one: self.values[one][place])
        if node.op == "call_module":
            return self.without_values.get_submodule(str(node.target))(*arguments, **keywords)
        if node.op == "call_method":
            return getattr(arguments[0], str(node.target))(*arguments[1:], **keywords)
        function: Any = node.target
        return function(*arguments, **keywords)

    def _make_input(self, node: fx.Node, batch: int) -> Any:
        number = self.inputs.index(node)
        if number < len(self.shapes):
            return torch.empty(batch, *self.shapes[number], dtype=self.dtype)
        return node.args[0] if node.args else None


class _TensorProxy(fx.Proxy):
    """A proxy that says to be a tensor where ``isinstance`` and ``torch.is_tensor`` ask, which go by ``__class__`` then."""

    tracer: Any

    def __iadd__(self, other: Any) -> Any:
        return self._change(operator.add, other)

    def __isub__(self, other: Any) -> Any:
        return self._change(operator.sub, other)

    def __imul__(self, other: Any) -> Any:
        return self._change(operator.mul, other)

    def __itruediv__(self, other: Any) -> Any:
        return self._change(operator.truediv, other)

    def __ipow__(self, other: Any) -> Any:
        return self._change(operator.pow, other)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, key, value), {})

    def _change(self, function: Any, other: Any) -> Any:
        """Do in place what fx would follow as an operation that gives a new tensor."""
        found = function(self, other)
        if self.tracer.gives_tensor(self.node):
            found.node.meta[_IN_PLACE] = True
        return found

    def __getattr__(self, k: str) -> fx.proxy.Attribute:
        if k == "_is_param":  # by which torch tells parameters from other tensors
            raise AttributeError(k)
        return fx.proxy.Attribute(self, k)

    @property  # type: ignore[misc]  # that cannot be set
    def __class__(self) -> type:
        asking = sys._getframe(1)
        is_asked = asking.f_lasti in _find_questions(asking.f_code)
        return torch.Tensor if is_asked and self.tracer.gives_tensor(self.node) else type(self)


@cache
def _find_questions(code: CodeType) -> frozenset[int]:
    """Return where bytecode asks for a class: calls of ``isinstance``, ``__class__`` and patterns.

    Elsewhere torch's own functions ask, written in C: they end the process where a proxy that says to be a tensor stands for a
    number, since they read the memory of one.
    """
    steps = list(dis.get_instructions(code))
    starts = {_find_start(step) for step in steps if step.opname.startswith("LOAD") and step.argval == "isinstance"}
    ends = [*(step.offset for step in steps[1:]), len(code.co_code)]
    return frozenset(
        place
        for step, end in zip(steps, ends, strict=True)
        for place in range(step.offset, end)  # with the caches behind it, where Python stands within a property
        if (step.opname.startswith(("CALL", "PRECALL")) and _find_start(step) in starts)
        or (step.opname.startswith("LOAD") and step.argval == "__class__")
        or step.opname == "MATCH_CLASS"
    )


def _find_start(step: dis.Instruction) -> tuple[int | None, int | None]:
    places = step.positions
    return (places.lineno, places.col_offset) if places else (None, None)


class _Asked(fx.Proxy):
    """A proxy that is a number where Python asks it to be one, if shapes tell which."""

    tracer: Any

    def __len__(self) -> int:
        return int(self.tracer.examples.count(self.node))

    def __index__(self) -> int:
        return int(operator.index(self.tracer.examples.answer(self.node)))

    def __int__(self) -> int:
        return int(self.tracer.examples.answer(self.node))

    def __float__(self) -> float:
        return float(self.tracer.examples.answer(self.node))


class _ShapedAttribute(_Asked, fx.proxy.Attribute):
    pass


class _ShapedProxy(_Asked, _TensorProxy):
    def __getattr__(self, k: str) -> fx.proxy.Attribute:
        return _ShapedAttribute(self, k) if k != "_is_param" else super().__getattr__(k)


def _follow(module: nn.Module, path: str) -> Any:
    found: Any = module
    for name in path.split("."):
        found = getattr(found, name)
    return found


@contextmanager
def _evaluation_mode(module: nn.Module) -> Iterator[None]:
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def foreign_hooks(module: nn.Module) -> list[object]:
    """List a module's own forward hooks that are another's than this package's."""
    hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    return [hook for hook in hooks if not (getattr(hook, "__module__", "") or "").startswith("snnmap.")]


def refuse_hooks(module: nn.Module, known: tuple[type, ...] = ()) -> None:
    """Refuse hooks, which may change values or weights; our own only look on.

    Raises:
        FrontendError: one of another's, and of no class that is known.
    """
    for path, part in module.named_modules():
        for hook in (hook for hook in foreign_hooks(part) if not isinstance(hook, known)):
            if isinstance(part, LazyModuleMixin):
                fix = "run the module once on an input, which gives the layer its size"
                raise FrontendError("a lazy layer has no weights yet", where=f"module '{path}'", fix=fix)
            raise FrontendError(
                "a hook of the module may change what it computes",
                where=f"module '{path}'",
                measured=str(getattr(hook, "__qualname__", type(hook).__name__)),
                fix="remove it; settle weights first (torch.nn.utils.prune.remove, remove_weight_norm)",
            )


def _refuse_own_calls(module: nn.Module) -> None:
    """Refuse what is done around forward, or instead of the class's own: a trace of the class's forward leaves it out."""
    if "forward" in vars(module):
        raise FrontendError(
            "the module's forward was replaced on the instance, and only its class's can be followed",
            where=type(module).__name__,
            measured=f"forward is {getattr(module.forward, '__qualname__', type(module.forward).__name__)}",
            fix="write it as the forward of a subclass, or put the module into an nn.Sequential, within which it is followed",
        )
    for path, part in module.named_modules():
        is_list = isinstance(part, nn.ParameterList | nn.ParameterDict)  # which only refuse to be called
        if type(part).__call__ is not nn.Module.__call__ and not isinstance(part, fx.GraphModule) and not is_list:
            raise FrontendError(
                "the module has a __call__ of its own, around its forward",
                where=f"module '{path}'" if path else type(part).__name__,
                measured=f"{type(part).__module__}.{type(part).__qualname__}",
                fix="put what it does into forward; take a module as it was before torch.compile",
            )


def _find_defaults(module: nn.Module) -> dict[str, object]:
    """Return the arguments of forward beyond the first that have a default."""
    try:
        parameters = list(inspect.signature(type(module).forward).parameters.values())[2:]
    except (TypeError, ValueError):
        return {}
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty and p.kind not in kinds}


def refuse_stale_values(graph: fx.Graph, module: nn.Module) -> None:
    """Refuse operations in place on a value that is used again, afterwards or by the next call: there it is the changed one.

    Args:
        graph: of the module's forward.
        module: whose parts the graph calls.

    Raises:
        FrontendError: the value, or another that shares memory with it, is used again, or belongs to the module.
    """
    order = {node: number for number, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        value = _find_changed(node, module)
        if value is None:
            continue
        root, parts = value, dict[fx.Node, Any]()
        while (source := _find_source(root, module)) is not None:
            if _name_call(source).startswith(_PARTING):
                parts[source] = root.args[1:]
            root = source
        if root.op == "get_attr":
            raise FrontendError(
                "a tensor that is made once is changed in place, and would be changed again by each call",
                where=f"forward, {node.name}",
                fix="use the operation that gives a new value (a + b instead of making zeros and adding to them)",
            )
        sharing = [one for one in _list_sharing(root, node, module, parts) if one not in parts]
        if any(order[user] > order[node] and not _asks(user) for one in sharing for user in one.users):
            raise FrontendError(
                "a value is changed in place and used again",
                where=f"forward, {node.name}",
                fix="use the operation that gives a new value (inplace=False, relu instead of relu_, x = a + b instead of "
                "a += b, a product with a mask instead of a[:, 0] = 0)",
            )


def _find_changed(node: fx.Node, module: nn.Module) -> fx.Node | None:
    """Return the value that a call changes in place."""
    if node.op not in ("call_function", "call_method", "call_module"):
        return None
    name = _name_call(node)
    changed: Any = node.kwargs.get("out")
    if node.op == "call_module":
        is_changing = bool(getattr(module.get_submodule(str(node.target)), "inplace", False))
    else:
        ends_so = name.endswith("_") and not name.endswith("__")
        is_changing = ends_so or name in ("setitem", "__setitem__") or bool(node.kwargs.get("inplace")) or _IN_PLACE in node.meta
    changed = node.args[0] if is_changing and node.args else changed
    return changed if isinstance(changed, fx.Node) else None


def _find_source(node: fx.Node, module: nn.Module) -> fx.Node | None:
    """Return the value whose memory a value may have: that which it views, or which gave it by a change in place."""
    changed = _find_changed(node, module)
    if changed is not None or not node.args:
        return changed
    return node.args[0] if _is_view(node, module) and isinstance(node.args[0], fx.Node) else None


def _list_sharing(root: fx.Node, changing: fx.Node, module: nn.Module, parts: dict[fx.Node, Any]) -> Iterator[fx.Node]:
    """Yield the values that may share memory with one, but what a change in place gives, and other parts than the changed one."""
    yield root
    for user in root.users:
        is_other = root in parts and user.args[1:] != parts[root]
        if user is not changing and not is_other and _find_source(user, module) is root:
            yield from _list_sharing(user, changing, module, parts)


def _name_call(node: fx.Node) -> str:
    target = getattr(node.target, "overloadpacket", node.target)
    return str(getattr(target, "__name__", target))


def _is_view(node: fx.Node, module: nn.Module) -> bool:
    if node.op == "call_module":
        kind = type(module.get_submodule(str(node.target))).__name__
        return kind in ("Flatten", "Identity", "Unflatten") or "Dropout" in kind
    if node.op not in ("call_function", "call_method"):
        return False
    name = _name_call(node)
    if name == "getattr":
        return node.args[1] in _VIEWING_FIELDS
    return name in _SHORT_VIEWS or name.startswith(_VIEWS)


def _asks(node: fx.Node) -> bool:
    """Say whether a call asks for a shape or type only."""
    name = _name_call(node)
    return name in _QUESTIONS or (name == "getattr" and node.args[1] not in _VIEWING_FIELDS)


def user_line(error: BaseException) -> str:
    """Return the last line of the user's own code that an exception came through."""
    ours = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(ours)]
    return f", {frames[-1].filename}, line {frames[-1].lineno}" if frames else ""

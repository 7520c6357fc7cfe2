"""Following the forward of a user's torch module with torch.fx, refusing what would be read as something else than it does."""

import inspect
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import fx, nn

from snnmap.core.errors import FrontendError, SnnmapError

__all__ = ["foreign_hooks", "refuse_hooks", "trace_module", "user_line"]

_FIX = "write forward without branches or loops over data"
_ALIASES = ("flatten", "view", "reshape", "contiguous", "squeeze", "unsqueeze", "detach", "identity", "dropout")


def trace_module(module: nn.Module, leaves: tuple[type[nn.Module], ...], *, fix: str = _FIX, defaults: bool = False) -> fx.Graph:
    """Return the operations of a module's forward in evaluation mode, in order; the module is left as it was.

    Args:
        module: to follow.
        leaves: classes whose own forward is known and not followed, beside those of torch itself. A user's subclass with
            another forward is followed, and so is a forward that was replaced on the instance.
        fix: what the error tells the user to do.
        defaults: whether arguments of forward that have defaults are these.

    Returns:
        The graph; its leaf calls name the module's path.

    Raises:
        FrontendError: forward depends on data or fails, or hooks or operations in place make it another than it looks.
    """

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            if "forward" in vars(m):
                return False
            if isinstance(m, leaves):
                return any(type(m).forward is cls.forward for cls in leaves if isinstance(m, cls))
            return super().is_leaf_module(m, module_qualified_name)

    refuse_hooks(module)
    _refuse_own_calls(module)
    given = _find_defaults(module) if defaults else {}
    try:
        with _evaluation_mode(module):
            graph = Tracer().trace(module, concrete_args=given or None)
    except SnnmapError:
        raise
    except (Exception, SystemExit) as error:
        where = f"{type(module).__name__}{user_line(error)}"
        raise FrontendError.from_failure("the module's forward cannot be followed", error, where=where, fix=fix) from error
    _refuse_stale_values(graph, module)
    return graph


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


def refuse_hooks(module: nn.Module) -> None:
    """Refuse hooks, which may change values or weights; our own only look on.

    Raises:
        FrontendError: one of another's.
    """
    for path, part in module.named_modules():
        for hook in foreign_hooks(part):
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
        if type(part).__call__ is not nn.Module.__call__ and not isinstance(part, fx.GraphModule):
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


def _refuse_stale_values(graph: fx.Graph, module: nn.Module) -> None:
    """Refuse operations in place on a value that is used again, afterwards or by the next call: there it is the changed one."""
    order = {node: number for number, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if not _works_in_place(node, module):
            continue
        value = node.args[0] if node.args else None
        while isinstance(value, fx.Node):
            if any(order[user] > order[node] for user in value.users):
                raise FrontendError(
                    "a value is changed in place and used again",
                    where=f"forward, {node.name}",
                    fix="use the operation that gives a new value (inplace=False, relu instead of relu_, a + b instead of +=)",
                )
            if value.op == "get_attr":
                raise FrontendError(
                    "a tensor that is made once is changed in place, and would be changed again by each call",
                    where=f"forward, {node.name}",
                    fix="use the operation that gives a new value (a + b instead of making zeros and adding to them)",
                )
            value = value.args[0] if _is_alias(value, module) and value.args else None


def _works_in_place(node: fx.Node, module: nn.Module) -> bool:
    if node.op == "call_module":
        return bool(getattr(module.get_submodule(str(node.target)), "inplace", False))
    name = getattr(node.target, "__name__", str(node.target))
    is_sum = node.op == "call_function" and name in ("iadd", "isub", "imul", "itruediv")
    ends_so = name.endswith("_") and not name.endswith("__")
    return node.op in ("call_function", "call_method") and (is_sum or ends_so or bool(node.kwargs.get("inplace")))


def _is_alias(node: fx.Node, module: nn.Module) -> bool:
    if node.op == "call_module":
        kind = type(module.get_submodule(str(node.target))).__name__
        return kind in ("Flatten", "Identity", "Unflatten") or "Dropout" in kind
    name = getattr(node.target, "__name__", str(node.target))
    return node.op in ("call_function", "call_method") and name.startswith(_ALIASES)


def user_line(error: BaseException) -> str:
    """Return the last line of the user's own code that an exception came through."""
    ours = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(ours)]
    return f", {frames[-1].filename}, line {frames[-1].lineno}" if frames else ""

"""What the modules of a Rockpool model run, beside what their graph says of them."""

from collections.abc import Iterator
from typing import Any

from snnmap.core.errors import FrontendError

__all__ = ["find_children", "find_own_forwards", "find_paths", "require_known_forward", "walk_modules"]

_METHODS = ("forward", "evolve", "as_graph", "__call__")
_LEAVES = (
    "LinearTorch",
    "LinearJax",
    "Linear",
    "LIFTorch",
    "LIF",
    "LIFJax",
    "ExpSynTorch",
    "ExpSyn",
    "UnitDropout",
    "TimeStepDropout",
)
_HOLDERS = ("TorchSequential", "ModSequential", "JaxSequential", "TorchResidual", "ModResidual", "JaxResidual", "SynNet")
_WRAPPERS = ("TWrapper", "ActWrapper")


def find_children(module: Any) -> list[tuple[str, Any]]:
    """List a module's own modules with their names, whichever of Rockpool's and torch's interfaces it shows."""
    if hasattr(module, "_modules"):  # to_torch() replaces modules() by torch's
        return [(name, child) for name, child in module._modules.items() if child is not None]
    return list(module.modules().items()) if hasattr(module, "modules") and hasattr(module, "as_graph") else []


def walk_modules(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield each module of a model with its path."""
    pending = [] if root is None else [("", root)]
    while pending:
        path, module = pending.pop()
        yield path, module
        pending += [(f"{path}.{name}" if path else name, child) for name, child in find_children(module)]


def find_paths(root: Any) -> dict[int, str]:
    """Return the path of each module in the user's model, by ``id``."""
    return {id(module): path for path, module in walk_modules(root)}


def require_known_forward(module: Any, path: str) -> None:
    """Refuse weights and neurons that compute otherwise than their class, of which the graph knows nothing.

    One whose ``as_graph`` is the user's own too is left to a trial run.

    Raises:
        FrontendError: a transformation, a hook, or a forward of the user's own.
    """
    where = f"module '{path}'" if path else type(module).__name__
    if type(module).__name__ in _WRAPPERS and _is_rockpools(type(module)):
        raise _refuse_wrapper(module, where)
    for hook in _hooks(module):
        raise FrontendError(
            "a hook of the module may change what it computes", where=where,
            measured=str(getattr(hook, "__qualname__", type(hook).__name__)),
            fix="remove it; settle weights first (torch.nn.utils.remove_weight_norm, torch.nn.utils.prune.remove)",
        )  # fmt: skip
    base = _known_class(module, _LEAVES)
    changed = [] if base is None else _changed_methods(module, base)
    if base is not None and changed and "as_graph" not in changed:
        raise FrontendError(
            f"{type(module).__name__} computes otherwise than {base.__name__}: it has a {changed[0]} of its own", where=where,
            measured=f"another {changed[0]}", limit=f"that of {base.__name__}",
            fix=f"use {base.__name__} as it is, and write what the module adds into its weights",
        )  # fmt: skip


def find_own_forwards(root: Any) -> list[str]:
    """List the paths of modules that are neither weights, neurons nor holders of Rockpool as they are.

    What they compute is known from their forward alone, which their graph may or may not follow.
    """
    found = []
    for path, module in walk_modules(root):
        base = _known_class(module, _LEAVES + _HOLDERS)
        if base is None or _changed_methods(module, base):
            found.append(path or type(module).__name__)
    return sorted(found)


def _is_rockpools(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "rockpool"


def _known_class(module: Any, names: tuple[str, ...]) -> type | None:
    return next((c for c in type(module).__mro__ if c.__name__ in names and _is_rockpools(c)), None)


def _changed_methods(module: Any, base: type) -> list[str]:
    """Name the methods that the instance or a subclass has replaced; to_torch()'s own call is Rockpool's."""
    changed = []
    for name in _METHODS:
        own = vars(module).get("_call" if name == "__call__" else name)
        foreign = own is not None and not (getattr(own, "__module__", "") or "").startswith("rockpool.")
        if foreign or getattr(type(module), name, None) is not getattr(base, name, None):
            changed.append(name)
    return changed


def _hooks(module: Any) -> list[object]:
    if not hasattr(module, "_forward_hooks"):
        return []
    from snnmap.nn.tracing import foreign_hooks

    return foreign_hooks(module)


def _refuse_wrapper(module: Any, where: str) -> FrontendError:
    if type(module).__name__ == "TWrapper":
        return FrontendError(
            "Rockpool's torch_transform changes the weights in each forward, and the graph holds those before", where=where,
            measured="TWrapper", fix="burn the changes in: rockpool.transform.torch_transform.remove_T_net(apply_T(net))",
        )  # fmt: skip
    return FrontendError(
        "Rockpool's torch_transform changes what a module sends, which no neuron of a chip does", where=where,
        measured="ActWrapper", fix="take it out: rockpool.transform.torch_transform.remove_T_net(net), and train on without it",
    )  # fmt: skip

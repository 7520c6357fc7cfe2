"""What torch.export makes of a module: a graph of torch's own operators, whose batch may have one size."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import fx

__all__ = ["GUARDS", "find_exported_batch", "is_exported", "name_operator"]

GUARDS = "_guards_fn"
"""Module of an exported graph that checks its inputs."""
_NAMES = {
    "sym_size": "size",
    "_adaptive_avg_pool2d": "adaptive_avg_pool2d",
    "_log_softmax": "log_softmax",
    "_softmax": "softmax",
    "max_pool2d_with_indices": "max_pool2d",
}
"""Functions by the operators, those of ``run_decompositions()`` too, whose first arguments are theirs."""
_OTHER_ORDER = ("batch_norm",)
"""Operators whose arguments stand in another order than those of the function of this name."""


def is_exported(module: Any) -> bool:
    """Say whether a module is that of an ``ExportedProgram``, whose own graph is read."""
    from torch import fx

    targets = [node.target for node in module.graph.nodes] if isinstance(module, fx.GraphModule) else []
    return any(_is_operator(target) for target in targets)


def find_exported_batch(graph: "fx.Graph") -> int | None:
    """Return the size of the batch that a graph was exported for, None where it is open."""
    values = [node.meta.get("val") for node in graph.nodes if node.op == "placeholder"]
    sizes = [value.shape[0] for value in values if getattr(value, "ndim", 0)]
    return sizes[0] if sizes and isinstance(sizes[0], int) else None


def name_operator(target: Any) -> str:
    """Return the name of a function, operator or method, by which its reader is found."""
    if not _is_operator(target):
        return str(getattr(target, "__name__", target))
    name = str(target.overloadpacket.__name__)
    return f"aten.{name}" if name in _OTHER_ORDER else _NAMES.get(name, name)


def _is_operator(target: Any) -> bool:
    return hasattr(target, "overloadpacket")

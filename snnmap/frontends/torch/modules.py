"""Places and tensors of torch modules: what the frontends of torch-based models share."""

from inspect import getattr_static, isdatadescriptor
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError

if TYPE_CHECKING:
    from torch import Tensor, fx, nn

__all__ = ["as_array", "as_view", "locate", "require_class_forward", "require_class_methods"]

_TELLING = frozenset(
    {
        "__abstractmethods__", "__annotate__", "__annotate_func__", "__annotations__", "__annotations_cache__", "__dict__",
        "__doc__", "__firstlineno__", "__init__", "__module__", "__orig_bases__", "__parameters__", "__qualname__",
        "__repr__", "__static_attributes__", "__str__", "__weakref__", "_abc_impl", "_get_name", "extra_repr",
    }
)  # fmt: skip
"""What a subclass may have otherwise than its class: how it is made, and what it says of itself."""


def locate(node: "fx.Node") -> str:
    """Say where in the user's module an operation is."""
    stack = node.meta.get("nn_module_stack", {})
    paths = [str(entry[0]) for entry in stack.values() if entry[0]]
    return f"module '{paths[-1]}', {node.name}" if paths else f"forward, {node.name}"


def as_array(tensor: "Tensor") -> FloatArray:
    """Copy a tensor of any device and dtype to float64."""
    given = tensor.detach().cpu()
    wide = given.double()
    return np.array(wide.numpy()) if wide is given else cast(FloatArray, wide.numpy())


def as_view(tensor: "Tensor") -> npt.NDArray[Any]:
    """Show a tensor's values for reading alone: as they are in float32 or float64, else copied to float64."""
    given = tensor.detach().cpu()
    return given.numpy() if str(given.dtype) in ("torch.float32", "torch.float64") else as_array(given)


def require_class_forward(path: str, module: "nn.Module", kind: "type[nn.Module]", *, own: tuple[str, ...] = ()) -> None:
    """Refuse a module that computes otherwise than the class that it is read as.

    Args:
        path: of the module, for errors.
        module: an instance of ``kind`` or of a subclass.
        kind: class whose forward is known.
        own: attributes that the class itself sets to functions on its instances.

    Raises:
        FrontendError: a subclass or the instance replaced forward, or the instance another method.
    """
    changed = [name for name in ("forward", "__call__") if getattr(type(module), name) is not getattr(kind, name)]
    changed += [name for name, value in vars(module).items() if _is_replaced(name, value, module) and name not in own]
    if changed:
        raise FrontendError(
            f"{type(module).__name__} computes otherwise than {kind.__name__}: it has a {changed[0]} of its own",
            where=f"module '{path}'" if path else type(module).__name__,
            measured=f"another {changed[0]}",
            limit=f"that of {kind.__module__.partition('.')[0]}'s {kind.__name__}",
            fix=f"use {kind.__name__} as it is; what it does before or after is followed where forward of a holder says it",
        )


def require_class_methods(path: str, module: "nn.Module", kind: "type[nn.Module]") -> None:
    """Refuse a user's subclass that does anything otherwise than the class that it is read as, but for how it is made.

    Args:
        path: of the module, for errors.
        module: an instance of ``kind`` or of a subclass.
        kind: class whose computation is known.

    Raises:
        FrontendError: it replaces a method or attribute of the class, or hides an attribute of the instance.
    """
    mine, held = type(module), {*vars(module), *module._parameters, *module._buffers, *module._modules}
    changed = [name for name in dir(kind) if getattr_static(mine, name) is not getattr_static(kind, name)]
    changed += [
        name for name in dir(mine) if not hasattr(kind, name) and name in held and isdatadescriptor(getattr_static(mine, name))
    ]
    told = [name for name in changed if name not in _TELLING]
    if told:
        raise FrontendError(
            f"{mine.__name__} computes otherwise than {kind.__name__}: it has {', '.join(told)} of its own",
            where=f"module '{path}'" if path else mine.__name__,
            measured=f"another {told[0]}",
            limit=f"that of {kind.__module__.partition('.')[0]}'s {kind.__name__}",
            fix=f"use {kind.__name__} as it is; what it does before or after is followed where forward of a holder says it",
        )


def _is_replaced(name: str, value: Any, module: "nn.Module") -> bool:
    """Say whether an attribute of an instance hides a method of its class; torch.compile's own changes nothing."""
    return callable(value) and callable(getattr(type(module), name, None)) and name != "_compiled_call_impl"

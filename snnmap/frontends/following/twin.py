"""A module's twin in float64, and how what each of its parts does is watched."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from snnmap.core.errors import FrontendError
from snnmap.frontends.following.framework import Framework

__all__ = ["make_twin", "take_spikes", "watch"]

Watch = Callable[[str, nn.Module, Callable[..., Any], Any, Any], Any]


def make_twin(module: nn.Module, framework: Framework) -> nn.Module:
    """Return a copy in float64 and evaluation mode whose neurons start anew.

    Raises:
        FrontendError: the module cannot be copied, or has weights that are no real numbers.
    """
    _require_real(module)
    known: dict[int, Any] = {}
    for part in module.modules():  # states of a training step hang on its graph, which cannot be copied
        for value in tree_flatten(vars(part))[0]:
            if isinstance(value, Tensor) and not value.is_leaf:
                known[id(value)] = value.detach().clone()
    try:
        for part in module.modules():
            if hasattr(part, "__deepcopy__") and framework.find_class(part) is not type(part):
                _copy_plain(part, known)
        twin = copy.deepcopy(module, known).cpu().double().eval()
    except Exception as error:
        fix = "give a module that copy.deepcopy copies"
        raise FrontendError.from_failure("the module cannot be copied", error, where=type(module).__name__, fix=fix) from error
    framework.restart(twin)
    return twin


def _copy_plain(part: nn.Module, known: dict[int, Any]) -> None:
    """Copy neurons of a user's own class by what they hold; frameworks copy by the constructor, which is the user's here."""
    twin = known[id(part)] = type(part).__new__(type(part))
    twin.__dict__.update(copy.deepcopy(vars(part), known))


def _require_real(module: nn.Module) -> None:
    for path, part in module.named_modules():
        packed = [type(part).__name__] if type(part).__module__.startswith("torch.ao.nn.quantized") else []
        held = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
        wrong = packed + [f"{name} of {value.dtype}" for name, value in held if value.is_complex() or value.is_quantized]
        if wrong:
            raise FrontendError(
                "a layer's weights are no real numbers that float64 holds",
                where=f"module '{path}'" if path else type(part).__name__,
                measured=wrong[0],
                limit="floats or integers",
                fix="give the module as before it was quantised, with real weights; a build rounds them to the chip's words",
            )
        if empty := [name for name, value in held if value.is_meta]:
            fix = "make the module on the CPU, and load its state_dict()"
            raise FrontendError("a layer's weights have no values", where=f"module '{path}'", measured=empty[0], fix=fix)
        lost = [name for name, value in held if bool(value.isnan().any())]
        if lost:
            fix = "take weights of before they were lost, and train with clipped gradients or a lower learning rate"
            raise FrontendError("a layer's weights are NaN", where=f"module '{path}'", measured=lost[0], fix=fix)


@contextmanager
def watch(twin: nn.Module, framework: Framework, watcher: Watch) -> Iterator[None]:
    """Let a function do, or only see, what each module's forward does."""
    parts = dict(twin.named_modules())
    before = {path: vars(part).get("forward") for path, part in parts.items()}
    for path, part in parts.items():
        part.forward = partial(watcher, path, part, part.forward)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad(), framework.stand_in(twin):
            yield
    finally:
        torch.set_default_dtype(default)
        for path, part in parts.items():
            if before[path] is None:
                del part.forward
            else:
                part.forward = before[path]


def take_spikes(module: nn.Module, framework: Framework, args: Any) -> Any:
    """Give a layer the spikes alone of neurons that return their states too, which a Sequential hands on as they are."""
    is_layer = framework.find_class(module).__module__.startswith(("torch.nn.modules", framework.package))
    return (args[0][0], *args[1:]) if is_layer and args and isinstance(args[0], tuple) and args[0] else args

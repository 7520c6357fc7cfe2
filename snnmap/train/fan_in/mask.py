"""Masks that hold weights at 0, as parametrisations of a module's parameters."""

from typing import Any, cast

from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnmap.core.errors import InputError

__all__ = ["FanInMask", "find_original", "install_mask", "require_unparametrised", "settle_fan_in"]

_PARAMETERS = ("weight", "recurrent_weight")


class FanInMask(nn.Module):
    """Holds weights at 0, as a parametrisation of them, and keeps the gradient by all of them for regrowth.

    The mask is the buffer ``kept``, so that it is part of ``state_dict``.
    """

    kept: Tensor

    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", kept)
        self.gradient: Tensor | None = None

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weights with 0 where they are not kept."""
        masked = weight.masked_fill(~self.kept, 0.0)
        if masked.requires_grad:
            cast(Any, masked).register_hook(self._add_gradient)
        return masked

    def _add_gradient(self, gradient: Tensor) -> None:
        self.gradient = gradient.detach().clone() if self.gradient is None else self.gradient + gradient.detach()


def settle_fan_in(model: nn.Module) -> None:
    """Make the masked weights plain parameters again, zeros included."""
    for module in list(model.modules()):
        for parameter in _PARAMETERS:
            if _find_mask(module, parameter) is not None:
                _unshare_class(module)
                parametrize.remove_parametrizations(module, parameter, leave_parametrized=True)


def find_original(module: nn.Module, parameter: str) -> Tensor:
    """Return the tensor behind a mask, to write to."""
    held = _parametrisation(module, parameter).original if parametrize.is_parametrized(module, parameter) else None
    return cast(Tensor, getattr(module, parameter) if held is None else held).data


def _find_mask(module: nn.Module, parameter: str) -> FanInMask | None:
    """Return the mask of a parameter, if it has one."""
    if not parametrize.is_parametrized(module, parameter):
        return None
    first = _parametrisation(module, parameter)[0]
    return first if isinstance(first, FanInMask) else None


def _parametrisation(module: nn.Module, parameter: str) -> parametrize.ParametrizationList:
    return cast(parametrize.ParametrizationList, cast(nn.ModuleDict, module.parametrizations)[parameter])


def install_mask(module: nn.Module, parameter: str, kept: Tensor) -> FanInMask:
    """Keep these weights of a parameter, ``kept`` a bool of its shape, in the mask that it has or in a new one."""
    mask = _find_mask(module, parameter)
    if mask is not None:
        mask.kept.copy_(kept)
        return mask
    _unshare_class(module)
    mask = FanInMask(kept)
    parametrize.register_parametrization(module, parameter, mask)
    return mask


def require_unparametrised(path: str, module: nn.Module, parameter: str) -> None:
    """Refuse a parameter that is parametrised by something else.

    Raises:
        InputError: it is.
    """
    if parametrize.is_parametrized(module, parameter) and _find_mask(module, parameter) is None:
        raise InputError(
            "the weights are parametrised already",
            where=f"module '{path}', {parameter}",
            fix="remove the parametrisation, or the weight normalisation, before limiting",
        )


def _unshare_class(module: nn.Module) -> None:
    """Give a parametrised module a class of its own: torch keeps the property there, and a deep copy has the same class."""
    if parametrize.is_parametrized(module):
        cls = type(module)
        module.__class__ = type(cls.__name__, cls.__bases__, dict(cls.__dict__))

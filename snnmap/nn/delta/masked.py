"""Layers that learn which synapses to keep: weight and mask come from one parameter."""

import copy
import math
from collections.abc import Callable, Collection
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from snnmap.core.errors import InputError

__all__ = ["MaskedConv1d", "MaskedConv2d", "MaskedLinear", "MaskedSynapses", "mask_layers"]


class _Shrink(torch.autograd.Function):
    """Softshrink whose gradient does not end at the threshold, but fades to 0 at 0."""

    @staticmethod
    def forward(ctx: Any, parameter: Tensor, threshold: float) -> Tensor:
        ctx.save_for_backward(parameter)
        ctx.threshold = threshold
        is_kept = parameter.abs() > threshold  # softshrink alone leaves a rest where the threshold is rounded to half floats
        return nn.functional.softshrink(parameter, threshold) * is_kept

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (parameter,) = ctx.saved_tensors
        return gradients[0] * (parameter.abs() / ctx.threshold).clamp(max=1.0), None


class _Mask(torch.autograd.Function):
    """1 where the synapse is kept; backward as if it were the parameter's magnitude."""

    @staticmethod
    def forward(ctx: Any, parameter: Tensor, threshold: float) -> Tensor:
        ctx.save_for_backward(parameter)
        return (parameter.abs() > threshold).to(parameter.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (parameter,) = ctx.saved_tensors
        return gradients[0] * parameter.sign(), None


class MaskedSynapses(nn.Module):
    """What a masked layer has beside its dense one's; see :class:`MaskedLinear`.

    Attributes:
        weight: the parameter w of both the weight and the mask, in the dense layer's shape.
        threshold: gamma, up to which a synapse is cut.
    """

    weight: Tensor
    threshold: float

    def effective_weight(self) -> Tensor:
        """Return the weights that the layer multiplies by, in the shape of ``weight``, exactly 0 where the mask is."""
        return cast(Callable[..., Tensor], _Shrink.apply)(self.weight, self.threshold)

    def mask(self) -> Tensor:
        """Return 1 where a synapse is kept and 0 elsewhere, in the shape of ``weight``."""
        return cast(Callable[..., Tensor], _Mask.apply)(self.weight, self.threshold)

    def set_weight(self, weight: Tensor) -> None:
        """Set the effective weights, of the shape of ``weight``; a synapse of weight 0 is cut, at the brink of coming back."""
        with torch.no_grad():
            self.weight.copy_(weight + self.threshold * weight.sign())

    def reset_parameters(self) -> None:
        """Draw parameters uniformly up to He's bound for the effective weights, ``sqrt(6 / fan_in)``; biases are 0."""
        self.threshold = 0.1 * math.sqrt(6.0 / self.weight.shape[0])
        bound = math.sqrt(6.0 / self.weight[0].numel()) + self.threshold
        with torch.no_grad():
            self.weight.uniform_(-bound, bound)
            if isinstance(self.bias, Tensor):
                self.bias.zero_()

    def get_extra_state(self) -> float:
        """Return the threshold, so that a state dict tells a masked layer's parameters from a dense one's weights."""
        return self.threshold

    def set_extra_state(self, state: float) -> None:
        """Take the threshold of a state dict."""
        self.threshold = float(state)

    def extra_repr(self) -> str:
        """Return the dense layer's choices and the threshold, for ``print(model)``."""
        return f"{super().extra_repr()}, threshold={self.threshold:.4g}"


class MaskedLinear(MaskedSynapses, nn.Linear):
    """``torch.nn.Linear`` that learns which synapses to keep.

    The masked layer of Sekikawa & Uto 2021, Learning to Sparsify Differences of Synaptic Signal for Efficient Event
    Processing, eq. 13 and 14. Mask and weight come from one parameter w::

        mask   = 1 where |w| > gamma, else 0
        weight = sign(w) * max(|w| - gamma, 0)              softshrink
        gamma  = 0.1 * sqrt(6 / C_out)

    Backward, a synapse that is cut still learns, so that it can come back::

        dweight/dw = 1 where |w| > gamma, else |w| / gamma
        dmask/dw   = sign(w)

    (as the authors' published code has it; the fading below gamma and the sign are straight-through estimates). It is made with
    ``in_features``, ``out_features`` (C_out) and ``bias``.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        """Return ``input @ effective_weight().T + bias``."""
        return nn.functional.linear(input, self.effective_weight(), self.bias)


class MaskedConv1d(MaskedSynapses, nn.Conv1d):
    """``torch.nn.Conv1d`` that learns which synapses to keep, as :class:`MaskedLinear` does; a synapse is a kernel's weight."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        """Convolve with the effective weight."""
        result: Tensor = self._conv_forward(input, self.effective_weight(), self.bias)
        return result


class MaskedConv2d(MaskedSynapses, nn.Conv2d):
    """``torch.nn.Conv2d`` that learns which synapses to keep, as :class:`MaskedLinear` does; a synapse is a kernel's weight."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gives it
        """Convolve with the effective weight."""
        result: Tensor = self._conv_forward(input, self.effective_weight(), self.bias)
        return result


def mask_layers(model: nn.Module, where: Collection[str] | None = None) -> nn.Module:
    """Return a copy of a model whose layers of weights are masked and compute what they did.

    Args:
        model: copied, unchanged; trained or not.
        where: paths of the layers; None takes every Linear, Conv1d and Conv2d, but no subclass of them.

    Returns:
        The copy, whose masks cut only weights that are 0, or nothing beside the threshold in their type of number.

    Raises:
        InputError: a path at which no such layer is, or no layer at all.
    """
    result = nn.Sequential(copy.deepcopy(model))
    modules = result.named_modules(remove_duplicate=False)
    dense = {path.partition(".")[2]: path for path, module in modules if type(module) in _MASKED}
    unknown = sorted(set(where or ()) - set(dense))
    if unknown or not dense:
        raise InputError(
            "no layer to mask",
            where=type(model).__name__,
            measured=", ".join(unknown) or "no Linear, Conv1d or Conv2d",
            limit=", ".join(dense) or "at least one",
            fix="name layers of weights by their paths in model.named_modules()",
        )
    chosen = {dense[name]: result.get_submodule(dense[name]) for name in (dense if where is None else where)}
    masked = {layer: _mask(layer) for layer in chosen.values()}  # one for all places of a layer
    for path in dense.values():
        parent, _, name = path.rpartition(".")
        layer = result.get_submodule(path)
        result.get_submodule(parent).register_module(name, masked.get(layer, layer))
    return result[0]


def _mask(layer: Any) -> MaskedSynapses:
    """Return the masked layer of a Linear, Conv1d or Conv2d."""
    has_bias = layer.bias is not None
    place = {"device": layer.weight.device, "dtype": layer.weight.dtype}
    masked: MaskedSynapses
    if isinstance(layer, nn.Linear):
        masked = MaskedLinear(layer.in_features, layer.out_features, bias=has_bias, **place)
    else:
        names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
        masked = _MASKED[type(layer)](**{name: getattr(layer, name) for name in names}, bias=has_bias, **place)
    masked.set_weight(layer.weight.detach())
    masked.weight.requires_grad_(layer.weight.requires_grad)
    masked.bias = layer.bias
    masked.train(layer.training)
    return masked


_MASKED: dict[type[nn.Module], Any] = {nn.Linear: MaskedLinear, nn.Conv1d: MaskedConv1d, nn.Conv2d: MaskedConv2d}

"""Weights within the chip's fan-in: chosen by what they contribute, and kept there while training goes on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from snnmap.errors import InputError

_mask = cast(Callable[[nn.Module, str, Tensor], nn.Module], prune.custom_from_mask)
_unmask = cast(Callable[[nn.Module, str], nn.Module], prune.remove)

__all__ = ["FanInLoss", "limit_fan_in", "settle_fan_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FanInLoss:
    """What a limit took from a layer.

    Attributes:
        layer: module path.
        n_removed: weights set to 0.
        n_weights: weights there were.
        input_lost: share of the pre-activations' power that the removed weights had.
    """

    layer: str
    n_removed: int
    n_weights: int
    input_lost: float


def limit_fan_in(model: nn.Module, max_fan_in: int, *, calibration: Tensor | None = None) -> tuple[FanInLoss, ...]:
    """Keep, for each neuron of each Linear layer, the weights that contribute most; hold the others at 0 in training.

    A weight contributes its size, times the root mean square of its input where calibration data are given. The masks are
    those of ``torch.nn.utils.prune``: train on, then call :func:`settle_fan_in`. On the chip all weights onto a neuron in one
    memory count: feed-forward, recurrent and skip weights share the recurrent one, and a converted network has one for its
    clock; the design rule SNN204 counts them after folding.

    Args:
        model: changed in place.
        max_fan_in: weights a neuron.
        calibration: ``(n, ...)`` inputs of the model.

    Returns:
        A line a layer that lost weights.

    Raises:
        InputError: a limit below 1.
    """
    if max_fan_in < 1:
        raise InputError("a neuron needs an input", measured=str(max_fan_in), limit="1", fix="give the chip's fan-in limit")
    layers = {path: module for path, module in model.named_modules() if isinstance(module, nn.Linear)}
    powers = {path: torch.ones(layer.in_features) for path, layer in layers.items()}
    if calibration is not None:
        powers = _measure_inputs(model, layers, calibration)
    losses = []
    for path, layer in layers.items():
        if layer.in_features > max_fan_in:
            losses.append(_limit(path, layer, max_fan_in, powers[path]))
    return tuple(losses)


def settle_fan_in(model: nn.Module) -> None:
    """Make the masked weights plain parameters again, zeros included."""
    for module in model.modules():
        if isinstance(module, nn.Linear) and prune.is_pruned(module):
            _unmask(module, "weight")


def _limit(path: str, layer: nn.Linear, max_fan_in: int, power: Tensor) -> FanInLoss:
    contribution = layer.weight.detach() ** 2 * power
    kept = torch.zeros_like(contribution, dtype=torch.bool)
    kept.scatter_(1, contribution.topk(max_fan_in, dim=1).indices, value=True)
    _mask(layer, "weight", kept)
    lost = float(contribution[~kept].sum() / contribution.sum())
    return FanInLoss(layer=path, n_removed=int((~kept).sum()), n_weights=kept.numel(), input_lost=lost)


def _measure_inputs(model: nn.Module, layers: dict[str, nn.Linear], calibration: Tensor) -> dict[str, Tensor]:
    """Give the mean square of each input of each layer."""
    powers: dict[str, Tensor] = {}

    def keep(path: str) -> torch.utils.hooks.RemovableHandle:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            powers[path] = (inputs[0].detach() ** 2).flatten(0, -2).mean(dim=0)

        return layers[path].register_forward_pre_hook(hook)

    handles = [keep(path) for path in layers]
    try:
        with torch.no_grad():
            model(calibration)
    finally:
        for handle in handles:
            handle.remove()
    return powers

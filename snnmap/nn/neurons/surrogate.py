"""Spike counts with surrogate gradients."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor

from snnmap.core.errors import InputError

__all__ = ["Surrogate", "SurrogateName", "count_spikes"]

SurrogateName = Literal["relu", "fast_sigmoid", "arctan", "sigmoid", "triangle", "boxcar", "exponential"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surrogate:
    """Which derivative stands for that of the spike count.

    With x = u / threshold and d the distance of x from the nearest count at which a spike is added or lost, which are 1, 2, ...
    up to the most spikes a step::

        relu          dn/dx = 1 where x > 1, else 0             the derivative of max(v - threshold, 0)
        fast_sigmoid  dn/dx = 1 / (1 + slope |d|)**2            Zenke & Ganguli 2018, eq. 5
        arctan        dn/dx = 1 / (1 + (pi slope d / 2)**2)     Fang et al. 2021, eq. 17
        sigmoid       dn/dx = 4 s(slope d) (1 - s(slope d))     s the logistic function: Zenke & Vogels 2021, with its peak at 1
        triangle      dn/dx = max(0, 1 - slope |d|)             Bellec et al. 2018
        boxcar        dn/dx = 1 where slope |d| < 1/2, else 0   Wu et al. 2018, h1
        exponential   dn/dx = exp(-slope |d|)                   Shrestha & Orchard 2018

    Attributes:
        name: which.
        slope: steepness; unused by relu.
        window: thresholds below the first one at which relu already lets gradients through; 0 is the strict rule.

    Raises:
        InputError: an unknown name.
    """

    name: SurrogateName = "relu"
    slope: float = 2.0
    window: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in get_args(SurrogateName):
            raise InputError(
                "unknown surrogate",
                where="Surrogate",
                measured=str(self.name),
                limit=", ".join(get_args(SurrogateName)),
                fix="name one of them",
            )

    @property
    def kernel_kind(self) -> int:
        """Number of the rule in the compiled kernels."""
        return get_args(SurrogateName).index(self.name)

    @property
    def kernel_slope(self) -> float:
        """What the compiled kernels multiply the distance by."""
        return torch.pi / 2 * self.slope if self.name == "arctan" else self.slope

    def derivative(self, x: Tensor, max_count: int) -> Tensor:
        """Return dn/dx at x = u / threshold, of a neuron that sends at most so many spikes a step."""
        if self.name == "relu":
            return (x > 1.0 - self.window).to(x.dtype)
        distance = x - torch.clamp(torch.round(x), 1.0, float(max_count))
        return _RULES[self.name](self.kernel_slope * distance)


_RULES: dict[str, Callable[[Tensor], Tensor]] = {
    "fast_sigmoid": lambda d: 1.0 / (1.0 + d.abs()) ** 2,
    "arctan": lambda d: 1.0 / (1.0 + d**2),
    "sigmoid": lambda d: 4.0 * torch.sigmoid(d) * torch.sigmoid(-d),
    "triangle": lambda d: (1.0 - d.abs()).clamp(min=0.0),
    "boxcar": lambda d: (d.abs() < 0.5).to(d.dtype),
    "exponential": lambda d: torch.exp(-d.abs()),
}
"""dn/dx of every rule but relu, of the distance times the slope."""


class _CountSpikes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, threshold: Tensor, max_count: int, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(u, threshold)
        ctx.surrogate, ctx.max_count = surrogate, max_count
        fired = torch.clamp(torch.floor(u / threshold), max=float(max_count))
        return torch.where(u < threshold, torch.zeros_like(u), fired)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        u, threshold = ctx.saved_tensors
        x = u / threshold
        by_u = gradients[0] * ctx.surrogate.derivative(x, ctx.max_count) / threshold
        by_threshold = (-by_u * x).sum_to_size(threshold.shape) if ctx.needs_input_grad[1] else None
        return by_u, by_threshold, None, None


def count_spikes(u: Tensor, threshold: Tensor, max_count: int, surrogate: Surrogate) -> Tensor:
    """Return 0 where u < threshold, else min(floor(u / threshold), max_count); backward the surrogate's derivative.

    Args:
        u: ``(batch, size)`` membrane potential before the reset.
        threshold: ``(size,)``, positive.
        max_count: the most spikes a step.
        surrogate: derivative of the count by u / threshold; the chain rule gives those by u and by the threshold.
    """
    apply = cast(Callable[..., Tensor], _CountSpikes.apply)
    return apply(u, threshold, max_count, surrogate)

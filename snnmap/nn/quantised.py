"""Rectifiers with a learned step: what a converted neuron's spike count can say exactly."""

from collections.abc import Callable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError

__all__ = ["QuantisedReLU", "Rounding", "step_from_data"]

Rounding = Literal["round", "floor"]


class _Quantise(torch.autograd.Function):
    """Levels in front, the gradients of LSQ behind (Esser et al. 2019, eq. 1 to 3 and 5)."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, step: Tensor, top: float, shift: float) -> Tensor:
        x = z / step
        levels = torch.clamp(torch.floor(x + shift), 0.0, top)
        ctx.save_for_backward(x, levels)
        ctx.top = top
        return levels * step

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, levels = ctx.saved_tensors
        inside = (x > 0) & (x < ctx.top)
        by_z = gradients[0] * inside
        by_step = (gradients[0] * torch.where(inside, levels - x, levels)).sum()
        return by_z, by_step, None, None


class QuantisedReLU(nn.Module):
    """Rectify to whole levels of a learned step, so that a spike of the converted neuron is one level.

    In front::

        y = step * clip(floor(z / step + 1/2), 0, n_levels)     rounding "round"
        y = step * clip(floor(z / step),       0, n_levels)     rounding "floor"

    With ``round`` this is QCFS (Bu et al. 2022, eq. 9) of threshold ``step * n_levels``, whose shift by a half is the rounding,
    and, but for ties, LSQ (Esser et al. 2019, eq. 1 and 2) of an unsigned activation. Backward, with x = z / step (eq. 3 and 5)::

        dy/dz    = 1            where 0 < x < n_levels, else 0
        dy/dstep = level - x    where 0 < x < n_levels, else the level: 0 or n_levels

    and the step's gradient is scaled by ``1 / sqrt(n_features * n_levels)`` (section 2.2), n_features the values of a sample.

    Args:
        n_levels: the highest level.
        step: first value of the step, an activation; None takes :func:`step_from_data` of the first batch.
        rounding: to the nearest level or to the one below.
        clip: whether there is a highest level; without it ``n_levels`` only sets the first step and the gradient's scale,
            and nothing but the task keeps the step from shrinking to 0: train it slowly, or not at all.

    Raises:
        InputError: no levels, or a step that is not positive.
    """

    step: nn.Parameter
    is_ready: Tensor

    def __init__(self, n_levels: int, *, step: float | None = None, rounding: Rounding = "round", clip: bool = True) -> None:
        super().__init__()
        if n_levels < 1 or rounding not in ("round", "floor"):
            raise InputError(
                "a quantised ReLU needs a level and a rounding",
                measured=f"n_levels={n_levels}, rounding='{rounding}'",
                limit="n_levels >= 1, rounding 'round' or 'floor'",
                fix="give n_levels=15 or so",
            )
        self.n_levels, self.rounding, self.clip = n_levels, rounding, clip
        self.step = nn.Parameter(torch.tensor(1.0 if step is None else float(step)))
        self.register_buffer("is_ready", torch.tensor(step is not None))
        self._require_step()

    @property
    def level_bounds(self) -> tuple[float, float]:
        """The lowest and the highest level, which may be infinite."""
        return 0.0, float(self.n_levels) if self.clip else torch.inf

    def forward(self, z: Tensor) -> Tensor:
        """Return the quantised activation of ``z``, of any shape ``(batch, ...)``.

        Raises:
            InputError: training has made the step 0, negative or NaN.
        """
        if not self.is_ready:
            self.set_step(step_from_data(z.detach(), self.n_levels))
        self._require_step()
        scale = (max(z[:1].numel(), 1) * self.n_levels) ** -0.5
        step = self.step.detach() + (self.step - self.step.detach()) * scale
        apply = cast(Callable[..., Tensor], _Quantise.apply)
        return apply(z, step, self.level_bounds[1], 0.5 if self.rounding == "round" else 0.0)

    def set_step(self, step: float) -> None:
        """Set the step, an activation; a first batch then leaves it alone."""
        with torch.no_grad():
            self.step.fill_(step)
            self.is_ready.fill_(True)
        self._require_step()

    def extra_repr(self) -> str:
        """Return the choices, for ``print(model)``."""
        return f"n_levels={self.n_levels}, step={self.step.item():.4g}, rounding='{self.rounding}', clip={self.clip}"

    def _require_step(self) -> None:
        step = self.step.item()
        if not 0.0 < step < float("inf"):
            raise InputError(
                "the step of a quantised ReLU is not positive",
                where="QuantisedReLU",
                measured=f"{step:.4g}",
                limit="> 0",
                fix="train the steps with a smaller learning rate, or give a positive step",
            )


def step_from_data(values: Tensor, n_levels: int) -> float:
    """Return LSQ's first step, ``2 mean(|x|) / sqrt(n_levels)`` (Esser et al. 2019, section 2.1), x the rectified values.

    Args:
        values: pre-activations of any shape.
        n_levels: the highest level.

    Returns:
        The step, an activation.

    Raises:
        InputError: no value is positive, so that no step suits them.
    """
    mean = float(torch.relu(values).double().mean()) if values.numel() else 0.0
    if not 0.0 < mean < float("inf"):
        raise InputError(
            "no step suits pre-activations that are never positive or not finite",
            measured=f"mean {mean:.4g} of {values.numel()} rectified values",
            limit="> 0",
            fix="give the step, or a first batch that excites the layer",
        )
    return float(2.0 * mean / n_levels**0.5)

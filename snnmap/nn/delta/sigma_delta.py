"""Quantisers of sigma-delta networks, whose step is trained to grow where that saves work."""

import math
from collections.abc import Callable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from snnmap.core.errors import InputError
from snnmap.nn.delta.quantisers import align_to_channels
from snnmap.nn.quantised import step_from_data

__all__ = ["SigmaDeltaQuantiser", "StepGradient"]

StepGradient = Literal["macro", "lsq"]


class _RoundByMacroGrad(torch.autograd.Function):
    """Round to steps; backward by the step as if only the division were there."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, log_step: Tensor, gradient: StepGradient) -> Tensor:
        step = log_step.exp()
        rounded = torch.floor(z / step + 0.5) * step
        ctx.save_for_backward(z if gradient == "macro" else z - rounded)
        ctx.shape = log_step.shape
        return rounded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (value,) = ctx.saved_tensors
        return gradients[0], -(gradients[0] * value).sum_to_size(ctx.shape), None


class SigmaDeltaQuantiser(nn.Module):
    """Round to steps of a learned size, whose gradient tells what a larger step saves.

    With x = z / step and ``round`` to the nearest, ties upwards::

        y = step * round(x)
        dy/dz    = 1
        dy/dstep = -x               "macro": macro-grad (Sekikawa & Uto 2021, eq. 9)
        dy/dstep = round(x) - x     "lsq": without its clip (Esser et al. 2019, eq. 3)

    LSQ's gradient follows the rounding error and has no trend; macro-grad follows the number of levels, which a larger step
    makes smaller, so that a penalty on differences of ``y`` makes the step grow, and a task without one makes it shrink to
    its bound. The parameter is the step's logarithm, as in
    the authors' published code, so that the learning rate is relative to the step: dy/dlog_step = step * dy/dstep.

    A sigma-delta neuron (O'Connor & Welling 2017; Sekikawa & Uto 2021, eq. 3 to 5) transmits multiples of its step: the
    change of the rounded activation, carrying its rounding error on to the next step. The sum of what it has sent is then
    the rounded activation itself, so that training sees this module and :class:`DeltaNetwork` runs it.

    Args:
        n_channels: a step for each of so many channels; None is one step for the layer.
        channel_axis: which axis of the activations the channels are.
        step: first value of every step, an activation; None takes :func:`step_from_data` of the first batch's magnitudes.
        least_step: bound of every step, which training does not cross; the default is about the published code's.
        n_levels: levels that the first step is for, where it comes from data.
        gradient: ``macro`` or ``lsq``.

    Raises:
        InputError: no channel, no level, or a step that is not positive.
    """

    log_step: nn.Parameter
    is_ready: Tensor
    clip = False
    signed = False

    def __init__(
        self,
        *,
        n_channels: int | None = None,
        channel_axis: int = 1,
        step: float | None = None,
        least_step: float = 2.0**-10,
        n_levels: int = 255,
        gradient: StepGradient = "macro",
    ) -> None:
        super().__init__()
        is_positive = 0.0 < least_step <= (least_step if step is None else step) < math.inf
        has_channels = n_channels is None or n_channels >= 1
        if not (has_channels and n_levels >= 1 and is_positive and gradient in ("macro", "lsq")):
            raise InputError(
                "a quantiser needs a positive step, a level and a channel",
                where="SigmaDeltaQuantiser",
                measured=f"step={step}, least_step={least_step}, {n_levels=}, {n_channels=}, {gradient=}",
                limit="step >= least_step > 0, n_levels >= 1, n_channels >= 1 or None, gradient 'macro' or 'lsq'",
                fix="give step=None to take it from data, n_channels=None for one step",
            )
        self.n_channels, self.channel_axis, self.n_levels, self.gradient = n_channels, channel_axis, n_levels, gradient
        self.least_step = least_step
        shape = () if n_channels is None else (n_channels,)
        self.log_step = nn.Parameter(torch.full(shape, 0.0 if step is None else math.log(step)))
        self.register_buffer("is_ready", torch.tensor(step is not None))

    @property
    def step(self) -> Tensor:
        """The steps, ``()`` or ``(n_channels,)``, an activation; with their gradient."""
        return self.log_step.exp().clamp(min=self.least_step)

    @property
    def level_bounds(self) -> tuple[float, float]:
        """The lowest and the highest level, which may be infinite."""
        return -math.inf, math.inf

    def forward(self, z: Tensor) -> Tensor:
        """Return the rounded ``z``, of any shape ``(batch, ...)``; the first one sets the step, where none was given.

        Raises:
            InputError: ``z`` has other channels, a first batch is zero everywhere or not finite, or training has made a step
                infinite or NaN.
        """
        if not self.is_ready:
            self.calibrate(z)
        self._bound_steps()
        apply = cast(Callable[..., Tensor], _RoundByMacroGrad.apply)
        return apply(z, align_to_channels(self.log_step, z, self.channel_axis), self.gradient)

    def calibrate(self, values: Tensor) -> None:
        """Set all steps to :func:`step_from_data` of activations.

        Raises:
            InputError: all are 0, or one is not finite.
        """
        self.set_step(max(step_from_data(values.detach().abs(), self.n_levels), self.least_step))

    def set_step(self, step: float | Tensor) -> None:
        """Set the steps, activations; a first batch then leaves them alone.

        Args:
            step: of all channels, or ``(n_channels,)``; at least ``least_step``.

        Raises:
            InputError: a smaller one, or one that is not finite.
        """
        steps = torch.as_tensor(step, dtype=self.log_step.dtype, device=self.log_step.device)
        if not bool(((steps >= self.least_step * 0.999) & steps.isfinite()).all()) or steps.shape not in (
            (),
            self.log_step.shape,
        ):
            raise InputError(
                "the steps do not suit the quantiser",
                where="SigmaDeltaQuantiser",
                measured=f"{steps.min().item():.4g} to {steps.max().item():.4g}, shape {tuple(steps.shape)}",
                limit=f"{self.least_step:.4g} to finite, shape () or {tuple(self.log_step.shape)}",
                fix="give larger steps, or another least_step",
            )
        with torch.no_grad():
            self.log_step.copy_(steps.log())
            self.is_ready.fill_(True)

    def extra_repr(self) -> str:
        """Return the choices, for ``print(model)``."""
        return f"n_channels={self.n_channels}, gradient='{self.gradient}', step={self.step.mean().item():.4g}"

    def _bound_steps(self) -> None:
        """Take back what training has moved beyond the bound, from where the gradient may lead away again."""
        lowest, highest = torch.aminmax(self.log_step.detach())
        if not highest.item() < 88.0:  # exp(88) is about the largest float
            raise InputError(
                "a step of a quantiser is infinite or NaN",
                where="SigmaDeltaQuantiser",
                measured=f"{highest.exp().item():.4g}",
                limit="finite",
                fix="train the steps with a smaller learning rate or penalty",
            )
        if lowest.item() < math.log(self.least_step):
            with torch.no_grad():
                self.log_step.clamp_(min=math.log(self.least_step))

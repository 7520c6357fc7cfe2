"""Quantisers of activations: equal values at consecutive steps are what makes their difference zero."""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn.quantised import step_from_data

__all__ = ["FixedPoint", "StepQuantiser", "align_to_channels", "count_integer_bits"]


class _RoundToStep(torch.autograd.Function):
    """LSQ's levels and gradients (Esser et al. 2019, eq. 1 to 3 and 5), of any bounds and any shape of step."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, step: Tensor, bottom: float, top: float) -> Tensor:
        x = z / step
        levels = torch.clamp(torch.floor(x + 0.5), bottom, top)
        ctx.save_for_backward(x, levels, step)
        ctx.bounds = bottom, top
        return levels * step

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, levels, step = ctx.saved_tensors
        inside = (x > ctx.bounds[0]) & (x < ctx.bounds[1])
        by_step = gradients[0] * torch.where(inside, levels - x, levels)
        return gradients[0] * inside, by_step.sum_to_size(step.shape), None, None


def _round_to_step(z: Tensor, step: Tensor, bottom: float, top: float) -> Tensor:
    return cast(Callable[..., Tensor], _RoundToStep.apply)(z, step, bottom, top)


class FixedPoint(nn.Module):
    """Round to fixed point: integer bits from the data, the other bits of the width for the fraction.

    The scheme of Vijayan et al. 2022, Temporal Delta Layer, eq. 3.6 to 3.8::

        n_integer_bits  = floor(log2(max |x|)) + 1
        n_fraction_bits = width_bits - n_integer_bits        (less the sign's bit where signed)
        y = clip(floor(x * 2**n_fraction_bits + 1/2), lowest, highest) / 2**n_fraction_bits

    Here values are rounded to the nearest, ties upwards. ``n_integer_bits`` is negative for data below a half, so that
    no bit is wasted. Backward, the straight-through estimate: dy/dx = 1 strictly within the range, else 0.

    Args:
        width_bits: all bits, the sign included where there is one.
        signed: whether there are negative values, in two's complement; otherwise they become 0.

    Raises:
        InputError: no bit for the magnitude.
    """

    n_integer_bits: Tensor
    is_ready: Tensor

    def __init__(self, width_bits: int, *, signed: bool = False) -> None:
        super().__init__()
        _require_width(width_bits, signed)
        self.width_bits, self.signed = width_bits, signed
        self.register_buffer("n_integer_bits", torch.tensor(0))
        self.register_buffer("is_ready", torch.tensor(False))

    @property
    def step(self) -> float:
        """The distance of two levels, an activation."""
        return float(2.0 ** (int(self.n_integer_bits) - self.width_bits + int(self.signed)))

    @property
    def level_bounds(self) -> tuple[float, float]:
        """The lowest and the highest level, which may be infinite."""
        return _level_bounds(self.width_bits, self.signed)

    def forward(self, z: Tensor) -> Tensor:
        """Return the quantised activation of ``z``, of any shape; the first one sets the integer bits.

        Raises:
            InputError: the first batch is zero everywhere or not finite.
        """
        if not self.is_ready:
            self.calibrate(z)
        return _round_to_step(z, z.new_tensor(self.step), *self.level_bounds)

    def calibrate(self, values: Tensor) -> None:
        """Set the integer bits from activations of any shape.

        Raises:
            InputError: they are zero everywhere or not finite.
        """
        self.n_integer_bits.fill_(count_integer_bits(values))
        self.is_ready.fill_(True)

    def extra_repr(self) -> str:
        """Return the choices, for ``print(model)``."""
        return f"width_bits={self.width_bits}, signed={self.signed}, step={self.step:.4g}"


class StepQuantiser(nn.Module):
    """Round to whole levels of a learned step: one step, or one a channel.

    With x = z / step and ``round`` to the nearest, ties upwards::

        y = step * clip(round(x), bottom, top)      clip: LSQ (Esser et al. 2019, eq. 1 and 2)
        y = step * round(x)                         no clip: the modified LSQ (Vijayan et al. 2022, eq. 3.10 and 3.11)

    ``top`` is 2**width_bits - 1 and ``bottom`` 0, or 2**(width_bits - 1) - 1 and -2**(width_bits - 1) where signed.
    Backward (Esser et al. 2019, eq. 3 and 5; without a clip all values are inside)::

        dy/dz    = 1            where bottom < x < top, else 0
        dy/dstep = level - x    where bottom < x < top, else the level: bottom or top

    and a step's gradient is scaled by ``1 / sqrt(n_features * top)`` (section 2.2), n_features the values of a sample that
    share the step. Without a clip nothing but the task keeps a step from shrinking to 0: give the steps a smaller learning
    rate than the weights, a hundredth or so. The module differs from :class:`QuantisedReLU` in that it rectifies nothing
    unless it clips at 0.

    Args:
        width_bits: sets the levels; without a clip only the first step and the gradient's scale.
        clip: whether there are a lowest and a highest level.
        signed: whether the activations have negative values.
        n_channels: a step for each of so many channels; None is one step for the layer.
        channel_axis: which axis of the activations the channels are.
        step: first value of every step, an activation; None takes :func:`step_from_data` of the first batch's magnitudes.

    Raises:
        InputError: no bit for the magnitude, no channel, or a step that is not positive.
    """

    step: nn.Parameter
    is_ready: Tensor

    def __init__(
        self,
        width_bits: int,
        *,
        clip: bool = True,
        signed: bool = False,
        n_channels: int | None = None,
        channel_axis: int = 1,
        step: float | None = None,
    ) -> None:
        super().__init__()
        _require_width(width_bits, signed)
        if n_channels is not None and n_channels < 1:
            raise InputError(
                "a quantiser of channels needs a channel",
                where="StepQuantiser",
                measured=str(n_channels),
                limit=">= 1",
                fix="give n_channels=None for a layer",
            )
        self.width_bits, self.clip, self.signed = width_bits, clip, signed
        self.n_channels, self.channel_axis = n_channels, channel_axis
        shape = () if n_channels is None else (n_channels,)
        self.step = nn.Parameter(torch.full(shape, 1.0 if step is None else float(step)))
        self.register_buffer("is_ready", torch.tensor(step is not None))
        self._require_steps()

    @property
    def level_bounds(self) -> tuple[float, float]:
        """The lowest and the highest level, which may be infinite."""
        return _level_bounds(self.width_bits, self.signed) if self.clip else (-math.inf, math.inf)

    def forward(self, z: Tensor) -> Tensor:
        """Return the quantised activation of ``z``, of any shape ``(batch, ...)``.

        Raises:
            InputError: training has made a step 0, negative or NaN, or ``z`` has other channels.
        """
        if not self.is_ready:
            self.calibrate(z)
        self._require_steps()
        _, top = _level_bounds(self.width_bits, self.signed)
        n_features = max(z[:1].numel() // (self.n_channels or 1), 1)
        scale = (n_features * top) ** -0.5
        step = align_to_channels(self.step.detach() + (self.step - self.step.detach()) * scale, z, self.channel_axis)
        return _round_to_step(z, step, *self.level_bounds)

    def calibrate(self, values: Tensor) -> None:
        """Set the steps from activations; a channel that is 0 everywhere gets the whole layer's step.

        Raises:
            InputError: all activations are 0, one is not finite, or they have other channels.
        """
        align_to_channels(self.step, values, self.channel_axis)
        top = int(_level_bounds(self.width_bits, self.signed)[1])
        magnitudes = values.detach().abs()
        whole = step_from_data(magnitudes, top)
        with torch.no_grad():
            if self.n_channels is None:
                self.step.fill_(whole)
            else:
                for channel_idx, part in enumerate(magnitudes.unbind(self.channel_axis)):
                    self.step[channel_idx] = step_from_data(part, top) if part.any() else whole
            self.is_ready.fill_(True)

    def extra_repr(self) -> str:
        """Return the choices, for ``print(model)``."""
        return f"width_bits={self.width_bits}, clip={self.clip}, signed={self.signed}, n_channels={self.n_channels}"

    def _require_steps(self) -> None:
        lowest, highest = torch.aminmax(self.step.detach())
        if not (lowest.item() > 0.0 and highest.item() < math.inf):
            raise InputError(
                "a step of a quantiser is not positive",
                where="StepQuantiser",
                measured=f"{lowest.item():.4g} to {highest.item():.4g}",
                limit="> 0",
                fix="train the steps with a smaller learning rate, or give a positive step",
            )


def align_to_channels(steps: Tensor, z: Tensor, channel_axis: int) -> Tensor:
    """Shape steps so that they broadcast along the channels of activations.

    Args:
        steps: ``()``, one for all, or ``(n_channels,)``.
        z: activations.
        channel_axis: which axis of ``z`` the channels are.

    Raises:
        InputError: ``z`` has other channels.
    """
    if not steps.ndim:
        return steps
    if not -z.ndim <= channel_axis < z.ndim or z.shape[channel_axis] != len(steps):
        raise InputError(
            "the activations have other channels than the quantiser",
            where=f"axis {channel_axis}",
            measured=str(tuple(z.shape)),
            limit=f"{len(steps)} channels",
            fix="give n_channels and channel_axis of these activations",
        )
    shape = [1] * z.ndim
    shape[channel_axis] = len(steps)
    return steps.view(shape)


def count_integer_bits(values: Tensor) -> int:
    """Return the bits before the point that hold the largest magnitude: ``floor(log2(max |x|)) + 1`` (negative below a half).

    Args:
        values: activations of any shape.

    Raises:
        InputError: they are zero everywhere, none, or not finite.
    """
    largest = float(values.detach().abs().max()) if values.numel() else 0.0
    if not 0.0 < largest < math.inf:
        raise InputError(
            "no number of integer bits suits these activations",
            measured=f"largest magnitude {largest:.4g} of {values.numel()}",
            limit="> 0 and finite",
            fix="give a first batch that excites the layer",
        )
    return math.frexp(largest)[1]


def _level_bounds(width_bits: int, signed: bool) -> tuple[float, float]:
    if signed:
        return -(2.0 ** (width_bits - 1)), 2.0 ** (width_bits - 1) - 1.0
    return 0.0, 2.0**width_bits - 1.0


def _require_width(width_bits: int, signed: bool) -> None:
    if width_bits < 1 + int(signed):
        raise InputError(
            "a quantiser needs a bit for the magnitude",
            measured=f"width_bits={width_bits}, signed={signed}",
            limit=f"width_bits >= {1 + int(signed)}",
            fix="give width_bits=8 or so",
        )

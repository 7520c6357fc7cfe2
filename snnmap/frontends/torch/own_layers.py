"""What the layers of :mod:`snnmap.nn` are in a layer graph: quantisers, and layers of weights for delta inference."""

from typing import Any

import numpy as np

from snnmap.core.errors import FrontendError
from snnmap.graph.operation import Array
from snnmap.graph.operations.quantisation import Levels

__all__ = ["list_own_layers", "list_quantisers", "make_levels"]


def list_quantisers() -> tuple[type, ...]:
    """Return the classes that round activations to whole numbers of a step."""
    from snnmap.nn import QuantisedReLU
    from snnmap.nn.delta import FixedPoint, SigmaDeltaQuantiser, StepQuantiser

    return QuantisedReLU, FixedPoint, SigmaDeltaQuantiser, StepQuantiser


def list_own_layers() -> tuple[type, ...]:
    """Return the classes of torch and of this package whose forward is known and not followed, nor that of subclasses."""
    from torch import nn

    from snnmap.nn import EventLinear
    from snnmap.nn.delta import DeltaNetwork, DeltaSynapse, MaskedConv1d, MaskedConv2d, MaskedLinear

    weights = (nn.Linear, EventLinear, MaskedLinear, MaskedConv1d, MaskedConv2d)
    return (*list_quantisers(), *weights, DeltaSynapse, DeltaNetwork)


def make_levels(module: Any, shape: tuple[int, ...]) -> tuple[Levels, Array]:
    """Return the operation of a QuantisedReLU, StepQuantiser, SigmaDeltaQuantiser or FixedPoint, and its step or steps.

    Args:
        module: quantiser.
        shape: of one sample that it gets.

    Raises:
        FrontendError: it has no step yet, or one for each of other channels than the sample has.
    """
    if not module.is_ready:
        raise FrontendError("the quantiser has no step yet", fix="train the model, run a batch through it, or give step=")
    bottom, top = module.level_bounds
    steps = np.asarray(module.step.detach().cpu() if hasattr(module.step, "detach") else module.step, np.float64)
    axis = 1
    if getattr(module, "n_channels", None) is not None:
        axis = _find_axis(module, shape, steps.size)
    elif steps.ndim:
        steps = steps.reshape(())
    return Levels(bottom=bottom, top=top, rounding=getattr(module, "rounding", "round"), axis=axis), steps


def _find_axis(module: Any, shape: tuple[int, ...], n_steps: int) -> int:
    """Return the axis, the batch's being 0, of which each place has a step of its own."""
    rank = len(shape) + 1
    axis = module.channel_axis % rank if -rank < module.channel_axis < rank else 0
    if axis == 0 or shape[axis - 1] != n_steps:
        raise FrontendError(
            "the activations have other channels than the quantiser",
            measured=f"{shape}, without the batch",
            limit=f"{n_steps} channels on axis {module.channel_axis} of the batch",
            fix="give n_channels and channel_axis of these activations",
        )
    return axis

"""Quantised activations as neurons whose spike counts are the levels; negative levels as pairs of neurons.

A delta layer's quantiser (:mod:`snnmap.nn.delta`) makes a frame's activation a whole number of steps. The step becomes the
threshold and a level a spike, so that what is mapped is the frame-by-frame network that delta inference equals: T steps a
frame. The changes themselves are not transmitted on the chip: they have a sign and a sum that must be held, where counts have
no sign and membranes leak at least one unit a step.
"""

from dataclasses import dataclass, replace

import numpy as np

from snnmap.convert.affine import combine, reshape, scale
from snnmap.convert.ann import INPUT, Affine, ReluLayer, Rounding
from snnmap.convert.layers import LayerList
from snnmap.convert.options import Signed
from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError

__all__ = ["Levels", "is_non_negative", "quantise_activation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Whole steps from the lowest to the highest, which may be infinite.

    Attributes:
        step: activation of a level; of all values, or ``(n,)``.
        bottom: lowest level, 0 or negative.
        top: highest level; of all values, or ``(n,)``.
        rounding: of ``pre-activation / step``, ties upwards.
    """

    step: float | FloatArray
    bottom: float
    top: float | FloatArray
    rounding: Rounding = "round"


def quantise_activation(
    layers: LayerList, name: str, value: Affine, levels: Levels, where: str, *, signed: Signed = "refuse"
) -> Affine:
    """Add the neurons of a quantised activation and give its value.

    A ReLU before the quantiser is one with it, exactly, also through a MaxPool, since rounding is monotone. Values of both signs
    take two neurons each::

        up   = clip(round(z / step), 0, top)            ties upwards
        down = clip(round(-z / step), 0, -bottom)       ties downwards, so that up - down rounds ties upwards
        y    = step * (up - down)

    With a step a channel the neurons stand for levels, and the steps are in the weights behind them.

    Args:
        layers: to which the neurons are added.
        name: of the layer.
        value: what is quantised.
        levels: of the activation.
        where: module that errors name.
        signed: what to do about negative levels.

    Raises:
        FrontendError: there are negative levels and no pairs.
    """
    pool = layers.find_pool(value)
    if pool is not None and np.ndim(levels.step) == 0 and layers.find_rectified(pool.value) is not None:
        inner = quantise_activation(layers, name, pool.value, levels, where)
        return reshape(layers.pool_maxima(pool.name, pool.windows, pool.shape, inner, where), value.shape)
    rectified = layers.find_rectified(value)
    if rectified is not None:
        incoming, high = rectified
        return _rise(layers, name, incoming, replace(levels, top=_level_of(high, levels)))
    if levels.bottom == 0.0 or is_non_negative(value):
        return _rise(layers, name, value, levels)
    if signed == "refuse":
        raise _refuse_sign(levels, where)
    up = _rise(layers, f"{name}.up", value, levels)
    mirrored = replace(levels, top=-levels.bottom, rounding="half_down")
    return combine(up, _rise(layers, f"{name}.down", _scale_all(value, -1.0), mirrored), -1.0)


def _rise(layers: LayerList, name: str, z: Affine, levels: Levels) -> Affine:
    """Add the neurons of the levels from 0 to the top; of a step a channel, they stand for levels and not for activations."""
    if np.ndim(levels.step) == 0:
        step = float(levels.step)
        return layers.rectify_and_clip(ReluLayer(name=name, incoming=z, step=step, rounding=levels.rounding), levels.top * step)
    z = _scale_all(z, 1.0 / levels.step)
    found = layers.rectify_and_clip(ReluLayer(name=name, incoming=z, step=1.0, rounding=levels.rounding), levels.top)
    return _scale_all(found, levels.step)


def _level_of(high: float | FloatArray, levels: Levels) -> float | FloatArray:
    """Return the top level of an activation that ends at ``high`` before it is quantised."""
    top: FloatArray = np.floor(high / np.asarray(levels.step) + (0.5 if levels.rounding == "round" else 0.0))
    return np.minimum(levels.top, top) if np.ndim(top) else float(min(levels.top, float(top)))


def is_non_negative(value: Affine) -> bool:
    """Tell whether a value is never below 0 because all that it adds up is not, a clip ``relu(z) - relu(z - b)`` included."""
    if INPUT in value.terms or (value.bias < 0).any():
        return False
    for source, weights in value.terms.items():
        of_clip, excess = source.removesuffix(".excess"), value.terms.get(f"{source}.excess")
        if source == of_clip or of_clip not in value.terms:
            least = weights.data.min(initial=0.0), (weights + excess).data.min(initial=0.0) if excess is not None else 0.0
            if min(least) < 0.0:
                return False
    return True


def _scale_all(value: Affine, factor: float | FloatArray) -> Affine:
    return scale(value, np.broadcast_to(np.asarray(factor, np.float64), (value.size,)), np.zeros(value.size))


def _refuse_sign(levels: Levels, where: str) -> FrontendError:
    return FrontendError(
        "an activation with negative levels has no LIF counterpart: a spike count has no sign",
        where=where,
        measured=f"levels {levels.bottom:g} to {levels.top:g} of values that may have both signs, as far as the model tells",
        limit="levels >= 0",
        fix="quantise behind a ReLU (round an input before it is encoded, or give it a ReLU too where it is never negative), or "
        "give ConvertOptions(signed='pairs'), which takes two neurons an activation",
    )

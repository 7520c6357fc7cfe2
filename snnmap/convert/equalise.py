"""Channels of one scale within a layer, so that one unit suits them all: a ReLU commutes with positive factors."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from snnmap.convert.affine import common_weight, scale
from snnmap.convert.ann import INPUT, Affine, Ann, ReluLayer
from snnmap.core import FloatArray

__all__ = ["equalise_channels"]

_FEWEST = 16
"""Active values of a channel, below which its scale is taken larger in proportion, up to the layer's."""


def equalise_channels(ann: Ann, activations: Mapping[str, FloatArray], percentile: float) -> Ann:
    """Return an ANN of the same outputs whose activations are each channel's over its percentile on calibration data.

    Exactly: ``relu(z) = s relu(z / s)`` for s > 0, the s going into the weights behind. A layer with a step keeps its scale, as a
    repeated input does, a clip's excess takes that of what it clips, and a maximum that of the values that it compares, where
    they have one.

    Args:
        ann: to scale.
        activations: ``(n, size)`` by layer name.
        percentile: of a channel's activations above 0.
    """
    scales: dict[str, FloatArray] = {INPUT: np.ones(ann.n_inputs)}
    layers = []
    for layer in ann.layers:
        incoming = _scale_sources(layer.incoming, scales)
        factor = _choose_scale(layer, incoming, scales, activations[layer.name], percentile)
        scales[layer.name] = factor
        layers.append(replace(layer, incoming=scale(incoming, 1.0 / factor, np.zeros(factor.size))))
    return replace(ann, layers=tuple(layers), output=_scale_sources(ann.output, scales))


def _choose_scale(
    layer: ReluLayer, incoming: Affine, scales: Mapping[str, FloatArray], activations: FloatArray, percentile: float
) -> FloatArray:
    of_clip = scales.get(layer.name.removesuffix(".excess"))
    if layer.step is not None or layer.kind == "repeat":
        return np.ones(layer.incoming.size)
    if layer.kind == "excess" and of_clip is not None:
        return of_clip
    measured = _measure_channels(activations.reshape(len(activations), layer.incoming.shape[0], -1), percentile)
    if layer.kind == "max":
        weight = common_weight(incoming)
        return np.where(weight > 0, weight, measured)
    return measured


def _measure_channels(values: FloatArray, percentile: float) -> FloatArray:
    """Return the scale of each value's channel, ``(channels * places,)``, from values ``(n, channels, places)``."""
    active = values[values > 0]
    whole = float(np.percentile(active, percentile)) if active.size else 1.0
    scales = np.full(values.shape[1], whole)
    for channel in range(values.shape[1]):
        own = values[:, channel]
        own = own[own > 0]
        if own.size:
            scales[channel] = min(whole, max(1.0, _FEWEST / own.size) * float(np.percentile(own, percentile)))
    return np.repeat(scales, values.shape[2])


def _scale_sources(affine: Affine, scales: Mapping[str, FloatArray]) -> Affine:
    from scipy.sparse import diags_array

    terms = {source: (diags_array(scales[source]) @ weights).tocsr() for source, weights in affine.terms.items()}
    return replace(affine, terms=terms)

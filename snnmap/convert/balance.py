"""The activation that one spike stands for, layer by layer."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snnmap.convert.ann import INPUT, Ann, ReluLayer
from snnmap.convert.options import ConvertOptions
from snnmap.core import FloatArray

__all__ = ["Units", "choose_units"]

_TRIED = 50_000
"""Activations that the search for the least squared error looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Activations that a spike stands for.

    Attributes:
        values: by layer name, with ``input`` (of a spike of an input channel) and ``output``.
        origins: where a layer's comes from: ``step``, ``inherited``, ``percentile`` or ``mse``.
    """

    values: dict[str, float]
    origins: dict[str, str]


def choose_units(ann: Ann, activations: Mapping[str, FloatArray], options: ConvertOptions) -> Units:
    """Choose the unit of each layer: the activation that one spike over the presentation stands for.

    A quantised activation's unit is its step, so that a count is a level: a threshold of ``step * T`` in terms of rates (Bu et
    al. 2022). The excess of a clip and the maximum of counts of one unit keep that unit, in which both are whole. Others are
    balanced by their activations on calibration data.

    Args:
        ann: to convert.
        activations: ``(n, size)`` by layer name, on calibration data.
        options: balance, percentile, max_rate, n_steps, input_min, input_max and input_rate are used.
    """
    values: dict[str, float] = {INPUT: (options.input_max - options.input_min) / options.clock_count}
    origins: dict[str, str] = {}
    for layer in ann.layers:
        inherited = _inherit(layer, values)
        if layer.step is not None:
            values[layer.name], origins[layer.name] = layer.step, "step"
        elif inherited is not None:
            values[layer.name], origins[layer.name] = inherited, "inherited"
        else:
            values[layer.name], origins[layer.name] = _balance(activations[layer.name], options), options.balance
    values["output"] = float(np.abs(activations["output"]).max(initial=0.0)) or 1.0
    return Units(values=values, origins=origins)


def _inherit(layer: ReluLayer, units: Mapping[str, float]) -> float | None:
    """Return the unit of a repeated input, a clip's excess or a maximum of whole counts, as neurons or not; None for others."""
    if layer.kind == "repeat":
        return units[INPUT]
    if layer.kind == "excess":
        return units.get(layer.name.removesuffix(".excess"))
    terms = layer.incoming.terms
    used = {units[source] for source in terms}
    if layer.kind not in ("max", "pool") or len(used) != 1 or INPUT in terms or layer.incoming.bias.any():
        return None
    return used.pop() if all(np.array_equal(weights.data, np.rint(weights.data)) for weights in terms.values()) else None


def _balance(activations: FloatArray, options: ConvertOptions) -> float:
    active = activations[activations > 0]
    if not active.size:
        return 1.0 / (options.max_rate * options.n_steps)
    n_levels = options.max_rate * options.n_steps
    if options.balance == "percentile":
        return float(np.percentile(active, options.percentile)) / n_levels
    return _least_squares(active, n_levels)


def _least_squares(active: FloatArray, n_levels: float) -> float:
    """Return the unit of least squared error of counts that are rounded and end at ``n_levels`` (Li et al. 2021)."""
    values = active[:: -(-active.size // _TRIED)]
    tried = active.max() / n_levels * np.geomspace(0.05, 1.0, 120)
    errors = [np.mean((unit * np.minimum(np.rint(values / unit), n_levels) - values) ** 2) for unit in tried]
    return float(tried[int(np.argmin(errors))])

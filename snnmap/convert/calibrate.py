"""One pass over the layers: each is run alone, on what the layers before it really send."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snnmap.convert.ann import Ann, ReluLayer, apply_affine, measure_levels
from snnmap.convert.balance import Units
from snnmap.convert.build import LayerNetwork, add_charge, build_ends, build_layer, hold_charge, leak_drive, start_charge
from snnmap.convert.encode import CLOCK, release_step
from snnmap.convert.layer_run import Counts, LayerInput, LayerRun, make_room, run_layer
from snnmap.convert.options import ConvertOptions
from snnmap.core import FloatArray, IntArray

__all__ = ["Calibrated", "Compensation", "LayerError", "calibrate_layers", "measure_errors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerError:
    """How well a layer's counts stand for its activations.

    Attributes:
        layer: its name.
        relative_error: root mean square of (activation from counts - activation) over that of the activations.
        mean_error: mean of that difference, over the mean activation.
        spikes: mean spikes of the layer for an input.
    """

    layer: str
    relative_error: float
    mean_error: float
    spikes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """What a layer's neurons were given beside the ANN's weights and biases; charges in thresholds.

    Attributes:
        layer: its name.
        unit: activation that a spike stands for.
        source: where the unit comes from: ``step``, ``percentile``, ``mse`` or, of maxima and excesses, ``inherited``.
        start_charge: for rounding, 0.5 or 0, or near it where that decides ties.
        leak_drive: bias of each step.
        calibrated: root mean square of the charges that calibration added.
        held: largest charge that is held back.
    """

    layer: str
    unit: float
    source: str
    start_charge: float
    leak_drive: float
    calibrated: float
    held: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """All layers with their charges, and what they did on calibration data.

    Attributes:
        parts: the ANN's layers in its order, the repeated clock, the readout.
        compensations: a line a layer of the ANN.
        spikes: ``(n, size)`` by layer name.
        outputs: ``(n, n_outputs)``, as the readout gives the ANN's.
    """

    parts: tuple[LayerNetwork, ...]
    compensations: tuple[Compensation, ...]
    spikes: Mapping[str, IntArray]
    outputs: FloatArray


def calibrate_layers(
    ann: Ann,
    units: Units,
    activations: Mapping[str, FloatArray],
    ports: Mapping[str, IntArray],
    options: ConvertOptions,
) -> Calibrated:
    """Build all layers, each from the counts that those before it send on calibration data.

    Args:
        ann: to convert.
        units: of the layers.
        activations: ``(n, size)`` by layer name.
        ports: ``(n, time, size)`` counts of the input ports for the same data.
        options: of the conversion.
    """
    levels = measure_levels(ann)
    last_use = {source: layer.name for layer in ann.layers for source in layer.incoming.terms}
    last_use |= dict.fromkeys(ann.output.terms, "output")
    rasters: dict[str, Counts] = dict(ports)
    parts, given, spikes = [], [], {}
    room = make_room(max((layer.incoming.n_weights for layer in ann.layers), default=0))
    for layer in ann.layers:
        name = layer.name
        part, charges, run = _fit_layer(layer, units.values, activations, rasters, room, levels[name], options)
        parts.append(part)
        given.append(_describe(layer, units, charges, options))
        spikes[name] = run.spikes
        rasters = {source: raster for source, raster in rasters.items() if source in ports or last_use.get(source) != name}
        rasters[name] = run.counts
    repeat, output = build_ends(ann, units.values, options)
    rasters[repeat.population.name] = run_layer(repeat, rasters).counts
    rest = run_layer(output, rasters, fires=False).rest
    return Calibrated(
        parts=(*parts, repeat, output),
        compensations=tuple(given),
        spikes=spikes,
        outputs=rest * units.values["output"],
    )


def measure_errors(
    ann: Ann, units: Mapping[str, float], activations: Mapping[str, FloatArray], spikes: Mapping[str, IntArray]
) -> tuple[LayerError, ...]:
    """Compare spikes ``(n, size)`` with activations ``(n, size)``, layer by layer."""
    errors = []
    for layer in ann.layers:
        wanted, found = activations[layer.name], spikes[layer.name] * units[layer.name]
        size, mean = float(np.sqrt(np.mean(wanted**2))) or 1.0, float(wanted.mean()) or 1.0
        errors.append(
            LayerError(
                layer=layer.name,
                relative_error=float(np.sqrt(np.mean((found - wanted) ** 2))) / size,
                mean_error=float((found - wanted).mean()) / mean,
                spikes=float(spikes[layer.name].sum(axis=1).mean()),
            )
        )
    return tuple(errors)


def _fit_layer(
    layer: ReluLayer,
    units: Mapping[str, float],
    activations: Mapping[str, FloatArray],
    rasters: Mapping[str, Counts],
    room: FloatArray,
    level: int,
    options: ConvertOptions,
) -> tuple[LayerNetwork, tuple[FloatArray, FloatArray], LayerRun]:
    """Build one layer; give it, its charges, ``(size,)`` each: what calibration added and what is held back, and its run."""
    part, nothing = build_layer(layer, units, options), np.zeros(layer.incoming.size)
    lacking, held, shared = nothing, nothing, LayerInput(part.projections[: len(layer.incoming.terms)], room)
    if options.overshoot == "hold":
        held = _measure_overshoot(part, rasters, shared, level, options)
        part = hold_charge(part, held, level, options)
    if options.calibrate:
        run = run_layer(part, rasters, shared=shared, keeps=False)
        lacking = _measure_lack(layer, units, activations, run, options)
        part = add_charge(part, CLOCK, lacking / options.clock_count, options)
    return part, (lacking, held), run_layer(part, rasters, shared=shared)


def _measure_lack(
    layer: ReluLayer,
    units: Mapping[str, float],
    activations: Mapping[str, FloatArray],
    run: LayerRun,
    options: ConvertOptions,
) -> FloatArray:
    """Return the charge ``(size,)`` that neurons are short of, mean over samples in which the neuron or the activation is active.

    Where spikes are not held back, this is what the counts are short of, since early spikes are part of the error. Where they
    are, counts and last potential are all the charge that came; it is compared with the pre-activation, free of the rounding.
    """
    unit = units[layer.name]
    found, wanted = run.spikes.astype(np.float64), activations[layer.name] / unit
    active = (found > 0) | (wanted > 0)
    if options.overshoot == "hold":
        found = found + run.rest
        wanted = apply_affine(layer.incoming, activations) / unit + start_charge(layer, units, options)
    lacking: FloatArray = np.where(active, wanted - found, 0.0).sum(axis=0) / np.maximum(active.sum(axis=0), 1)
    return lacking


def _measure_overshoot(
    part: LayerNetwork, rasters: Mapping[str, Counts], shared: LayerInput, level: int, options: ConvertOptions
) -> FloatArray:
    """Return the charge ``(size,)`` that keeps the potential from ever passing its last value (or 0, where that is below).

    Without spikes, the potential v[t] is the sum of all charge so far. Held back by h[t] H, where h is the share of the held
    charge H that has arrived and is not yet given back, it must stay below max(v[end], 0) until the release::

        H = margin * max over samples and t of (v[t] - max(v[end], 0)) / h[t]
    """
    until = release_step(level, options)
    arrived = np.asarray(1.0 - (1.0 - options.gain) ** np.arange(1, until + 1), np.float64)
    return options.hold_margin * run_layer(part, rasters, shared=shared, fires=False, shares=arrived).beyond


def _describe(layer: ReluLayer, units: Units, charges: tuple[FloatArray, FloatArray], options: ConvertOptions) -> Compensation:
    lacking, held = charges
    return Compensation(
        layer=layer.name,
        unit=units.values[layer.name],
        source=units.origins[layer.name],
        start_charge=start_charge(layer, units.values, options),
        leak_drive=leak_drive(options),
        calibrated=float(np.sqrt(np.mean(lacking**2))),
        held=float(held.max(initial=0.0)),
    )

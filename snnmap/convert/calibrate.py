"""One pass over the layers: each is run alone, on what the layers before it really send."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from snnmap.convert.ann import Ann, ReluLayer, apply_affine, measure_levels
from snnmap.convert.balance import Units
from snnmap.convert.build import LayerNetwork, add_charge, build_layer, hold_charge, leak_drive, start_charge
from snnmap.convert.encode import CLOCK, release_step
from snnmap.convert.options import ConvertOptions
from snnmap.ir import FloatArray, InputPort, IntArray, Network, simulate_network

__all__ = ["Compensation", "LayerError", "calibrate_layers", "measure_errors"]

_LARGEST = 4_000_000
"""Potentials (samples, steps, neurons) that are kept at a time."""


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


def calibrate_layers(
    ann: Ann,
    units: Units,
    activations: Mapping[str, FloatArray],
    ports: Mapping[str, IntArray],
    options: ConvertOptions,
) -> tuple[list[LayerNetwork], list[Compensation], dict[str, IntArray]]:
    """Build all layers, each from the counts that those before it send on calibration data.

    Args:
        ann: to convert.
        units: of the layers.
        activations: ``(n, size)`` by layer name.
        ports: ``(n, time, size)`` counts of the input ports for the same data.
        options: of the conversion.

    Returns:
        Layers and what they were given, in the ANN's order, and the layers' spikes by name, ``(n, size)``.
    """
    levels = measure_levels(ann)
    last_use = {source: layer.name for layer in ann.layers for source in layer.incoming.terms}
    rasters, parts, given, spikes = dict(ports), [], [], {}
    for layer in ann.layers:
        name = layer.name
        part, charges = _fit_layer(layer, units.values, activations, rasters, levels[name], options)
        counts, _ = _run(part, rasters)
        parts.append(part)
        given.append(_describe(layer, units, charges, options))
        spikes[name] = counts.sum(axis=1)
        rasters = {source: raster for source, raster in rasters.items() if source in ports or last_use.get(source) != name}
        rasters[name] = counts
    return parts, given, spikes


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
    rasters: Mapping[str, IntArray],
    level: int,
    options: ConvertOptions,
) -> tuple[LayerNetwork, tuple[FloatArray, FloatArray]]:
    """Build one layer; give it and its charges, ``(size,)`` each: what calibration added and what is held back."""
    part, nothing = build_layer(layer, units, options), np.zeros(layer.incoming.size)
    lacking, held = nothing, nothing
    if options.overshoot == "hold":
        held = _measure_overshoot(part, rasters, level, options)
        part = hold_charge(part, held, level, options)
    if options.calibrate:
        lacking = _measure_lack(layer, units, activations, _run(part, rasters), options)
        part = add_charge(part, CLOCK, lacking / options.clock_count, options)
    return part, (lacking, held)


def _run(part: LayerNetwork, rasters: Mapping[str, IntArray]) -> tuple[IntArray, FloatArray]:
    """Run one layer on its sources' counts; give its own, ``(n, time, size)``, and the last potentials, ``(n, size)``."""
    name, found = part.population.name, []
    for alone, inputs in _isolate(part, rasters):
        recording = simulate_network(alone, inputs, counts_of=[name], states_of=[name])
        found.append((recording.counts[name], np.asarray(recording.potentials[name][:, -1], np.float64)))
    return np.concatenate([counts for counts, _ in found]), np.concatenate([rest for _, rest in found])


def _measure_lack(
    layer: ReluLayer,
    units: Mapping[str, float],
    activations: Mapping[str, FloatArray],
    run: tuple[IntArray, FloatArray],
    options: ConvertOptions,
) -> FloatArray:
    """Give the charge ``(size,)`` that neurons are short of, mean over samples in which the neuron or the activation is active.

    Where spikes are not held back, this is what the counts are short of, since early spikes are part of the error. Where they
    are, counts and last potential are all the charge that came; it is compared with the pre-activation, free of the rounding.
    """
    counts, rest = run
    unit = units[layer.name]
    found, wanted = counts.sum(axis=1).astype(np.float64), activations[layer.name] / unit
    active = (found > 0) | (wanted > 0)
    if options.overshoot == "hold":
        found = found + rest
        wanted = apply_affine(layer.incoming, activations) / unit + start_charge(layer, units, options)
    lacking: FloatArray = np.where(active, wanted - found, 0.0).sum(axis=0) / np.maximum(active.sum(axis=0), 1)
    return lacking


def _measure_overshoot(part: LayerNetwork, rasters: Mapping[str, IntArray], level: int, options: ConvertOptions) -> FloatArray:
    """Give the charge ``(size,)`` that keeps the potential from ever passing its last value (or 0, where that is below).

    Without spikes, the potential v[t] is the sum of all charge so far. Held back by h[t] H, where h is the share of the held
    charge H that has arrived and is not yet given back, it must stay below max(v[end], 0) until the release::

        H = margin * max over samples and t of (v[t] - max(v[end], 0)) / h[t]
    """
    name, until = part.population.name, release_step(level, options)
    arrived = 1.0 - (1.0 - options.gain) ** np.arange(1, until + 1)[:, np.newaxis]
    held = np.zeros(part.population.size)
    for alone, inputs in _isolate(part, rasters, fires=False):
        v = simulate_network(alone, inputs, counts_of=[], states_of=[name]).potentials[name]
        beyond = (v[:, :until] - np.maximum(v[:, -1:], 0.0)) / arrived
        held = np.maximum(held, beyond.max(axis=(0, 1)))
    return options.hold_margin * held


def _isolate(
    part: LayerNetwork, rasters: Mapping[str, IntArray], *, fires: bool = True
) -> Iterator[tuple[Network, dict[str, IntArray]]]:
    """Give the network of one layer whose sources are input ports, and their counts, some samples at a time."""
    population = part.population if fires else replace(part.population, threshold=np.full(part.population.size, np.inf))
    sources = {projection.pre: rasters[projection.pre] for projection in part.projections}
    ports = tuple(InputPort(name=name, size=raster.shape[2]) for name, raster in sources.items())
    network = Network(name=population.name, inputs=ports, populations=(population,), projections=part.projections, outputs=())
    n_samples, n_steps = next(iter(sources.values())).shape[:2]
    batch = max(1, _LARGEST // (n_steps * population.size))
    for start in range(0, n_samples, batch):
        yield network, {name: raster[start : start + batch] for name, raster in sources.items()}


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

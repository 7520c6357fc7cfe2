"""Ways to convert one ANN, and the choice among them by what each errs on calibration data."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from snnmap.convert.ann import Ann, keep_neurons, measure_levels, run_ann
from snnmap.convert.balance import choose_units
from snnmap.convert.build import MAX_COUNT
from snnmap.convert.calibrate import Calibrated, calibrate_layers
from snnmap.convert.encode import encode_ports
from snnmap.convert.equalise import equalise_channels
from snnmap.convert.layer_run import run_layers
from snnmap.convert.options import ConvertOptions
from snnmap.core import BoolArray, FloatArray, IntArray
from snnmap.core.errors import ConversionWarning, InputError

__all__ = ["Attempt", "Choice", "choose_attempt", "measure_agreement", "measure_relative_error", "warn_of_error"]

_MEASURED = 256
"""Samples of the calibration data that are simulated; units are chosen on all."""
_NEAR = 2.0
"""Deviations of an activation over calibration data that other data may go beyond them."""
_FEWEST, _UNSEEN = 16, 64
"""Samples from which on half of them may be left out of a calibration, and the most of those that are simulated: of a large ANN
only the first number."""
_MUCH_WORK = 500_000_000
"""Weights times samples above which an ANN is large: a way is tried on the fewest samples first."""
_CONSTANT = 1e-6
"""Spread of the outputs, of their size, below which they are rounding errors about a constant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A way that was tried, measured on calibration data in float simulation.

    Attributes:
        overshoot: ``allow`` or ``hold``.
        balance_by: ``layer`` or ``channel``.
        n_steps: T, of the presentation.
        latency_steps: until the answer.
        spikes: mean of a sample's hidden neurons.
        n_samples: of the calibration data that were simulated: of a way that errs too much on a few, of a large ANN, no more.
        relative_error: root mean square of (output - the ANN's) over that of the ANN's outputs about their means.
        agreement: share of samples whose largest output is the ANN's; of one output, whose sign is.
        taken: whether the conversion is this one.
        unseen_error: of what is taken, where spikes are held and there are samples enough: the error on samples that
            were left out when every other one is calibrated on.
    """

    overshoot: Literal["allow", "hold"]
    balance_by: Literal["layer", "channel"]
    n_steps: int
    latency_steps: int
    spikes: float
    n_samples: int
    relative_error: float
    agreement: float
    taken: bool
    unseen_error: float | None = None

    def __str__(self) -> str:
        by = ", balance_by='channel'" if self.balance_by == "channel" else ""
        return (
            f"overshoot='{self.overshoot}'{by}, T = {self.n_steps}: relative error {self.relative_error:.3f} on {self.n_samples} "
            f"samples, {self.agreement:.1%} same decisions, {self.latency_steps} steps, {self.spikes:.0f} spikes"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A whole conversion before its network is joined.

    Attributes:
        ann: scaled as the way says.
        options: every choice made.
        units: by layer.
        activations: ``(n, size)`` by layer name, of the samples that were simulated.
        ports: ``(n, time, size)`` counts of them by input port.
        calibrated: layers, and what they did.
        choice: what it errs and costs.
    """

    ann: Ann
    options: ConvertOptions
    units: dict[str, float]
    activations: Mapping[str, FloatArray]
    ports: dict[str, IntArray]
    calibrated: Calibrated
    choice: Choice


def choose_attempt(ann: Ann, data: FloatArray, options: ConvertOptions) -> tuple[Attempt, tuple[Choice, ...]]:
    """Convert in the way that the options name, or in those that may be needed, and take what errs least.

    Args:
        ann: of input values less ``input_min``.
        data: ``(n, ...)`` calibration data as the model takes them.
        options: of the conversion.

    Returns:
        What was taken, and a line a way that was tried.

    Raises:
        InputError: the only way has too little time, or values are out of range.
    """
    activations = run_ann(ann, data - options.input_min)
    attempts = _try_ways(ann, activations, data, options)
    best = next(attempts)
    tried = {(best.choice.overshoot, best.choice.balance_by): best.choice}
    for attempt in attempts:
        tried[attempt.choice.overshoot, attempt.choice.balance_by] = attempt.choice
        best = min(best, attempt, key=lambda one: (-one.choice.n_samples, one.choice.relative_error))
    unseen = None
    if best.options.overshoot == "hold" and best.choice.relative_error <= options.error_limit and len(data) >= _FEWEST:
        way = replace(best.options, settle_steps=options.settle_steps)
        unseen = _measure_unseen(ann, activations, data, way)
    taken = replace(best.choice, unseen_error=unseen)
    return best, tuple(taken if choice is best.choice else replace(choice, taken=False) for choice in tried.values())


def _try_ways(ann: Ann, activations: Mapping[str, FloatArray], data: FloatArray, options: ConvertOptions) -> Iterator[Attempt]:
    """Yield one way after the other, the first that errs little enough as the last.

    Of a large ANN, the first is tried on a few samples, and on all where it errs little enough on those, or no other does better.
    """
    ways = tuple(_list_ways(options))
    if len(ways) > 1 and _is_large(ann, data):
        few = {name: values[:_FEWEST] for name, values in activations.items()}
        attempt = _try_way(ann, few, data[:_FEWEST], ways[0])
        if attempt.choice.relative_error > options.error_limit:
            yield attempt
            ways = (*ways[1:], ways[0])
    for way in ways:
        try:
            attempt = _try_way(ann, activations, data, way)
        except InputError:
            if way.overshoot == "allow" or len(ways) == 1:
                raise
            continue  # no time to hold spikes in the steps that the user gave: the other ways remain
        yield attempt
        if attempt.choice.relative_error <= options.error_limit:
            return


def measure_relative_error(found: FloatArray, wanted: FloatArray) -> float:
    """Return the error over the spread of the outputs; over their size where they are the same for all samples."""
    spread = float(np.sqrt(np.mean((wanted - wanted.mean(axis=0)) ** 2)))
    size = float(np.sqrt(np.mean(wanted**2)))
    return float(np.sqrt(np.mean((found - wanted) ** 2))) / ((spread if spread > _CONSTANT * size else size) or 1.0)


def measure_agreement(found: FloatArray, wanted: FloatArray) -> float:
    """Return the share of samples of which the largest output is the same; of one output, the sign."""
    same = found.argmax(axis=1) == wanted.argmax(axis=1) if wanted.shape[1] > 1 else (found > 0)[:, 0] == (wanted > 0)[:, 0]
    return float(np.mean(same))


def warn_of_error(choices: Sequence[Choice], error_limit: float, *, stacklevel: int) -> None:
    """Warn where what was taken errs by more than the limit, or by more than twice the limit on what it was not calibrated on.

    Warns:
        ConversionWarning: with what was tried, what each way measured, and what to change.
    """
    taken = next(choice for choice in choices if choice.taken)
    if taken.relative_error <= error_limit:
        if taken.unseen_error is not None and taken.unseen_error > 2.0 * error_limit:
            warnings.warn(_describe_unseen(taken, error_limit), ConversionWarning, stacklevel=stacklevel + 1)
        return
    other = "" if any(choice.overshoot == "hold" for choice in choices) else "overshoot='hold', "
    lines = (
        "the converted network's outputs are not the ANN's",
        f"  measured: relative error {taken.relative_error:.3f}, {taken.agreement:.1%} same decisions on calibration data"
        f"   limit: {error_limit:g}, ConvertOptions.error_limit",
        *(f"  tried: {choice}" for choice in choices),
        f"  fix: {other}a larger n_steps, or a larger max_rate (up to 31); Conversion.errors says in which layer it begins",
    )
    warnings.warn("\n".join(lines), ConversionWarning, stacklevel=stacklevel + 1)


def _describe_unseen(taken: Choice, error_limit: float) -> str:
    return "\n".join((
        "the calibration data do not show what the converted network does on others",
        f"  measured: relative error {taken.relative_error:.3f} on them, {taken.unseen_error:.3f} on samples left out when "
        f"every other one is calibrated on   limit: {2.0 * error_limit:g}, twice ConvertOptions.error_limit",
        "  fix: give more calibration data, some hundreds of samples like those to come",
    ))  # fmt: skip


def _list_ways(options: ConvertOptions) -> Iterator[ConvertOptions]:
    """Yield ways from the cheapest on."""
    by = "layer" if options.balance_by == "auto" else options.balance_by
    if options.overshoot != "auto":
        yield replace(options, balance_by=by)
        return
    yield replace(options, overshoot="allow", balance_by=by)
    yield replace(options, overshoot="hold", balance_by=by)
    if options.balance_by == "auto":
        yield replace(options, overshoot="hold", balance_by="channel")


def _try_way(ann: Ann, activations: Mapping[str, FloatArray], data: FloatArray, options: ConvertOptions) -> Attempt:
    if options.balance_by == "channel":
        ann = equalise_channels(ann, activations, options.percentile)
        activations = run_ann(ann, data - options.input_min)
    ann, activations = _prune_excess(ann, activations)
    n_levels = max(measure_levels(ann).values())
    options = _settle(options, len(ann.layers), n_levels)
    _require_window(ann, activations, options)
    units = choose_units(ann, activations, options)
    few = {name: values[:_MEASURED] for name, values in activations.items()}
    ports = encode_ports(data[:_MEASURED], ann.n_inputs, n_levels, options)
    calibrated = calibrate_layers(ann, units, few, ports, options)
    return Attempt(
        ann=ann,
        options=options,
        units=units.values,
        activations=few,
        ports=ports,
        calibrated=calibrated,
        choice=_measure(calibrated, few["output"], options),
    )


def _measure_unseen(ann: Ann, activations: Mapping[str, FloatArray], data: FloatArray, options: ConvertOptions) -> float:
    """Return the error on samples that were left out of a conversion that was calibrated on every other one."""
    half = {name: values[::2] for name, values in activations.items()}
    attempt = _try_way(ann, half, data[::2], options)
    others = data[1::2][: _FEWEST if _is_large(ann, data) else _UNSEEN]
    ports = encode_ports(others, ann.n_inputs, max(measure_levels(attempt.ann).values()), attempt.options)
    rest = run_layers(attempt.calibrated.parts, ports)
    wanted = run_ann(ann, others - options.input_min)["output"]
    return measure_relative_error(rest * attempt.units["output"], wanted)


def _is_large(ann: Ann, data: FloatArray) -> bool:
    return sum(layer.incoming.n_weights for layer in ann.layers) * min(len(data), _MEASURED) > _MUCH_WORK


def _measure(calibrated: Calibrated, wanted: FloatArray, options: ConvertOptions) -> Choice:
    return Choice(
        overshoot="hold" if options.overshoot == "hold" else "allow",
        balance_by="channel" if options.balance_by == "channel" else "layer",
        n_steps=options.n_steps,
        latency_steps=options.n_steps + options.settle_steps,
        spikes=sum(float(counts.sum()) for counts in calibrated.spikes.values()) / len(wanted),
        n_samples=len(wanted),
        relative_error=measure_relative_error(calibrated.outputs, wanted),
        agreement=measure_agreement(calibrated.outputs, wanted),
        taken=True,
    )


def _require_window(ann: Ann, activations: Mapping[str, FloatArray], options: ConvertOptions) -> None:
    """Refuse levels on calibration data that neurons cannot send as spikes in the time that they have."""
    n_steps = options.hold_steps if options.overshoot == "hold" else options.n_steps + options.settle_steps
    for layer in ann.layers:
        highest = activations[layer.name].max(initial=0.0) / layer.step if layer.step is not None else 0.0
        if highest > MAX_COUNT * n_steps:
            raise InputError(
                "a quantised activation has more levels than there is time to send as spikes",
                where=f"layer '{layer.name}'",
                measured=f"level {highest:.0f} on calibration data",
                limit=f"{MAX_COUNT} spikes a step x {n_steps} steps",
                fix="quantise with fewer bits or a larger step, or raise n_steps (with overshoot='hold': hold_steps)",
            )


def _prune_excess(ann: Ann, given: Mapping[str, FloatArray]) -> tuple[Ann, dict[str, FloatArray]]:
    """Leave out the neurons of clips that nothing comes near, and their activations.

    What calibration data do not reach other data may: a clip stays where the highest activation and ``_NEAR`` deviations more
    would come to it.
    """
    activations, biases = dict(given), {layer.name: layer.incoming.bias for layer in ann.layers}
    kept: dict[str, BoolArray] = {}
    for layer in ann.layers:
        if layer.kind == "excess":
            of_clip = layer.name.removesuffix(".excess")
            height = biases[of_clip] - layer.incoming.bias
            reached = activations[of_clip].max(axis=0) + _NEAR * activations[of_clip].std(axis=0)
            kept[layer.name] = np.greater(reached, height)
    for name, mask in kept.items():
        activations[name] = activations[name][:, mask]
    return keep_neurons(ann, kept), activations


def _settle(options: ConvertOptions, n_layers: int, n_levels: int) -> ConvertOptions:
    """Choose the silent steps where the user has not."""
    options = replace(options, hold_steps=options.hold_steps or math.ceil(8 * options.slowness))
    least = options.hold_steps * (n_levels + 1) if options.overshoot == "hold" else 0
    steps = options.settle_steps or least or math.ceil((4 + n_layers) * options.slowness)
    if steps < least:
        raise InputError(
            "held spikes come too late for the silent steps",
            where="ConvertOptions.settle_steps",
            measured=str(steps),
            limit=f">= {least}: hold_steps {options.hold_steps} for each of {n_levels} levels and the readout",
            fix="set settle_steps=0, which takes what is needed",
        )
    return replace(options, settle_steps=steps)

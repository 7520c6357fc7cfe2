"""What a conversion costs and what it loses: against T, by input coding, and by the leak."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.convert.ann import INPUT, run_ann
from snnmap.convert.calibrate import Compensation, LayerError, measure_errors
from snnmap.convert.convert import Conversion, convert_model, read_data
from snnmap.convert.options import Coding, ConvertOptions
from snnmap.core import FloatArray, IntArray
from snnmap.core.brief import brief_repr
from snnmap.core.errors import InputError
from snnmap.network import Network, count_fan_out, simulate_network

__all__ = ["CodingRow", "LeakRow", "Score", "StepRow", "measure_codings", "measure_leak", "score_conversion", "sweep_steps"]

_BATCH = 128
_CODINGS: tuple[Coding, ...] = ("count", "direct", "rate", "latency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A float simulation of a converted network, means over the samples.

    Attributes:
        accuracy: share of labels that the network's outputs give; NaN without labels.
        ann_accuracy: share that the ANN gives.
        agreement: share of samples in which both give the same class.
        input_spikes: of a sample, without the channels that carry time.
        spikes: of a sample's hidden neurons.
        synaptic_operations: of a sample: spikes, of inputs and clock too, times fan-out.
        errors: a line a layer, on these samples.
    """

    accuracy: float
    ann_accuracy: float
    agreement: float
    input_spikes: float
    spikes: float
    synaptic_operations: float
    errors: tuple[LayerError, ...]

    __repr__ = brief_repr


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One T of a sweep.

    Attributes:
        n_steps: T, of the presentation.
        latency_steps: until the answer.
        score: of the float simulation.
        compensations: what each layer was given.
    """

    n_steps: int
    latency_steps: int
    score: Score
    compensations: tuple[Compensation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodingRow:
    """One input coding: its name and the score with it."""

    coding: Coding
    score: Score


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakRow:
    """A layer's relative error in five networks that differ only in leak and bias; calibration only in the last.

    Attributes:
        layer: its name.
        no_leak: integrate-and-fire, as the theory has it.
        drive_alone: without leak, with the bias that would compensate it: the control, what the extra drive does by itself.
        leak: not compensated.
        compensated: leak and bias.
        calibrated: leak and bias, and charges calibrated on data.
    """

    layer: str
    no_leak: float
    drive_alone: float
    leak: float
    compensated: float
    calibrated: float


def score_conversion(conversion: Conversion, inputs: npt.ArrayLike, labels: npt.ArrayLike | None = None) -> Score:
    """Run a converted network in float64 and hold it against its ANN.

    Args:
        conversion: to run.
        inputs: ``(n, ...)`` values as the model takes them.
        labels: ``(n,)`` classes.

    Raises:
        InputError: inputs or labels of a wrong shape, or values out of range.
    """
    data = read_data(inputs, "inputs")
    wanted = _read_labels(labels, len(data))
    network = conversion.network
    found, spikes = _run(conversion, network, data)
    activations = run_ann(conversion.ann, data - conversion.options.input_min)
    ann_classes = activations["output"].argmax(axis=1)
    operations = sum(float((spikes[name] @ fan_out).sum()) for name, fan_out in count_fan_out(network).items() if name in spikes)
    hidden = [p.name for p in network.populations if p.name in spikes]
    return Score(
        accuracy=float(np.mean(found == wanted)) if wanted is not None else np.nan,
        ann_accuracy=float(np.mean(ann_classes == wanted)) if wanted is not None else np.nan,
        agreement=float(np.mean(found == ann_classes)),
        input_spikes=float(spikes[INPUT].sum()) / len(data),
        spikes=sum(float(spikes[name].sum()) for name in hidden) / len(data),
        synaptic_operations=operations / len(data),
        errors=measure_errors(conversion.ann, conversion.units, activations, spikes),
    )


def sweep_steps(
    model: Any,
    calibration: npt.ArrayLike,
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    n_steps: Sequence[int] = (4, 8, 16),
    options: ConvertOptions | None = None,
) -> tuple[StepRow, ...]:
    """Convert with several T and score each, in float simulation; ``overshoot="auto"`` is one way for all, chosen at its own T.

    Args:
        model: as :func:`snnmap.convert.convert_ann` takes it.
        calibration: ``(n, ...)`` input values.
        inputs: ``(n, ...)`` values to score on.
        labels: ``(n,)`` classes of them.
        n_steps: each T.
        options: of all conversions, but for n_steps.

    Raises:
        FrontendError: an operation has no counterpart.
        InputError: wrong data or labels.
    """
    rows, way = [], _choose_way(model, calibration, options)
    for steps in n_steps:
        conversion = convert_model(model, calibration, replace(way, n_steps=steps))
        rows.append(
            StepRow(
                n_steps=steps,
                latency_steps=conversion.latency_steps,
                score=score_conversion(conversion, inputs, labels),
                compensations=conversion.compensations,
            )
        )
    return tuple(rows)


def measure_codings(
    model: Any,
    calibration: npt.ArrayLike,
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    codings: Sequence[Coding] = _CODINGS,
    options: ConvertOptions | None = None,
) -> tuple[CodingRow, ...]:
    """Convert with several input codings and score each; arguments and errors as :func:`sweep_steps`."""
    rows, way = [], _choose_way(model, calibration, options)
    for coding in codings:
        conversion = convert_model(model, calibration, replace(way, coding=coding))
        rows.append(CodingRow(coding=coding, score=score_conversion(conversion, inputs, labels)))
    return tuple(rows)


def measure_leak(
    model: Any, calibration: npt.ArrayLike, *, dash_mem: int = 15, options: ConvertOptions | None = None
) -> tuple[LeakRow, ...]:
    """Measure what the leak does to each layer, apart from what the drive that compensates it does.

    All networks but the last have the weights and charges of the network without leak, so that they differ in nothing else.
    The chip's own leak is at least one unit of the state a step, which the float simulation does not have.

    Args:
        model: as :func:`snnmap.convert.convert_ann` takes it.
        calibration: ``(n, ...)`` input values.
        dash_mem: bit shift of the leak.
        options: of the conversions, but for dash_mem, compensate_leak and calibrate.

    Raises:
        FrontendError: an operation has no counterpart.
        InputError: wrong calibration data.
    """
    leaky = replace(_choose_way(model, calibration, options), dash_mem=dash_mem, compensate_leak=True)
    calibrated = convert_model(model, calibration, replace(leaky, calibrate=True))
    plain = convert_model(model, calibration, replace(leaky, dash_mem=None, calibrate=False))
    data = read_data(calibration)[:256]
    activations = run_ann(plain.ann, data - plain.options.input_min)
    leak = leaky.leak
    networks = (
        plain.network,
        _with_leak(plain.network, 0.0, leak / 2.0),
        _with_leak(plain.network, leak, 0.0),
        _with_leak(plain.network, leak, leak / 2.0),
        calibrated.network,
    )
    errors = [_layer_errors(plain, network, data, activations) for network in networks]
    return tuple(
        LeakRow(
            layer=layer.name,
            no_leak=errors[0][layer.name],
            drive_alone=errors[1][layer.name],
            leak=errors[2][layer.name],
            compensated=errors[3][layer.name],
            calibrated=errors[4][layer.name],
        )
        for layer in plain.ann.layers
    )


def _choose_way(model: Any, calibration: npt.ArrayLike, options: ConvertOptions | None) -> ConvertOptions:
    """Replace ``overshoot="auto"`` by what a conversion with these options takes."""
    options = options or ConvertOptions()
    if options.overshoot != "auto":
        return options
    taken = convert_model(model, calibration, options).options
    return replace(options, overshoot=taken.overshoot, balance_by=taken.balance_by)


def _with_leak(network: Network, leak: float, drive: float) -> Network:
    """Return the network with a leak of all membranes and a bias of the neurons that fire."""
    populations = []
    for population in network.populations:
        bias = drive * np.isfinite(population.threshold)  # all finite thresholds are 1
        populations.append(replace(population, beta=np.full(population.size, 1.0 - leak), bias=bias))
    return replace(network, populations=tuple(populations))


def _layer_errors(
    conversion: Conversion, network: Network, data: FloatArray, activations: Mapping[str, FloatArray]
) -> dict[str, float]:
    _, spikes = _run(conversion, network, data)
    return {e.layer: e.relative_error for e in measure_errors(conversion.ann, conversion.units, activations, spikes)}


def _run(conversion: Conversion, network: Network, data: FloatArray) -> tuple[IntArray, dict[str, IntArray]]:
    """Return classes ``(n,)`` and the spikes ``(n, size)`` of every port and hidden population, some samples at a time."""
    names = [population.name for population in network.populations if population.name != "output"]
    classes, spikes = [], []
    for start in range(0, len(data), _BATCH):
        drawn = replace(conversion, options=replace(conversion.options, seed=conversion.options.seed + start))
        ports = conversion.split(drawn.encode(data[start : start + _BATCH]))
        recording = simulate_network(network, ports, counts_of=names, states_of=["output"])
        classes.append(conversion.read(recording.potentials["output"]))
        spikes.append({name: values.sum(axis=1) for name, values in {**ports, **recording.counts}.items()})
    joined = {name: np.concatenate([part[name] for part in spikes]) for name in spikes[0]}
    return np.concatenate(classes).astype(np.int64), joined


def _read_labels(labels: npt.ArrayLike | None, n_samples: int) -> IntArray | None:
    if labels is None:
        return None
    values = np.asarray(labels)
    if values.shape != (n_samples,) or values.dtype.kind not in "iu":
        raise InputError(
            "the labels do not fit the inputs",
            measured=f"{values.dtype} of shape {values.shape}",
            limit=f"integers of shape ({n_samples},)",
            fix="give one class number an input",
        )
    return values.astype(np.int64)

"""Quantisation of one row of chip neurons: codes, scale, integer weights."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from snnmap.chip import Bits, Chip, Family
from snnmap.core import BoolArray, CsrMatrix, FloatArray, IntArray, record
from snnmap.lif.program import NeuronCodes, NeuronParameters, TensorError
from snnmap.lif.quantise.calibrate import N_LEVELS, StateSwing
from snnmap.lif.quantise.decays import DecayCodes, code_decays
from snnmap.lif.quantise.drift import find_bias
from snnmap.lif.quantise.response import kernel_product, kernel_sum
from snnmap.lif.quantise.rounding import Response, SourceMoments, expected_error, fit_gain, round_weights
from snnmap.lif.quantise.scale import MemoryDemand, Scaling, choose_scaling
from snnmap.lif.quantise.windows import SourceCounts

__all__ = ["MemoryWeights", "QuantisedNeurons", "mask_targets", "quantise_neurons"]

_FEW_SOURCES = 32
"""Sources of a neuron up to which its scale is fitted to their rounded weights; errors of more are made to cancel anyway."""
_LEAST_FACTOR, _LARGEST_FACTOR = 0.75, 1.05
"""How much smaller or larger than the scale at which all fits, with room to spare, the fitted one may be."""


@record
class MemoryWeights:
    """Trained weights of one kind of memory onto a row of neurons.

    Attributes:
        name: such as ``recurrent_weights``.
        matrices: one ``(n_pre, n)`` matrix a synapse.
    """

    name: str
    matrices: tuple[CsrMatrix, ...]


@record
class QuantisedNeurons:
    """Integers of one row of neurons, and what rounding cost.

    Attributes:
        codes: dashes, thresholds, biases.
        weights: for each memory, one integer matrix a synapse.
        shifts: weight shift of each memory.
        scale: ``(n,) float64``, state units for one trained unit.
        input_error: ``(n,) float64``, expected error of the potential from rounded weights, as a share of the threshold.
        errors: one entry a tensor.
    """

    codes: NeuronCodes
    weights: tuple[tuple[CsrMatrix, ...], ...]
    shifts: tuple[int, ...]
    scale: FloatArray
    input_error: FloatArray
    errors: tuple[TensorError, ...]


@record
class _Entries:
    """All weights onto a row of neurons, a line for each source of each target; values in state units.

    ``value`` and ``present`` are ``(n, n_synapses)``; ``source`` counts through the memories' sources; ``lines`` gives the line
    of each stored weight, in the order of its matrix, memory by memory and synapse by synapse.
    """

    target: IntArray
    memory: IntArray
    value: FloatArray
    present: BoolArray
    lsb: FloatArray
    source: IntArray
    lines: tuple[tuple[IntArray, ...], ...]


def quantise_neurons(
    row: str,
    parameters: NeuronParameters,
    memories: Sequence[MemoryWeights],
    counts: SourceCounts,
    swing: StateSwing,
    chip: Chip,
    shifts: Sequence[tuple[int, ...]],
    *,
    has_bias: bool,
    readout_margin: float = 4.0,
    compared: BoolArray | None = None,
) -> QuantisedNeurons:
    """Quantise a row of neurons and the weights onto it.

    Args:
        row: ``hidden`` or ``outputs``, for the names of tensors.
        parameters: trained parameters.
        memories: weights by memory kind.
        counts: of the memories' sources, one memory's after the other's.
        swing: states seen in runs.
        chip: whose widths and arithmetic apply.
        shifts: weight shifts of the memories between which to choose.
        readout_margin: room above the largest state seen, of neurons that never fire.
        has_bias: whether the neurons have a bias, which can make up for the drift of integer decays.
        compared: ``(n,) bool``, readouts whose potentials are compared with each other, and so share one scale.
    """
    bits, family = chip.bits, chip.family
    decays = code_decays(parameters, chip)
    responses = _Responses(decays, family)
    demands = _measure_demands(memories, counts, decays)
    bias = parameters.bias * decays.bias_factor
    scaling = choose_scaling(
        demands, parameters.threshold, bias, swing.peak, decays.dash_mem, responses.power(), chip, shifts, readout_margin
    )
    if compared is not None and compared.any():
        scaling = replace(scaling, scale=np.where(compared, scaling.scale[compared].min(), scaling.scale))
    threshold, scale = _code_thresholds(parameters.threshold, scaling.scale, bits)
    entries = _list_entries(memories, decays, scale, scaling, family)
    is_free = np.isfinite(parameters.threshold)
    rounded, off, factor = _round_entries(
        entries, counts, _Responses(decays, family, swing.n_steps), np.where(is_free, threshold, 0), bits
    )
    threshold, scale = np.rint(threshold * factor).astype(np.int64), scale * factor
    entries = replace(entries, value=entries.value * factor[entries.target][:, np.newaxis])
    used = _find_used(parameters, memories)
    wanted_bias = bias * scale
    if has_bias:
        potentials = swing.potential_levels * scale
        currents = _current_levels(entries, rounded, counts, decays, swing, scale, family)
        wanted_bias = _add_within(
            wanted_bias, find_bias(family, decays.dash_syn, decays.dash_mem, currents, potentials), *bits.bias_range
        )
    bias_code = np.clip(np.rint(wanted_bias), *bits.bias_range).astype(np.int64)
    code = np.where(is_free, threshold - family.least_firing, threshold)
    codes = NeuronCodes(dash_syn=decays.dash_syn, dash_mem=decays.dash_mem, threshold=code, bias=bias_code)
    return QuantisedNeurons(
        codes=codes,
        weights=tuple(_collect(memory, lines, rounded) for memory, lines in zip(memories, entries.lines, strict=True)),
        shifts=scaling.shifts,
        scale=scale,
        input_error=_share_of_threshold(off, threshold, parameters.threshold, scale, demands),
        errors=(
            *_weight_errors(memories, entries, rounded, responses, scale, bits),
            *_parameter_errors(row, parameters, codes, wanted_bias / scale, scale, chip, used),
        ),
    )


def _add_within(bias: FloatArray, more: FloatArray, low: int, high: int) -> FloatArray:
    """Add to a bias as much as there is room for beside it."""
    return np.asarray(bias + np.clip(more, np.minimum(low - bias, 0), np.maximum(high - bias, 0)), np.float64)


class _Responses:
    """The response of each neuron, made once for neurons with the same codes."""

    def __init__(self, decays: DecayCodes, family: Family, n_steps: float = math.inf) -> None:
        codes = np.vstack([decays.dash_syn, decays.dash_mem])
        kinds, self.kind = np.unique(codes, axis=1, return_inverse=True)
        self.kind = self.kind.reshape(-1)
        self.responses: list[Response] = [_respond(kind[:-1], int(kind[-1]), family, n_steps) for kind in kinds.T]

    def of(self, neuron: int) -> Response:
        return self.responses[int(self.kind[neuron])]

    def power(self) -> FloatArray:
        """Return the power of each neuron's strongest kernel, ``(n,)``."""
        return np.array([response.power.max() for response in self.responses])[self.kind]


def _respond(dash_syn: IntArray, dash_mem: int, family: Family, n_steps: float = math.inf) -> Response:
    """Return the response to a weight in a run of some steps, longer than which no membrane remembers."""
    codes, gains = family.synapse_factors(dash_syn), family.weight_gain(dash_syn)
    b = np.minimum(family.membrane_factors(dash_mem), 1.0 - 1.0 / n_steps)
    synapses = list(zip(codes, gains, strict=True))
    power = [[gain * other_gain * kernel_product(a, b, other, b) for other, other_gain in synapses] for a, gain in synapses]
    return Response(power=np.array(power), total=gains * kernel_sum(codes, b))


def _current_levels(
    entries: _Entries,
    rounded: IntArray,
    counts: SourceCounts,
    decays: DecayCodes,
    swing: StateSwing,
    scale: FloatArray,
    family: Family,
) -> FloatArray:
    """Return quantiles of the currents on the chip, ``(n_levels, n_synapses, n)`` in state units.

    Measured ones hold where a neuron uses one synapse. Where weights are shared between two, a current is taken to spread evenly
    about its mean, as mean and variance of the sources' counts make it.
    """
    weight = rounded * entries.lsb[:, np.newaxis]
    means, variances = counts.mean[entries.source], counts.variance[entries.source]
    n = scale.size
    levels = np.zeros((N_LEVELS, decays.dash_syn.shape[0], n))
    spread = np.sqrt(3.0) * np.linspace(-1.0, 1.0, N_LEVELS)[:, np.newaxis]
    gains = family.weight_gain(decays.dash_syn)
    for synapse, decay in enumerate(family.synapse_factors(decays.dash_syn)):
        mean = np.bincount(entries.target, weights=means * weight[:, synapse], minlength=n) * gains[synapse] / (1.0 - decay)
        power = np.bincount(entries.target, weights=variances * weight[:, synapse] ** 2, minlength=n)
        levels[:, synapse] = mean + spread * np.sqrt(power * gains[synapse] ** 2 / (1.0 - decay**2))
    shared = np.zeros(n, np.bool_)
    shared[entries.target[entries.present.sum(axis=1) > 1]] = True
    return np.where(shared, levels, swing.current_levels * scale)


def _measure_demands(memories: Sequence[MemoryWeights], counts: SourceCounts, decays: DecayCodes) -> list[MemoryDemand]:
    squares = counts.variance + counts.mean * counts.mean
    edges = np.cumsum([memory.matrices[0].shape[0] for memory in memories])[:-1]
    parts = np.split(squares, edges)
    return [_measure_demand(memory, part, decays) for memory, part in zip(memories, parts, strict=True)]


def _measure_demand(memory: MemoryWeights, squares: FloatArray, decays: DecayCodes) -> MemoryDemand:
    n = memory.matrices[0].shape[1]
    largest, power = np.zeros(n), np.zeros(n)
    for synapse, matrix in enumerate(memory.matrices):
        magnitude = np.abs(matrix.data * decays.weight_factor[synapse][matrix.indices])
        np.maximum.at(largest, matrix.indices, magnitude)
        power += np.bincount(matrix.indices, weights=squares[matrix.rows], minlength=n)
    return MemoryDemand(largest=largest, power=power)


def _code_thresholds(threshold: FloatArray, scale: FloatArray, bits: Bits) -> tuple[IntArray, FloatArray]:
    """Return threshold codes, and scales at which they are exact."""
    finite = np.isfinite(threshold)
    code = np.clip(np.floor(np.where(finite, threshold * scale, bits.threshold_max)), 1, bits.threshold_max)
    exact = np.where(finite, code / np.where(finite, threshold, 1.0), scale)
    return code.astype(np.int64), exact


def _list_entries(
    memories: Sequence[MemoryWeights], decays: DecayCodes, scale: FloatArray, scaling: Scaling, family: Family
) -> _Entries:
    stored = [
        (number, synapse, matrix) for number, memory in enumerate(memories) for synapse, matrix in enumerate(memory.matrices)
    ]
    places = np.concatenate([np.stack([m.indices, np.full(m.nnz, number), m.rows]) for number, _, m in stored], axis=1)
    lines, where = np.unique(places, axis=1, return_inverse=True)
    target, number, source = lines
    n_synapses = decays.dash_syn.shape[0]
    value, present = np.zeros((target.size, n_synapses)), np.zeros((target.size, n_synapses), np.bool_)
    parts = np.split(where.reshape(-1), np.cumsum([matrix.nnz for *_, matrix in stored])[:-1])
    for (_, synapse, matrix), part in zip(stored, parts, strict=True):
        value[part, synapse] = matrix.data * (decays.weight_factor[synapse] * scale)[matrix.indices]
        present[part, synapse] = True
    first = np.cumsum([0, *(memory.matrices[0].shape[0] for memory in memories)])[:-1]
    per_memory = iter(parts)
    return _Entries(
        target=target,
        memory=number,
        value=value,
        present=present,
        lsb=np.array([float(1 << (shift + family.weight_shift)) for shift in scaling.shifts])[number],
        source=first[number] + source,
        lines=tuple(tuple(next(per_memory) for _ in memory.matrices) for memory in memories),
    )


def _round_entries(
    entries: _Entries, counts: SourceCounts, responses: _Responses, threshold: IntArray, bits: Bits
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Round all weights; of neurons with few sources, at a scale that suits them if that is better.

    Args:
        entries: values at the largest scales that fit.
        counts: of the sources.
        responses: of the neurons.
        threshold: ``(n,) int64`` at these scales; 0 where the scale is not free.
        bits: widths.

    Returns:
        Integers, what each neuron's potential is expected to be off by, ``(n,)`` in state units, and the factor on each scale.
    """
    rounded, off, factor = np.zeros(entries.value.shape, np.int64), np.zeros(threshold.size), np.ones(threshold.size)
    for part in _by_target(entries.target):
        neuron = int(entries.target[part.start])
        response = responses.of(neuron)
        one = _OneNeuron(
            present=entries.present[part],
            lsb=entries.lsb[part],
            moments=counts.moments(entries.source[part], response),
            response=response,
            weight_range=bits.weight_range,
        )
        value, code = entries.value[part], int(threshold[neuron])
        rounded[part], off[neuron] = one.round(value)
        if code and part.stop - part.start <= _FEW_SOURCES:
            suiting = min(bits.threshold_max, round(code * one.fit_gain(value, rounded[part])))
            if (
                suiting != code
                and one.admits(value * (suiting / code))
                and _LEAST_FACTOR * code <= suiting <= _LARGEST_FACTOR * code
            ):
                other, its_off = one.round(value * (suiting / code))
                if its_off * code < off[neuron] * suiting:
                    rounded[part], off[neuron], factor[neuron] = other, its_off, suiting / code
    return rounded, off, factor


@record
class _OneNeuron:
    """What rounding the weights onto one neuron needs beside the weights."""

    present: BoolArray
    lsb: FloatArray
    moments: SourceMoments
    response: Response
    weight_range: tuple[int, int]

    def round(self, value: FloatArray) -> tuple[IntArray, float]:
        rounded = round_weights(value, self.present, self.lsb, self.moments, self.response, *self.weight_range)
        return rounded, expected_error(rounded - value / self.lsb[:, np.newaxis], self.lsb, self.moments, self.response)

    def admits(self, value: FloatArray) -> bool:
        low, high = self.weight_range
        steps = np.rint(value / self.lsb[:, np.newaxis])
        return bool((steps >= low).all() and (steps <= high).all())

    def fit_gain(self, value: FloatArray, rounded: IntArray) -> float:
        return fit_gain(value / self.lsb[:, np.newaxis], rounded, self.lsb, self.moments, self.response)


def _by_target(target: IntArray) -> list[slice]:
    """Return the slice of each target in a sorted array of targets."""
    edges = [0, *(np.flatnonzero(np.diff(target)) + 1).tolist(), target.size]
    return [slice(start, stop) for start, stop in pairwise(edges) if stop > start]


def _collect(memory: MemoryWeights, lines: tuple[IntArray, ...], rounded: IntArray) -> tuple[CsrMatrix, ...]:
    return tuple(
        CsrMatrix.from_triplets(matrix.rows, matrix.indices, rounded[line, synapse], matrix.shape)
        for synapse, (matrix, line) in enumerate(zip(memory.matrices, lines, strict=True))
    )


def _share_of_threshold(
    off: FloatArray, threshold_code: IntArray, threshold: FloatArray, scale: FloatArray, demands: Sequence[MemoryDemand]
) -> FloatArray:
    largest = np.maximum.reduce([demand.largest for demand in demands]) * scale
    reference = np.where(np.isfinite(threshold), threshold_code, np.maximum(largest, 1.0))
    return np.asarray(off / reference, np.float64)


def _weight_errors(
    memories: Sequence[MemoryWeights],
    entries: _Entries,
    rounded: IntArray,
    responses: _Responses,
    scale: FloatArray,
    bits: Bits,
) -> list[TensorError]:
    """Measure each memory; two weights of a source onto one neuron are one value, in units of the first synapse."""
    low, high = bits.weight_range
    share = np.stack([response.total / response.total[0] for response in responses.responses])[responses.kind[entries.target]]
    unit = scale[entries.target]
    trained = (entries.value * share).sum(axis=1) / unit
    chip = (rounded * share).sum(axis=1) * entries.lsb / unit
    nearest = np.rint(entries.value / entries.lsb[:, np.newaxis])
    clipped = np.asarray(((nearest < low) | (nearest > high)).any(axis=1), np.bool_)
    errors = []
    for number, memory in enumerate(memories):
        mine = entries.memory == number
        lost = _find_lost_share(trained[mine], chip[mine], entries.target[mine])
        errors.append(replace(_measure(memory.name, trained[mine], chip[mine], int(clipped[mine].sum())), lost_share=lost))
    return errors


def _find_lost_share(trained: FloatArray, chip: FloatArray, target: IntArray) -> float:
    """Return the largest share of a neuron's sum of magnitudes that became 0."""
    size = np.abs(trained)
    everything = np.bincount(target, weights=size)
    lost = np.bincount(target, weights=np.where(chip == 0, size, 0.0))
    return float((lost / np.where(everything > 0, everything, 1.0)).max(initial=0.0))


def _parameter_errors(
    row: str, parameters: NeuronParameters, codes: NeuronCodes, bias: FloatArray, scale: FloatArray, chip: Chip, used: BoolArray
) -> list[TensorError]:
    finite, family = np.isfinite(parameters.threshold), chip.family
    alpha, beta = family.synapse_factors(codes.dash_syn), family.membrane_factors(codes.dash_mem)
    active = used.any(axis=0)
    too_small = int((parameters.threshold[finite] * scale[finite] < 0.5).sum())
    low, high = chip.bits.bias_range
    wanted = np.rint(bias * scale)
    return [
        _measure(f"{row}.alpha", parameters.alpha[used], alpha[used], 0),
        _measure(f"{row}.beta", parameters.beta[active], beta[active], 0),
        _measure(
            f"{row}.threshold", parameters.threshold[finite], ((codes.threshold + family.least_firing) / scale)[finite], too_small
        ),
        _measure(f"{row}.bias", bias, codes.bias / scale, int(((wanted < low) | (wanted > high)).sum())),
    ]


def _find_used(parameters: NeuronParameters, memories: Sequence[MemoryWeights]) -> BoolArray:
    """Say which synapse of which neuron has weights, ``(n_synapses, n) bool``."""
    used = np.zeros(parameters.alpha.shape, np.bool_)
    for memory in memories:
        for synapse, matrix in enumerate(memory.matrices):
            used[synapse, matrix.indices] = True
    return used


def _measure(name: str, trained: FloatArray, chip: npt.NDArray[np.float64], n_clipped: int) -> TensorError:
    size = float(np.sqrt(np.mean(trained * trained))) if trained.size else 0.0
    rms = float(np.sqrt(np.mean((chip - trained) ** 2))) if trained.size else 0.0
    largest = float(np.abs(trained).max(initial=0.0))
    return TensorError(
        name=name,
        n_values=int(trained.size),
        relative_rms=rms / size if size else rms,
        largest=float(np.abs(chip - trained).max(initial=0.0)) / (largest or 1.0),
        n_lost=int(((trained != 0) & (chip == 0)).sum()),
        n_clipped=n_clipped,
    )


def mask_targets(matrices: tuple[CsrMatrix, ...], kept: BoolArray) -> tuple[CsrMatrix, ...]:
    """Leave out the weights onto targets that are not kept."""
    masked = []
    for matrix in matrices:
        mine = kept[matrix.indices]
        masked.append(CsrMatrix.from_triplets(matrix.rows[mine], matrix.indices[mine], matrix.data[mine], matrix.shape))
    return tuple(masked)

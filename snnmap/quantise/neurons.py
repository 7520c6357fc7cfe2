"""Quantisation of one row of chip neurons: codes, scale, integer weights."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from snnmap.chip import Bits, decay_factors
from snnmap.ir import BoolArray, CsrMatrix, FloatArray, IntArray, NeuronCodes, NeuronParameters, TensorError, record
from snnmap.quantise.decays import DecayCodes, code_decays
from snnmap.quantise.rounding import expected_error, round_weights
from snnmap.quantise.scale import MemoryDemand, Scaling, choose_scaling

__all__ = ["MemoryWeights", "QuantisedNeurons", "mask_targets", "quantise_neurons"]


@record
class MemoryWeights:
    """Trained weights of one kind of memory onto a row of neurons.

    Attributes:
        name: such as ``recurrent_weights``.
        matrices: one ``(n_pre, n)`` matrix a synapse.
        mean: ``(n_pre,) float64``, mean count of each source.
        variance: ``(n_pre,) float64``.
    """

    name: str
    matrices: tuple[CsrMatrix, ...]
    mean: FloatArray
    variance: FloatArray


@record
class QuantisedNeurons:
    """Integers of one row of neurons, and what rounding cost.

    Attributes:
        codes: dashes, thresholds, biases.
        weights: for each memory, one integer matrix a synapse.
        shifts: weight shift of each memory.
        scale: ``(n,) float64``, state units for one trained unit.
        input_error: ``(n,) float64``, expected error of the summed input, as a share of the threshold.
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
    """All weights onto one synapse of a row, from every memory, sorted by target; values in state units."""

    target: IntArray
    source: IntArray
    memory: IntArray
    value: FloatArray
    lsb: FloatArray
    mean: FloatArray
    variance: FloatArray


def quantise_neurons(
    row: str,
    parameters: NeuronParameters,
    memories: Sequence[MemoryWeights],
    peak: FloatArray | None,
    bits: Bits,
    max_shift_difference: int,
) -> QuantisedNeurons:
    """Quantise a row of neurons and the weights onto it.

    Args:
        row: ``hidden`` or ``outputs``, for the names of tensors.
        parameters: trained parameters.
        memories: weights by memory kind.
        peak: largest states seen on calibration data; None without.
        bits: widths of the chip.
        max_shift_difference: how far the memories' shifts may be apart.
    """
    decays = code_decays(parameters, bits)
    demands = [_measure_demand(memory, decays) for memory in memories]
    bias = parameters.bias * decays.bias_factor
    scaling = choose_scaling(demands, parameters.threshold, bias, peak, decays.dash_mem, bits, max_shift_difference)
    threshold, scale = _code_thresholds(parameters.threshold, scaling.scale, bits)
    synapses = [_list_entries(memories, decays, scale, scaling, s) for s in range(parameters.alpha.shape[0])]
    rounded = [_round_entries(entries, bits) for entries in synapses]
    bias_code = np.clip(np.rint(bias * scale), *bits.bias_range).astype(np.int64)
    codes = NeuronCodes(dash_syn=decays.dash_syn, dash_mem=decays.dash_mem, threshold=threshold, bias=bias_code)
    return QuantisedNeurons(
        codes=codes,
        weights=tuple(_collect(memories, number, synapses, rounded) for number in range(len(memories))),
        shifts=scaling.shifts,
        scale=scale,
        input_error=_input_error(synapses, rounded, threshold, parameters.threshold, scale, demands),
        errors=(
            *_weight_errors(memories, synapses, rounded, scale, bits),
            *_parameter_errors(row, parameters, codes, bias, scale, bits, _find_used(parameters, synapses)),
        ),
    )


def _measure_demand(memory: MemoryWeights, decays: DecayCodes) -> MemoryDemand:
    n = memory.matrices[0].shape[1]
    largest, power = np.zeros(n), np.zeros(n)
    for synapse, matrix in enumerate(memory.matrices):
        magnitude = np.abs(matrix.data * decays.weight_factor[synapse][matrix.indices])
        np.maximum.at(largest, matrix.indices, magnitude)
        weight = memory.variance + memory.mean * memory.mean
        power += np.bincount(matrix.indices, weights=weight[matrix.rows], minlength=n)
    return MemoryDemand(largest=largest, power=power)


def _code_thresholds(threshold: FloatArray, scale: FloatArray, bits: Bits) -> tuple[IntArray, FloatArray]:
    """Give threshold codes, and scales at which they are exact."""
    finite = np.isfinite(threshold)
    code = np.clip(np.floor(np.where(finite, threshold * scale, bits.threshold_max)), 1, bits.threshold_max)
    exact = np.where(finite, code / np.where(finite, threshold, 1.0), scale)
    return code.astype(np.int64), exact


def _list_entries(
    memories: Sequence[MemoryWeights], decays: DecayCodes, scale: FloatArray, scaling: Scaling, synapse: int
) -> _Entries:
    matrices = [memory.matrices[synapse] for memory in memories]
    target = np.concatenate([matrix.indices for matrix in matrices])
    source = np.concatenate([matrix.rows for matrix in matrices])
    number = np.repeat(np.arange(len(matrices)), [matrix.nnz for matrix in matrices])
    order = np.lexsort((source, number, target))
    value = np.concatenate([matrix.data for matrix in matrices]) * (decays.weight_factor[synapse] * scale)[target]
    lsb = np.array([float(1 << shift) for shift in scaling.shifts])[number]
    mean = np.concatenate([memory.mean[matrix.rows] for memory, matrix in zip(memories, matrices, strict=True)])
    variance = np.concatenate([memory.variance[matrix.rows] for memory, matrix in zip(memories, matrices, strict=True)])
    return _Entries(
        target=target[order],
        source=source[order],
        memory=number[order],
        value=value[order],
        lsb=lsb[order],
        mean=mean[order],
        variance=variance[order],
    )


def _round_entries(entries: _Entries, bits: Bits) -> IntArray:
    low, high = bits.weight_range
    rounded = np.zeros(entries.target.size, np.int64)
    for part in _by_target(entries.target):
        rounded[part] = round_weights(
            entries.value[part], entries.lsb[part], entries.mean[part], entries.variance[part], low, high
        )
    return rounded


def _by_target(target: IntArray) -> list[slice]:
    """Give the slice of each target in a sorted array of targets."""
    edges = [0, *(np.flatnonzero(np.diff(target)) + 1).tolist(), target.size]
    return [slice(start, stop) for start, stop in pairwise(edges) if stop > start]


def _collect(
    memories: Sequence[MemoryWeights], number: int, synapses: Sequence[_Entries], rounded: Sequence[IntArray]
) -> tuple[CsrMatrix, ...]:
    matrices = []
    for matrix, entries, weights in zip(memories[number].matrices, synapses, rounded, strict=True):
        mine = entries.memory == number
        matrices.append(CsrMatrix.from_triplets(entries.source[mine], entries.target[mine], weights[mine], matrix.shape))
    return tuple(matrices)


def _input_error(
    synapses: Sequence[_Entries],
    rounded: Sequence[IntArray],
    threshold_code: IntArray,
    threshold: FloatArray,
    scale: FloatArray,
    demands: Sequence[MemoryDemand],
) -> FloatArray:
    squared = np.zeros(threshold_code.size)
    for entries, weights in zip(synapses, rounded, strict=True):
        error = weights * entries.lsb - entries.value
        for part in _by_target(entries.target):
            squared[entries.target[part.start]] += expected_error(error[part], entries.mean[part], entries.variance[part]) ** 2
    largest = np.maximum.reduce([demand.largest for demand in demands]) * scale
    reference = np.where(np.isfinite(threshold), threshold_code, np.maximum(largest, 1.0))
    return np.asarray(np.sqrt(squared) / reference, np.float64)


def _weight_errors(
    memories: Sequence[MemoryWeights], synapses: Sequence[_Entries], rounded: Sequence[IntArray], scale: FloatArray, bits: Bits
) -> list[TensorError]:
    errors = []
    low, high = bits.weight_range
    for number, memory in enumerate(memories):
        for synapse, (entries, weights) in enumerate(zip(synapses, rounded, strict=True)):
            mine = entries.memory == number
            units = scale[entries.target[mine]]
            clipped = np.rint(entries.value[mine] / entries.lsb[mine])
            n_clipped = int(((clipped < low) | (clipped > high)).sum())
            trained, chip = entries.value[mine] / units, weights[mine] * entries.lsb[mine] / units
            errors.append(_measure(f"{memory.name}[{synapse}]", trained, chip, n_clipped))
    return errors


def _parameter_errors(
    row: str, parameters: NeuronParameters, codes: NeuronCodes, bias: FloatArray, scale: FloatArray, bits: Bits, used: BoolArray
) -> list[TensorError]:
    finite = np.isfinite(parameters.threshold)
    alpha, beta = decay_factors(codes.dash_syn), decay_factors(codes.dash_mem)
    active = used.any(axis=0)
    too_small = int((parameters.threshold[finite] * scale[finite] < 0.5).sum())
    low, high = bits.bias_range
    wanted = np.rint(bias * scale)
    return [
        _measure(f"{row}.alpha", parameters.alpha[used], alpha[used], 0),
        _measure(f"{row}.beta", parameters.beta[active], beta[active], 0),
        _measure(f"{row}.threshold", parameters.threshold[finite], (codes.threshold / scale)[finite], too_small),
        _measure(f"{row}.bias", bias, codes.bias / scale, int(((wanted < low) | (wanted > high)).sum())),
    ]


def _find_used(parameters: NeuronParameters, synapses: Sequence[_Entries]) -> BoolArray:
    """Say which synapse of which neuron has weights, ``(n_synapses, n) bool``."""
    used = np.zeros(parameters.alpha.shape, np.bool_)
    for synapse, entries in enumerate(synapses):
        used[synapse, entries.target] = True
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

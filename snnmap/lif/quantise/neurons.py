"""Quantisation of one row of chip neurons: codes, scale, integer weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from snnmap.chip import Bits, Chip, Family
from snnmap.core import BoolArray, CsrMatrix, FloatArray, IntArray, record, seal, split_near
from snnmap.lif.program import NeuronCodes, NeuronParameters, TensorError
from snnmap.lif.quantise.decays import DecayCodes, code_decays
from snnmap.lif.quantise.drift import find_bias
from snnmap.lif.quantise.grid import fit_grid, rescale_lines
from snnmap.lif.quantise.lines import Lines, MemoryWeights, list_lines
from snnmap.lif.quantise.response import RowResponses
from snnmap.lif.quantise.row import round_lines
from snnmap.lif.quantise.scale import MemoryDemand, choose_scaling
from snnmap.lif.quantise.swing import N_LEVELS, StateSwing
from snnmap.lif.quantise.windows import SourceCounts

__all__ = ["QuantisedNeurons", "mask_targets", "quantise_neurons"]


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
    in_run = RowResponses(decays, family, swing.n_steps)
    demands = _measure_demands(memories, counts, decays)
    bias = parameters.bias * decays.bias_factor
    scaling = choose_scaling(
        demands,
        parameters.threshold,
        bias,
        swing.peak,
        decays.dash_mem,
        in_run.power(),
        swing.n_steps,
        chip,
        shifts,
        readout_margin,
    )
    if compared is not None and compared.any():
        scaling = replace(scaling, scale=np.where(compared, scaling.scale[compared].min(), scaling.scale))
    threshold, scale = _code_thresholds(parameters.threshold, scaling.scale, bits)
    lines = list_lines(memories, decays, scale, scaling.shifts, family)
    grid = fit_grid(lines, parameters, decays, scale, threshold, family, bits, has_bias=has_bias)
    rescale_lines(lines, grid, scale)
    threshold, scale = grid.threshold, grid.scale
    is_free = np.isfinite(parameters.threshold)
    rounded, off, factor = round_lines(lines.entries, counts, in_run, np.where(is_free & ~grid.is_exact, threshold, 0), bits)
    threshold, scale = np.rint(threshold * factor).astype(np.int64), scale * factor
    steps = [[rounded[:, s][place] if place.size else place for s, place in enumerate(own)] for own in lines.places]
    used = _find_used(parameters, memories)
    wanted_bias = bias * scale
    if has_bias:
        potentials = swing.potential_levels * scale
        currents = _current_levels(lines, rounded, counts, decays, swing, scale, family)
        drift = find_bias(family, decays.dash_syn, decays.dash_mem, currents, potentials)
        wanted_bias = _add_within(wanted_bias, np.where(grid.keeps_sums, grid.bias, drift), *bits.bias_range)
    bias_code = np.clip(np.rint(wanted_bias), *bits.bias_range).astype(np.int64)
    code = np.where(is_free, threshold - family.least_firing, threshold)
    codes = NeuronCodes(dash_syn=decays.dash_syn, dash_mem=decays.dash_mem, threshold=code, bias=bias_code)
    return QuantisedNeurons(
        codes=codes,
        weights=tuple(map(_collect, memories, steps)),
        shifts=scaling.shifts,
        scale=scale,
        input_error=_share_of_threshold(off, threshold, parameters.threshold, scale, demands),
        errors=(
            *_weight_errors(memories, lines, steps, decays, RowResponses(decays, family), scaling.shifts, scale, chip),
            *_parameter_errors(row, parameters, codes, wanted_bias / scale, scale, chip, used),
        ),
    )


def _add_within(bias: FloatArray, more: FloatArray, low: int, high: int) -> FloatArray:
    """Add to a bias as much as there is room for beside it."""
    return np.asarray(bias + np.clip(more, np.minimum(low - bias, 0), np.maximum(high - bias, 0)), np.float64)


def _current_levels(
    lines: Lines,
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
    entries, shared = lines.entries, np.zeros(scale.size, np.bool_)
    if entries.present.shape[1] == 1:
        return swing.current_levels * scale
    shared[lines.target[entries.present.sum(axis=1, dtype=np.int8) > 1]] = True
    if not shared.any():
        return swing.current_levels * scale
    weight = rounded * entries.lsb[entries.source][:, np.newaxis]
    means, variances = counts.mean[entries.source], counts.variance[entries.source]
    n = scale.size
    levels = np.zeros((N_LEVELS, decays.dash_syn.shape[0], n))
    spread = np.sqrt(3.0) * np.linspace(-1.0, 1.0, N_LEVELS)[:, np.newaxis]
    gains = family.weight_gain(decays.dash_syn)
    for synapse, decay in enumerate(family.synapse_factors(decays.dash_syn)):
        mean = np.bincount(lines.target, weights=means * weight[:, synapse], minlength=n) * gains[synapse] / (1.0 - decay)
        power = np.bincount(lines.target, weights=variances * weight[:, synapse] ** 2, minlength=n)
        levels[:, synapse] = mean + spread * np.sqrt(power * gains[synapse] ** 2 / (1.0 - decay**2))
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
        peaks, own = matrix.measure_columns(squares)
        largest = np.maximum(largest, peaks * np.abs(decays.weight_factor[synapse]))
        power += own
    return MemoryDemand(largest=largest, power=power)


def _code_thresholds(threshold: FloatArray, scale: FloatArray, bits: Bits) -> tuple[IntArray, FloatArray]:
    """Return threshold codes, and scales at which they are exact."""
    finite = np.isfinite(threshold)
    code = np.clip(np.floor(np.where(finite, threshold * scale, bits.threshold_max)), 1, bits.threshold_max)
    exact = np.where(finite, code / np.where(finite, threshold, 1.0), scale)
    return code.astype(np.int64), exact


def _collect(memory: MemoryWeights, steps: Sequence[IntArray]) -> tuple[CsrMatrix, ...]:
    return tuple(matrix.with_data(seal(own)).keep(own != 0) for matrix, own in zip(memory.matrices, steps, strict=True))


def _share_of_threshold(
    off: FloatArray, threshold_code: IntArray, threshold: FloatArray, scale: FloatArray, demands: Sequence[MemoryDemand]
) -> FloatArray:
    largest = np.maximum.reduce([demand.largest for demand in demands]) * scale
    reference = np.where(np.isfinite(threshold), threshold_code, np.maximum(largest, 1.0))
    return np.asarray(off / reference, np.float64)


def _weight_errors(
    memories: Sequence[MemoryWeights],
    lines: Lines,
    steps: Sequence[Sequence[IntArray]],
    decays: DecayCodes,
    responses: RowResponses,
    shifts: Sequence[int],
    scale: FloatArray,
    chip: Chip,
) -> list[TensorError]:
    """Measure each memory; two weights of a source onto one neuron are one value, in units of the first synapse."""
    share, errors, (low, high) = responses.share()[responses.kind].T, [], chip.bits.weight_range
    for memory, places, integers, shift in zip(memories, lines.places, steps, shifts, strict=True):
        used = [synapse for synapse, matrix in enumerate(memory.matrices) if matrix.nnz]
        target, joined = _join_places(memory, [places[synapse] for synapse in used], lines)
        unit, error = float(1 << (shift + chip.family.weight_shift)) / scale, _Error()
        factors = {s: (decays.weight_factor[s] * share[s], unit * share[s], decays.weight_factor[s] / unit) for s in used}
        everything, lost = np.zeros(scale.size), np.zeros(scale.size)
        for part in split_near(target.size) if joined is None else (slice(target.size),):
            post = target[part]
            trained, found, is_clipped = np.zeros(post.size), np.zeros(post.size), np.zeros(post.size, np.bool_)
            for place, synapse in enumerate(used):
                matrix, (to_trained, to_found, to_steps) = memory.matrices[synapse], factors[synapse]
                at: IntArray | slice = slice(None) if joined is None else joined[place]
                own = part if joined is None else slice(None)
                onto, weight = matrix.indices[own], matrix.data[own]
                trained[at] += weight * to_trained[onto]
                found[at] += integers[synapse][own] * to_found[onto]
                exact = np.rint(weight * to_steps[onto])
                is_clipped[at] |= (exact < low) | (exact > high)
            error.add(trained, found, int(is_clipped.sum()))
            everything += np.bincount(post, np.abs(trained), minlength=scale.size)
            lost += np.bincount(post, np.abs(trained) * (found == 0), minlength=scale.size)
        lost_share = float((lost / np.where(everything > 0, everything, 1.0)).max(initial=0.0))
        errors.append(replace(error.finish(memory.name), lost_share=lost_share))
    return errors


def _join_places(memory: MemoryWeights, places: Sequence[IntArray], lines: Lines) -> tuple[IntArray, Sequence[IntArray] | None]:
    """Return the target of each pair that a memory's used synapses connect, and the pair of each weight; None for the same."""
    if all(np.array_equal(places[0], other) for other in places[1:]):
        first = next((matrix for matrix in memory.matrices if matrix.nnz), memory.matrices[0])
        return first.indices, None
    pairs, which = np.unique(np.concatenate(places), return_inverse=True)
    return lines.target[pairs], np.split(which, np.cumsum([own.size for own in places])[:-1])


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
            used[synapse] |= matrix.column_lengths > 0
    return used


def _measure(name: str, trained: FloatArray, chip: npt.NDArray[np.float64], n_clipped: int) -> TensorError:
    error = _Error()
    error.add(trained, chip, n_clipped)
    return error.finish(name)


@dataclass(slots=True)
class _Error:
    """What integers of a tensor are off by, seen so far."""

    n_values: int = 0
    n_lost: int = 0
    n_clipped: int = 0
    trained_square: float = 0.0
    off_square: float = 0.0
    trained_largest: float = 0.0
    off_largest: float = 0.0

    def add(self, trained: FloatArray, chip: FloatArray, n_clipped: int) -> None:
        off = chip - trained
        self.n_values += trained.size
        self.n_lost += int(np.count_nonzero(trained[chip == 0]))
        self.n_clipped += n_clipped
        self.trained_square += float(np.square(trained).sum())
        self.off_square += float(np.square(off).sum())
        self.trained_largest = max(self.trained_largest, float(np.abs(trained).max(initial=0.0)))
        self.off_largest = max(self.off_largest, float(np.abs(off).max(initial=0.0)))

    def finish(self, name: str) -> TensorError:
        n = max(1, self.n_values)
        size, rms = math.sqrt(self.trained_square / n), math.sqrt(self.off_square / n)
        return TensorError(
            name=name,
            n_values=self.n_values,
            relative_rms=rms / size if size else rms,
            largest=self.off_largest / (self.trained_largest or 1.0),
            n_lost=self.n_lost,
            n_clipped=self.n_clipped,
        )


def mask_targets(matrices: tuple[CsrMatrix, ...], kept: BoolArray) -> tuple[CsrMatrix, ...]:
    """Leave out the weights onto targets that are not kept."""
    if kept.all():
        return matrices
    return tuple(matrix.keep(kept[matrix.indices] & (matrix.data != 0)) for matrix in matrices)

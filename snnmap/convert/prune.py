"""An ANN with no more weights to a neuron than a chip stores, and what that costs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from snnmap.chip import Chip
from snnmap.convert.ann import INPUT, Affine, Ann, run_ann
from snnmap.convert.choose import measure_agreement, measure_relative_error
from snnmap.convert.pools import find_limits
from snnmap.core import BoolArray, FloatArray, IntArray

__all__ = ["Pruning", "prune_ann"]

_MEASURED = 256
"""Samples of the calibration data that are run."""
_SILENT = 1e-12
"""Power by which weights from sources that are silent are told from each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What pruning took from an ANN, measured on calibration data.

    Attributes:
        dropped: weights that are gone, by layer that loses some, and ``output``.
        weights: that these layers had.
        relative_error: root mean square of (pruned output - the ANN's) over that of the ANN's outputs about their means.
        agreement: share of samples whose largest output is the ANN's; of one output, whose sign is.
    """

    dropped: Mapping[str, int]
    weights: Mapping[str, int]
    relative_error: float
    agreement: float

    def __str__(self) -> str:
        layers = ", ".join(f"{n} of {self.weights[name]} onto '{name}'" for name, n in self.dropped.items())
        measured = f"relative error {self.relative_error:.3f}, {self.agreement:.1%} same decisions on calibration data"
        return f"weights that contribute least are gone: {layers or 'none'}; {measured}"


def prune_ann(ann: Ann, inputs: FloatArray, chip: Chip) -> tuple[Ann, Pruning]:
    """Drop the weights that contribute least, until each neuron has no more than the chip's memories store for one.

    A weight contributes its size times the root mean square of its source, or of the source's channel where the target has
    channels too: these lose the same weights at all places, so that a convolution stays one. What dropped weights gave on
    average goes into the biases.

    Args:
        ann: to prune.
        inputs: ``(n, ...)`` calibration data.
        chip: whose limits are kept, less the weights that a conversion adds.

    Returns:
        The pruned ANN, and what it lost.
    """
    activations = run_ann(ann, inputs[:_MEASURED])
    shapes = {INPUT: inputs.shape[1:], **{layer.name: layer.incoming.shape for layer in ann.layers}}
    sources = {name: _Source(shape=shape, values=activations[name]) for name, shape in shapes.items()}
    limits = find_limits(ann, chip)
    layers = tuple(replace(layer, incoming=_prune(layer.incoming, limits[layer.name], sources)) for layer in ann.layers)
    pruned = replace(ann, layers=layers, output=_prune(ann.output, limits["output"], sources))
    before, after = _count_weights(ann), _count_weights(pruned)
    lost = {name: before[name] - after[name] for name in before if before[name] > after[name]}
    outputs, wanted = run_ann(pruned, inputs[:_MEASURED])["output"], activations["output"]
    return pruned, Pruning(
        dropped=lost,
        weights={name: before[name] for name in lost},
        relative_error=measure_relative_error(outputs, wanted),
        agreement=measure_agreement(outputs, wanted),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What a layer or the input does on calibration data, ``values`` of ``(n, size)``, and the shape of a sample."""

    shape: tuple[int, ...]
    values: FloatArray

    def measure_mean(self) -> FloatArray:
        return np.asarray(self.values.mean(axis=0))

    def measure_power(self, *, by_channel: bool) -> FloatArray:
        """Return the root mean square of each value, or of its channel, ``(size,)``."""
        squares = np.square(self.values).mean(axis=0)
        if by_channel:
            squares = np.repeat(squares.reshape(self.shape[0], -1).mean(axis=1), squares.size // self.shape[0])
        power: FloatArray = np.sqrt(squares)
        return power


def _count_weights(ann: Ann) -> dict[str, int]:
    values = {**{layer.name: layer.incoming for layer in ann.layers}, "output": ann.output}
    return {name: sum(int(np.count_nonzero(weights.data)) for weights in value.terms.values()) for name, value in values.items()}


def _prune(value: Affine, limit: int, sources: Mapping[str, _Source]) -> Affine:
    from scipy.sparse import csr_array

    if not limit or not value.terms:
        return value
    entries = {name: weights.tocoo() for name, weights in value.terms.items()}
    power = {name: sources[name].measure_power(by_channel=len(value.shape) > 1) + _SILENT for name in entries}
    score = np.concatenate([np.abs(part.data) * power[name][part.row] for name, part in entries.items()])
    target = np.concatenate([part.col for part in entries.values()])
    kept = _choose(score, target, limit, value.size // value.shape[0])
    terms, bias, start = dict(value.terms), value.bias.copy(), 0
    for name, part in entries.items():
        stays = kept[start : start + part.nnz]
        start += part.nnz
        terms[name] = csr_array((part.data[stays], (part.row[stays], part.col[stays])), shape=part.shape)
        given = part.data[~stays] * sources[name].measure_mean()[part.row[~stays]]
        bias += np.bincount(part.col[~stays], given, minlength=value.size)
    return replace(value, terms=terms, bias=bias)


def _choose(score: FloatArray, target: IntArray, limit: int, n_places: int) -> BoolArray:
    """Choose the weights that stay, ``(n,) bool``: at most the limit of each target, and alike at the places of a channel.

    The least that a place which must lose some keeps is the least that all places of its channel keep.
    """
    order = np.lexsort((np.arange(score.size), -score, target))
    starts = np.searchsorted(target[order], np.arange(target.max(initial=0) + 2))
    rank = np.empty(score.size, np.int64)
    rank[order] = np.arange(score.size) - starts[target[order]]
    full = (np.diff(starts) > limit)[target] & (score > 0.0)
    least = np.zeros(starts.size // n_places + 1)
    last = full & (rank == limit - 1)
    np.maximum.at(least, target[last] // n_places, score[last])
    kept: BoolArray = (rank < limit) & (score >= least[target // n_places])
    return kept

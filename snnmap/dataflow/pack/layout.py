"""Weights in the order in which a stage reads them: a word a cycle, padded with zeros where loops end within a word."""

import numpy as np
import numpy.typing as npt

from snnmap.core.record import record
from snnmap.dataflow.allocate import Stage
from snnmap.dataflow.lower import Loops
from snnmap.dataflow.templates import Parallelism

__all__ = ["Packed", "pack_stage", "pack_weights", "unpack_weights"]


@record
class Packed:
    """What the memories of a stage are loaded with.

    Attributes:
        words: ``(n_words, outputs * channels * kernel of the parallelism)`` int8, of the first firing's set first.
        bias: ``(outputs,)`` int32, in which the input's zero is counted.
        factor: ``(outputs,)`` float32.
    """

    words: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    factor: npt.NDArray[np.float32]


def pack_stage(stage: Stage) -> Packed | None:
    """Return what the memories of a stage are loaded with; None of one without weights."""
    matrix = stage.layer.matrix
    if matrix is None:
        return None
    words = pack_weights(matrix.weights, stage.parallelism)
    return Packed(words=words, bias=matrix.bias.astype(np.int32), factor=matrix.factor)


def pack_weights(weights: npt.NDArray[np.int8], parallelism: Parallelism) -> npt.NDArray[np.int8]:
    """Return words of weights: loops over outputs, channels and kernel outside, what is computed at once inside.

    Args:
        weights: ``(n_sets, outputs, channels, kernel)``.
        parallelism: whose factors are the sides of a word.
    """
    factors = (1, parallelism.outputs, parallelism.channels, parallelism.kernel)
    pads = [(0, -side % factor) for side, factor in zip(weights.shape, factors, strict=True)]
    padded = np.pad(weights, pads)
    _, outputs, channels, kernel = (side // factor for side, factor in zip(padded.shape, factors, strict=True))
    split = padded.reshape(len(weights), outputs, factors[1], channels, factors[2], kernel, factors[3])
    return np.ascontiguousarray(split.transpose(0, 1, 3, 5, 2, 4, 6).reshape(-1, parallelism.word_weights))


def unpack_weights(words: npt.NDArray[np.int8], loops: Loops, parallelism: Parallelism) -> npt.NDArray[np.int8]:
    """Return the weights ``(n_sets, outputs, channels, kernel)`` of words as :func:`pack_weights` gives them."""
    factors = (parallelism.outputs, parallelism.channels, parallelism.kernel)
    lengths = (loops.outputs, loops.channels, loops.kernel)
    outputs, channels, kernel = (-(-length // factor) for length, factor in zip(lengths, factors, strict=True))
    split = words.reshape(-1, outputs, channels, kernel, *factors).transpose(0, 1, 4, 2, 5, 3, 6)
    whole = split.reshape(len(split), outputs * factors[0], channels * factors[1], kernel * factors[2])
    return np.ascontiguousarray(whole[:, : loops.outputs, : loops.channels, : loops.kernel])

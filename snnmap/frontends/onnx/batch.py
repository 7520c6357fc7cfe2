"""Constants that an ONNX graph makes of the size of the batch: computed for several, read where each sample has the same."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snnmap.frontends.onnx.node import OnnxNode
from snnmap.graph import BATCHES, UnreadableError
from snnmap.graph.operation import Array

if TYPE_CHECKING:
    from snnmap.frontends.onnx.read import OnnxReader

__all__ = ["settle_batch"]

_SHAPES = {"Expand": 1, "Reshape": 1, "Resize": 3}
"""Which input of an operator is a shape that counts the batch."""
_WHOLE = np.iinfo(np.int64).max


def settle_batch(reader: "OnnxReader", node: OnnxNode) -> None:
    """Give the inputs of a node that depend on the size of the batch as what they are for each sample.

    Raises:
        UnreadableError: samples of batches of other sizes would be computed otherwise.
    """
    for place, name in enumerate(node.inputs):
        if name in reader.varying:
            reader.constants[name] = _settle(reader, node, place, reader.varying[name])


def _settle(reader: "OnnxReader", node: OnnxNode, place: int, arrays: Sequence[Array]) -> Array:
    if node.kind == "Slice" and place == 2 and _ends_with_batch(reader, node, arrays):
        return np.where(_find_varying(arrays), _WHOLE, arrays[0])
    if _SHAPES.get(node.kind) == place and _is_shape(arrays):
        return np.concatenate([[-1 if node.kind == "Reshape" else 0], arrays[0][1:]])
    if node.kind == "Reshape" and place == 1 and _joins(arrays, reader.shape_of(node.inputs[0])):
        return np.array([-1, reader.shape_of(node.inputs[0])[-1]])
    if node.kind not in _SHAPES and _are_rows(arrays):
        return arrays[0]
    raise UnreadableError(
        f"its input '{node.inputs[place]}' depends on the size of the batch",
        "export it with the batch as the first dimension of what is reshaped or spread, and nothing else computed from its size",
        measured=f"{_tell(arrays[1])} of a batch of {BATCHES[1]}",
        limit="the same for each sample",
    )


def _is_shape(arrays: Sequence[Array]) -> bool:
    """Say whether they are shapes of a batch of samples: its size first, and the same behind."""
    are_vectors = all(array.ndim == 1 and array.size == arrays[0].size > 0 for array in arrays)
    return are_vectors and [int(array[0]) for array in arrays] == list(BATCHES) and not _find_varying(arrays)[1:].any()


def _joins(arrays: Sequence[Array], sides: Sequence[int]) -> bool:
    """Say whether they are shapes in which the batch is one axis with all sides but the last."""
    rows = [batch * int(np.prod(sides[:-1])) for batch in BATCHES]
    return all(array.tolist() in ([n_rows, sides[-1]], [n_rows, -1]) for array, n_rows in zip(arrays, rows, strict=True))


def _are_rows(arrays: Sequence[Array]) -> bool:
    """Say whether they have a row for each sample, all of which are alike."""
    fits = all(
        array.ndim > 1 and array.shape == (batch, *arrays[0].shape[1:]) for array, batch in zip(arrays, BATCHES, strict=True)
    )
    return fits and all(bool((array == arrays[0]).all()) for array in arrays)


def _ends_with_batch(reader: "OnnxReader", node: OnnxNode, arrays: Sequence[Array]) -> bool:
    """Say whether a slice ends with the last sample, and elsewhere at places that do not depend on the batch."""
    axes = reader.constant(node, 3)
    axes = np.arange(arrays[0].size) if axes is None else axes % (len(reader.shape_of(node.inputs[0])) + 1)
    is_varying = _find_varying(arrays)
    ends = [array[is_varying].tolist() for array in arrays]
    return not axes[is_varying].any() and ends == [[batch] for batch in BATCHES]


def _find_varying(arrays: Sequence[Array]) -> Array:
    return np.asarray(np.any([array != arrays[0] for array in arrays], axis=0))


def _tell(array: Array) -> Any:
    return array.tolist() if array.size < 6 else f"shape {array.shape}"

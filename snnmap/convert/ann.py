"""An ANN of ReLU layers with affine maps between them: what every conversion starts from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.ir import FloatArray

__all__ = ["INPUT", "Affine", "Ann", "ReluLayer", "run_ann"]

INPUT = "input"


@dataclass(frozen=True, slots=True, kw_only=True)
class Affine:
    """Sparse weights from ReLU layers or the input, and a bias: a pre-activation or an output.

    Attributes:
        terms: ``(n_source, n)`` ``scipy.sparse.csr_array`` by source name.
        bias: ``(n,) float64``.
        shape: of one sample in the user's model, such as ``(channels, height, width)``.
    """

    terms: Mapping[str, Any]
    bias: FloatArray
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of values."""
        return int(self.bias.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReluLayer:
    """Rectified neurons, named by the module that they come from.

    Attributes:
        name: unique.
        incoming: pre-activation.
    """

    name: str
    incoming: Affine


@dataclass(frozen=True, slots=True, kw_only=True)
class Ann:
    """Layers in an order in which they can be computed, and the output's affine map."""

    name: str
    n_inputs: int
    layers: tuple[ReluLayer, ...]
    output: Affine
    version: str


def run_ann(ann: Ann, inputs: npt.ArrayLike) -> dict[str, FloatArray]:
    """Compute all activations in float64.

    Args:
        ann: to run.
        inputs: ``(n, ...)`` values, flattened to ``(n, n_inputs)``.

    Returns:
        ``(n, size)`` by layer name, the input as ``input`` and the output as ``output``.
    """
    values = np.asarray(inputs, np.float64).reshape(len(np.asarray(inputs)), -1)
    activations = {INPUT: values}
    for layer in ann.layers:
        activations[layer.name] = np.maximum(_apply(layer.incoming, activations), 0.0)
    activations["output"] = _apply(ann.output, activations)
    return activations


def _apply(affine: Affine, activations: Mapping[str, FloatArray]) -> FloatArray:
    total = np.repeat(affine.bias[np.newaxis], len(activations[INPUT]), axis=0)
    for source, weights in affine.terms.items():
        total += activations[source] @ weights
    return total

"""How far rounding errors move the outputs of an ANN: much only where a small difference of large values is left."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from snnmap.convert.ann import Affine, Ann, apply_affine, run_ann
from snnmap.core import FloatArray

__all__ = ["measure_rounding"]

_N_RUNS = 4
_MARGIN = 8.0
"""Of the largest change that some drawn errors make, for others make more, and the model itself rounds too."""


def measure_rounding(ann: Ann, inputs: FloatArray) -> float:
    """Estimate by how much rounding errors may move outputs, by runs with errors that are drawn at random.

    The error of a sum of n products is ``sqrt(n) u sum |w a|`` with high probability, u being half a unit in the last place of 1
    (N. J. Higham and T. Mary, A New Approach to Probabilistic Rounding Error Analysis, SIAM J. Sci. Comput. 41, 2019, theorem
    2.4 with lambda 1). Each sum of a layer is moved by this much with a random sign, and the layers behind do with it what they
    do: Monte Carlo arithmetic (D. S. Parker, 1997).

    Args:
        ann: to run, without quantised layers.
        inputs: ``(n, ...)`` values.

    Returns:
        Eight times the largest change of an output.
    """
    plain, rng = run_ann(ann, inputs)["output"], np.random.default_rng(0)

    def apply_with_errors(affine: Affine, activations: Mapping[str, FloatArray]) -> FloatArray:
        total = apply_affine(affine, activations)
        return total + rng.choice((-1.0, 1.0), total.shape) * _bound_errors(affine, activations)

    moved = [run_ann(ann, inputs, apply=apply_with_errors)["output"] for _ in range(_N_RUNS)]
    return _MARGIN * max(float(np.abs(one - plain).max(initial=0.0)) for one in moved)


def _bound_errors(affine: Affine, activations: Mapping[str, FloatArray]) -> FloatArray:
    """Return how large a rounding error of each sum may be."""
    magnitudes = replace(affine, terms={source: abs(one) for source, one in affine.terms.items()}, bias=np.abs(affine.bias))
    sums = apply_affine(magnitudes, {source: np.abs(values) for source, values in activations.items()})
    n_terms = 1.0 + sum(np.bincount(one.indices, minlength=affine.size) for one in affine.terms.values())
    return np.asarray(np.sqrt(n_terms) * 2.0**-53 * sums, np.float64)

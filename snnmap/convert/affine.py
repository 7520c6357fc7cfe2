"""What the lowering does with affine maps: identity, products, sums, choices, other shapes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from snnmap.convert.ann import Affine
from snnmap.core import FloatArray, IntArray
from snnmap.core.errors import FrontendError

__all__ = [
    "apply_map",
    "combine",
    "common_weight",
    "join",
    "make_identity",
    "require_finite",
    "reshape",
    "scale",
    "select",
]


def make_identity(source: str, shape: tuple[int, ...]) -> Affine:
    """Return a source's own values."""
    from scipy.sparse import eye_array

    size = int(np.prod(shape))
    return Affine(terms={source: eye_array(size, format="csr")}, bias=np.zeros(size), shape=shape)


def apply_map(value: Affine, weights: Any, bias: FloatArray, shape: tuple[int, ...], where: str) -> Affine:
    """Return ``value @ weights + bias``.

    Args:
        value: of ``(n_in,)`` values.
        weights: ``(n_in, n_out)`` csr_array.
        bias: ``(n_out,) float64``.
        shape: of the result.
        where: module that errors name.

    Raises:
        FrontendError: the weights take another number of values.
    """
    if weights.shape[0] != value.size:
        raise FrontendError(
            "the layer does not fit its input",
            where=where,
            measured=f"{value.size} values",
            limit=f"{weights.shape[0]}",
            fix="give calibration data of the shape that the model was trained with",
        )
    terms = {source: _multiply(term, weights) for source, term in value.terms.items()}
    return Affine(terms=terms, bias=value.bias @ weights + bias, shape=shape)


def _multiply(term: Any, weights: Any) -> Any:
    """Return the product of two sparse matrices; of an identity, as in front of every layer, in less time."""
    n = term.shape[0]
    is_diagonal = (
        term.shape == (n, n) and np.array_equal(term.indptr, np.arange(n + 1)) and np.array_equal(term.indices, np.arange(n))
    )
    if not is_diagonal or (term.data != 1.0).any():
        return (term @ weights).tocsr()
    product = weights.tocsr(copy=True)
    product.eliminate_zeros()
    return product


def combine(one: Affine, other: Affine, factor: float) -> Affine:
    """Return ``one + factor * other``."""
    terms = dict(one.terms)
    for source, weights in other.terms.items():
        terms[source] = terms[source] + factor * weights if source in terms else factor * weights
    return Affine(terms=terms, bias=one.bias + factor * other.bias, shape=one.shape)


def common_weight(value: Affine) -> FloatArray:
    """Return the magnitude ``(n,)`` of all weights of a value where they have but one, else 0."""
    low, high = np.full(value.size, np.inf), np.zeros(value.size)
    for term in value.terms.values():
        entries = term.tocoo()
        kept, magnitude = entries.col[entries.data != 0], np.abs(entries.data[entries.data != 0])
        np.minimum.at(low, kept, magnitude)
        np.maximum.at(high, kept, magnitude)
    return np.where(low == high, high, 0.0)


def scale(value: Affine, factor: FloatArray, shift: FloatArray) -> Affine:
    """Return ``value * factor + shift``, both ``(n,)``."""
    terms = {}
    for source, weights in value.terms.items():
        terms[source] = weights.tocsr(copy=True)
        terms[source].data *= factor[terms[source].indices]
    return Affine(terms=terms, bias=value.bias * factor + shift, shape=value.shape)


def select(value: Affine, index: IntArray, shape: tuple[int, ...]) -> Affine:
    """Return the values at ``index``, ``(n,)``."""
    return Affine(terms={source: term[:, index] for source, term in value.terms.items()}, bias=value.bias[index], shape=shape)


def join(values: Sequence[Affine]) -> Affine:
    """Return all values one behind the other, ``(n,)``."""
    from scipy.sparse import csr_array, hstack

    if len(values) == 1:
        return reshape(values[0], (values[0].size,))
    heights = {source: term.shape[0] for value in values for source, term in value.terms.items()}
    terms = {
        source: hstack([value.terms.get(source, csr_array((height, value.size))) for value in values], format="csr")
        for source, height in heights.items()
    }
    bias = np.concatenate([value.bias for value in values])
    return Affine(terms=terms, bias=bias, shape=(bias.size,))


def require_finite(value: Affine, where: str) -> None:
    """Refuse weights or biases that are no numbers.

    Raises:
        FrontendError: it names the layer that they come from.
    """
    n_wrong = sum(int(np.count_nonzero(~np.isfinite(term.data))) for term in value.terms.values())
    n_wrong += int(np.count_nonzero(~np.isfinite(value.bias)))
    if n_wrong:
        raise FrontendError(
            "weights or constants of the layer are not finite",
            where=where,
            measured=f"{n_wrong} NaN or infinite",
            limit="0",
            fix="train again with a lower rate, or load weights that are finite",
        )


def reshape(value: Affine, shape: tuple[int, ...]) -> Affine:
    """Return the same values in another shape."""
    return Affine(terms=value.terms, bias=value.bias, shape=shape)

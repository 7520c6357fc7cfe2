"""Affine maps of sparse weights, one after the other."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from snnmap.convert.affine import apply_map, make_identity, scale
from snnmap.convert.ann import Affine

WEIGHTS = csr_array(np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0], [4.0, 5.0, 6.0]]))


@pytest.mark.parametrize(
    "first", [np.eye(3), np.eye(3)[[1, 0, 2]], np.diag([1.0, 2.0, 1.0]), np.array([[1.0, 1, 0], [0, 0, 0], [0, 0, 1]])]
)
def test_a_map_follows_another(first: np.ndarray) -> None:
    value = Affine(terms={"x": csr_array(first)}, bias=np.array([1.0, 0.0, 2.0]), shape=(3,))
    found = apply_map(value, WEIGHTS, np.ones(3), (3,), "here")
    assert np.array_equal(found.terms["x"].toarray(), first @ WEIGHTS.toarray())
    assert np.array_equal(found.bias, value.bias @ WEIGHTS.toarray() + 1.0)


def test_what_is_scaled_or_follows_an_identity_is_a_copy() -> None:
    plain = apply_map(make_identity("x", (3,)), WEIGHTS, np.zeros(3), (3,), "here")
    found = scale(plain, np.array([2.0, 0.5, -1.0]), np.ones(3))
    assert np.array_equal(found.terms["x"].toarray(), WEIGHTS.toarray() * [2.0, 0.5, -1.0])
    assert np.array_equal(found.bias, np.ones(3))
    assert np.array_equal(plain.terms["x"].toarray(), WEIGHTS.toarray())
    assert not np.shares_memory(plain.terms["x"].data, WEIGHTS.data)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from snnmap.core import CsrMatrix, take_places
from snnmap.core.blocks import find_blocks
from snnmap.core.csr import order_keys
from snnmap.core.errors import NetworkError

matrices = hnp.arrays(np.int64, st.tuples(st.integers(0, 6), st.integers(0, 6)), elements=st.integers(-2, 2))


@pytest.mark.parametrize("most", [10**9, 0])
@given(dense=matrices)
def test_dense_round_trip_and_transpose(most: int, dense: np.ndarray) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("snnmap.core.csr._FEW_TRIPLETS", most)
        matrix = CsrMatrix.from_dense(dense)
        assert np.array_equal(matrix.to_dense(), dense)
        transposed = matrix.transpose()
        assert transposed == CsrMatrix.from_dense(dense.T)
        assert transposed.data.dtype == dense.dtype
        assert np.array_equal(matrix.to_scipy().toarray(), dense)
        assert np.array_equal(matrix.row_lengths, (dense != 0).sum(axis=1))
        assert np.array_equal(matrix.column_lengths, (dense != 0).sum(axis=0))


@pytest.mark.parametrize("seed", range(20))
def test_few_and_many_triplets_make_the_same_matrix(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    shape, n = rng.integers(1, 30, 2).tolist(), int(rng.integers(1, 400))
    rows, columns = rng.integers(0, shape[0], n), rng.integers(0, shape[1], n)
    weights = rng.normal(size=n) * rng.choice([0.0, 1.0, 1e9], n) if seed % 2 else rng.integers(-2, 3, n)
    if seed % 3 == 0:
        order = np.lexsort((columns, rows))
        rows, columns, weights = rows[order], columns[order], weights[order]
    few = CsrMatrix.from_triplets(rows, columns, weights, shape)
    monkeypatch.setattr("snnmap.core.csr._FEW_TRIPLETS", 0)
    many = CsrMatrix.from_triplets(rows, columns, weights, shape)
    assert few == many
    assert few.data.tobytes() == many.data.tobytes()


def test_many_triplets_beyond_the_shape_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnmap.core.csr._FEW_TRIPLETS", 0)
    with pytest.raises(NetworkError, match="malformed"):
        CsrMatrix.from_triplets([0, 5, 0], [0, 1, 0], [1.0, 2.0, 3.0], (3, 3))


@pytest.mark.parametrize("most", [10**9, 0])
def test_transposing_leaves_out_weights_that_became_0(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnmap.core.csr._FEW_TRIPLETS", most)
    matrix = CsrMatrix.from_dense([[1.0, 2.0], [3.0, 0.0]]).with_data([0.0, 2.0, 3.0])
    assert matrix.transpose() == CsrMatrix.from_dense([[0.0, 3.0], [2.0, 0.0]])


@pytest.mark.parametrize("n", [1, 3, 40])
@pytest.mark.parametrize("seed", range(5))
def test_few_and_many_products_add_up_to_the_same_bits(seed: int, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    matrix = CsrMatrix.from_dense(rng.normal(0, 10.0 ** rng.integers(-8, 8), (50, 7)) * (rng.random((50, 7)) < 0.7))
    values = rng.poisson(0.8, (n, 50)) * rng.choice([1.0, 1.0, 300.0], (n, 50))
    few = matrix.build_product(n)(values)
    monkeypatch.setattr("snnmap.core.csr._FEW_PRODUCTS", 0)
    many = matrix.build_product(n)(values)
    monkeypatch.setattr("snnmap.core.csr.MOST_NEAR", 0)
    wide = matrix.build_product(n)
    assert few.shape == many.shape == (n, 7)
    assert few.tobytes() == many.tobytes() == wide(values).tobytes()
    values = np.minimum(values, 255.0)
    columns = wide(values)
    monkeypatch.undo()
    assert columns.tobytes() == matrix.build_product(n)(values).tobytes()


@pytest.mark.parametrize("n", [1, 3, 40])
@pytest.mark.parametrize("widths", [(8, 8), (70,), (1, 3, 20, 9, 130), (64, 0)])
def test_targets_that_share_sources_are_added_up_to_the_same_bits(
    n: int, widths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(n)
    groups = [rng.normal(0, 1, (50, width)) * (rng.random((50, 1)) < 0.6) for width in widths]
    dense = np.concatenate([*groups, groups[0], np.zeros((50, 2))], axis=1)[:, rng.permutation(sum(widths) + widths[0] + 2)]
    matrix, values = CsrMatrix.from_dense(dense), rng.poisson(0.8, (n, 50)) * rng.choice([1.0, 300.0], (n, 50))
    few = matrix.build_product(n)(values)
    monkeypatch.setattr("snnmap.core.csr._FEW_PRODUCTS", 0)
    monkeypatch.setattr("snnmap.core.blocks._FEW_ALIKE", 0)
    monkeypatch.setattr("snnmap.core.blocks._FEW_SOURCES", 0)
    assert few.tobytes() == CsrMatrix.from_dense(dense).build_product(n)(values).tobytes()


def test_blocks_that_repeat_are_kept_once() -> None:
    kernel = np.random.default_rng(0).normal(0, 1, (9, 16))
    matrix = CsrMatrix.from_dense(np.kron(np.eye(5), kernel))
    blocks = find_blocks(matrix.indptr, matrix.indices, matrix.data, 80)
    assert blocks is not None
    assert blocks.places.tolist() == [*range(0, 9 * 16, 16)] * 5
    assert blocks.wide.tolist() == [16] * 45
    assert np.array_equal(blocks.data.reshape(9, 16), kernel)


@pytest.mark.parametrize("is_known", [True, False])
def test_scaled_weights_are_as_if_they_were_given(is_known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnmap.core.csr._FEW_PRODUCTS", 0)
    rng = np.random.default_rng(3)
    dense, values = np.kron(np.eye(5), rng.normal(0, 1, (9, 16))), rng.poisson(0.8, (7, 45))
    matrix = CsrMatrix.from_dense(dense)
    if is_known:
        matrix.build_product(7)
    scaled, given = matrix.scale(0.3), CsrMatrix.from_dense(dense * 0.3)
    assert scaled == given
    assert scaled.build_product(7)(values).tobytes() == given.build_product(7)(values).tobytes()
    assert CsrMatrix.from_dense([[1.0, 5e-324]]).scale(0.3) == CsrMatrix.from_dense([[0.3, 0.0]])


@pytest.mark.parametrize("n", [1, 2, 5])
def test_rows_that_threads_share_are_multiplied_as_all_are(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnmap.core.csr._FEW_PRODUCTS", 0)
    monkeypatch.setattr("snnmap.core.csr.count_cores", lambda: 3)
    rng = np.random.default_rng(n)
    matrix, values = CsrMatrix.from_dense(rng.normal(0, 1, (20, 9))), rng.normal(0, 1, (n, 20))
    alone = matrix.multiply(values)
    monkeypatch.setattr("snnmap.core.csr._MUCH_WORK", 0)
    assert matrix.multiply(values).tobytes() == alone.tobytes()
    assert np.allclose(alone, values @ matrix.to_dense())


def test_targets_are_no_block_when_only_their_marks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = CsrMatrix.from_dense(np.kron(np.eye(5), np.ones((9, 16))))
    monkeypatch.setattr("snnmap.core.blocks.spread_marks", lambda n: np.ones(n, np.uint64))
    assert find_blocks(matrix.indptr, matrix.indices, matrix.data, 80) is None


def test_few_products_of_what_is_no_number_are_those_of_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = CsrMatrix.from_dense([[np.inf, 1e308, 0.0, np.nan], [-np.inf, 1e308, 5e-324, 1.0], [1.0, 0.0, -0.5, 0.0]])
    values = np.array([[0.0, 1.0, 2.0], [3.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    few = matrix.build_product(3)(values)
    monkeypatch.setattr("snnmap.core.csr._FEW_PRODUCTS", 0)
    assert np.array_equal(few, matrix.build_product(3)(values), equal_nan=True)


@pytest.mark.parametrize("size", [10, 70_000, 200_000])
def test_keys_are_ordered_stably_however_many(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = np.random.default_rng(size).integers(0, size, 80_000)
    wanted = np.argsort(keys, kind="stable")
    assert np.array_equal(order_keys(keys, size), wanted)
    monkeypatch.setattr("snnmap.core.csr._FEW_PRODUCTS", 10**9)
    assert np.array_equal(order_keys(keys, size), wanted)
    assert np.array_equal(order_keys(keys[wanted], size), np.arange(keys.size))


@pytest.mark.parametrize("most", [10**9, 0])
def test_keys_take_their_places_behind_those_before_them(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnmap.core.csr._FEW_TRIPLETS", most)
    parts = np.split(np.random.default_rng(most).integers(0, 50, 3000), [0, 700, 701])
    keys = np.concatenate(parts)
    edges = np.r_[0, np.cumsum(np.bincount(keys, minlength=50))]
    free = edges[:-1].copy()
    places = np.concatenate([take_places(part, free) for part in parts])
    assert np.array_equal(np.argsort(places), np.argsort(keys, kind="stable"))
    assert np.array_equal(free, edges[1:])


@pytest.mark.parametrize("most", [10**9, 0])
@given(dense=st.lists(matrices, min_size=1, max_size=3), seed=st.integers(0, 2**32 - 1), is_permuted=st.booleans())
def test_matrices_join_where_their_rows_and_columns_go(most: int, dense: list[np.ndarray], seed: int, is_permuted: bool) -> None:
    rng, wanted, parts = np.random.default_rng(seed), np.zeros((9, 9), np.int64), []
    for each in dense:
        rows, columns = (rng.choice(9, size, replace=False) for size in each.shape)
        rows, columns = (rows, columns) if is_permuted else (np.sort(rows), np.sort(columns))
        wanted[np.ix_(rows, columns)] += each
        parts.append((CsrMatrix.from_dense(each), rows, columns))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("snnmap.core.csr._FEW_TRIPLETS", most)
        assert CsrMatrix.join(parts, (9, 9)) == CsrMatrix.from_dense(wanted)


@given(matrices, st.integers(0, 2**32 - 1))
def test_rows_and_columns_are_selected_in_any_order(dense: np.ndarray, seed: int) -> None:
    rng, matrix = np.random.default_rng(seed), CsrMatrix.from_dense(dense)
    rows, columns = (rng.integers(0, size, rng.integers(0, 9) if size else 0) for size in dense.shape)
    assert np.array_equal(matrix.select(rows=rows).to_dense(), dense[rows])
    assert np.array_equal(
        matrix.select(rows=np.sort(rows), columns=np.unique(columns)).to_dense(), dense[np.sort(rows)][:, np.unique(columns)]
    )
    start = len(dense) // 3
    assert np.array_equal(matrix.select(rows=np.arange(start, len(dense))).to_dense(), dense[start:])


@pytest.mark.parametrize("most", [10**9, 0])
@given(dense=matrices, seed=st.integers(0, 2**32 - 1))
def test_few_and_many_weights_are_kept_and_measured_alike(most: int, dense: np.ndarray, seed: int) -> None:
    rng, matrix = np.random.default_rng(seed), CsrMatrix.from_dense(dense * 0.5)
    kept = rng.random(matrix.nnz) < 0.5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("snnmap.core.csr._FEW_TRIPLETS", most)
        found, (peaks, sums) = matrix.keep(kept), matrix.measure_columns(np.arange(len(dense)) + 0.5)
    assert found == CsrMatrix.from_triplets(matrix.rows[kept], matrix.indices[kept], matrix.data[kept], matrix.shape)
    assert np.array_equal(peaks, np.abs(dense * 0.5).max(axis=0, initial=0.0))
    assert np.array_equal(sums, (np.arange(len(dense)) + 0.5) @ (dense != 0))


@given(matrices, st.integers(0, 2**32 - 1))
def test_triplets_in_any_order_add_up(dense: np.ndarray, seed: int) -> None:
    rows, columns = np.indices(dense.shape).reshape(2, -1)
    order = np.random.default_rng(seed).permutation(2 * rows.size)
    twice = [np.concatenate([part, part])[order] for part in (rows, columns, dense.ravel())]
    assert np.array_equal(CsrMatrix.from_triplets(*twice, dense.shape).to_dense(), 2 * dense)


def test_nan_is_stored_and_arrays_are_copies_that_cannot_be_written() -> None:
    dense = np.array([[np.nan, 0.0]])
    matrix = CsrMatrix.from_dense(dense)
    dense[:] = 1
    assert matrix.nnz == 1
    assert np.isnan(matrix.data).all()
    with pytest.raises(ValueError, match="read-only"):
        matrix.data[0] = 1.0


@pytest.mark.parametrize(
    ("indptr", "indices", "message"),
    [
        ([0, 2], [0, 1], "row starts"),
        ([0, 2, 1], [0, 1], "row starts"),
        ([0, 1, 2], [0, 3], "outside the shape"),
        ([0, 2, 2], [1, 0], "ascend strictly"),
        ([0, 2, 2], [1, 1], "ascend strictly"),
        ([0, 1, 3], [0, 1], "differ in length"),
    ],
)
def test_malformed_arrays_are_refused(indptr: list[int], indices: list[int], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        CsrMatrix(shape=(2, 3), indptr=np.array(indptr), indices=np.array(indices), data=np.ones(len(indices)))


@pytest.mark.parametrize("seed", range(8))
def test_few_weights_are_added_to_many_as_many_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.integers(1, 9, (60, 80)) * (rng.random((60, 80)) < 0.9)
    few = np.zeros_like(dense)
    free = np.argwhere(dense == 0)
    for row, column in free[rng.permutation(len(free))[:3]]:
        few[row, column] = rng.integers(1, 9)
    if seed % 2:
        few[tuple(np.argwhere(dense)[0])] = 5
    total = CsrMatrix.sum_of([CsrMatrix.from_dense(dense), CsrMatrix.from_dense(few)])
    assert np.array_equal(total.to_dense(), dense + few)
    assert total.data.dtype == np.int64

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnmap.chip.arithmetic.bit_shift import FAMILY, decay_factors
from snnmap.lif.quantise.response import Response, respond, to_arrays
from snnmap.lif.quantise.rounding import (
    Entries,
    Limits,
    Rounded,
    Sources,
    Together,
    _expect_errors,
    _pull,
    _round,
    compile_rounding,
    measure_together,
    round_targets,
)
from snnmap.lif.quantise.windows import SourceCounts

PLAIN = Response(power=np.ones((1, 1)), total=np.ones(1))


@lru_cache
def compiled(part: Callable[..., Any]) -> Any:
    compile_rounding()
    return numba.njit(error_model="numpy", cache=True)(part)


class SourceMoments(NamedTuple):
    """Variance ``(n,)`` of sources' counts, and what they do together."""

    variance: np.ndarray
    together: Together


def pair_up(products: np.ndarray) -> Together:
    """Return what sources do together by its products alone, ``(n, n)``."""
    n = len(products)
    return Together(products, np.diag(products).copy(), np.zeros((n, 0)), np.zeros((0, n)), np.zeros(n))


def independent_sources(mean: np.ndarray, variance: np.ndarray, response: Response) -> SourceMoments:
    """Return the moments of sources whose counts are independent from each other and from step to step."""
    return SourceMoments(variance=variance, together=pair_up(np.outer(mean, mean) + np.diag(variance / response.length)))


def round_weights(
    values: np.ndarray, present: np.ndarray, lsb: np.ndarray, sources: SourceMoments, response: Response, low: int, high: int
) -> np.ndarray:
    responses = to_arrays([response], np.zeros(1, np.int64))
    exact, marks = (np.ascontiguousarray(part.T)[np.newaxis] for part in (values / lsb[:, np.newaxis], present))
    limits, kind = Limits(low, high, 32767), np.zeros(1, np.int64)
    return compiled(_round)(exact, marks, lsb, *sources, responses, kind, limits)[0].T


def expected_error(error: np.ndarray, lsb: np.ndarray, sources: SourceMoments, response: Response) -> float:
    responses = to_arrays([response], np.zeros(1, np.int64))
    return compiled(_expect_errors)(np.ascontiguousarray(error.T)[np.newaxis], lsb, *sources, responses, np.zeros(1, np.int64))[0]


def round_single(values: np.ndarray, lsb: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    column = values[:, np.newaxis]
    return round_weights(
        column, np.ones(column.shape, np.bool_), lsb, independent_sources(mean, variance, PLAIN), PLAIN, -128, 127
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
def test_rounding_for_the_sum_is_never_worse_than_nearest(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    values, lsb = rng.normal(0, 40, n), rng.choice([1.0, 4.0], n)
    mean, variance = rng.uniform(0.01, 2, n), rng.uniform(0.01, 2, n)
    chosen = round_single(values, lsb, mean, variance)[:, 0]
    nearest = np.clip(np.rint(values / lsb), -128, 127)
    assert (np.abs(chosen * lsb - values) <= lsb + np.maximum(0, np.abs(values) - 127 * lsb)).all()
    sources = independent_sources(mean, variance, PLAIN)
    errors = [expected_error((codes - values / lsb)[:, np.newaxis], lsb, sources, PLAIN) for codes in (chosen, nearest)]
    assert errors[0] <= errors[1] * (1 + 1e-12)


def test_rounding_keeps_the_sum_of_many_small_weights() -> None:
    values, ones = np.full(100, 0.3), np.ones(100)
    assert np.rint(values).sum() == 0
    # each flip costs variance (0.7**2 - 0.3**2) and mends a bias of 30: nearly all of it is mended
    assert abs(round_single(values, ones, ones, 0.1 * ones).sum() - 30) <= 1


def run_potential(weights: np.ndarray, spikes: np.ndarray, dash_syn: np.ndarray, dash_mem: int) -> np.ndarray:
    """Run the chip's recursion without integers: currents decay after their input, the potential sums them."""
    alpha, beta = decay_factors(dash_syn), float(decay_factors(dash_mem))
    current, potential, course = np.zeros(dash_syn.size), 0.0, []
    for counts in spikes:
        current = alpha * (current + counts @ weights)
        potential = beta * potential + current.sum()
        course.append(potential)
    return np.array(course)


@pytest.mark.parametrize("seed", range(5))
def test_two_synapses_round_finer_than_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dash_syn, values = np.array([3, 2]), np.zeros((30, 2))
    values[:, 0] = rng.normal(0, 40, 30)
    ones, response = np.ones(30), respond(dash_syn, 4, FAMILY)
    sources = independent_sources(ones, ones, response)
    both = np.ones(values.shape, np.bool_)
    only_first = both & [True, False]
    spikes = rng.poisson(1.0, (2000, 30))
    exact = run_potential(values, spikes, dash_syn, 4)
    pair, single = (
        run_potential(round_weights(values, present, ones, sources, response, -128, 127), spikes, dash_syn, 4) - exact
        for present in (both, only_first)
    )
    # kernels of 7 and 3 units of gain: a lattice finer than either alone, but not by more than the shapes allow
    assert np.sqrt(np.mean(pair**2)) < 0.8 * np.sqrt(np.mean(single**2))


@pytest.mark.parametrize("dashes", [(3, 2, 4), (1, 5, 0), (4, 4, 4), (2, 7, 9)])
def test_the_expected_error_is_what_random_input_shows(dashes: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    dash_syn, dash_mem, ones = np.array(dashes[:2]), dashes[2], np.ones(8)
    error = rng.uniform(-0.5, 0.5, (8, 2))
    course = run_potential(error, rng.poisson(1.0, (200_000, 8)), dash_syn, dash_mem)[5000:]
    response = respond(dash_syn, dash_mem, FAMILY)
    expected = expected_error(error, ones, independent_sources(ones, ones, response), response)
    assert np.sqrt(np.mean(course**2)) == pytest.approx(expected, rel=0.08)


def test_errors_of_sources_that_fire_together_cancel() -> None:
    """Two groups, each of one rhythm: what is rounded away must cancel within each, not only over both."""
    rng = np.random.default_rng(0)
    values = np.repeat([2.4, -2.4], 16)
    ones, together = np.ones(32), np.kron(rng.poisson(2.0, (500, 2)), np.ones(16))
    measured = SourceMoments(variance=ones, together=pair_up(together.T @ together / 500))
    independent = independent_sources(together.mean(axis=0), ones, PLAIN)

    def off(sources: SourceMoments) -> float:
        column = values[:, np.newaxis]
        codes = round_weights(column, np.ones(column.shape, np.bool_), ones, sources, PLAIN, -128, 127)[:, 0]
        return float(np.sqrt(np.mean((together @ (codes - values)) ** 2)))

    assert off(measured) < 2.0  # each group's sum of 38.4 is met to half a unit
    assert off(independent) > 10.0


@pytest.mark.parametrize("dashes", [(3, 4), (1, 15), (2, 2), (5, 0)])
def test_the_length_is_that_of_a_box_with_the_kernels_power_and_sum(dashes: tuple[int, int]) -> None:
    dash_syn, dash_mem = dashes
    single, pair = (
        respond(np.array([dash_syn]), dash_mem, FAMILY, 100),
        respond(np.array([dash_syn, dash_syn + 1]), dash_mem, FAMILY, 100),
    )
    height = single.power[0, 0] / single.total[0]
    assert single.length * height == pytest.approx(single.total[0])
    assert single.shape_power == pytest.approx(0.0, abs=1e-9 * single.power[0, 0])
    assert np.linalg.eigvalsh(pair.shape_power).min() >= -1e-9 * pair.power.max()
    assert pair.length >= single.length * (1 - 1e-12)


def draw_row(seed: int) -> tuple[tuple, Rounded]:
    """A row of neurons with up to 40 sources, some with all in common, on one synapse or two, single ones left out."""
    rng = np.random.default_rng(seed)
    n, n_sources, n_synapses, most = 6, 60, 1 + seed % 2, 40 if seed < 4 else 12
    shared = np.sort(rng.choice(n_sources, int(rng.integers(1, most)), replace=False))
    chosen = [
        shared if rng.random() < 0.4 else np.sort(rng.choice(n_sources, int(rng.integers(0, most)), replace=False))
        for _ in range(n)
    ]
    source = np.concatenate(chosen).astype(np.int64)
    present = rng.random((source.size, n_synapses)) < rng.choice([0.3, 0.9, 1.0])
    value = rng.normal(0, rng.choice([2.0, 40.0, 200.0]), present.shape) * present
    edges = np.r_[0, np.cumsum([len(part) for part in chosen])]
    entries = Entries(edges, source, present, value, rng.choice([1.0, 4.0], n_sources))
    counts = rng.poisson(rng.uniform(0, 2, (n_sources, 1)), (n_sources, int(rng.integers(1, 80)))).astype(np.int32)
    sources = Sources(
        rng.uniform(0.01, 2, n_sources), rng.uniform(0.01, 2, n_sources), counts, float(rng.choice([1, 8, 96])), bool(seed % 2)
    )
    kinds = [respond(rng.integers(1, 8, n_synapses), int(rng.integers(0, 10)), FAMILY, 100.0) for _ in range(3)]
    threshold = rng.choice([0, 1, 50, 3000], n)
    given = (entries, sources, to_arrays(kinds, rng.integers(0, 3, n)), threshold, Limits(-128, 127, 32767))
    return given, Rounded(np.zeros(value.shape, np.int64), np.zeros(n), np.ones(n))


@pytest.mark.parametrize("seed", range(30))
def test_compiled_or_not_all_integers_are_the_same(seed: int) -> None:
    results = []
    for rounding in (round_targets, compile_rounding()):
        given, rounded = draw_row(seed)
        rounding(np.arange(6), *given, rounded)
        results.append(rounded)
    for plain, compiled in zip(*results, strict=True):
        assert np.array_equal(plain, compiled)
    assert results[0].weight.any()


@pytest.mark.parametrize("seed", range(6))
def test_neurons_of_the_same_sources_are_rounded_as_each_by_itself(seed: int) -> None:
    (entries, *given), _ = draw_row(seed)
    n_alike, n = 20, int(entries.edges[1])
    source = np.tile(entries.source[:n], n_alike)
    present = np.random.default_rng(seed).random((source.size, entries.value.shape[1])) < 0.8
    value = np.resize(entries.value, present.shape) * present
    alike = entries._replace(edges=n * np.arange(n_alike + 1), source=source, present=present, value=value)
    sources, responses, threshold, limits = given
    rest = (alike, sources, responses._replace(kind=np.arange(n_alike) % 3), np.resize(threshold, n_alike), limits)
    together, alone = (Rounded(np.zeros(value.shape, np.int64), np.zeros(n_alike), np.ones(n_alike)) for _ in range(2))
    compile_rounding()(np.arange(n_alike), *rest, together)
    for target in range(n_alike):
        compile_rounding()(np.array([target]), *rest, alone)
    for mine, its in zip(together, alone, strict=True):
        assert np.array_equal(mine, its)


@pytest.mark.parametrize("most", [3, 400, 5000])
def test_products_of_windows_are_exact_however_large(most: int) -> None:
    counts = np.random.default_rng(most).integers(0, most, (2, 300, 40))
    sources = SourceCounts(counts).add_up(2)
    assert sources.is_narrow == (most < 400)
    narrow, wide = (
        measure_together(np.arange(40), sources._replace(is_narrow=is_narrow), np.empty(1600))
        for is_narrow in (sources.is_narrow, False)
    )
    assert np.array_equal(narrow.products, wide.products)


def test_sums_by_factors_are_those_by_products() -> None:
    rng = np.random.default_rng(3)
    counts = rng.poisson(1.0, (20, 8, 70)) * np.repeat(rng.integers(0, 2, (20, 8, 10)), 7, axis=2)
    together = compiled(measure_together)(np.arange(70), SourceCounts(counts).add_up(8), np.empty(4900))
    assert together.factors.shape == (70, 21)
    shares = rng.normal(size=(5, 70))
    assert compiled(_pull)(shares, together) == pytest.approx(shares @ together.products, rel=1e-9, abs=1e-9)

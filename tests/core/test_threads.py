"""Compiled code on several cores."""

import pytest

from snnmap.core.threads import run_side_by_side


def test_results_keep_their_order_and_errors_come_back() -> None:
    assert run_side_by_side(lambda a, b: a * b, range(50), range(50), n_threads=3) == [k * k for k in range(50)]
    with pytest.raises(ZeroDivisionError):
        run_side_by_side(lambda value: 1 / value, [1, 0], n_threads=2)


def test_what_comes_back_from_a_thread_does_not_wait_for_itself() -> None:
    def spread(depth: int) -> int:
        return 1 if depth == 0 else sum(run_side_by_side(spread, [depth - 1] * 4, n_threads=2))

    assert spread(4) == 4**4

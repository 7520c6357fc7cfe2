"""Compiled code on several cores."""

import pytest

from snnmap.core.threads import begin, run_side_by_side


def test_results_keep_their_order_and_errors_come_back() -> None:
    assert run_side_by_side(lambda a, b: a * b, range(50), range(50), n_threads=3) == [k * k for k in range(50)]
    with pytest.raises(ZeroDivisionError):
        run_side_by_side(lambda value: 1 / value, [1, 0], n_threads=2)


def test_what_comes_back_from_a_thread_does_not_wait_for_itself() -> None:
    def spread(depth: int) -> int:
        return 1 if depth == 0 else sum(run_side_by_side(spread, [depth - 1] * 4, n_threads=2))

    assert spread(4) == 4**4


@pytest.mark.parametrize("n_cores", [1, 3])
def test_what_was_begun_gives_its_result_or_its_error(n_cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnmap.core.threads.count_cores", lambda: n_cores)
    wait, fail = begin(lambda: 2 + 3), begin(lambda: 1 / 0)
    assert wait() == 5
    with pytest.raises(ZeroDivisionError):
        fail()
    assert run_side_by_side(lambda value: begin(lambda: value + 1)(), [1, 2, 3, 4], n_threads=2) == [2, 3, 4, 5]

"""Compiled code on several cores: it holds no interpreter lock, so threads of one process do."""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

__all__ = ["begin", "count_cores", "deal_out", "run_parts", "run_side_by_side"]

R = TypeVar("R")
_NAME = "snnmap-core"


def count_cores() -> int:
    """Return how many threads can run at once."""
    return os.cpu_count() or 1


def deal_out(n: int, n_threads: int) -> list[range]:
    """Share out numbers below ``n`` as cards are dealt, a range a thread.

    Example:
        >>> deal_out(5, 2)
        [range(0, 5, 2), range(1, 5, 2)]
    """
    return [range(first, n, n_threads) for first in range(n_threads)]


def run_parts(parts: Sequence[Callable[[], R]], *, n_threads: int | None = None) -> list[R]:
    """Call functions and return their results, as if one after the other; a thread each where no number is given."""
    return run_side_by_side(lambda part: part(), parts, n_threads=len(parts) if n_threads is None else n_threads)


def run_side_by_side(function: Callable[..., R], *arguments: Iterable[Any], n_threads: int) -> list[R]:
    """Do what ``list(map(function, *arguments))`` does, on threads that wait for the next call; one thread is the caller's own.

    What comes back here from one of the threads is done by that thread.

    Example:
        >>> run_side_by_side(pow, [2, 3], [5, 2], n_threads=2)
        [32, 9]
    """
    if n_threads <= 1 or threading.current_thread().name.startswith(_NAME):
        return list(map(function, *arguments))
    return list(_open_threads(n_threads, os.getpid()).map(function, *arguments))


def begin(function: Callable[[], R]) -> Callable[[], R]:
    """Begin to compute something on a thread; return what waits for it. On one core it is computed when that is called.

    Example:
        >>> begin(lambda: 2 + 3)()
        5
    """
    if count_cores() == 1 or threading.current_thread().name.startswith(_NAME):
        return function
    return _open_threads(count_cores(), os.getpid()).submit(function).result


@cache
def _open_threads(n_threads: int, process: int) -> ThreadPoolExecutor:
    """Start threads once a process: one that was forked has none of its parent's."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix=f"{_NAME}-{process}")

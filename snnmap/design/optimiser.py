"""Optuna, which some users have, without what it tells of itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from snnmap.core.packages import import_package

__all__ = ["open_optuna"]


@contextmanager
def open_optuna() -> Iterator[Any]:
    """Give Optuna within the block, which then tells errors alone.

    Raises:
        FrontendError: it is not installed.
    """
    optuna = import_package("optuna", called="Optuna", extra="search")
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield optuna
    finally:
        optuna.logging.set_verbosity(before)

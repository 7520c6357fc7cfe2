"""Progress and errors on stderr, data on stdout."""

import errno
import os
import sys
import time
from collections.abc import Callable

from rich.console import Console

__all__ = ["out", "print_error", "report_stages"]


class _Console(Console):
    """Leaves a reader that has gone away to the command line."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def out() -> Console:
    """Return a console on stdout that prints names as they are; wide where that is no terminal, so that tables are not cut."""
    return _Console(width=None if sys.stdout.isatty() else 160, markup=False, emoji=False)


def print_error(message: str) -> None:
    """Print an error to stderr."""
    first, *rest = message.splitlines() or [""]
    sys.stderr.write("\n".join([f"snnmap: {first}", *rest]) + "\n")


def report_stages() -> Callable[[str], None]:
    """Return a function that prints each stage to stderr with the seconds passed."""
    start = time.perf_counter()

    def on_stage(text: str) -> None:
        sys.stderr.write(f"[{time.perf_counter() - start:6.1f} s] {text}\n")
        sys.stderr.flush()

    return on_stage

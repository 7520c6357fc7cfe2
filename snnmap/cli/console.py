"""Tables, on stdout."""

import errno
import os
import sys

from rich.console import Console

__all__ = ["out"]


class _Console(Console):
    """Leaves a reader that has gone away to the command line."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def out() -> Console:
    """Return a console on stdout that prints names as they are; wide where that is no terminal, so that tables are not cut."""
    return _Console(width=None if sys.stdout.isatty() else 160, markup=False, emoji=False)

"""Progress and errors on stderr, data on stdout."""

import sys
import time
from collections.abc import Callable

from rich.console import Console

__all__ = ["out", "print_error", "report_stages"]


def out() -> Console:
    """Give a console on stdout; wide where stdout is not a terminal, so that tables are not cut."""
    return Console() if sys.stdout.isatty() else Console(width=160)


def print_error(message: str) -> None:
    """Print an error to stderr."""
    first, *rest = message.splitlines() or [""]
    sys.stderr.write("\n".join([f"snnmap: {first}", *rest]) + "\n")


def report_stages() -> Callable[[str], None]:
    """Give a function that prints each stage to stderr with the seconds passed."""
    start = time.perf_counter()

    def on_stage(text: str) -> None:
        sys.stderr.write(f"[{time.perf_counter() - start:6.1f} s] {text}\n")
        sys.stderr.flush()

    return on_stage

"""Progress and errors, on stderr."""

import sys
import time
from collections.abc import Callable

__all__ = ["print_error", "report_stages"]


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

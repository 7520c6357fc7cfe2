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
    """Return a function that prints each stage of a check to stderr once, with the seconds passed."""
    from snnmap.pipeline import FIRST_STAGE

    start, told = time.perf_counter(), set[str]()

    def on_stage(text: str) -> None:
        if text == FIRST_STAGE:
            told.clear()
        if text in told:
            return
        told.add(text)
        sys.stderr.write(f"[{time.perf_counter() - start:6.1f} s] {text}\n")
        sys.stderr.flush()

    return on_stage

"""Progress and errors, on stderr, and the error of a proof that fails."""

import sys
import time
from collections.abc import Callable, Mapping

from snnmap.core.errors import NetworkError

__all__ = ["DEFECT", "print_error", "report_stages", "require_no_differences"]

DEFECT = "report this as a defect of snnmap, with the model"
"""What is left to do where nobody but snnmap can be wrong."""


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


def require_no_differences(found: Mapping[str, int], what: str, *, fix: str) -> None:
    """Refuse what gives other values than the model.

    Args:
        found: how many values differ, by tensor.
        what: ran beside the model, with its verb: ``the bytes compute``.
        fix: what the user can do.

    Raises:
        NetworkError: a value differs.
    """
    wrong = {name: count for name, count in found.items() if count}
    if wrong:
        first = next(iter(wrong))
        raise NetworkError(
            f"{what} other values than the model",
            where=f"tensor '{first}' and {len(wrong) - 1} more",
            measured=f"{wrong[first]} values",
            limit="0",
            fix=fix,
        )

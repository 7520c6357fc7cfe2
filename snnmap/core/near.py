"""Names that were meant, for errors about names that do not exist."""

import difflib
from collections.abc import Iterable

__all__ = ["suggest"]


def suggest(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return a fix that names what is spelt most like an unknown name, in any case.

    Args:
        name: that does not exist.
        known: those that do.
        otherwise: the fix where none is near.

    Example:
        >>> suggest("xylo-audio3", ["xylo-audio-3", "toy-4"], "see snnmap chips")
        "did you mean 'xylo-audio-3'?"
    """
    by_letters = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), list(by_letters), n=1)
    return f"did you mean '{by_letters[near[0]]}'?" if near else otherwise

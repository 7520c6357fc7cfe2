"""The text twin of packed weights: a line a word, in hexadecimal, as ``$readmemh`` reads it."""

import re

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import FormatError

__all__ = ["format_words", "parse_words"]


def format_words(words: npt.NDArray[np.int8]) -> str:
    """Write words, a line each; the weight that stands first in a word comes last in its line."""
    lines = [row[::-1].tobytes().hex() for row in np.asarray(words)]
    return "".join(f"{line}\n" for line in lines)


def parse_words(text: str, width: int) -> npt.NDArray[np.int8]:
    """Read words as :func:`format_words` writes them.

    Args:
        text: of a file.
        width: weights of a word.

    Raises:
        FormatError: a line is no word of so many weights; it says which.
    """
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if not re.fullmatch(f"[0-9a-f]{{{2 * width}}}", line):
            raise FormatError(
                "a line is no word of weights",
                where=f"line {number}",
                measured=line[:40],
                limit=f"{2 * width} digits of 0-9a-f",
                fix="build the files again",
            )
    data = np.frombuffer(bytes.fromhex("".join(lines)), np.int8)
    return np.ascontiguousarray(data.reshape(-1, width)[:, ::-1])

"""The reader that the text forms share: lines one after the other, and errors that name them."""

import json
import re

from snnmap.chip import Chip, find_chip_by_id
from snnmap.core.errors import FormatError

__all__ = ["FLOAT", "INTEGER", "NAME", "LineReader", "format_chip", "format_name", "parse_name", "parse_names"]

INTEGER = r"-?\d{1,19}"
FLOAT = r"(?:-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf)|nan)"
NAME = r'"(?:[^"\\\x00-\x1f]|\\["\\bfnrt]|\\u[0-9a-f]{4})*"'
"""Patterns of what a field holds, without a group; a name is a JSON string."""


def format_name(name: str) -> str:
    """Write a name so that no sign in it ends a line or begins a comment."""
    return json.dumps(name).replace("#", r"\u0023")


def parse_name(text: str) -> str:
    """Read what :func:`format_name` wrote."""
    return str(json.loads(text))


def parse_names(text: str) -> tuple[str, ...]:
    """Read names that are parted by blanks."""
    return tuple(map(parse_name, re.findall(NAME, text)))


def format_chip(chip: Chip) -> str:
    """Write the line that tells for which chip a text is."""
    return f"chip {chip.chip_id} {chip.digest.hex()} {chip.name}"


class LineReader:
    """Reads lines one after the other; empty ones and ``#`` comments are passed over.

    Args:
        text: to read.
        fix: what every error advises.
    """

    def __init__(self, text: str, *, fix: str) -> None:
        bare = ((number, line.split("#")[0].strip()) for number, line in enumerate(text.splitlines(), start=1))
        self._lines = [(number, line) for number, line in bare if line]
        self._at, self._fix = 0, fix

    def follows(self, pattern: str) -> bool:
        """Say whether the next line is of a pattern."""
        return self._at < len(self._lines) and re.fullmatch(pattern, self._lines[self._at][1], flags=re.ASCII) is not None

    def expect(self, pattern: str) -> tuple[str, ...]:
        """Read a line; return what is in the groups of its pattern.

        Raises:
            FormatError: the line is another.
        """
        line = self._lines[self._at][1] if self._at < len(self._lines) else ""
        match = re.fullmatch(pattern, line, flags=re.ASCII)
        if match is None:
            raise self.error("the line is not what comes here", measured=line[:60] or "end of text", limit=pattern)
        self._at += 1
        return match.groups(default="")

    def expect_end(self, after: str) -> None:
        """Refuse lines behind what was read."""
        if self._at < len(self._lines):
            raise self.error(f"lines follow the last {after}")

    def expect_neuron(self, neuron: int, pattern: str) -> tuple[str, ...]:
        """Read the line of a neuron, whose pattern begins with a group for its number."""
        number, *fields = self.expect(pattern)
        if int(number) != neuron:
            raise self.error("neurons must be numbered one after the other", measured=number, limit=str(neuron), back=1)
        return tuple(fields)

    def expect_chip(self, chip: Chip | None) -> Chip:
        """Read the line of the chip; return its record, the built-in one where none is given."""
        chip_id, digest = self.expect(r"chip (\d{1,5}) ([0-9a-f]{64})(?: .*)?")
        record = find_chip_by_id(int(chip_id)) if chip is None else chip
        if record is None or record.chip_id != int(chip_id) or record.digest.hex() != digest:
            raise self.error(
                "the text is for another chip record", measured=f"chip {chip_id}", fix="give the chip's TOML file", back=1
            )
        return record

    def out_of_range(self, what: str, measured: str, low: float, high: float) -> FormatError:
        """Return an error of a value in the line that was read last."""
        limit = f"{low}..{high}"
        return self.error(f"{what} outside {limit}", measured=measured, limit=limit, fix="write a value within the limit", back=1)

    def error(self, what: str, *, measured: str = "", limit: str = "", fix: str = "", back: int = 0) -> FormatError:
        """Return an error at the next line, or some lines back."""
        at = self._at - back
        where = f"line {self._lines[at][0]}" if at < len(self._lines) else "end of text"
        return FormatError(what, where=where, measured=measured, limit=limit, fix=fix or self._fix)

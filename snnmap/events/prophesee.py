"""The ASCII header of Prophesee's RAW and DAT files, and the words of EVT 3.0.

EVT 3.0 is decoded here because the libraries at hand misread conforming streams: expelliarmus 1.1.12 adds 4,096 us each time
the low bits of the time wrap although the high bits are given too, and faery 0.7.1 stops the clock where the high bits wrap
without having been 4,095. Source: Prophesee's documentation of the RAW file and of the EVT 3.0 format.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import InputError
from snnmap.events.columns import Columns
from snnmap.events.events import IntArray

__all__ = ["Header", "decode_evt3", "read_header", "require_whole_words"]

_ADDRESS_Y, _ADDRESS_X, _BASE_X, _VECTOR_12, _VECTOR_8, _TIME_LOW, _TIME_HIGH = 0x0, 0x2, 0x3, 0x4, 0x5, 0x6, 0x8
_WORD_BYTES = {"evt2": 4, "evt3": 2}
_DAT_EVENT_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the lines that begin with ``% `` say.

    Attributes:
        encoding: ``evt2``, ``evt3``, ``dat``, or the file's own word for another encoding.
        shape: rows and columns, or None.
        start_us: what is added to every time, as faery writes it (``T0``).
        n_bytes: length of the header; the events follow.
    """

    encoding: str
    shape: tuple[int, int] | None
    start_us: int
    n_bytes: int


def read_header(content: bytes) -> Header:
    """Read the header of a RAW or DAT file; a file without one has the encoding ``""``."""
    n_bytes = 0
    while content.startswith(b"% ", n_bytes) and (end := content.find(b"\n", n_bytes)) >= 0:
        n_bytes = end + 1
        if content[:n_bytes].endswith(b"% end\n"):
            break
    text = content[:n_bytes].decode("latin-1").lower()
    geometry = _find(text, r"geometry (\d+)x(\d+)") or _find(text, r"width[ =](\d+)[\s;%]+height[ =](\d+)")
    reverse = _find(text, r"height[ =](\d+)[\s;%]+width[ =](\d+)")
    shape = (geometry[1], geometry[0]) if geometry else (reverse[0], reverse[1]) if reverse else None
    start = _find(text, r"% t0 (\d+)")
    return Header(encoding=_find_encoding(text), shape=shape, start_us=start[0] if start else 0, n_bytes=n_bytes)


def require_whole_words(content: bytes, header: Header, encoding: str) -> None:
    """Refuse a file that holds no event or ends within one.

    Raises:
        InputError: so it does.
    """
    n_bytes = len(content) - header.n_bytes - (2 if encoding == "dat" else 0)
    word = _DAT_EVENT_BYTES if encoding == "dat" else _WORD_BYTES[encoding]
    if n_bytes <= 0:
        raise InputError(f"the {encoding} file holds no events", measured=f"{max(n_bytes, 0)} bytes after the header")
    if n_bytes % word:
        raise InputError(
            f"the {encoding} file ends within a word", measured=f"{n_bytes} bytes of events", limit=f"a multiple of {word}"
        )


def decode_evt3(content: bytes) -> Columns:
    """Decode an EVT 3.0 RAW file.

    Raises:
        InputError: it holds no events or ends within a word.
    """
    header = read_header(content)
    require_whole_words(content, header, "evt3")
    words = np.frombuffer(content, "<u2", offset=header.n_bytes)
    kinds, values = words >> 12, (words & 0xFFF).astype(np.int64)
    t_us = _decode_times(kinds, values) + header.start_us
    y = _hold(kinds == _ADDRESS_Y, values) & 0x7FF
    base = _hold(kinds == _BASE_X, values)
    x = np.where(kinds == _ADDRESS_X, values & 0x7FF, (base & 0x7FF) + _advance(kinds))
    polarity = np.where(kinds == _ADDRESS_X, values, base) >> 11
    word_idx, bits = _find_events(kinds, values)
    return Columns(t_us=t_us[word_idx], x=x[word_idx] + bits, y=y[word_idx], polarity=polarity[word_idx], shape=header.shape)


def _find(text: str, pattern: str) -> list[int] | None:
    match = re.search(pattern, text)
    return [int(group) for group in match.groups()] if match else None


def _find_encoding(text: str) -> str:
    if (match := re.search(r"% format (evt[\d.]+)", text)) or (match := re.search(r"% (evt [\d.]+)", text)):
        return match.group(1).replace(" ", "").removesuffix(".0")
    return "dat" if re.search(r"% (data file|version [12])", text) else ""


def _hold(chosen: npt.NDArray[np.bool_], values: IntArray) -> IntArray:
    """Return, at each word, the value of the last chosen word up to it; 0 before the first."""
    last = np.maximum.accumulate(np.where(chosen, np.arange(len(values)), -1))
    return np.where(last >= 0, values[last], 0)


def _decode_times(kinds: npt.NDArray[Any], values: IntArray) -> IntArray:
    """Return the time at each word; where the 12 high bits fall, 2**24 us have passed."""
    high = _hold(kinds == _TIME_HIGH, values)
    wraps = np.cumsum(np.diff(high, prepend=high[:1]) < 0)
    low: IntArray = _hold(kinds == _TIME_LOW, values)
    return (wraps << 24) + (high << 12) + low


def _advance(kinds: npt.NDArray[Any]) -> IntArray:
    """Return by how many columns vectors have moved on, before each word, since the last base."""
    steps = np.where(kinds == _VECTOR_12, 12, np.where(kinds == _VECTOR_8, 8, 0)).astype(np.int64)
    before: IntArray = np.cumsum(steps) - steps
    return before - _hold(kinds == _BASE_X, before)


def _find_events(kinds: npt.NDArray[Any], values: IntArray) -> tuple[IntArray, IntArray]:
    """Return the word and the bit of each event, in the order of the file; an event that is no vector's has bit 0."""
    masks = np.where(
        kinds == _ADDRESS_X, 1, np.where(kinds == _VECTOR_12, values, np.where(kinds == _VECTOR_8, values & 0xFF, 0))
    )
    candidates = np.flatnonzero(masks)
    chosen, bits = np.nonzero(masks[candidates, np.newaxis] >> np.arange(12) & 1)
    return candidates[chosen], bits

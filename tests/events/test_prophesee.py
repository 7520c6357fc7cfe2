"""EVT 3.0 word by word, by another implementation than the one under test."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnmap.core.errors import InputError
from snnmap.events.prophesee import decode_evt3, read_header

HEADER = b"% evt 3.0\n% format EVT3;height=720;width=1280\n% geometry 1280x720\n% end\n"


def decode_slowly(words: list[int]) -> list[tuple[int, int, int, int]]:
    events, wraps, high, low, y, base, on = [], 0, 0, 0, 0, 0, 0
    for word in words:
        kind, value = divmod(word, 4096)
        if kind == 0:
            y = value % 2048
        elif kind == 2:
            events.append(((wraps << 24) + (high << 12) + low, value % 2048, y, value // 2048))
        elif kind == 3:
            base, on = value % 2048, value // 2048
        elif kind in (4, 5):
            width = 12 if kind == 4 else 8
            for bit in range(width):
                if value >> bit & 1:
                    events.append(((wraps << 24) + (high << 12) + low, base + bit, y, on))
            base += width
        elif kind == 6:
            low = value
        elif kind == 8:
            wraps, high = wraps + (value < high), value
    return events


def decode(words: list[int], header: bytes = HEADER) -> list[tuple[int, ...]]:
    columns = decode_evt3(header + np.array(words, "<u2").tobytes())
    return [tuple(row) for row in np.stack([columns.t_us, columns.x, columns.y, columns.polarity], 1).tolist()]


words = st.lists(st.builds(lambda kind, value: kind << 12 | value, st.integers(0, 15), st.integers(0, 4095)), min_size=1)


@given(words=words)
def test_it_is_as_word_by_word(words: list[int]) -> None:
    first_high = next((word % 4096 for word in words if word >> 12 == 8), 0)
    words = [0x8000 | first_high, *words]
    assert decode(words) == decode_slowly(words)


def test_a_stream_by_hand() -> None:
    on_x3, off_base10, vector = 0x2000 | 1 << 11 | 3, 0x3000 | 10, 0x5000 | 0b1000_0001
    found = decode([0x8000, 0x6000 | 4000, 5, on_x3, 0x8001, 0x6000 | 10, off_base10, vector, vector, 0x8000, 0x2007])
    assert found == [
        (4000, 3, 5, 1),
        (4106, 10, 5, 0),
        (4106, 17, 5, 0),
        (4106, 18, 5, 0),
        (4106, 25, 5, 0),
        (2**24 + 10, 7, 5, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (HEADER, ("evt3", (720, 1280))),
        (b"% evt 2.0\n% Date now\n", ("evt2", None)),
        (b"% Data file containing CD events \n% Version 2\n% Width 640\n% Height 480\n", ("dat", (480, 640))),
        (b"% format EVT21;height=720;width=1280\n", ("evt21", (720, 1280))),
        (b"% evt 3.0\n% never ends", ("evt3", None)),
        (b"\x00\x01", ("", None)),
    ],
)
def test_headers(content: bytes, expected: tuple[str, Any]) -> None:
    header = read_header(content)
    assert (header.encoding, header.shape) == expected


def test_a_first_event_may_look_like_a_header() -> None:
    assert read_header(HEADER + b"% ab\n").n_bytes == len(HEADER)


@pytest.mark.parametrize("content", [HEADER, HEADER + b"\x00", HEADER + b"\x00\x80\x01"])
def test_files_that_are_cut_short_are_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="evt3 file"):
        decode_evt3(content)

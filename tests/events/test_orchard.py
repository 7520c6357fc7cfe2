import numpy as np
import pytest

from snnmap.core.errors import InputError
from snnmap.events.orchard import decode_orchard


def pack(x: int, y: int, polarity: int, t_us: int) -> bytes:
    return (x << 32 | y << 24 | polarity << 23 | t_us).to_bytes(5, "big")


def test_events_and_overflows() -> None:
    content = pack(1, 2, 1, 7) + pack(33, 3, 0, 2**23 - 1) + pack(0, 240, 0, 0) + pack(255, 179, 1, 5) + pack(0, 240, 1, 9)
    columns = decode_orchard(content + pack(0, 0, 0, 6))
    rows = np.stack([columns.t_us, columns.x, columns.y, columns.polarity], 1).tolist()
    assert rows == [[7, 1, 2, 1], [2**23 - 1, 33, 3, 0], [2**13 + 5, 255, 179, 1], [2**14 + 6, 0, 0, 0]]


@pytest.mark.parametrize("content", [b"", b"\x00" * 4, b"\x00" * 6])
def test_files_that_are_cut_short_are_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="whole events"):
        decode_orchard(content)

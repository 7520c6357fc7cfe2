"""The binary files of N-MNIST and N-Caltech101 (Orchard et al. 2015): 40 bits an event."""

import numpy as np

from snnmap.core.errors import InputError
from snnmap.events.columns import Columns

__all__ = ["decode_orchard"]

_EVENT_BYTES = 5
_OVERFLOW_Y, _OVERFLOW_US = 240, 2**13


def decode_orchard(content: bytes) -> Columns:
    """Decode 8 bits of x, 8 of y, 1 of polarity and 23 of time in microseconds an event, the most significant bit first.

    An event with ``y == 240`` is none: it says that 2**13 us are added to its time and all after it.

    Raises:
        InputError: the file is empty or ends within an event.
    """
    if not content or len(content) % _EVENT_BYTES:
        raise InputError(
            "the file does not hold whole events", measured=f"{len(content)} bytes", limit=f"a multiple of {_EVENT_BYTES}, not 0"
        )
    x, y, high, middle, low = np.frombuffer(content, np.uint8).reshape(-1, _EVENT_BYTES).astype(np.int64).T
    overflows = y == _OVERFLOW_Y
    t_us = ((high & 0x7F) << 16) + (middle << 8) + low + _OVERFLOW_US * np.cumsum(overflows)
    kept = ~overflows
    return Columns(t_us=t_us[kept], x=x[kept], y=y[kept], polarity=high[kept] >> 7, shape=None)

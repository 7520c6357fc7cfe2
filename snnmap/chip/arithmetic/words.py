"""Signed words of some bits: what the families' rules share."""

__all__ = ["WIDE", "saturate", "wrap"]

WIDE = 60
"""Bits of a word that no sum on a chip leaves: what another width makes of it, left its word."""


def saturate(value: int, bits: int) -> int:
    """Clamp to the range of a signed word of ``bits`` bits."""
    highest = (1 << (bits - 1)) - 1
    return max(-highest - 1, min(highest, value))


def wrap(value: int, bits: int) -> int:
    """Keep the low ``bits`` bits and read them as a signed word (two's complement)."""
    half = 1 << (bits - 1)
    return ((value + half) & (2 * half - 1)) - half

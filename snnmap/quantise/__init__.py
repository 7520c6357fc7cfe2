"""From float to integer: scales, decay codes, rounding, and the report of what it cost."""

from snnmap.quantise.quantise import quantise_network

__all__ = ["quantise_network"]

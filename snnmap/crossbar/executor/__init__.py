"""Runs the bytes: cores, crossbars, transfers, and memory that refuses to be read before it is written."""

from snnmap.crossbar.executor.numerics import Analog, Ideal, Numerics
from snnmap.crossbar.executor.run import run_image

__all__ = ["Analog", "Ideal", "Numerics", "run_image"]

"""The chip, run bit for bit from its memory content."""

from snnmap.simulator.simulate import Engine, simulate_image

__all__ = ["Engine", "simulate_image"]

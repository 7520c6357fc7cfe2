"""The chip, run bit for bit from its memory content."""

from snnmap.lif.simulator.simulate import Engine, simulate_image
from snnmap.lif.simulator.unfolded import simulate_quantised

__all__ = ["Engine", "simulate_image", "simulate_quantised"]

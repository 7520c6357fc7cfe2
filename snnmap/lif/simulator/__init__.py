"""The chip, run bit for bit from its memory content."""

from snnmap.lif.simulator.run import Run, require_counts, require_unsaturated
from snnmap.lif.simulator.simulate import Engine, simulate_image
from snnmap.lif.simulator.stream import Stream
from snnmap.lif.simulator.unfolded import simulate_quantised

__all__ = ["Engine", "Run", "Stream", "require_counts", "require_unsaturated", "simulate_image", "simulate_quantised"]

"""The chip, run bit for bit from its memory content."""

from snnmap.lif.simulator.pieces import EarlyRun, StopRule, make_lead_rule, simulate_until
from snnmap.lif.simulator.run import Run, require_counts, require_unsaturated
from snnmap.lif.simulator.simulate import Engine, simulate_image
from snnmap.lif.simulator.stream import Stream
from snnmap.lif.simulator.unfolded import simulate_quantised

__all__ = [
    "EarlyRun",
    "Engine",
    "Run",
    "StopRule",
    "Stream",
    "make_lead_rule",
    "require_counts",
    "require_unsaturated",
    "simulate_image",
    "simulate_quantised",
    "simulate_until",
]

"""The chip, run bit for bit from its memory content."""

from snnmap.lif.simulator.cores import run_cores
from snnmap.lif.simulator.pieces import EarlyRun, StopRule, make_lead_rule, simulate_sums, simulate_until
from snnmap.lif.simulator.run import Run, require_counts, require_unsaturated
from snnmap.lif.simulator.simulate import Engine, batch_engine, simulate_image
from snnmap.lif.simulator.stream import Stream
from snnmap.lif.simulator.unfolded import simulate_quantised

__all__ = [
    "EarlyRun",
    "Engine",
    "Run",
    "StopRule",
    "Stream",
    "batch_engine",
    "make_lead_rule",
    "require_counts",
    "require_unsaturated",
    "run_cores",
    "simulate_image",
    "simulate_quantised",
    "simulate_sums",
    "simulate_until",
]

"""The end beside the beginning: what the bytes do, against the network as the frontend read it."""

from snnmap.lif.compare.compare import choose_samples, compare_image, count_spikes, read_port
from snnmap.lif.compare.decide import SpreadError, read_classes, read_labels, usual_decision
from snnmap.lif.compare.outputs import Driver, ImageRun, PortRun, make_golden, run_image, run_ports, simulate_raw
from snnmap.lif.compare.selftest import GoldenResult, replay_golden, require_golden
from snnmap.lif.compare.source import SourceReference

__all__ = [
    "Driver",
    "GoldenResult",
    "ImageRun",
    "PortRun",
    "SourceReference",
    "SpreadError",
    "choose_samples",
    "compare_image",
    "count_spikes",
    "make_golden",
    "read_classes",
    "read_labels",
    "read_port",
    "replay_golden",
    "require_golden",
    "run_image",
    "run_ports",
    "simulate_raw",
    "usual_decision",
]

"""The end beside the beginning: what the bytes do, against the network as the frontend read it."""

from snnmap.lif.compare.compare import choose_samples, compare_image, count_spikes, read_port
from snnmap.lif.compare.decide import SpreadError, read_classes, read_labels
from snnmap.lif.compare.source import SourceReference

__all__ = [
    "SourceReference",
    "SpreadError",
    "choose_samples",
    "compare_image",
    "count_spikes",
    "read_classes",
    "read_labels",
    "read_port",
]

"""An image held against its layers, independently of what made it."""

from snnmap.crossbar.check.check import Fault, find_faults

__all__ = ["Fault", "find_faults"]

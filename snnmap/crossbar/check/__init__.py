"""An image held against its layers, independently of what made it."""

from snnmap.crossbar.check.check import find_faults
from snnmap.crossbar.check.ledger import Fault

__all__ = ["Fault", "find_faults"]

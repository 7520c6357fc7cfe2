"""Design rules: everything that keeps a network from doing on the chip what it was trained to do."""

from snnmap.drc import agreement, capacity, neuron, numeric, timing, topology
from snnmap.drc.engine import (
    OnChip,
    check_comparison,
    check_mapped,
    check_network,
    check_quantised,
    find_rule,
)
from snnmap.rules import RULES, Rule, explain_rule, format_rules

__all__ = [
    # running
    "check_comparison",
    "check_mapped",
    "check_network",
    "check_quantised",
    # the rules
    "RULES",
    "OnChip",
    "Rule",
    "explain_rule",
    "find_rule",
    "format_rules",
    # the families
    "agreement",
    "capacity",
    "neuron",
    "numeric",
    "timing",
    "topology",
]

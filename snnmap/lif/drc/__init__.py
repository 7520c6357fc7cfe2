"""Design rules: everything that keeps a network from doing on the chip what it was trained to do.

A rule has one place: a function in the module of its family, under :func:`snnmap.core.rules.rule`, with id, name, what it
judges, and what a build makes of it (``stops_folding``, ``mended_by``, ``requantised``); its docstring is what users read, with
a bad and a good example that the tests run.
Beside it stand only its case in ``tests/rule_cases.py`` (a network that breaks it, one at its limit) and what
``SNNMAP_UPDATE_GOLDEN=1 pytest tests/lif/drc/test_rules.py`` writes: its messages and ``RULES.md``.
"""

from snnmap.core.rules import HEADINGS, Rule, explain_rule, format_rule, look_up_rule
from snnmap.lif.drc import agreement, capacity, evidence, neuron, numeric, outputs, timing, topology
from snnmap.lif.drc.engine import (
    RULES,
    OnChip,
    check_comparison,
    check_mapped,
    check_network,
    check_quantised,
    find_rule,
    format_rules,
)
from snnmap.lif.drc.sizes import Sizes, check_sizes
from snnmap.lif.drc.timing import ease_relays

__all__ = [
    # running
    "check_comparison",
    "check_mapped",
    "check_network",
    "check_quantised",
    "check_sizes",
    "ease_relays",
    # the rules
    "HEADINGS",
    "RULES",
    "OnChip",
    "Rule",
    "Sizes",
    "explain_rule",
    "find_rule",
    "format_rule",
    "format_rules",
    "look_up_rule",
    # the families
    "agreement",
    "capacity",
    "evidence",
    "neuron",
    "numeric",
    "outputs",
    "timing",
    "topology",
]

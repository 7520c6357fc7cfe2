"""Fixes: what ``snnmap check --fix`` does to a network so that a chip takes it, a module each.

A fix has one place: a function under :func:`snnmap.lif.fixes.fix.fix`, with its name, the rules that it answers and whether it is
exact; its docstring is what users read. Exact ones come first, so that no spike is changed where none need be.
"""

from snnmap.lif.fixes import carry, clone, constants, decays, drop, merge, outputs, prune, second_synapse, spikes, stretch
from snnmap.lif.fixes.engine import Applied, Fixed, FixOptions, fix_network
from snnmap.lif.fixes.fix import FIXES, Case, Change, Fix
from snnmap.lif.fixes.trial import Difference, Trial, compare_networks, read_trial

__all__ = [
    # fixing
    "Applied",
    "FixOptions",
    "Fixed",
    "fix_network",
    # what a fix is
    "FIXES",
    "Case",
    "Change",
    "Fix",
    # running beside each other
    "Difference",
    "Trial",
    "compare_networks",
    "read_trial",
    # the fixes
    "carry",
    "clone",
    "constants",
    "decays",
    "drop",
    "merge",
    "outputs",
    "prune",
    "second_synapse",
    "spikes",
    "stretch",
]

"""From a network to the chip's one hidden population: lower, retime, place, and verify."""

from snnmap.lif.mapping.fold import FoldOptions, fold_network
from snnmap.lif.mapping.lower import lower_network, stretch_network
from snnmap.lif.mapping.rasters import draw_rasters, drive_populations
from snnmap.lif.mapping.retime import Retiming, retime_network, stretch_short_loops
from snnmap.lif.mapping.slots import Placement, format_slot_table, parse_slot_table
from snnmap.lif.mapping.verify import (
    Verification,
    folded_counts,
    folded_currents,
    folded_potentials,
    snap_network,
    verify_fold,
)

__all__ = [
    # folding
    "FoldOptions",
    "fold_network",
    "lower_network",
    "stretch_network",
    "stretch_short_loops",
    "Retiming",
    "retime_network",
    "Placement",
    "format_slot_table",
    "parse_slot_table",
    # verifying
    "Verification",
    "draw_rasters",
    "drive_populations",
    "folded_counts",
    "folded_currents",
    "folded_potentials",
    "snap_network",
    "verify_fold",
]

"""What the layers of a graph cost: parameters, operations, data volumes, bandwidth, memory, and what data leave to compute."""

from snnmap.profile.layer import Bandwidth, LayerProfile, Sparsity, Volume
from snnmap.profile.options import ProfileOptions
from snnmap.profile.page import format_html
from snnmap.profile.picture import draw_bars
from snnmap.profile.profile import GraphProfile, profile_graph
from snnmap.profile.records import format_csv, summarise
from snnmap.profile.sparsity import Samples, measure_sparsity
from snnmap.profile.table import format_table

__all__ = [
    # measuring
    "ProfileOptions",
    "Samples",
    "measure_sparsity",
    "profile_graph",
    # what was measured
    "Bandwidth",
    "GraphProfile",
    "LayerProfile",
    "Sparsity",
    "Volume",
    # looking at it
    "draw_bars",
    "format_csv",
    "format_html",
    "format_table",
    "summarise",
]

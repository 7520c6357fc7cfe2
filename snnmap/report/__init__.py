"""What people look at: tables and pictures."""

from snnmap.lif.program import Occupancy, measure_occupancy
from snnmap.report.conversion import (
    coding_table,
    compensation_table,
    draw_steps,
    layer_error_table,
    leak_table,
    step_table,
)
from snnmap.report.costs import (
    chip_profile_csv,
    chip_profile_tables,
    chip_steps_csv,
    draw_costs,
    draw_fit,
    draw_pareto,
    fit_csv,
    fit_rows,
)
from snnmap.report.diagram import draw_layers, draw_network
from snnmap.report.difference import compare_decisions_of, compare_images
from snnmap.report.image import describe_image, describe_manifest, describe_ports, find_neuron
from snnmap.report.page import format_report, write_report
from snnmap.report.picture import draw_run
from snnmap.report.summary import ModelSummary, model_summary
from snnmap.report.tables import chip_table, decay_table, error_table, lag_table, make_table, occupancy_table

__all__ = [
    # measures
    "Occupancy",
    "measure_occupancy",
    # what a model is made of
    "ModelSummary",
    "model_summary",
    # what chips cost
    "chip_profile_csv",
    "chip_profile_tables",
    "chip_steps_csv",
    "draw_costs",
    "draw_fit",
    "draw_pareto",
    "fit_csv",
    "fit_rows",
    # pages
    "format_report",
    "write_report",
    # pictures
    "draw_layers",
    "draw_network",
    "draw_run",
    "draw_steps",
    # an image in the model's words
    "compare_decisions_of",
    "compare_images",
    "describe_image",
    "describe_manifest",
    "describe_ports",
    "find_neuron",
    # tables
    "chip_table",
    "coding_table",
    "compensation_table",
    "decay_table",
    "error_table",
    "lag_table",
    "layer_error_table",
    "leak_table",
    "make_table",
    "occupancy_table",
    "step_table",
]

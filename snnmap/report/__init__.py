"""What people look at: tables and pictures."""

from snnmap.report.occupancy import Occupancy, measure_occupancy
from snnmap.report.picture import draw_run
from snnmap.report.tables import chip_table, decay_table, error_table, lag_table, make_table, occupancy_table

__all__ = [
    # measures
    "Occupancy",
    "measure_occupancy",
    # pictures
    "draw_run",
    # tables
    "chip_table",
    "decay_table",
    "error_table",
    "lag_table",
    "make_table",
    "occupancy_table",
]

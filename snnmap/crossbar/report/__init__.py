"""What a build tells: utilisation, costs, pictures, one page."""

from snnmap.crossbar.report.costs import Costs, measure_costs
from snnmap.crossbar.report.picture import draw_cores, draw_crossbar
from snnmap.crossbar.report.summary import format_costs, format_html, format_summary, list_report_files, summarise
from snnmap.crossbar.report.utilisation import LayerUse, Utilisation, bound_cycles, list_uses, measure_utilisation

__all__ = [
    "Costs",
    "LayerUse",
    "Utilisation",
    "bound_cycles",
    "draw_cores",
    "draw_crossbar",
    "format_costs",
    "format_html",
    "format_summary",
    "list_report_files",
    "list_uses",
    "measure_costs",
    "measure_utilisation",
    "summarise",
]

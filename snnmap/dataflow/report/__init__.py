"""Pipelines as tables, pictures and pages."""

from snnmap.dataflow.report.figures import Accesses, Figures, LayerFigures, measure_pipeline
from snnmap.dataflow.report.page import format_html
from snnmap.dataflow.report.picture import draw_pipeline, draw_timeline
from snnmap.dataflow.report.table import format_pipeline, summarise

__all__ = [
    "Accesses", "Figures", "LayerFigures", "draw_pipeline", "draw_timeline", "format_html", "format_pipeline", "measure_pipeline",
    "summarise",
]  # fmt: skip

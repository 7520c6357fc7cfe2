"""A pipeline as one HTML page that fetches nothing."""

from snnmap.core.html import format_page, make_picture, make_section, make_table, paragraph
from snnmap.dataflow.pipeline import Pipeline
from snnmap.dataflow.report.figures import measure_pipeline
from snnmap.dataflow.report.picture import draw_pipeline, draw_timeline
from snnmap.dataflow.report.table import describe, list_cells
from snnmap.dataflow.simulate import Simulation

__all__ = ["format_html"]


def format_html(pipeline: Pipeline, simulation: Simulation) -> str:
    """Return a page: totals, a row a layer, the pipeline with its buffers, the timeline.

    Raises:
        SnnmapError: matplotlib is not installed.
    """
    figures = measure_pipeline(pipeline, simulation)
    windows = {stage.layer.name: stage.layer.line_words for stage in pipeline.stages}
    buffers = [(one.stream, one.reader, windows[one.reader], one.depth, one.word_bytes, one.n_bytes) for one in pipeline.buffers]
    sections = [
        make_section("Totals", paragraph("\n".join(describe(pipeline, figures, simulation)))),
        make_section("Layers", make_table(*list_cells(pipeline, figures), most=1000)),
        make_section("Pipeline", draw_pipeline(pipeline)),
        make_section("Timeline", make_picture(draw_timeline(pipeline, simulation), "png", "when each stage gives its words")),
        make_section(
            "Buffers",
            make_table(("stream", "reader", "words of a window#", "words#", "bytes a word#", "bytes#"), buffers, most=1000),
        ),
    ]
    return format_page(f"{pipeline.network.name} on {pipeline.device.name}", sections)

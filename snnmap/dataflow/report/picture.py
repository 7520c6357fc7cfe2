"""Pictures of a pipeline: its stages and buffers, and what each does when."""

from typing import Any, Literal

from snnmap.core.diagram import Arrow, Box, draw_diagram
from snnmap.core.figure import FILL, INK, NOTE, draw_figure
from snnmap.core.html import Element
from snnmap.dataflow.allocate import Unit
from snnmap.dataflow.pipeline import Pipeline
from snnmap.dataflow.simulate import Simulation

__all__ = ["draw_pipeline", "draw_timeline"]

_UNIT = "\0unit"
"""No layer's name."""


def draw_pipeline(pipeline: Pipeline) -> Element:
    """Draw stages as boxes with their hardware, and buffers as arrows with their words, as SVG."""
    columns: dict[str, int] = {stream.name: 0 for stream in pipeline.network.inputs}
    boxes = [
        Box(key=stream.name, lines=(stream.name, f"{stream.channels} x {stream.height} x {stream.width}"), column=0, kind="input")
        for stream in pipeline.network.inputs
    ]
    for stage in pipeline.stages:
        layer, stream = stage.layer, stage.layer.target
        columns[layer.name] = 1 + max(columns[name] for name in layer.sources)
        lines = (
            layer.name,
            f"{stage.template.name} {stage.parallelism}",
            f"{stage.multipliers} multipliers, {stage.cycles / pipeline.interval:.0%} busy",
            f"{stream.channels} x {stream.height} x {stream.width}",
        )
        kind = "output" if layer.name in pipeline.network.outputs else "neurons" if layer.matrix is not None else "sum"
        boxes.append(Box(key=layer.name, lines=lines, column=columns[layer.name], kind=kind))
    if pipeline.unit is not None:
        boxes.append(_draw_unit(pipeline.unit, 1 + max(columns.values())))
    ends = pipeline.front.outputs if pipeline.unit is not None else ()
    arrows = [Arrow(source=one.stream, target=one.reader, label=f"{one.depth} words") for one in pipeline.buffers]
    return draw_diagram(boxes, [*arrows, *(Arrow(source=name, target=_UNIT, label="2 samples") for name in ends)])


def _draw_unit(unit: Unit, column: int) -> Box:
    first, last = unit.stages[0].layer.name, unit.stages[-1].layer.name
    lines = (f"{first} to {last}", f"one unit of {unit.multipliers} multipliers", f"{unit.cycles} cycles a sample")
    return Box(key=_UNIT, lines=lines, column=column, kind="output")


def draw_timeline(pipeline: Pipeline, simulation: Simulation, form: Literal["svg", "png"] = "png") -> bytes:
    """Draw from which cycle to which each stage gives the words of each sample, one sample dark, the next light.

    Args:
        pipeline: that was simulated.
        simulation: of it.
        form: of the file.

    Raises:
        SnnmapError: matplotlib is not installed.
    """
    names = list(simulation.spans)

    def fill(figure: Any) -> None:
        axes = figure.subplots()
        for row, name in enumerate(names):
            for sample, (first, last) in enumerate(simulation.spans[name]):
                shade = FILL if sample % 2 else INK  # an edge shows a single word, too
                axes.barh(row, last - first, left=first, height=0.7, color=shade, edgecolor=shade, linewidth=1.2)
        axes.set_yticks(range(len(names)), names, fontsize=6)
        for sample in range(1, simulation.n_samples + 1):
            axes.axvline(sample * pipeline.interval, color=NOTE, linestyle=":", linewidth=0.8)
        axes.invert_yaxis()
        axes.set(
            xlabel=f"cycles (dotted: every {pipeline.interval:,})", title=f"{pipeline.network.name} on {pipeline.device.name}"
        )

    return draw_figure((8.0, 1.2 + 0.16 * len(names)), fill, form=form, axes_spines_right=False, svg_fonttype="none")

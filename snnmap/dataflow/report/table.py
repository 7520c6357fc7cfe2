"""A pipeline as text for people, and as JSON values for programs."""

from dataclasses import asdict
from typing import Any

from snnmap.dataflow.allocate import Unit
from snnmap.dataflow.pipeline import Pipeline
from snnmap.dataflow.report.figures import Figures, LayerFigures, measure_pipeline
from snnmap.dataflow.simulate import Simulation
from snnmap.profile.table import Cells, format_cells, format_number

__all__ = ["describe", "format_pipeline", "list_cells", "summarise"]

_COLUMNS = (
    "#", "layer", "template", "parallel", "MACs#", "mult#", "use#", "blocks#", "buffer#", "words#", "cycles#", "busy#", "first#",
)  # fmt: skip
_LEGEND = (
    "parallel: outputs x channels x kernel (x places); use: of multiplier cycles; blocks: of weights, * streamed",
    "buffer: bytes; words: in each buffer; cycles: of a sample; first: cycles to the first word",
)


def format_pipeline(pipeline: Pipeline, simulation: Simulation | None = None, *, width: int = 120) -> str:
    """Write a pipeline as lines: a row a layer, then totals beside budget and bound.

    Args:
        pipeline: to write.
        simulation: of it, for latencies and stalls.
        width: columns of the text.
    """
    figures = measure_pipeline(pipeline, simulation)
    return "\n".join(
        [*format_cells(list_cells(pipeline, figures), width), *_LEGEND, "", *describe(pipeline, figures, simulation)]
    )


def list_cells(pipeline: Pipeline, figures: Figures) -> Cells:
    """Return the table of what each layer costs."""
    rows = [_list_row(pipeline, number, layer) for number, layer in enumerate(figures.layers, 1)]
    return _COLUMNS, rows


def describe(pipeline: Pipeline, figures: Figures, simulation: Simulation | None) -> list[str]:
    """Return lines that tell the totals, beside what limits them."""
    device, network = pipeline.device, pipeline.network
    slowest = max(pipeline.stages, key=lambda stage: stage.cycles)
    return [
        f"{network.name} on {device.name}: {pipeline.samples_per_second:.2f} samples a second at {device.clock_mhz:g} MHz,"
        f" {pipeline.interval:,} cycles each; slowest layer '{slowest.layer.name}', {slowest.cycles:,} cycles",
        _describe_bound(pipeline),
        f"{pipeline.weight_blocks} blocks of weights and {pipeline.buffer_blocks} of buffers, of {device.memory.blocks}"
        f" ({device.memory.block_bytes} bytes each)",
        *([_describe_unit(pipeline.unit)] if pipeline.unit is not None else []),
        *([_describe_run(simulation)] if simulation is not None else []),
        _describe_energy(figures),
    ]


def summarise(pipeline: Pipeline, simulation: Simulation) -> dict[str, Any]:
    """Return a pipeline and its run as JSON values."""
    figures = measure_pipeline(pipeline, simulation)
    return {
        "name": pipeline.network.name,
        "device": {"name": pipeline.device.name, "digest": pipeline.device.digest},
        "interval_cycles": pipeline.interval,
        "samples_per_second": pipeline.samples_per_second,
        "bound_cycles": pipeline.bound,
        "multipliers": pipeline.multipliers,
        "weight_blocks": pipeline.weight_blocks,
        "buffer_blocks": pipeline.buffer_blocks,
        "simulated": {
            "interval_cycles": simulation.interval,
            "latency_cycles": simulation.steady_latency,
            "samples": simulation.n_samples,
            "is_steady": simulation.is_steady,
            "stalled_cycles": simulation.stalls,
        },
        "accesses": asdict(figures.accesses),
        "energy_pj": figures.energy_pj,
        "layers": [_summarise_layer(layer) for layer in figures.layers],
        "buffers": [asdict(buffer) for buffer in pipeline.buffers],
    }


def _list_row(pipeline: Pipeline, number: int, figures: LayerFigures) -> list[str]:
    stage, layer = figures.stage, figures.stage.layer
    words = "+".join(str(buffer.depth) for buffer in pipeline.buffers if buffer.reader == layer.name)
    return [
        str(number),
        layer.name,
        stage.template.name,
        str(stage.parallelism),
        format_number(layer.n_macs),
        f"({stage.multipliers})" if figures.is_shared else str(stage.multipliers or "-"),
        "" if figures.use is None else f"{figures.use:.0%}",
        "unit" if figures.is_shared else f"{stage.weight_blocks or '-'}{'*' if stage.is_streamed else ''}",
        str(figures.buffer_bytes or "-"),
        words,
        str(stage.cycles),
        f"{figures.busy:.0%}",
        "" if figures.first_word is None else str(figures.first_word),
    ]


def _describe_bound(pipeline: Pipeline) -> str:
    budget = pipeline.device.multipliers
    used = f"{pipeline.multipliers} of {budget} multipliers; {pipeline.network.n_macs:,} multiply-accumulates"
    if not pipeline.network.n_macs:
        return used
    return f"{used}, so at least {pipeline.bound:,.0f} cycles on {budget}: {pipeline.interval / pipeline.bound:.3f} times that"


def _describe_unit(unit: Unit) -> str:
    return (
        f"from '{unit.stages[0].layer.name}' on {len(unit.stages)} layers share a unit of {unit.multipliers} multipliers,"
        f" {unit.cycles:,} cycles a sample, whose {unit.weight_bytes:,} bytes of weights come over the link"
    )


def _describe_run(simulation: Simulation) -> str:
    steady = "each like the one before" if simulation.is_steady else "not steady yet"
    return (
        f"simulated: {simulation.n_samples} samples, {steady}, every {simulation.interval:,} cycles; latency"
        f" {simulation.steady_latency:,} cycles; {simulation.stalls} cycles of stalls"
    )


def _describe_energy(figures: Figures) -> str:
    total = figures.known_energy_pj
    shares = ", ".join(f"{name} {value / total:.0%}" for name, value in figures.energy_pj.items() if value)
    if not figures.unknown:
        return f"energy {total / 1e6:.2f} uJ a sample: {shares}"
    told = f"at least {total / 1e6:.2f} uJ a sample ({shares})" if total else "unknown"
    return f"energy {told}; the device's record does not tell {', '.join(figures.unknown)}: add them to it"


def _summarise_layer(figures: LayerFigures) -> dict[str, Any]:
    stage = figures.stage
    return {
        "name": stage.layer.name,
        "module": stage.layer.node.source,
        "operation": stage.layer.node.kind,
        "template": stage.template.name,
        "parallelism": asdict(stage.parallelism),
        "macs": stage.layer.n_macs,
        "multipliers": stage.multipliers,
        "use": figures.use,
        "weight_blocks": stage.weight_blocks,
        "weights_stay": not (stage.is_streamed or figures.is_shared),
        "is_shared": figures.is_shared,
        "buffer_bytes": figures.buffer_bytes,
        "cycles": stage.cycles,
        "first_word_cycles": figures.first_word,
        "accesses": asdict(figures.accesses),
    }

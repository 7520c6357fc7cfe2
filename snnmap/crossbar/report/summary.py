"""The figures of a build: as lines, as JSON values, and as files."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from snnmap.core.html import Element, format_page, make_element, make_picture, make_section, make_table, paragraph
from snnmap.crossbar.report.costs import Costs, measure_costs
from snnmap.crossbar.report.picture import colour, draw_cores
from snnmap.crossbar.report.utilisation import LayerUse, Utilisation, list_uses, measure_utilisation

if TYPE_CHECKING:
    from snnmap.core import Report
    from snnmap.crossbar.container import Image
    from snnmap.crossbar.mapping import Mapped

__all__ = ["format_costs", "format_html", "format_summary", "list_report_files", "summarise"]

_MOST_CYCLES = 100
"""Computation cycles that are drawn."""


def format_summary(mapped: "Mapped", image: "Image") -> str:
    """Return the figures of a build in lines for people."""
    use, costs = measure_utilisation(mapped), measure_costs(image)
    return "\n".join(
        [
            *_list_use(use),
            format_costs(costs, saved_hop_bytes=mapped.saved_hop_bytes),
            f"{image.n_instructions} instructions, the longest program {costs.program_bytes} bytes",
        ]
    )


def summarise(mapped: "Mapped", image: "Image", report: "Report") -> dict[str, Any]:
    """Return the figures of a build, its layers and its findings as JSON values."""
    return {
        "name": image.name,
        "architecture": {"name": image.architecture.name, "digest": image.architecture.digest.hex()},
        "utilisation": asdict(measure_utilisation(mapped)),
        "costs": asdict(measure_costs(image)),
        "saved_hop_bytes": mapped.saved_hop_bytes,
        "instructions": image.n_instructions,
        "layers": [asdict(use) for use in list_uses(mapped)],
        "report": report.to_plain(),
    }


def list_report_files(mapped: "Mapped", image: "Image", report: "Report") -> Mapping[str, bytes]:
    """Return what is written beside the bytes: ``report.json`` and ``report.html``."""
    plain = json.dumps(summarise(mapped, image, report), indent=2, allow_nan=False) + "\n"
    return {"report.json": plain.encode(), "report.html": format_html(mapped, image, report).encode()}


def format_html(mapped: "Mapped", image: "Image", report: "Report") -> str:
    """Return one self-contained page: figures, layers, findings, and all cores of each computation cycle."""
    shown = range(min(mapped.n_cycles, _MOST_CYCLES))
    cores = [make_picture(draw_cores(mapped, cycle).encode(), "svg+xml", f"computation cycle {cycle}") for cycle in shown]
    if len(shown) < mapped.n_cycles:
        cores.append(paragraph(f"{mapped.n_cycles - len(shown)} further cycles are not drawn."))
    return format_page(
        f"{image.name} on {image.architecture.name}",
        [
            make_section("Figures", paragraph(format_summary(mapped, image))),
            make_section("Layers", _format_layers(mapped)),
            make_section("Findings", paragraph(str(report))),
            make_section("Crossbars", *cores),
        ],
    )


def _list_use(use: Utilisation) -> list[str]:
    cores = use.cores_per_cycle
    return [
        f"{use.elements} elements, {use.filled:.1%} of their cells hold weights",
        f"{use.cycles} computation cycles, at least {use.bound}; cores in use {min(cores)} to {max(cores)},"
        f" elements {min(use.per_cycle):.1%} to {max(use.per_cycle):.1%}",
    ]


def format_costs(costs: Costs, *, saved_hop_bytes: int = 0) -> str:
    """Return what a sample costs in lines for people; what rests on prices that the record does not tell is unknown.

    Args:
        costs: of a sample.
        saved_hop_bytes: bytes times links that the order of cores saves.
    """
    traffic = ", ".join(f"{name} {count}" for name, count in sorted(costs.traffic_bytes.items()))
    before = f", {costs.traffic_hop_bytes + saved_hop_bytes} with cores in the order of the rule" if saved_hop_bytes else ""
    return "\n".join(
        [
            f"latency {_format(costs.latency_ms, '.3f', ' ms')}; samples a second {_format(costs.samples_per_second, '.1f')} with"
            f" weights in place, {_format(costs.samples_per_second_programmed, '.1f')} with all of them programmed for each",
            _format_energy(costs),
            *([f"prices that the record does not tell: {', '.join(costs.unknown)}"] if costs.unknown else []),
            f"transfers in bytes: {traffic}; times links {costs.traffic_hop_bytes}{before}",
            f"at most {costs.activation_bytes} bytes of activations, {costs.accumulator_words} accumulators of a core",
        ]
    )


def _format_energy(costs: Costs) -> str:
    total = costs.known_energy_pj
    shares = [f"{name} {_format(value and value / total, '.0%')}" for name, value in sorted(costs.energy_pj.items())]
    if not total and costs.unknown:
        return "energy unknown"
    least = "at least " if None in costs.energy_pj.values() else ""
    return f"energy {least}{total / 1e6:.3f} uJ a sample: {', '.join(shares)}"


def _format(value: float | None, form: str, unit: str = "") -> str:
    return "unknown" if value is None else f"{value:{form}}{unit}"


def _format_layers(mapped: "Mapped") -> Element:
    names = ("blocks", "rows", "filters", "windows", "elements", "copies", "filled", "row parts", "cycles", "cores")
    numbers = [number for number, _ in mapped.program.matrices]
    rows = [_list_cells(number, use) for number, use in zip(numbers, list_uses(mapped), strict=True)]
    return make_table(["layer", *(f"{name}#" for name in names)], rows, most=1000)


def _list_cells(number: int, use: LayerUse) -> list[object]:
    cycles = "-".join(map(str, use.cycles))
    name = make_element("span", make_element("span", "\u25a0", style=f"color:{colour(number)}"), f" {use.name}")
    counts = [use.blocks, use.rows, use.filters, use.windows, use.elements, use.copies]
    return [name, *counts, f"{use.filled:.1%}", use.split, cycles, use.cores]

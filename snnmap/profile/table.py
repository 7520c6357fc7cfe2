"""A profile as text for people."""

import io
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from snnmap.graph.operation import Shape

if TYPE_CHECKING:
    from snnmap.profile.profile import GraphProfile

__all__ = [
    "Cells",
    "describe",
    "format_cells",
    "format_number",
    "format_shape",
    "format_table",
    "list_cells",
    "list_sparsity_cells",
]

Cells = tuple[Sequence[str], list[list[str]]]
"""Names of columns, of which those that end in ``#`` hold numbers, and rows."""

_LEAST_WIDTH = 80
_PREFIXES = ("", "k", "M", "G", "T")
_LEGEND = (
    "read, write, live: bits a sample; B/s: bytes a second, read and written",
    "/2: stride; tap: last layer before a reduction, from a quarter of the sides on",
)
_COLUMNS = ("#", "layer", "output", "params#", "MACs#", "other#", "read#", "write#", "B/s#", "MAC/B#", "live#", "marks")
_SPARSITY_COLUMNS = ("#", "layer", "MACs#", "zero x#", "zero w#", "active#", "same x#", "changed#")


def format_table(profile: "GraphProfile", width: int = 100) -> str:
    """Write a profile as lines: what was assumed, a row a layer, totals.

    Args:
        profile: to write.
        width: columns of the text, 80 or more; names that are longer than what is left for them take several lines.
    """
    title, *totals = (textwrap.fill(line, max(width, _LEAST_WIDTH), subsequent_indent="  ") for line in describe(profile))
    parts = [title, *format_cells(list_cells(profile), width), *_LEGEND]
    if profile.n_samples:
        told = f"on {profile.n_samples} samples: x: values taken; w: weights; active, changed: MACs left"
        parts += ["", *format_cells(list_sparsity_cells(profile), width), told]
    return "\n".join([*parts, "", *totals])


def describe(profile: "GraphProfile") -> list[str]:
    """Return lines that tell what was assumed, and the totals."""
    options, shapes = profile.options, ", ".join(map(format_shape, profile.inputs.values()))
    source = f" ({profile.framework})" if profile.framework else ""
    folded = f"{profile.n_folded_parameters:,} when normalisations are folded"
    parts = f"{profile.n_weights:,} weights, {profile.n_biases:,} biases, {profile.n_norms:,} of normalisations"
    lines = [
        f"{profile.name}{source}: input {shapes}; {options.input_bits}-bit input, {options.activation_bits}-bit activations,"
        f" {options.weight_bits}-bit weights; {options.rate:g} samples a second",
        f"{len(profile.numbered)} layers that multiply, {profile.n_parameters:,} parameters ({parts}), {folded}",
        f"{profile.macs:,} multiply-accumulates and {profile.other_ops:,} other operations a sample",
    ]
    if profile.peak is not None:
        busiest = max(profile.layers, key=lambda layer: layer.bandwidth.activations)
        lines += [
            f"at most {profile.peak.live.bits:,} bits of activations live, at '{profile.peak.name}'",
            f"highest bandwidth of activations {format_number(busiest.bandwidth.activations)}B/s, at '{busiest.name}'",
        ]
    shared = [f"'{layer.name}' with '{layer.shares_with}'" for layer in profile.layers if layer.shares_with]
    opaque = [f"'{layer.name}' ({', '.join(layer.kinds)})" for layer in profile.opaque]
    lines += [f"weights that are shared, and count once: {', '.join(shared)}"] if shared else []
    return [*lines, *([f"counted by volume only, not by multiply-accumulates: {', '.join(opaque)}"] if opaque else [])]


def list_cells(profile: "GraphProfile") -> Cells:
    """Return the table of what each layer costs."""
    rows = [
        [
            _number(layer.number),
            layer.name,
            format_shape(layer.output_shape),
            *map(format_number, (layer.n_parameters, layer.macs, layer.other_ops)),
            *map(format_number, (layer.input.bits, layer.output.bits, layer.bandwidth.activations)),
            f"{layer.intensity:.3g}" if layer.macs else "",
            format_number(layer.live.bits),
            layer.marks,
        ]
        for layer in profile.layers
    ]
    return _COLUMNS, rows


def list_sparsity_cells(profile: "GraphProfile") -> Cells:
    """Return the table of what data leave of each layer's work."""
    rows = [
        [
            _number(layer.number),
            layer.name,
            format_number(layer.macs),
            _percent(layer.sparsity.zero_activations),
            _percent(layer.sparsity.zero_weights),
            format_number(layer.sparsity.active_macs),
            _percent(layer.sparsity.unchanged),
            "" if layer.sparsity.changed_macs is None else format_number(layer.sparsity.changed_macs),
        ]
        for layer in profile.numbered
        if layer.sparsity is not None
    ]
    return _SPARSITY_COLUMNS, rows


def format_number(value: float) -> str:
    """Write a number with three digits and a prefix: ``569M``; 0 is nothing."""
    if not value:
        return "-"
    scaled, place = float(value), 0
    while scaled >= 999.5 and place < len(_PREFIXES) - 1:
        scaled, place = scaled / 1000, place + 1
    return (f"{scaled:.3g}" if scaled < 999.5 else f"{scaled:.0f}") + _PREFIXES[place]


def format_shape(shape: Shape) -> str:
    """Write a shape: ``32x112x112``."""
    return "x".join(map(str, shape)) or "scalar"


def format_cells(cells: Cells, width: int) -> list[str]:
    """Return the lines of a table of so many columns of text, 80 or more; only the names of layers are broken."""
    from rich.console import Console
    from rich.table import Table

    columns, rows = cells
    table = Table(show_edge=False, header_style="", padding=(0, 1, 0, 0), box=None)
    for name in columns:
        is_number = name.endswith("#")
        table.add_column(
            name if name == "#" else name.removesuffix("#"),
            justify="right" if is_number else "left",
            no_wrap=name != "layer",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*row)
    stream = io.StringIO()
    wide = max(width, _LEAST_WIDTH)
    Console(file=stream, width=wide, markup=False, emoji=False, highlight=False, color_system=None).print(table)
    return _strip(stream.getvalue().splitlines())


def _strip(lines: Iterable[str]) -> list[str]:
    return [line.rstrip() for line in lines]


def _number(number: int | None) -> str:
    return "" if number is None else str(number)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"

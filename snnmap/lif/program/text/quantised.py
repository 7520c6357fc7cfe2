"""A quantised network as text: the folded network, the program, and how the integers relate to the floats."""

from collections.abc import Iterator
from dataclasses import fields
from typing import get_type_hints

import numpy as np

from snnmap.chip import Chip
from snnmap.core.record import FloatArray
from snnmap.lif.program.quantised import QuantisedNetwork, TensorError
from snnmap.lif.program.text.lines import FLOAT, INTEGER, NAME, LineReader, format_name, parse_name
from snnmap.lif.program.text.mapped import format_mapped, read_mapped
from snnmap.lif.program.text.program import format_program, read_program

__all__ = ["format_quantised", "parse_quantised"]

_FIRST_LINE = "snnmap-quantised 1"
_MEASURES = [field.name for field in fields(TensorError) if field.name != "name"]


def format_quantised(quantised: QuantisedNetwork) -> str:
    """Write a quantised network as text; equal networks give equal text, and floats read back to the same bits."""
    parts = [f"{_FIRST_LINE}\n", format_mapped(quantised.mapped), format_program(quantised.program)]
    return "".join(parts) + "\n".join(_format_relation(quantised)) + "\n"


def parse_quantised(text: str, *, chip: Chip | None = None) -> QuantisedNetwork:
    """Read what :func:`format_quantised` wrote; empty lines and ``#`` comments are passed over.

    Args:
        text: to read.
        chip: the record to use; by default the built-in chip with the text's id.

    Raises:
        FormatError: a line is malformed or misplaced.
    """
    reader = LineReader(text, fix="compare with the output of format_quantised")
    reader.expect(_FIRST_LINE)
    mapped, program = read_mapped(reader, chip), read_program(reader, chip)
    hidden_scale, hidden_error = _read_scales(reader, "hidden", program.hidden.size)
    output_scale, output_error = _read_scales(reader, "output", program.outputs.size)
    errors = tuple(_read_errors(reader))
    reader.expect_end("tensor's error")
    return QuantisedNetwork(
        mapped=mapped,
        program=program,
        hidden_scale=hidden_scale,
        output_scale=output_scale,
        hidden_input_error=hidden_error,
        output_input_error=output_error,
        errors=errors,
    )


def _format_relation(quantised: QuantisedNetwork) -> Iterator[str]:
    for name, scale, error in (
        ("hidden", quantised.hidden_scale, quantised.hidden_input_error),
        ("output", quantised.output_scale, quantised.output_input_error),
    ):
        yield f"{name} scales"
        rows = enumerate(zip(scale.tolist(), error.tolist(), strict=True))
        yield from (f"  {number}: scale={one} input_error={other}" for number, (one, other) in rows)
    for entry in quantised.errors:
        yield " ".join(["error", format_name(entry.name), *(f"{name}={getattr(entry, name)}" for name in _MEASURES)])


def _read_scales(reader: LineReader, name: str, size: int) -> tuple[FloatArray, FloatArray]:
    reader.expect(f"{name} scales")
    pattern = rf"(\d{{1,10}}): scale=({FLOAT}) input_error=({FLOAT})"
    rows = [reader.expect_neuron(neuron, pattern) for neuron in range(size)]
    scale, error = np.array(rows, np.float64).reshape(-1, 2).T
    return scale, error


def _read_errors(reader: LineReader) -> Iterator[TensorError]:
    kinds = [get_type_hints(TensorError)[name] for name in _MEASURES]
    patterns = {int: INTEGER, float: FLOAT}
    measures = " ".join(f"{name}=({patterns[kind]})" for name, kind in zip(_MEASURES, kinds, strict=True))
    while reader.follows("error .*"):
        name, *values = reader.expect(f"error ({NAME}) {measures}")
        told = {key: kind(value) for key, kind, value in zip(_MEASURES, kinds, values, strict=True)}
        yield TensorError(name=parse_name(name), **told)

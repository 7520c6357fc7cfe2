"""Architectures beside the shipped ones: other encodings, elements and memories."""

from dataclasses import replace
from typing import Any

from snnmap.crossbar import Architecture, load_architecture
from snnmap.crossbar.record.architecture import Sources

EXAMPLE = load_architecture("example-16x4")
GRID = load_architecture("grid-128")
PRICED = replace(GRID, costs=replace(GRID.costs, program_cycles=100, program_pj=10.0, drive_pj=0.1), sources=Sources())
"""All prices, those that are unknown made up; none has a source."""


def change(architecture: Architecture, part: str, **fields: Any) -> Architecture:
    """Change fields of one part of a record."""
    return replace(architecture, **{part: replace(getattr(architecture, part), **fields)})


def resize(architecture: Architecture, rows: int, columns: int, grid_rows: int, grid_columns: int) -> Architecture:
    """Other elements, and as many of them; switches join all."""
    return replace(
        architecture,
        elements=replace(architecture.elements, rows=rows, columns=columns, grid_rows=grid_rows, grid_columns=grid_columns),
        switches=replace(architecture.switches, vertical=grid_rows, horizontal=grid_columns),
        converters=replace(architecture.converters, columns_per_adc=1),
    )


EXAMPLE_VARIANTS = {
    "signed": (EXAMPLE, 22),
    "bias row": (change(EXAMPLE, "weights", bias="row"), 28),
    "pairs": (change(EXAMPLE, "weights", encoding="differential"), 44),
    "pairs and bias row": (change(EXAMPLE, "weights", encoding="differential", bias="row"), 56),
    "2-bit cells": (change(EXAMPLE, "weights", cell_bits=2), 88),
    "2-bit pairs": (change(EXAMPLE, "weights", cell_bits=2, encoding="differential"), 176),
    "4 rows, 16 columns": (resize(EXAMPLE, 4, 16, 36, 2), 40),
}
"""The seven variants of the worked example, and the elements that they take."""

ODD = {
    "few accumulators": change(GRID, "memories", accumulator_words=300),
    "few accumulators, tiny cores": replace(
        change(resize(GRID, 8, 4, 2, 6), "memories", accumulator_words=1024), cores=3, noc=replace(GRID.noc, columns=3)
    ),
    "no switches": change(GRID, "switches", vertical=1, horizontal=1),
    "3-bit cells in pairs": change(GRID, "weights", cell_bits=3, encoding="differential", bias="row"),
    "one core": replace(resize(GRID, 5, 3, 3, 5), cores=1, noc=replace(GRID.noc, columns=1)),
}

"""Weights to elements of cores, in computation cycles."""

from snnmap.crossbar.mapping.copies import count_elements
from snnmap.crossbar.mapping.parts import StripPart, find_output, list_parts
from snnmap.crossbar.mapping.place import MappingOptions, place_layers, split_rows
from snnmap.crossbar.mapping.tiles import Mapped, Strip, Tile

__all__ = [
    "Mapped",
    "MappingOptions",
    "Strip",
    "StripPart",
    "Tile",
    "count_elements",
    "find_output",
    "list_parts",
    "place_layers",
    "split_rows",
]

"""Weights to elements of cores, in computation cycles."""

from snnmap.crossbar.mapping.copies import count_elements
from snnmap.crossbar.mapping.place import MappingOptions, place_layers, split_rows
from snnmap.crossbar.mapping.tiles import Mapped, Strip, Tile

__all__ = ["Mapped", "MappingOptions", "Strip", "Tile", "count_elements", "place_layers", "split_rows"]

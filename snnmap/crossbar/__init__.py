"""The back end for accelerators with analog crossbars: quantised layer graphs to bytes, and the run of the bytes."""

from snnmap.crossbar.compile import Built, check_graph, compile_graph, find_differences
from snnmap.crossbar.container import decode_image, encode_image
from snnmap.crossbar.executor import run_image
from snnmap.crossbar.mapping import MappingOptions
from snnmap.crossbar.record import Architecture, list_architectures, load_architecture

__all__ = [
    "Architecture",
    "Built",
    "MappingOptions",
    "check_graph",
    "compile_graph",
    "decode_image",
    "encode_image",
    "find_differences",
    "list_architectures",
    "load_architecture",
    "run_image",
]

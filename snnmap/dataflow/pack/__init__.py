"""Weights packed for each stage's parallelism, as files with a manifest and a text twin."""

from snnmap.dataflow.pack.folder import MANIFEST, list_files, pack_pipeline, read_files, require_own, write_folder
from snnmap.dataflow.pack.layout import Packed, pack_weights, unpack_weights
from snnmap.dataflow.pack.text import format_words, parse_words

__all__ = [
    "MANIFEST",
    "Packed",
    "format_words",
    "list_files",
    "pack_pipeline",
    "pack_weights",
    "parse_words",
    "read_files",
    "require_own",
    "unpack_weights",
    "write_folder",
]

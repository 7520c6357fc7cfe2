"""The accelerator, as data: a record in TOML, the catalog, the blueprint."""

from snnmap.crossbar.record.architecture import Architecture
from snnmap.crossbar.record.blueprint import format_blueprint
from snnmap.crossbar.record.catalog import find_architecture, list_architectures, load_architecture, read_architecture_text

__all__ = [
    "Architecture",
    "find_architecture",
    "format_blueprint",
    "list_architectures",
    "load_architecture",
    "read_architecture_text",
]

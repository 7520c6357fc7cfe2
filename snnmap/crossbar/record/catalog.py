"""Architectures by name or by the path of a TOML file."""

from snnmap.core.catalog import list_entries, read_entry
from snnmap.core.toml import read_toml_record
from snnmap.crossbar.record.architecture import Architecture

__all__ = ["find_architecture", "list_architectures", "load_architecture", "read_architecture_text"]


def list_architectures() -> list[str]:
    """Return the names of the built-in architectures, sorted.

    Example:
        >>> list_architectures()
        ['example-16x4', 'fixed-128', 'grid-128']
    """
    return list_entries("snnmap.crossbar.record")


def load_architecture(name: str) -> Architecture:
    """Load an architecture from the catalog, or from a TOML file where ``name`` is a path.

    Args:
        name: a catalog name, or a path that ends in ``.toml``.

    Raises:
        ChipError: unknown name, unreadable file, missing, unknown or contradictory field.

    Example:
        >>> load_architecture("grid-128").cores
        16
    """
    return read_toml_record(Architecture, read_architecture_text(name), where=name)


def read_architecture_text(name: str) -> str:
    """Return the TOML text of a record, from the catalog or from a file.

    Raises:
        ChipError: unknown name, or unreadable file.
    """
    return read_entry("snnmap.crossbar.record", name, noun="architecture")


def find_architecture(digest: bytes) -> Architecture | None:
    """Return the built-in architecture with this digest, or None."""
    return next((found for found in map(load_architecture, list_architectures()) if found.digest == digest), None)

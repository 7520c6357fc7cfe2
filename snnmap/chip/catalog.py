"""Chips by name or by the path of a TOML file."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from snnmap.chip.record import Chip
from snnmap.core.catalog import list_entries, read_entry
from snnmap.core.errors import ChipError
from snnmap.core.toml import read_toml_record

__all__ = ["find_chip_by_id", "list_chips", "load_chip", "read_chip", "read_record"]


def list_chips() -> list[str]:
    """Return the names of the built-in chips, sorted.

    Example:
        >>> "xylo-audio-3" in list_chips()
        True
    """
    return list_entries("snnmap.chip")


def load_chip(chip: Chip | str | Path) -> Chip:
    """Load a chip from the catalog, or from a TOML file where a path is given; a record stands for itself.

    Args:
        chip: a catalog name, a path that ends in ``.toml``, or a record.

    Raises:
        ChipError: neither of these, unknown name, unreadable file, missing, unknown or contradictory field.

    Example:
        >>> load_chip("xylo-audio-3").hidden.count
        992
    """
    if isinstance(chip, Chip):
        return chip
    if not isinstance(chip, str | Path):
        fix = "name one chip, such as 'xylo-audio-3', or give the path of its TOML file"
        raise ChipError("this is no chip", measured=repr(chip), limit="a name, a path or a snnmap.Chip", fix=fix)
    name = str(chip)
    return read_chip(read_record(name), where=name) if name.endswith(".toml") else _load_built_in(name)


def read_record(name: str) -> str:
    """Return the TOML text of a chip's record, from the catalog or from a file; :func:`load_chip` reads what it says.

    Raises:
        ChipError: unknown name, or unreadable file.
    """
    return read_entry("snnmap.chip", name, noun="chip")


@lru_cache(maxsize=64)
def _load_built_in(name: str) -> Chip:
    return read_toml_record(Chip, read_record(name), where=f"catalog/{name}.toml")


def find_chip_by_id(chip_id: int) -> Chip | None:
    """Return the built-in chip with this id, or None."""
    return next((chip for chip in map(load_chip, list_chips()) if chip.chip_id == chip_id), None)


def read_chip(text: str, *, where: str) -> Chip:
    """Read a chip record from TOML text.

    A built-in chip that was edited and keeps its name gets another one, which tells its digest and the built-in's, so that what
    is built for it is not taken for the built-in's.

    Args:
        text: TOML with the fields of :class:`Chip`, tables for its parts; those that have a default may be left out.
        where: the file's name for error messages.

    Raises:
        ChipError: malformed TOML, or a missing, unknown, mistyped or contradictory field; all are named at once.
    """
    return _rename_edited(read_toml_record(Chip, text, where=where))


def _rename_edited(chip: Chip) -> Chip:
    """Tell a chip from the built-in whose name it has; the same chip under an id of its own is no other chip."""
    if chip.name not in list_chips():
        return chip
    built_in = _load_built_in(chip.name)
    if replace(chip, chip_id=built_in.chip_id).digest == built_in.digest:
        return chip
    return chip.rename_beside(built_in)

"""Chips by name or by the path of a TOML file."""

import tomllib
import types
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from snnmap.chip.record import Chip
from snnmap.core.errors import ChipError
from snnmap.core.near import suggest

__all__ = ["find_chip_by_id", "list_chips", "load_chip", "read_chip", "read_record"]

_MAX_INTEGER = 2**31 - 1


def list_chips() -> list[str]:
    """Return the names of the built-in chips, sorted.

    Example:
        >>> "xylo-audio-3" in list_chips()
        True
    """
    folder = resources.files("snnmap.chip") / "catalog"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_chip(name: str) -> Chip:
    """Load a chip from the catalog, or from a TOML file where ``name`` is a path.

    Args:
        name: a catalog name, or a path that ends in ``.toml``.

    Raises:
        ChipError: unknown name, unreadable file, missing, unknown or contradictory field.

    Example:
        >>> load_chip("xylo-audio-3").hidden.count
        992
    """
    return read_chip(read_record(name), where=name) if name.endswith(".toml") else _load_built_in(name)


def read_record(name: str) -> str:
    """Return the TOML text of a chip's record, from the catalog or from a file; :func:`load_chip` reads what it says.

    Raises:
        ChipError: unknown name, or unreadable file.
    """
    if name.endswith(".toml"):
        return _read_text(Path(name))
    if name not in list_chips():
        known = ", ".join(list_chips())
        raise ChipError(
            f"no chip is called '{name}'",
            limit=known,
            fix=suggest(name, list_chips(), "use one of these names, or the path of a .toml file"),
        )
    return (resources.files("snnmap.chip") / "catalog" / f"{name}.toml").read_text(encoding="utf-8")


@lru_cache(maxsize=64)
def _load_built_in(name: str) -> Chip:
    return _read_chip(read_record(name), where=f"catalog/{name}.toml")


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
    return _rename_edited(_read_chip(text, where=where))


def _rename_edited(chip: Chip) -> Chip:
    """Tell a chip from the built-in whose name it has; the same chip under an id of its own is no other chip."""
    if chip.name not in list_chips():
        return chip
    built_in = _load_built_in(chip.name)
    if replace(chip, chip_id=built_in.chip_id).digest == built_in.digest:
        return chip
    return chip.rename_beside(built_in)


def _read_chip(text: str, *, where: str) -> Chip:
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # syntax, an integer of thousands of digits, or tables nested as deep
        raise ChipError(f"the chip file is not TOML: {error}", where=where, fix="correct the TOML syntax") from error
    problems: list[str] = []
    try:
        chip = _build(Chip, table, "", problems)
    except ChipError as error:
        raise error.within(where) from error
    if problems:
        raise ChipError("the chip record is incomplete: " + "; ".join(problems), where=where, fix="correct these fields")
    if not isinstance(chip, Chip):  # _build answers None only beside a problem
        raise ChipError("the chip record is empty", where=where)
    return chip


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ChipError(f"the chip file cannot be read: {reason}", where=str(path), fix="give the path of a TOML file") from error


def _build(cls: type, table: dict[str, Any], prefix: str, problems: list[str]) -> object | None:
    """Build a record of ``cls`` from a TOML table, in which fields that have a default may be left out.

    Each defect is appended to ``problems``.
    """
    hints = get_type_hints(cls)
    known = {field.name for field in fields(cls)}
    missing = {field.name for field in fields(cls) if _is_required(field)} - table.keys()
    problems += [f"unknown field {prefix}{key}" for key in table if key not in known]
    problems += [f"missing field {prefix}{key}" for key in sorted(missing)]
    before = len(problems)
    values = {key: _convert(hints[key], table[key], f"{prefix}{key}", problems) for key in table.keys() & known}
    if len(problems) > before or missing or any(value is None for value in values.values()):
        return None
    built: object = cls(**values)
    return built


def _is_required(field: "Field[Any]") -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _convert(kind: Any, value: Any, name: str, problems: list[str]) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        if isinstance(value, dict):
            return _build(kind, value, f"{name}.", problems)
        problems.append(f"{name} is not a table")
        return None
    if get_origin(kind) is Literal:
        return _require(value in get_args(kind), value, f"{name} = {value!r} is not one of {', '.join(get_args(kind))}", problems)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            problems.append(f"{name} is not a list")
            return None
        return tuple(_convert(get_args(kind)[0], item, name, problems) for item in value)
    if type(value) is int and abs(value) > _MAX_INTEGER:
        return _require(False, value, f"{name} is beyond {_MAX_INTEGER}", problems)
    expected = kind.__name__ if isinstance(kind, type | types.GenericAlias) else str(kind)
    return _require(type(value) is kind, value, f"{name} = {value!r} is not of type {expected}", problems)


def _require(holds: bool, value: Any, problem: str, problems: list[str]) -> Any:
    if holds:
        return value
    problems.append(problem)
    return None

"""Records written as TOML: every defect of a table is told at once, with the field's name."""

import tomllib
import types
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from snnmap.core.errors import ChipError

__all__ = ["read_toml_record", "read_toml_text"]

T = TypeVar("T")
_MAX_INTEGER = 2**31 - 1


def read_toml_record(cls: type[T], text: str, *, where: str) -> T:
    """Build a frozen record from TOML text, tables for its parts; fields that have a default may be left out.

    Args:
        cls: dataclass; a contradiction that it finds in itself is a :class:`ChipError`.
        text: TOML.
        where: the file's name for error messages.

    Raises:
        ChipError: malformed TOML, or a missing, unknown, mistyped or contradictory field; all are named at once.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # syntax, an integer of thousands of digits, or tables nested as deep
        raise ChipError(f"the chip file is not TOML: {error}", where=where, fix="correct the TOML syntax") from error
    problems: list[str] = []
    try:
        built = _build(cls, table, "", problems)
    except ChipError as error:
        raise error.within(where) from error
    if problems:
        raise ChipError("the chip record is incomplete: " + "; ".join(problems), where=where, fix="correct these fields")
    if not isinstance(built, cls):  # _build answers None only beside a problem
        raise ChipError("the chip record is empty", where=where)
    return built


def read_toml_text(path: Path) -> str:
    """Read a record's file.

    Raises:
        ChipError: it cannot be read, or is not UTF-8.
    """
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
    if isinstance(kind, types.UnionType):  # what may be left out
        kind = next(part for part in get_args(kind) if part is not types.NoneType)
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

"""A chip's record as TOML, as :func:`snnmap.chip.read_chip` reads it."""

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from snnmap.chip.record import Chip, SlotReach

__all__ = ["format_chip"]


def format_chip(chip: Chip) -> str:
    """Return the record as TOML; reading it gives an equal record.

    Example:
        >>> from snnmap.chip import load_chip, read_chip
        >>> read_chip(format_chip(load_chip("toy-4")), where="text") == load_chip("toy-4")
        True
    """
    return "\n".join(_list_lines(chip, "")).lstrip("\n") + "\n"


def _list_lines(part: Any, table: str) -> Iterator[str]:
    held = {field.name: getattr(part, field.name) for field in fields(part)}
    values = {name: value for name, value in held.items() if value is not None and not _is_table(value)}
    if table and values:
        yield from ("", f"[{table}]")
    yield from (f"{name} = {_format(value)}" for name, value in values.items())
    for name, value in held.items():
        if _is_table(value):
            yield from _list_lines(value, f"{table}.{name}" if table else name)


def _is_table(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, SlotReach)


def _format(value: Any) -> str:
    if isinstance(value, SlotReach):
        return f"{{ {', '.join(f'{field.name} = {_format(getattr(value, field.name))}' for field in fields(value))} }}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_format, value))}]"
    return json.dumps(value, ensure_ascii=False)  # of texts, numbers and truth values as TOML has them

"""Fields of nested records by their paths, such as ``recurrent_weights.max_fan_in``."""

import ast
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from snnmap.core.errors import OptionError

__all__ = ["list_fields", "put_field"]

T = TypeVar("T")


def list_fields(part: Any, prefix: str = "") -> list[str]:
    """Return the paths of all fields of a record that are no records of their own."""
    found: list[str] = []
    for field in fields(part):
        value = getattr(part, field.name)
        nested = is_dataclass(value) and not isinstance(value, type)
        found += list_fields(value, f"{prefix}{field.name}.") if nested else [f"{prefix}{field.name}"]
    return found


def put_field(part: T, path: str, value: Any) -> T:
    """Return a record in which one field, of a part of it, has another value; texts are read where the field is no text.

    Raises:
        OptionError: a value of another type than the field's; and what the record itself raises.
    """
    return _put_field(part, path, value, path)


def _put_field(part: T, path: str, value: Any, whole: str) -> T:
    name, _, rest = path.partition(".")
    old = getattr(part, name)
    changes: dict[str, Any] = {name: _put_field(old, rest, value, whole) if rest else _read_like(old, value, whole)}
    return replace(part, **changes)  # type: ignore[type-var]


def _read_like(old: Any, value: Any, path: str) -> Any:
    """Return a value of the type that a field has; texts are read."""
    if isinstance(value, str) and not isinstance(old, str):
        with suppress(ValueError, SyntaxError):
            value = ast.literal_eval({"true": "True", "false": "False", "none": "None", "inf": "1e999"}.get(value, value))
    if isinstance(old, float) and type(value) is int:
        value = float(value)
    if isinstance(old, tuple) and isinstance(value, str):
        value = (value,)
    if old is not None and type(value) is not type(old):
        raise OptionError(
            "this field holds values of another type", where=path, measured=repr(value), limit=type(old).__name__,
            fix=f"give such as {old!r}",
        )  # fmt: skip
    return value

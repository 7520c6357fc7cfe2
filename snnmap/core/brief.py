"""A record as a person can read it: what is large is told by its type and size."""

import textwrap
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import Any

import numpy as np

__all__ = ["brief_repr"]

_WIDTH, _MOST_LINES, _MOST_VALUES = 120, 10, 6
_MOST_LETTERS = 80
"""Of one field."""


def brief_repr(record: Any) -> str:
    """Return the ``repr`` of a dataclass in ten lines at most: arrays, long tuples and large parts are told by type and size."""
    shown = [f"{field.name}={_shorten(getattr(record, field.name))}" for field in fields(record) if field.repr]
    text = f"{type(record).__qualname__}({', '.join(shown)})"
    lines = textwrap.wrap(text, _WIDTH, subsequent_indent="    ", break_on_hyphens=False) if len(text) > _WIDTH else [text]
    return "\n".join(lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 1], "    ...)"])


def _shorten(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return repr(value.tolist()) if value.size <= _MOST_VALUES else f"{value.dtype}{value.shape}"
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        first = islice(value.items(), _MOST_VALUES + 1)
        return _shorten_items("{", [f"{key!r}: {_shorten(item)}" for key, item in first], "}", value)
    if isinstance(value, list | tuple):
        return _shorten_items("(", list(map(_shorten, value[: _MOST_VALUES + 1])), ")", value)
    text = " ".join(repr(value).split())
    if len(text) <= _MOST_LETTERS:
        return text
    if not is_dataclass(value):
        return f"{text[: _MOST_LETTERS - 3]}..."
    name = getattr(value, "name", "")
    return f"{type(value).__qualname__}({_shorten(name)}, ...)" if name else f"{type(value).__qualname__}(...)"


def _shorten_items(start: str, shown: list[str], end: str, whole: Any) -> str:
    """Return the items of a collection; where they are many or long, how many they are."""
    text = f"{start}{', '.join(shown)}{',' if start == '(' and len(shown) == 1 else ''}{end}"
    if len(shown) <= _MOST_VALUES and len(text) <= _MOST_LETTERS:
        return text
    values = whole.values() if isinstance(whole, Mapping) else whole
    kinds = sorted({type(item).__qualname__ for item in values})
    return f"<{len(whole)} {' or '.join(kinds)}>"

"""Options of a verb that are the fields of a frozen record: names, types, defaults and help are written there alone."""

import inspect
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

import click

from snnmap.core.errors import InputError

__all__ = ["read_attributes", "read_record", "record_options"]

R = TypeVar("R")
Complete = Callable[[click.Context, click.Parameter, str], list[str]]
_MARKUP = re.compile(r":\w+:`~?([\w.]+)`|``(.*?)``|`(.*?)`")


def record_options(
    cls: type[Any],
    *,
    pairs: Mapping[str, str] | None = None,
    without: Collection[str] = (),
    complete: Mapping[str, Complete] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds an option for each field of a record, and of the records in it.

    Args:
        cls: a dataclass whose fields all have defaults and stand in the ``Attributes`` of its docstring.
        pairs: option name by field, for fields that are records of numbers: given as ``NAME=VALUE``, as often as wanted.
        without: fields that the verb has no use for.
        complete: what the shell offers, by field.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(list(_list_options(cls, pairs or {}, without, complete or {}))):
            command = option(command)
        return command

    return decorate


def read_record(cls: type[R], values: Mapping[str, Any]) -> R:
    """Build a record from the values of its options; fields without one keep their defaults."""
    given: dict[str, Any] = {}
    for name, kind in get_type_hints(cls).items():
        if name in values:
            given[name] = values[name]
        elif is_dataclass(kind):
            given[name] = read_record(cast("type[Any]", kind), values)
    return cls(**given)


def read_attributes(cls: type[Any]) -> dict[str, str]:
    """Read what a class's docstring says of each attribute, as plain text."""
    section = (inspect.getdoc(cls) or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section.partition("\n\n")[0], flags=re.MULTILINE)
    return {name: _to_plain(text) for name, text in entries}


def _to_plain(text: str) -> str:
    return _MARKUP.sub(lambda found: next(filter(None, found.groups()), ""), " ".join(text.split()))


def _list_options(
    cls: type[Any], pairs: Mapping[str, str], without: Collection[str], complete: Mapping[str, Complete]
) -> Iterator[Callable[..., Any]]:
    hints, said, defaults = get_type_hints(cls), read_attributes(cls), cls()
    for field in fields(cls):
        kind = hints[field.name]
        if field.name in without:
            continue
        if field.name in pairs:
            yield _pair_option(pairs[field.name], field.name, kind)
        elif is_dataclass(kind):
            yield from _list_options(cast("type[Any]", kind), pairs, without, complete)
        else:
            yield _option(field.name, kind, getattr(defaults, field.name), said[field.name], complete.get(field.name))


def _option(name: str, kind: Any, default: Any, text: str, complete: Complete | None) -> Callable[..., Any]:
    flag = "--" + name.replace("_", "-")
    kinds = [part for part in get_args(kind) if part is not NoneType] if NoneType in get_args(kind) else [kind]
    (kind,) = kinds
    text = text[:1].upper() + text[1:]
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=default, show_default=True, help=text)
    if get_origin(kind) is tuple:
        text = f"{text} May be given several times."
        return click.option(
            flag, name, type=get_args(kind)[0], multiple=True, default=default, help=text, shell_complete=complete
        )
    chosen = click.Choice(get_args(kind), case_sensitive=False) if get_origin(kind) is Literal else kind
    return click.option(flag, name, type=chosen, default=default, show_default=default is not None, help=text)


def _pair_option(flag: str, name: str, cls: type[Any]) -> Callable[..., Any]:
    """Make the option of a record of numbers, all of which are told in its help."""
    defaults = cls()
    told = "; ".join(f"{key} ({getattr(defaults, key):g}): {text.rstrip('.')}" for key, text in read_attributes(cls).items())

    def read(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> Any:
        return cls(**dict(_read_pair(flag, text, cls) for text in texts))

    return click.option(flag, name, multiple=True, metavar="NAME=VALUE", callback=read, help=f"{told}.")


def _read_pair(flag: str, text: str, cls: type[Any]) -> tuple[str, float]:
    name, _, value = text.partition("=")
    known = [field.name for field in fields(cls)]
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if name not in known or math.isnan(number):
        raise InputError(
            "this option takes the name of a limit and a number",
            where=flag,
            measured=text,
            limit=", ".join(known),
            fix=f"give {flag} {known[0]}={getattr(cls(), known[0]):g}",
        )
    return name, number

"""Where the code of a user's modules looks up the names that it calls."""

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

__all__ = ["find_scopes", "list_codes"]

_FOREIGN = sys.stdlib_module_names | {"numpy", "snnmap", "torch"}
"""Packages whose functions are known, and not followed by name."""
_MANY = 1000
"""Entries of a list or dict from which on it holds data and no functions."""


def find_scopes(called: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the global names of functions, and of the functions, classes and modules that these name, each once.

    Args:
        called: functions, and classes of modules whose forward is followed.
    """
    scopes: dict[int, dict[str, Any]] = {}
    seen: set[int] = set()
    waiting = [kind for one in called for kind in (one.__mro__ if isinstance(one, type) else [one])]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or _is_foreign(found):
            continue
        seen.add(id(found))
        if isinstance(found, FunctionType):
            scopes[id(found.__globals__)] = found.__globals__
        waiting += _list_named(found)
    return list(scopes.values())


def _is_foreign(found: Any) -> bool:
    if not isinstance(found, FunctionType | ModuleType | type):
        return isinstance(found, list | tuple | dict) and len(found) > _MANY
    name = found.__name__ if isinstance(found, ModuleType) else found.__module__
    return str(name).partition(".")[0] in _FOREIGN


def _list_named(found: Any) -> Iterator[Any]:
    """Yield the functions, classes and modules that one of these names, or an object that is called."""
    if isinstance(found, FunctionType):
        names = {name for code in list_codes(found.__code__) for name in code.co_names}
        values = [found.__globals__[name] for name in names & found.__globals__.keys()]
        values += [*(found.__defaults__ or ()), *(found.__kwdefaults__ or {}).values(), *_list_enclosed(found)]
        for value in values:
            yield from (vars(value)[name] for name in names & vars(value).keys()) if isinstance(value, ModuleType) else [value]
    elif isinstance(found, type):
        yield from vars(found).values()
    elif isinstance(found, partial):
        yield from (found.func, *found.args)
    elif isinstance(found, MethodType | staticmethod | classmethod):
        yield found.__func__
    elif isinstance(found, property):
        yield found.fget
    elif isinstance(found, list | tuple | dict):
        yield from found.values() if isinstance(found, dict) else found
    elif type(found).__module__ != "builtins":
        yield type(found)


def list_codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a function's code and that of functions within it."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from list_codes(inner)


def _list_enclosed(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # that is not set yet
            continue

"""A family's integer rules for numba: compiled as they stand, wherever a compiled function calls them."""

import sys
from functools import lru_cache
from types import FunctionType
from typing import Any

from snnmap.chip.arithmetic import words
from snnmap.chip.arithmetic.family import Family, IntegerRules

__all__ = ["compile_integer_rules"]


def compile_integer_rules(family: Family) -> IntegerRules:
    """Give the integer rules of a family, callable from compiled functions, with all that they call."""
    _register_module(family.integers.fire.__module__)
    return family.integers


@lru_cache(maxsize=16)
def _register_module(name: str) -> None:
    import numba.extending

    register: Any = numba.extending.register_jitable
    own = [value for value in vars(sys.modules[name]).values() if isinstance(value, FunctionType) and value.__module__ == name]
    for function in (words.saturate, words.wrap, *own):
        register(function)

"""A family's integer rules for numba: compiled as they stand, wherever a compiled function calls them."""

from functools import lru_cache
from typing import Any

from snnmap.chip.arithmetic.family import Family, IntegerRules

__all__ = ["compile_integer_rules"]


@lru_cache(maxsize=16)
def compile_integer_rules(family: Family) -> IntegerRules:
    """Give the integer rules of a family, callable from compiled functions, with all that they call."""
    import numba.extending

    register: Any = numba.extending.register_jitable
    for function in family.list_functions():
        register(function)
    return family.integers

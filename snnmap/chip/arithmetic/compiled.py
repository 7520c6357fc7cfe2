"""A family's integer rules for numba: compiled as they stand, wherever a compiled function calls them."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from snnmap.chip.arithmetic.family import Family, IntegerRules

__all__ = ["compile_integer_rules", "named_after"]

F = TypeVar("F", bound=Callable[..., Any])


@lru_cache(maxsize=16)
def compile_integer_rules(family: Family) -> IntegerRules:
    """Return the integer rules of a family, callable from compiled functions, with all that they call."""
    import numba.extending

    register: Any = numba.extending.register_jitable
    for function in family.list_functions():
        register(function)
    return family.integers


@lru_cache(maxsize=16)
def named_after(family: Family) -> Callable[[F], F]:
    """Return a decorator for functions that are built for a family: it makes their names its own, before they are compiled.

    numba names the files of its cache by the qualified name, and notices changes of the file alone that a function stands in. The
    name therefore holds the family and the stamp of its source: changed rules are compiled anew, and two families have no
    file in common, in which two processes that write at once could leave one's machine code under the other's key.
    """
    mark = f"{re.sub('[^0-9a-z]', '_', family.name.lower())}_{family.find_stamp()[:12]}"

    def rename(function: F) -> F:
        function.__qualname__ = f"{function.__qualname__}_for_{mark}"
        return function

    return rename

"""What is derived from a frozen record once, and kept with it."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

__all__ = ["Cached", "cached", "hand_on"]

T = TypeVar("T")
C = TypeVar("C", bound="Cached")


class Cached:
    """A record with room for what is derived from it; no field, so that equality, copies, pickles and repr do not see it."""

    __slots__ = ("_derived",)

    _derived: dict[Callable[..., Any], Any]


def cached(compute: Callable[[C], T]) -> Callable[[C], T]:
    """Compute something of a record once; every later call gives the same object, which must not be changed."""

    @wraps(compute)
    def give(owner: C) -> T:
        if not hasattr(owner, "_derived"):
            object.__setattr__(owner, "_derived", {})
        if compute not in owner._derived:
            owner._derived[compute] = compute(owner)
        found: T = owner._derived[compute]
        return found

    return give


def hand_on(give: Callable[[C], Any], owner: C, other: C) -> C:
    """Return another record, of which a cached function gives the same as of the first, with what was computed of that."""
    compute, derived = give.__wrapped__, getattr(owner, "_derived", {})  # type: ignore[attr-defined]
    if compute in derived:
        object.__setattr__(other, "_derived", {**getattr(other, "_derived", {}), compute: derived[compute]})
    return other

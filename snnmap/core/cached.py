"""What is derived from a frozen record once, and kept with it."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

__all__ = ["Cached", "cached", "hand_on", "let_give"]

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


def hand_on(give: Callable[[C], T], owner: C, other: C, change: Callable[[T], T] = lambda known: known) -> C:
    """Return another record, with what a cached function has computed of the first, changed to what it gives of the other."""
    derived = getattr(owner, "_derived", {})
    compute = give.__wrapped__  # type: ignore[attr-defined]
    return let_give(give, other, change(derived[compute])) if compute in derived else other


def let_give(give: Callable[[C], T], owner: C, known: T) -> C:
    """Return a record, of which a cached function now gives what is known without being computed."""
    compute = give.__wrapped__  # type: ignore[attr-defined]
    object.__setattr__(owner, "_derived", {**getattr(owner, "_derived", {}), compute: known})
    return owner

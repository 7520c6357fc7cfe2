"""Families by name, found among the modules of this package."""

from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules

from snnmap.chip.arithmetic.family import Family
from snnmap.core.errors import ChipError

__all__ = ["DEFAULT_FAMILY", "find_family", "list_families"]

DEFAULT_FAMILY = "bit-shift"
"""Of records that name none."""


def find_family(name: str) -> Family:
    """Return the family of this name.

    Raises:
        ChipError: there is none.
    """
    family = _read_families().get(name)
    if family is None:
        raise ChipError(
            f"no arithmetic is called '{name}'",
            where="chip record, arithmetic",
            limit=", ".join(list_families()),
            fix="name one of these",
        )
    return family


def list_families() -> list[str]:
    """Return the names of all families, sorted."""
    return sorted(_read_families())


@lru_cache(maxsize=1)
def _read_families() -> dict[str, Family]:
    import snnmap.chip.arithmetic as package

    modules = (import_module(f"{package.__name__}.{found.name}") for found in iter_modules(package.__path__))
    families = (getattr(module, "FAMILY", None) for module in modules)
    return {family.name: family for family in families if isinstance(family, Family)}

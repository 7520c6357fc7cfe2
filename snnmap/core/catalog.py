"""Records that ship with a package: TOML files in its folder ``catalog``, by name."""

from importlib import resources
from pathlib import Path

from snnmap.core.errors import ChipError
from snnmap.core.near import suggest
from snnmap.core.toml import read_toml_text

__all__ = ["list_entries", "read_entry"]


def list_entries(package: str) -> list[str]:
    """Return the names of the records that ship with a package, sorted.

    Example:
        >>> "xylo-audio-3" in list_entries("snnmap.chip")
        True
    """
    folder = resources.files(package) / "catalog"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def read_entry(package: str, name: str, *, noun: str) -> str:
    """Return the TOML text of a record, from the catalog or from a file where the name ends in ``.toml``.

    Args:
        package: whose catalog it is.
        name: of the record, or the path of a file.
        noun: what errors call a record.

    Raises:
        ChipError: unknown name, or unreadable file.
    """
    if name.endswith(".toml"):
        return read_toml_text(Path(name))
    known = list_entries(package)
    if name not in known:
        raise ChipError(
            f"no {noun} is called '{name}'",
            limit=", ".join(known),
            fix=suggest(name, known, "use one of these names, or the path of a .toml file"),
        )
    return (resources.files(package) / "catalog" / f"{name}.toml").read_text(encoding="utf-8")

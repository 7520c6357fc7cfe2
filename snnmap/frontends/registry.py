"""Which frontends there are: each folder says so in its ``frontend.toml``, which is read without importing any framework."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from snnmap import frontends

__all__ = ["Frontend", "list_frontends"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontend:
    """What a folder of the frontends says of itself.

    Attributes:
        name: of the folder, and of the package that the framework's classes are from.
        order: of two that know a model's classes, the one with the lower number reads it.
        suffixes: of files that it reads.
    """

    name: str
    order: int
    suffixes: tuple[str, ...] = ()


def list_frontends() -> list[Frontend]:
    """Return all frontends in the order in which they are asked."""
    files = [file for folder in frontends.__path__ for file in Path(folder).glob("*/frontend.toml")]
    return sorted(map(_read, files), key=lambda frontend: frontend.order)


@cache
def _read(file: Path) -> Frontend:
    record = tomllib.loads(file.read_text(encoding="utf-8"))
    return Frontend(name=file.parent.name, **{**record, "suffixes": tuple(record.get("suffixes", ()))})

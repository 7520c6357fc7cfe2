"""Where in a user's files a model and its parts are made."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from snnmap.core.diagnostics import Location

__all__ = ["Places", "shorten"]

_PATH = re.compile(r"[\w.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a model is made, as far as it is known.

    Attributes:
        file: that the model is read from, or whose function makes it.
        line: of that function; 1 where it is not known.
        modules: file and line of each module, by its path in the model.
    """

    file: str = ""
    line: int = 1
    modules: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    def locate(self, location: Location) -> Location:
        """Return the location with the file and line of its module, where they are known."""
        found = self._find(location.source)
        return location if found is None else replace(location, file=shorten(Path(found[0])), line=found[1])

    def _find(self, source: str) -> tuple[str, int] | None:
        """Return the place of a module by its path, or by the end of one that no other path has."""
        if source in self.modules or not _PATH.fullmatch(source):
            return self.modules.get(source) if source else None
        ends = [place for path, place in self.modules.items() if path.endswith(f".{source}") or source.endswith(f".{path}")]
        return ends[0] if len(ends) == 1 else None


def shorten(path: Path) -> str:
    """Return a path as seen from the working directory, where it is in it."""
    here = Path.cwd()
    full = path if path.is_absolute() else here / path
    return str(full.relative_to(here)) if full.is_relative_to(here) else str(path)

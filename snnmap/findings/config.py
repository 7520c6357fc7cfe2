"""The configuration of a project: ``[tool.snnmap]`` of its ``pyproject.toml``, or a ``snnmap.toml``."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from snnmap.core.diagnostics import Severity
from snnmap.core.errors import InputError
from snnmap.core.near import suggest
from snnmap.core.places import shorten
from snnmap.findings.selection import Selection, find_rules
from snnmap.findings.waivers import Waiver

__all__ = ["Config", "find_config", "read_config"]

_KINDS: dict[str, type] = {
    "chips": list, "select": list, "ignore": list, "severity": str, "strict": bool, "baseline": str, "rules_url": str,
    "waivers": list,
}  # fmt: skip
_WORDS = {list: "a list", str: "text", bool: "true or false"}
_SUCH_AS = {list: '["..."]', str: '"..."', bool: "true"}
_WAIVER = re.compile(r"^\s*\[\[\s*(?:tool\s*\.\s*snnmap\s*\.\s*)?waivers\s*\]\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a project says about its checks.

    Attributes:
        path: of the file; empty where there is none.
        chips: names or files, where the command line names none.
        select: as :class:`Selection`.
        ignore: likewise.
        severity: likewise.
        strict: whether warnings fail.
        baseline: path of a baseline; empty for none.
        rules_url: where the pages of the rules are (``make docs`` writes them), for links; empty for none.
        waivers: findings that are accepted.
    """

    path: str = ""
    chips: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severity: Literal["error", "warning", "advice"] = "advice"
    strict: bool = False
    baseline: str = ""
    rules_url: str = ""
    waivers: tuple[Waiver, ...] = ()

    @property
    def selection(self) -> Selection:
        """Which findings the project is told."""
        return Selection(select=self.select, ignore=self.ignore, severity=self.severity)


def find_config(start: Path) -> Config:
    """Read the nearest configuration, of a folder or of those above it; the default where there is none.

    Raises:
        InputError: a file cannot be read, something in it is not known, or there are two in one folder.
    """
    folder = start.resolve()
    for place in (folder, *folder.parents):
        own, project = place / "snnmap.toml", place / "pyproject.toml"
        found = [own] if own.is_file() else []
        found += [project] if project.is_file() and "snnmap" in _read_toml(project).get("tool", {}) else []
        if len(found) > 1:
            raise InputError(
                "two files beside each other say what the project chooses",
                where=", ".join(map(shorten, found)),
                limit="one",
                fix="move what snnmap.toml says to [tool.snnmap], or leave that table out",
            )
        if found:
            return read_config(found[0])
    return Config()


def read_config(path: Path) -> Config:
    """Read a configuration: the table ``[tool.snnmap]`` of a ``pyproject.toml``, else the whole file.

    Raises:
        InputError: the file cannot be read, or something in it is not known.
    """
    table = _read_toml(path)
    if path.name == "pyproject.toml":
        table = table.get("tool", {}).get("snnmap", {})
    where = f"{shorten(path)}, [tool.snnmap]" if path.name == "pyproject.toml" else shorten(path)
    _require_kinds(table, where)
    for key in ("select", "ignore"):
        for rule in table.get(key, ()):
            find_rules(rule, where=f"{where}, {key}")
    if table.get("severity", "advice") not in list(Severity):
        raise InputError(
            "'severity' is error, warning or advice", where=where, measured=repr(table["severity"]), fix='write "warning", say'
        )
    base = path.parent
    return Config(
        path=str(path),
        chips=tuple(_beside(base, name) if name.endswith(".toml") else name for name in table.get("chips", ())),
        select=tuple(table.get("select", ())),
        ignore=tuple(table.get("ignore", ())),
        severity=table.get("severity", "advice"),
        strict=table.get("strict", False),
        baseline=_beside(base, table["baseline"]) if table.get("baseline") else "",
        rules_url=_read_address(table.get("rules_url", ""), where),
        waivers=_read_waivers(table.get("waivers", ()), path, where),
    )


def _read_address(text: str, where: str) -> str:
    if text and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", text):
        raise InputError("'rules_url' is no address", where=where, measured=repr(text), fix="write https://HOST/PATH/rules/")
    return text if not text or text.endswith("/") else f"{text}/"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"the configuration cannot be read: {error.strerror}", where=str(path), fix="name a TOML file"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            "the configuration is no TOML", where=shorten(path), measured=str(error), fix="correct the file"
        ) from error


def _require_kinds(table: object, where: str) -> None:
    if not isinstance(table, Mapping):
        raise InputError("the configuration is a table", where=where, measured=repr(table), fix="write [tool.snnmap]")
    for key, value in table.items():
        if key not in _KINDS:
            fix = suggest(key, _KINDS, "give it as an option of the command, or use one of these keys")
            raise InputError(f"the configuration has no '{key}'", where=where, limit=", ".join(_KINDS), fix=fix)
        kind = _KINDS[key]
        of_text = kind is not list or key == "waivers" or all(isinstance(part, str) for part in _list(value))
        if type(value) is not kind or not of_text:
            raise InputError(
                f"'{key}' is {_WORDS[kind]}{' of texts' if kind is list else ''}",
                where=where,
                measured=repr(value),
                fix=f"write {key} = {_SUCH_AS[kind]}",
            )


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _read_waivers(entries: list[Any], path: Path, where: str) -> tuple[Waiver, ...]:
    text = path.read_text(encoding="utf-8").splitlines()
    lines = [number for number, line in enumerate(text, start=1) if _WAIVER.match(line)]
    known = len(lines) == len(entries)  # else they are written in another way, and their lines are not known
    return tuple(
        Waiver.read(
            entry,
            where=f"{where}, waiver {number + 1}" + (f", line {lines[number]}" if known else ""),
            file=shorten(path),
            line=lines[number] if known else 0,
        )
        for number, entry in enumerate(entries)
    )


def _beside(folder: Path, name: str) -> str:
    return shorten(folder / name)

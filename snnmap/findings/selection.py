"""Which findings are told: by rule, and by how much they weigh."""

from dataclasses import dataclass
from typing import Literal

from snnmap.core.diagnostics import Diagnostic, Severity
from snnmap.core.errors import InputError
from snnmap.core.near import suggest
from snnmap.core.report import Report
from snnmap.core.rules import RULES

__all__ = ["Selection", "find_rules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which findings are told.

    Attributes:
        select: rules that are told, by id, name or beginning of an id (``SNN4``), in any case; all where none is given.
        ignore: rules that are not.
        severity: the least that is told: ``error`` leaves warnings and advice out.

    Raises:
        InputError: there is no such rule.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severity: Literal["error", "warning", "advice"] = "advice"

    def __post_init__(self) -> None:
        for option in ("select", "ignore"):
            for key in getattr(self, option):
                find_rules(key, where=option)

    def split(self, report: Report) -> tuple[Report, tuple[Diagnostic, ...]]:
        """Return the report of what is told, and what is left out of it."""
        left_out = tuple(diagnostic for diagnostic in report.diagnostics if not self._tells(diagnostic))
        return report.with_diagnostics(d for d in report.diagnostics if self._tells(d)), left_out

    def _tells(self, diagnostic: Diagnostic) -> bool:
        if diagnostic.rule not in RULES:  # a crash, or what is wrong with a waiver
            return True
        weighs = diagnostic.severity.rank <= Severity(self.severity).rank
        chosen = not self.select or any(_names(key, diagnostic.rule, diagnostic.name) for key in self.select)
        ignored = any(_names(key, diagnostic.rule, diagnostic.name) for key in self.ignore)
        return weighs and chosen and not ignored


def find_rules(key: str, *, where: str) -> tuple[str, ...]:
    """Return the ids of the rules that an id, a name, or the beginning of an id names.

    Raises:
        InputError: there is none.
    """
    found = tuple(rule.id for rule in RULES.values() if key and _names(key, rule.id, rule.name))
    if not found:
        known = [*RULES, *(rule.name for rule in RULES.values())]
        raise InputError(f"no rule is called '{key}'", where=where, fix=suggest(key, known, "`snnmap explain` lists them"))
    return found


def _names(key: str, rule_id: str, name: str) -> bool:
    return key.lower() == name or rule_id.startswith(key.upper())

"""What a run of the design rules found."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from snnmap.core.diagnostics import Diagnostic, Severity
from snnmap.core.nouns import count_nouns
from snnmap.core.record import record

if TYPE_CHECKING:
    from snnmap.core.html import Element

__all__ = ["Report"]


@record
class Report:
    """All findings, sorted, and the rules that looked.

    Attributes:
        diagnostics: the heaviest first, then by rule and place.
        rules_run: ids of the rules that ran, sorted.
    """

    diagnostics: tuple[Diagnostic, ...]
    rules_run: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([*map(str, self.diagnostics), self.summary])

    def _repr_html_(self) -> str:
        from snnmap.core.html import to_html

        return to_html(*self.to_elements())

    def to_elements(self) -> "list[Element]":
        """Return the report as parts of a page in a notebook: its numbers, and a row a finding."""
        from snnmap.core.html import heading, make_table

        columns = ("severity", "rule", "where", "what", "measured", "limit", "fix")
        rows = [
            (
                "waived" if found.waived else found.severity,
                f"{found.rule} {found.name}",
                found.location,
                found.message,
                f"{found.measured} {found.unit}".strip(),
                f"{found.limit} {found.unit}".strip(),
                found.waived or found.fix,
            )
            for found in self.diagnostics
        ]
        return [heading(self.summary), *([make_table(columns, rows)] if rows else [])]

    @property
    def summary(self) -> str:
        """What was found, in numbers."""
        waived = f", {len(self.waived)} waived" if self.waived else ""
        advice = f", {len(self.advice)} advice" if self.advice else ""
        return (
            f"{count_nouns(len(self.errors), 'error')}, {count_nouns(len(self.warnings), 'warning')}{advice}{waived},"
            f" {count_nouns(len(self.rules_run), 'rule')} run"
        )

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """Findings that stop a build."""
        return self._weighing(Severity.ERROR)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """Findings that do not, and are to be mended."""
        return self._weighing(Severity.WARNING)

    @property
    def advice(self) -> tuple[Diagnostic, ...]:
        """Findings that guard nothing."""
        return self._weighing(Severity.ADVICE)

    @property
    def waived(self) -> tuple[Diagnostic, ...]:
        """Findings that were accepted."""
        return tuple(d for d in self.diagnostics if d.waived)

    @property
    def is_clean(self) -> bool:
        """True when there is no error but waived ones."""
        return not self.errors

    def to_plain(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "clean": self.is_clean,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "advice": len(self.advice),
            "waived": len(self.waived),
            "rules_run": list(self.rules_run),
            "diagnostics": [diagnostic.to_plain() for diagnostic in self.diagnostics],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Report":
        """Return the report whose :meth:`to_plain` this is.

        Raises:
            KeyError, TypeError, ValueError: it is of no report.
        """
        return cls(diagnostics=tuple(map(Diagnostic.from_plain, plain["diagnostics"])), rules_run=tuple(plain["rules_run"]))

    def merge(self, other: "Report") -> "Report":
        """Return one report of both; what both found is told once."""
        rules_run = tuple(sorted({*self.rules_run, *other.rules_run}))
        return Report(diagnostics=self.diagnostics, rules_run=rules_run).with_diagnostics({*self.diagnostics, *other.diagnostics})

    def with_diagnostics(self, diagnostics: Iterable[Diagnostic]) -> "Report":
        """Return the report with other findings, sorted."""
        ordered = tuple(sorted(diagnostics, key=lambda diagnostic: diagnostic.sort_key))
        return Report(diagnostics=ordered, rules_run=self.rules_run)

    def ease(self, is_eased: Callable[[Diagnostic], bool]) -> "Report":
        """Return the report with some errors as warnings."""
        return self.with_diagnostics(
            replace(d, severity=Severity.WARNING) if d.severity is Severity.ERROR and is_eased(d) else d for d in self.diagnostics
        )

    def _weighing(self, severity: Severity) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.diagnostics if d.severity is severity and not d.waived)

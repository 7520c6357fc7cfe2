"""What a run of the design rules found."""

from typing import Any

from snnmap.core.diagnostics import Diagnostic, Severity
from snnmap.core.record import record

__all__ = ["Report"]


@record
class Report:
    """All findings, sorted, and the rules that looked.

    Attributes:
        diagnostics: errors first, then by rule and place.
        rules_run: ids of the rules that ran, sorted.
    """

    diagnostics: tuple[Diagnostic, ...]
    rules_run: tuple[str, ...]

    def __str__(self) -> str:
        summary = f"{len(self.errors)} errors, {len(self.warnings)} warnings, {len(self.rules_run)} rules run"
        return "\n".join([*map(str, self.diagnostics), summary])

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """Findings that stop a build."""
        return tuple(d for d in self.diagnostics if d.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """Findings that do not."""
        return tuple(d for d in self.diagnostics if d.severity is Severity.WARNING)

    @property
    def is_clean(self) -> bool:
        """True when there is no error."""
        return not self.errors

    def to_plain(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "clean": self.is_clean,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "rules_run": list(self.rules_run),
            "diagnostics": [diagnostic.to_plain() for diagnostic in self.diagnostics],
        }

    def merge(self, other: "Report") -> "Report":
        """Return one report of both; what both found is told once."""
        both = {*self.diagnostics, *other.diagnostics}
        return Report(
            diagnostics=tuple(sorted(both, key=lambda diagnostic: diagnostic.sort_key)),
            rules_run=tuple(sorted({*self.rules_run, *other.rules_run})),
        )

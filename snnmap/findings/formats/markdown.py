"""For a pull request: Markdown, a table a chip."""

from snnmap.core.diagnostics import Diagnostic
from snnmap.findings.run import Checked, CheckRun

__all__ = ["render"]


def render(run: CheckRun) -> str:
    """Return the findings as Markdown."""
    parts = [f"## snnmap check: {_escape(run.model)}", *map(_tell, run.checked)]
    parts.extend(_table(head, [tuple(map(str, row)) for row in rows]) for head, rows in run.tables)
    return "\n\n".join(parts)


def _tell(checked: Checked) -> str:
    head = f"### {_escape(checked.chip)}: {checked.report.summary}"
    rows = [_row(diagnostic) for diagnostic in checked.report.diagnostics]
    notes = tuple(f"_{note}_" for note in checked.notes)
    table = (_table(("", "rule", "where", "what", "measured", "limit", "fix"), rows),) if rows else ()
    return "\n\n".join((head, *table, *notes))


def _row(diagnostic: Diagnostic) -> tuple[str, ...]:
    state = "waived" if diagnostic.waived else str(diagnostic.severity)
    unit = f" {diagnostic.unit}" if diagnostic.unit else ""
    amounts = (f"{text}{unit}" if text else "" for text in (diagnostic.measured, diagnostic.limit))
    told = f"waived: {diagnostic.waived}" if diagnostic.waived else diagnostic.fix
    return (state, f"{diagnostic.rule} {diagnostic.name}", str(diagnostic.location), diagnostic.message, *amounts, told)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *(tuple(map(_escape, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    """Return text that Markdown shows as it is, within a cell of a table."""
    escaped = "".join(f"\\{letter}" if letter in "\\`*_[]<>|#~" else letter for letter in text)
    return " ".join(escaped.split())

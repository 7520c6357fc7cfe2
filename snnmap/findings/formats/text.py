"""For people: one finding after the other, names whole; several chips side by side at the end."""

from collections.abc import Sequence

from snnmap.findings.run import Checked, CheckRun

__all__ = ["align", "render"]


def render(run: CheckRun) -> str:
    """Return the findings as text."""
    parts = [_tell(checked, several=len(run.checked) > 1) for checked in run.checked]
    if len(run.checked) > 1:
        parts.append(align(("chip", "errors", "warnings", "advice", "waived", "rules"), list(map(_count, run.checked))))
    parts.extend(align(head, rows) for head, rows in run.tables)
    return "\n".join(parts)


def align(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    """Return a table in columns as wide as what is in them."""
    table = [head, *(tuple(map(str, row)) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join(lines) + "\n"


def _tell(checked: Checked, *, several: bool) -> str:
    head = (f"{checked.chip}:",) if several else ()
    text = (checked.comparison_text,) if checked.comparison_text else ()
    return "\n".join((*head, str(checked.report), *checked.notes, *text)) + "\n"


def _count(checked: Checked) -> tuple[object, ...]:
    report = checked.report
    found = (report.errors, report.warnings, report.advice, report.waived)
    return (checked.chip, *map(len, found), _list_rules(checked))


def _list_rules(checked: Checked) -> str:
    return ", ".join(sorted({diagnostic.rule for diagnostic in checked.report.errors})) or "-"

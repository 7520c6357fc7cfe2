"""Tables of measured figures, printed row by row and kept in docs/measurements.md between two marks."""

from collections.abc import Iterable
from pathlib import Path

Row = tuple[str, str, str]
"""What, measured, and held against."""

PAGE = Path("docs/measurements.md")


def print_rows(rows: Iterable[Row]) -> list[str]:
    """Print a table's lines as they are measured, and return them."""
    lines = ["| what | measured | held against |", "| --- | --- | --- |"]
    print(*lines, sep="\n")
    for row in rows:
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
    return lines


def write_table(name: str, lines: list[str]) -> None:
    """Put lines where the page says that ``make name`` writes them."""
    start, end = f"<!-- {name}: written by make {name} -->\n", "<!-- end -->"
    before, mark, rest = PAGE.read_text().partition(start)
    if not mark:
        raise SystemExit(f"{PAGE} has no place for the table: {start}")
    PAGE.write_text(before + start + "\n".join(lines) + "\n" + end + rest.partition(end)[2])

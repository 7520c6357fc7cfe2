"""Tables of measured figures, printed row by row and kept in the README between two marks."""

from collections.abc import Iterable
from pathlib import Path

Row = tuple[str, str, str]
"""What, measured, and held against."""


def print_rows(rows: Iterable[Row]) -> list[str]:
    """Print a table's lines as they are measured, and give them."""
    lines = ["| what | measured | held against |", "| --- | --- | --- |"]
    print(*lines, sep="\n")
    for row in rows:
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
    return lines


def write_readme(name: str, lines: list[str]) -> None:
    """Put lines where the README says that ``make name`` writes them."""
    readme, start, end = Path("README.md"), f"<!-- {name}: written by make {name} -->\n", "<!-- end -->"
    before, mark, rest = readme.read_text().partition(start)
    if not mark:
        raise SystemExit(f"README.md has no place for the table: {start}")
    readme.write_text(before + start + "\n".join(lines) + "\n" + end + rest.partition(end)[2])

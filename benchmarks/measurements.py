"""Tables of measured figures, printed row by row and kept in docs/measurements.md between two marks."""

from collections.abc import Iterable, Sequence
from pathlib import Path

Row = tuple[str, str, str]
"""What, measured, and held against."""

PAGE = Path("docs/measurements.md")


def choose_rows(words: Sequence[str], names: Iterable[str]) -> list[str]:
    """Return the names in which one of a command line's words stands, in any case; all where there are no words but options.

    Raises:
        SystemExit: a word that stands in no name, or ``--write`` beside words, since it would take the other rows off the page.
    """
    wanted, known = [word.lower() for word in words if not word.startswith("--")], list(names)
    for word in wanted:
        if not any(word in name.lower() for name in known):
            raise SystemExit(f"no row is called '{word}'; there are: {', '.join(known)}")
    if wanted and "--write" in words:
        raise SystemExit(f"--write writes the whole table: leave out {', '.join(wanted)}, or --write to see these rows alone")
    return [name for name in known if not wanted or any(word in name.lower() for word in wanted)]


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

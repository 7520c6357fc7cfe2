"""Tables with a row an observation, as Parquet or CSV."""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from snnmap.core import fsio
from snnmap.core.errors import InputError
from snnmap.core.packages import import_package

__all__ = ["Row", "format_csv", "read_table", "require_table_name", "write_table"]

Row = Mapping[str, str | int | float | bool | None]


def require_table_name(path: Path) -> None:
    """Refuse a file whose suffix is no table's, or whose package is missing.

    Raises:
        InputError: the suffix is neither ``.parquet`` nor ``.csv``.
        FrontendError: pyarrow is not installed, which Parquet needs.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise InputError(
            "the file's suffix says no form of a table", where=str(path), limit=".parquet, .csv", fix="name it table.parquet"
        )
    if path.suffix == ".parquet":
        import_package("pyarrow.parquet", called="pyarrow", extra="table")


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write a table, whole or not at all; columns that a row has not are left empty.

    Raises:
        InputError, FrontendError: as :func:`require_table_name`.
        OSError: as :func:`snnmap.core.fsio.write_file`.
    """
    require_table_name(path)
    fsio.write_file(path, format_csv(rows).encode() if path.suffix == ".csv" else _to_parquet(rows))


def format_csv(rows: Sequence[Row]) -> str:
    """Write a line that names the columns, and one a row; cells that a row has not, or that are None, are empty."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, _list_columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def read_table(path: Path, *, texts: Collection[str] = ()) -> list[dict[str, Any]]:
    """Read a table that :func:`write_table` wrote.

    Args:
        path: of the file.
        texts: columns that hold texts; of CSV, the cells of others come back as numbers, bools and None.

    Raises:
        InputError: the file is no such table.
    """
    require_table_name(path)
    try:
        if path.suffix == ".csv":
            with path.open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream, strict=True))
            return [{name: text if name in texts else _read_cell(text) for name, text in row.items()} for row in rows]
        read: list[dict[str, Any]] = import_package("pyarrow.parquet").read_table(path).to_pylist()
    except (OSError, ValueError, csv.Error) as error:
        fix = "give another name for the table, or remove the file"
        raise InputError(f"the table cannot be read: {error}", where=str(path), fix=fix) from error
    return read


def _list_columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _to_parquet(rows: Sequence[Row]) -> bytes:
    pyarrow, stream = import_package("pyarrow"), io.BytesIO()
    table = pyarrow.table({name: [row.get(name) for row in rows] for name in _list_columns(rows)})
    import_package("pyarrow.parquet").write_table(table, stream)
    return stream.getvalue()


def _read_cell(text: str | None) -> str | int | float | bool | None:
    if not text:
        return None
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

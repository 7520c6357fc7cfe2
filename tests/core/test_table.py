"""Tables come back as they were written."""

from pathlib import Path

import pytest

from snnmap.core.errors import InputError
from snnmap.core.table import read_table, write_table

ROWS = [
    {"port": "1", "sample": 0, "right": True, "value_0": 0.1 + 0.2, "label": None},
    {"port": 'a,"b"\n', "sample": 10**15, "right": False, "value_0": -1e-300, "label": 3, "value_1": 2.0},
]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_comes_back_as_it_was_written(tmp_path: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    write_table(tmp_path / f"t.{suffix}", ROWS)
    assert read_table(tmp_path / f"t.{suffix}", texts=["port"]) == [{**ROWS[0], "value_1": None}, ROWS[1]]


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no form of a table"):
        write_table(tmp_path / "t.xlsx", ROWS)
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "t.csv")
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "t.parquet")

"""snnmap fit: the table, its forms, sweeps, the smallest record, what it refuses."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from command_line import Run
from random_networks import random_network

from snnmap.core.table import read_table
from snnmap.network import save_network


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_network(random_network(3), tmp_path / "net.json")
    return tmp_path / "net.json"


def test_the_verb(run: Run, saved: Path, tmp_path: Path) -> None:
    chips = ("-c", "generic-4096", "-c", "toy-4", "--allow", "SNN6", "-q")
    shown = run("fit", saved, *chips)
    assert shown.code == 0
    assert "generic-4096" in shown.out
    plain = json.loads(run("fit", saved, *chips, "--format", "json").out)
    assert [row["fits"] for row in plain["chips"]] == [True, False]
    assert run("fit", saved, "-c", "toy-4", "-q").code == 1
    csv_file, svg = tmp_path / "fit.csv", tmp_path / "fit.svg"
    assert run("fit", saved, *chips, "--format", "csv", "-o", csv_file, "--draw", svg).code == 0
    assert csv_file.read_text().startswith("chip,fits,")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    swept = run("fit", saved, *chips[:2], *chips[4:], "--sweep", "hidden.count=4,4096", "--format", "json")
    assert [row["fits"] for row in json.loads(swept.out)["chips"]] == [False, True]
    pytest.importorskip("pyarrow")
    table = tmp_path / "fit.parquet"
    assert run("fit", saved, *chips, "--format", "parquet", "-o", table, "--workers", 1).code == 0
    assert [row["fits"] for row in read_table(table)] == [True, False]
    small = tmp_path / "small.toml"
    assert run("fit", saved, *chips[:2], *chips[4:], "--smallest", small).code == 0
    assert run("check", saved, "-c", small, "--allow", "SNN6").code == 0
    assert run("fit", saved, "-c", "toy-4", "--allow", "SNN6", "--smallest", small).code == 2
    assert run("fit", saved, "-c", "toy-4", "--allow", "SNN6", "--smallest", small, "--enlarge").code == 0
    assert run("check", saved, "-c", small, "--allow", "SNN6").code == 0


def test_what_the_verb_refuses(run: Run, saved: Path, tmp_path: Path) -> None:
    for arguments, told in (
        (("--sweep", "hidden.count=4"), "starts from one chip"),
        (("-c", "toy-4", "--sweep", "hidden.count"), "FIELD=V1"),
        (("-c", "toy-4", "--sweep", "hidden.cuont=4"), "hidden.count"),
        (("-c", "toy-4", "-o", str(tmp_path / "x")), "csv or"),
        (("-c", "generic-4069"), "generic-4096"),
        (("-c", "toy-4", "--enlarge"), "--smallest FILE"),
        (("-c", "toy-4", "--format", "parquet"), "-o table.parquet"),
        (("-c", "toy-4", "--workers", "2", "--cluster", "tcp://127.0.0.1:1"), "leave --workers out"),
    ):
        refused = run("fit", saved, *arguments)
        assert refused.code == 2
        assert told in refused.err

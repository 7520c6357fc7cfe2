"""A folder makes a back end: imports are held to the order of rooms, and its rules are explained."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from command_line import make_runner

import snnmap
from snnmap.core.rules import RULES

ROOT = Path(__file__).parents[1]
RULE = """
from snnmap.core.rules import rule

@rule("PHO101", "too-deep", object)
def check_depth(subject):
    \"\"\"What it checks: the depth.\"\"\"
    return ()
"""
CONTRACT = """
[tool.importlinter]
root_package = "house"
contract_types = ["rooms: import_contract.RoomsContract"]

[[tool.importlinter.contracts]]
name = "rooms"
type = "rooms"
containers = ["house"]
layers = ["cli", "lif", "core"]
exhaustive = true
"""
HOUSE = {"cli": "from house import lif", "lif": "from house import core", "lif/drc": "", "core": ""}


def lint(folder: Path, rooms: Mapping[str, str]) -> tuple[int, str]:
    """Lint the imports of a package with such rooms."""
    for room, text in {"": "", **HOUSE, **rooms}.items():
        (folder / "house" / room).mkdir()
        (folder / "house" / room / "__init__.py").write_text(text)
    (folder / "pyproject.toml").write_text(CONTRACT)
    linter = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    run = subprocess.run(linter, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return run.returncode, " ".join(run.stdout.split())


def test_a_new_back_end_needs_no_line_in_the_contract(tmp_path: Path) -> None:
    code, told = lint(tmp_path, {"photonic": "", "photonic/drc": "from house import core", "cli": "from house import photonic"})
    assert (code, "1 kept, 0 broken" in told) == (0, True), told


@pytest.mark.parametrize(
    ("rooms", "expected"),
    [
        ({"photonic": "", "photonic/drc": "from house import lif"}, "house.photonic is not allowed to import house.lif"),
        ({"photonic": "from house import cli", "photonic/drc": ""}, "house.photonic is not allowed to import house.cli"),
        ({"photonic": "", "photonic/drc": "", "core": "from house import photonic"}, "house.core is not allowed to import"),
        ({"odd": ""}, "not listed as layers: - house.odd"),
    ],
)
def test_a_new_back_end_stays_in_its_place(rooms: Mapping[str, str], expected: str, tmp_path: Path) -> None:
    code, told = lint(tmp_path, rooms)
    assert code == 1
    assert expected in told


def test_the_rules_of_a_new_back_end_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_runner(capsys)
    rules = tmp_path / "photonic" / "drc"
    rules.mkdir(parents=True)
    (rules.parent / "__init__.py").touch()
    (rules / "__init__.py").write_text(RULE)
    monkeypatch.setattr(snnmap, "__path__", [*snnmap.__path__, str(tmp_path)])
    try:
        assert run("explain", "PHO101").out == "PHO101 too-deep (error)\n\nWhat it checks: the depth.\n"
        listed = run("explain").out
        assert [letters in listed for letters in ("PHO101", "SNN101", "CIM101")] == [True] * 3
    finally:
        RULES.pop("PHO101", None)

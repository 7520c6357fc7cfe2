"""snnmap search: the table, its forms, the page, what it refuses."""

import json
from pathlib import Path

from command_line import Run
from design_spaces import write_space


def test_the_verb(run: Run, tmp_path: Path) -> None:
    space, folder, page = write_space(tmp_path), tmp_path / "found", tmp_path / "page.html"
    shown = run("search", space, "-o", folder, "--trials", "2", "--report", page)
    assert shown.code == 0
    assert "best of 2 candidates (2 finished)" in shown.out
    assert "candidate 1 finished: " in shown.err
    assert "All candidates" in page.read_text()
    plain = json.loads(run("search", space, "-o", folder, "--trials", "2", "-q", "--format", "json").out)
    assert [one["number"] for one in plain["candidates"]] == [0, 1]
    assert set(plain["best"]) <= {0, 1}
    lines = run("search", space, "-o", folder, "--trials", "2", "-q", "--format", "csv").out.splitlines()
    assert len(lines) == 3


def test_nothing_that_keeps_a_limit(run: Run, tmp_path: Path) -> None:
    space = write_space(tmp_path, data_from="data_from = 'data.npz'\nlimits = { neurons = 2 }")
    shown = run("search", space, "-o", tmp_path / "found", "--format", "csv", "-q")
    assert shown.code == 1
    assert all("limit 2" in line for line in shown.out.splitlines()[1:])
    table = run("search", space, "-o", tmp_path / "found", "-q")
    assert "1 x neurons: " in table.out


def test_bad_input(run: Run, tmp_path: Path) -> None:
    missing = run("search", tmp_path / "space.toml", "-o", tmp_path)
    assert missing.code == 2
    assert "the space cannot be read" in missing.err
    shown = run("search", write_space(tmp_path, n_trials="n_trial = 3"), "-o", tmp_path / "found")
    assert shown.code == 2
    assert "did you mean 'n_trials'?" in shown.err
    assert not (tmp_path / "found").exists()

"""Golden files are written anew by one switch, never in CI, and never by accident."""

from pathlib import Path

import pytest
from golden import may_update, require_golden


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A golden file, and an environment in which neither switch nor CI is set."""
    monkeypatch.delenv("SNNMAP_UPDATE_GOLDEN", raising=False)
    monkeypatch.delenv("CI", raising=False)
    path = tmp_path / "SNN101.txt"
    path.write_text("old\n")
    return path


def test_without_the_switch_a_difference_fails_and_the_file_stays(path: Path) -> None:
    require_golden(path, "old\n")
    with pytest.raises(AssertionError):
        require_golden(path, "new\n")
    assert path.read_text() == "old\n"


def test_a_missing_file_fails(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        require_golden(path.with_name("SNN102.txt"), "new\n")


def test_the_switch_writes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNNMAP_UPDATE_GOLDEN", "1")
    require_golden(path, "new\n")
    assert path.read_text() == "new\n"


def test_the_switch_is_refused_in_ci(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNNMAP_UPDATE_GOLDEN", "1")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(RuntimeError, match="CI"):
        require_golden(path, "new\n")
    assert path.read_text() == "old\n"


@pytest.mark.parametrize("value", ["", "0", "yes"])
def test_only_1_is_the_switch(path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SNNMAP_UPDATE_GOLDEN", value)
    assert not may_update()

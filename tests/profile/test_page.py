"""The page about profiles runs as shown, and its picture is the one that its command draws."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from command_line import make_runner

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "profile.md").read_text()
MODEL, IN_PYTHON = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def list_bars(svg: str) -> tuple[list[str], list[list[float]]]:
    """Give the texts of a picture, and the corners of what it fills."""
    root = ElementTree.fromstring(svg)
    texts = ["".join(element.itertext()).strip() for element in root.iter() if element.tag.endswith("}text")]
    paths = [element.get("d", "") for element in root.iter() if element.tag.endswith("}path")]
    return texts, [[round(float(number)) for number in re.findall(r"-?\d+\.?\d*", path)] for path in paths]


def test_the_picture_is_what_the_command_draws(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = re.findall(r"```sh\nsnnmap (.*)\n```", PAGE)
    found = make_runner(capsys)(*command.split())
    assert found.code == 0, found.err
    assert list_bars((folder / "profile.svg").read_text()) == list_bars((DOCS / "profile.svg").read_text())
    assert (folder / "profile.csv").exists()
    assert (folder / "profile.html").exists()


def test_the_rows_are_those_that_the_command_prints(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    printed = make_runner(capsys)("profile", "model.py:mobilenet", "--input-shape", "3,224,224").out.splitlines()
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE, flags=re.DOTALL)
    assert [line for line in shown.splitlines() if line not in printed] == []


def test_the_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    exec(MODEL + IN_PYTHON, names)
    assert "on 2 samples" in capsys.readouterr().out

"""The README's Python runs when pasted, its commands are those that there are, its links lead somewhere."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import make_runner
from design_spaces import write_space
from quantised_networks import make_small

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_it_is_short() -> None:
    assert README.count("\n") <= 120


def test_python_runs_when_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(block, {})
    assert "which the quantiser has not seen" in capsys.readouterr().out
    assert (tmp_path / "build" / "Sequential.bin").exists()


def test_commands_run_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    model = re.findall(r"```python\n(.*?)```", (ROOT / "docs/train.md").read_text(), flags=re.DOTALL)[0]
    (tmp_path / "model.py").write_text("torch_seed = __import__('torch').manual_seed(0)\n" + model)
    np.save("counts.npy", np.ones((2, 20, 12), np.int64))
    onnx.save(make_small(), "net.onnx")
    write_space(tmp_path)
    run = make_runner(capsys)
    commands = re.findall(r"`snnmap ([^`]+)`", README.partition("| command | does |")[2].partition("Exit codes")[0])
    assert len(commands) >= 10
    for command in commands:
        if command != "demo":
            assert run(*command.split()).code == 0, command


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)):
        assert target.startswith("https://") or (page.parent / target).exists(), target

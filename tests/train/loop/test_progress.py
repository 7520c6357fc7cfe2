"""What a training run says: a line an epoch, bars on a terminal, its results to whoever listens."""

import sys
import types
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from snnmap.core.errors import SnnmapError
from snnmap.train import EpochResult, TrainOptions, log_to_tensorboard, train_model

OPTIONS = TrainOptions(n_epochs=3)


def make() -> tuple[nn.Module, list[tuple[Tensor, Tensor]]]:
    torch.manual_seed(0)
    return nn.Linear(4, 2), [(torch.rand(8, 4), torch.arange(8) % 2) for _ in range(5)]


def test_every_epoch_is_told_once_to_who_listens(tmp_path: Path) -> None:
    model, batches = make()
    heard: list[EpochResult] = []
    file = tmp_path / "model.ckpt"
    written: list[bool] = []

    def listen(result: EpochResult) -> None:
        heard.append(result)
        written.append(file.exists())

    first = TrainOptions(n_epochs=2, schedule="constant")
    train_model(model, batches, options=first, checkpoint=file, validation=batches, on_epoch=listen, progress=False)
    last = TrainOptions(n_epochs=3, schedule="constant")
    history = train_model(model, batches, options=last, checkpoint=file, validation=batches, on_epoch=listen, progress=False)
    assert [result.epoch for result in heard] == [0, 1, 2]
    assert heard[-1] == history[-1]
    assert heard[-1].validation_accuracy is not None
    assert all(written)


def test_without_a_terminal_there_is_a_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    train_model(*make(), options=OPTIONS)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"epoch {number} of 3" for number in (1, 2, 3)]
    train_model(*make(), options=OPTIONS, progress=False)
    assert capsys.readouterr().err == ""


def test_on_a_terminal_there_are_bars(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    train_model(*make(), options=OPTIONS)
    told = capsys.readouterr().err
    assert "epochs" in told
    assert "batches" in told
    assert "5/5" in told
    assert "epoch 3 of 3" in told


def test_the_bars_go_away_when_training_fails(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    def fail(_: EpochResult) -> None:
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        train_model(*make(), options=OPTIONS, on_epoch=fail)
    assert capsys.readouterr().err.endswith(("\x1b[?25h", "\x1b[2K", "\x1b[1A\x1b[2K"))


class Writer:
    """Stands for TensorBoard's writer."""

    scalars: list[tuple[str, float, int]] = []  # noqa: RUF012 a test's

    def __init__(self, folder: str) -> None:
        self.scalars.clear()

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def flush(self) -> None:
        pass


def test_scalars_for_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    history = train_model(*make(), options=OPTIONS, on_epoch=log_to_tensorboard(tmp_path), progress=False)
    assert [(value, step) for name, value, step in Writer.scalars if name == "loss"] == [(r.loss, r.epoch) for r in history]
    assert {name for name, _, _ in Writer.scalars} == {"loss", "accuracy/training", "seconds"}


def test_without_tensorboard_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SnnmapError, match="pip install tensorboard"):
        log_to_tensorboard("runs")

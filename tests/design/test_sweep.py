"""Sweeps that train: what is varied, within which limits, on which samples."""

from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import make_runner
from torch import nn

import snnmap
from snnmap.core.errors import InputError
from snnmap.design import sweep_training
from snnmap.nn.models import make_layered
from snnmap.pipeline import CompileOptions
from snnmap.train import TrainOptions

LAX = CompileOptions(allow=("SNN6",))


def make() -> nn.Sequential:
    torch.manual_seed(0)
    return make_layered(6, 2, width=12, depth=2)


def draw(n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(n) // 2 % 2
    counts = np.random.default_rng(0).poisson(1.0, (n, 6, 6)) + 2 * labels[:, np.newaxis, np.newaxis] * (np.arange(6) < 3)
    return counts, labels


def test_a_choice_of_the_training() -> None:
    model, (counts, labels) = make(), draw()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    training = TrainOptions(learning_rate=0.02)
    data = {"calibration": counts, "labels": labels}
    fit = sweep_training(model, "generic-4096", "train.n_epochs", ["1", 12], **data, training=training, options=LAX)
    assert [row.chip for row in fit.rows] == [f"generic-4096, train.n_epochs = {n}" for n in (1, 12)]
    assert [row.fixes for row in fit.rows] == [(f"trained for {n} epochs on 60 samples",) for n in (1, 12)]
    assert fit.rows[0].accuracy is not None
    assert fit.rows[1].accuracy is not None
    assert fit.rows[0].accuracy < fit.rows[1].accuracy > 0.9
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_smaller_fan_in_is_learnt() -> None:
    counts, labels = draw()
    field, values = "recurrent_weights.max_fan_in", [4, 256]
    swept = snnmap.sweep_model(make(), "generic-4096", field, values, calibration=counts, labels=labels, options=LAX)
    assert [row.fits for row in swept.rows] == [False, True]
    trained = sweep_training(
        make(), "generic-4096", field, values, calibration=counts, labels=labels, options=LAX,
        training=TrainOptions(n_epochs=8, learning_rate=0.02),
    )  # fmt: skip
    assert [row.fits for row in trained.rows] == [True, True]
    fan_ins = {o.block: o.largest_fan_in for o in trained.rows[0].occupancy}
    assert max(fan_in or 0 for block, fan_in in fan_ins.items() if block.startswith("recurrent")) == 4


def test_an_ann_is_converted_anew() -> None:
    torch.manual_seed(0)
    ann = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    values = np.random.default_rng(0).uniform(0, 1, (40, 6))
    fit = snnmap.sweep_model(ann, "generic-4096", "convert.n_steps", [4, "8"], calibration=values, options=LAX)
    steps = [row.profile.n_steps for row in fit.rows if row.profile is not None]
    assert len(steps) == 2
    assert steps[1] - steps[0] >= 4
    with pytest.raises(InputError, match=r"did you mean 'convert\.n_steps'"):
        snnmap.sweep_model(ann, "generic-4096", "convert.n_step", [4], calibration=values)
    with pytest.raises(InputError, match="no calibration"):
        snnmap.sweep_model(ann, "generic-4096", "convert.n_steps", [4])
    with pytest.raises(InputError, match="a model that is not converted"):
        snnmap.sweep_model(make(), "generic-4096", "convert.n_steps", [4], calibration=draw()[0])


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("train.n_epoch", 3, "did you mean 'train.n_epochs'"),
        ("train.n_epochs", 0, "TrainOptions.n_epochs"),
        ("train.n_epochs", "many", "another type"),
    ],
)
def test_what_is_refused(field: str, value: object, told: str) -> None:
    counts, labels = draw(8)
    with pytest.raises(InputError, match=told):
        sweep_training(make(), "generic-4096", field, [value], calibration=counts, labels=labels)


def test_what_cannot_be_trained() -> None:
    counts, labels = draw(8)
    network = snnmap.sketch_network({"in": 4, "out": 3})
    with pytest.raises(InputError, match="only torch modules are trained"):
        sweep_training(network, "generic-4096", "train.n_epochs", [1], calibration=counts, labels=labels)
    with pytest.raises(InputError, match="do not belong together"):
        sweep_training(make(), "generic-4096", "train.n_epochs", [1], calibration=counts, labels=labels[:3])


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_runner(capsys)
    counts, labels = draw()
    np.save(tmp_path / "counts.npy", counts)
    np.save(tmp_path / "classes.npy", labels)
    model = "snnmap.nn.models:make_layered(6, 2, width=12, depth=2)"
    given = ("fit", model, "-c", "generic-4096", "--allow", "SNN6", "-q", "--format", "csv")
    data = ("--calibration", tmp_path / "counts.npy", "--labels", tmp_path / "classes.npy")
    shown = run(*given, *data, "--sweep", "train.n_epochs=1,2")
    assert shown.code == 0, shown.err
    assert "trained for 2 epochs on 60 samples" in shown.out
    shown = run(*given, *data, "--sweep", "recurrent_weights.max_fan_in=4", "--retrain", "1")
    assert shown.code == 0, shown.err
    assert "none" in run(*given, "--sweep", "train.n_epochs=1").err
    assert "--sweep FIELD=V1,V2" in run(*given, *data, "--retrain", "1").err
    assert "leave it out" in run(*given, *data, "--sweep", "train.n_epochs=1,2", "--retrain", "3").err

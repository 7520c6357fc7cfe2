"""The training loop: what it learns, what a resumed run is, which checkpoints it refuses."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from snnmap.core.errors import InputError
from snnmap.nn import LIF, LeakyIntegrator, Readout, collate_sequences
from snnmap.train import ActivityRecorder, TrainOptions, score_model, train_model

FEW = TrainOptions(n_epochs=4, learning_rate=1e-2, seed=3)


def make_model(size: int = 16, dash_mem: int = 2) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, size, bias=False),
        LIF(size, dash_syn=1, dash_mem=dash_mem),
        nn.Dropout(0.2),
        nn.Linear(size, 2, bias=False),
        LeakyIntegrator(2),
    )


def make_sequences(n: int = 48) -> list[tuple[Tensor, int]]:
    """Draw samples of 5 to 12 steps in which the first two or the last two channels are busier."""
    generator = torch.Generator().manual_seed(0)
    samples = []
    for number in range(n):
        label, length = number % 2, int(torch.randint(5, 13, (1,), generator=generator))
        rates = torch.tensor([2.0, 2.0, 1.0, 1.0] if label else [1.0, 1.0, 2.0, 2.0]).expand(length, 4)
        samples.append((torch.poisson(rates, generator=generator), label))
    return samples


def make_loader(batch_size: int = 16) -> DataLoader[tuple[Tensor, int]]:
    return DataLoader(make_sequences(), batch_size, shuffle=True, collate_fn=collate_sequences(2))  # type: ignore[arg-type]


def equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_samples_of_mixed_lengths_are_learnt() -> None:
    model, readout = make_model(), Readout("mean", settle_steps=2)
    before = score_model(model, make_loader(), readout=readout)
    history = train_model(
        model,
        make_loader(),
        readout=readout,
        options=replace(FEW, n_epochs=20),
        validation=make_loader(),
        progress=False,
    )
    assert before < 0.9
    assert [result.epoch for result in history] == list(range(20))
    assert history[-1].validation_accuracy == score_model(model, make_loader(), readout=readout) > 0.95
    assert history[-1].loss < 0.7 * history[0].loss


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    whole, parts = make_model(), make_model()
    readout, path = Readout("last", settle_steps=2), tmp_path / "model.ckpt"
    wanted = train_model(whole, make_loader(), readout=readout, options=FEW, progress=False)

    def stop(done: float) -> None:
        if done > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(parts, make_loader(), readout=readout, options=FEW, checkpoint=path, on_gradients=stop, progress=False)
    fresh = make_model()
    found = train_model(fresh, make_loader(), readout=readout, options=FEW, checkpoint=path, progress=False)
    assert equal(fresh, whole)
    assert [result.loss for result in found] == [result.loss for result in wanted]


WILD = replace(FEW, n_epochs=6, learning_rate=0.3, schedule="constant", keep="best")


def spoil_late(model: nn.Module) -> Callable[[float], None]:
    """Give gradients in the last epochs that lead all weights to 0 and beyond."""

    def spoil(done: float) -> None:
        for parameter in model.parameters():
            if done > 0.7 and parameter.grad is not None:
                parameter.grad = parameter.detach().clone()

    return spoil


def test_the_best_epoch_is_kept() -> None:
    readout, held = Readout("last", settle_steps=2), list(make_loader())
    best, last = make_model(), make_model()
    given = {"readout": readout, "validation": held, "progress": False}
    history = train_model(best, make_loader(), **given, options=WILD, on_gradients=spoil_late(best))  # type: ignore[arg-type]
    options = replace(WILD, keep="last")
    train_model(last, make_loader(), **given, options=options, on_gradients=spoil_late(last))  # type: ignore[arg-type]
    scores = [result.validation_accuracy for result in history]
    assert scores[-1] < max(scores)  # type: ignore[operator, type-var]
    assert score_model(best, held, readout=readout) == max(scores)  # type: ignore[type-var]
    assert score_model(last, held, readout=readout) == scores[-1]
    kept = [result.validation_accuracy for result in history if result.is_kept]
    assert kept == [max(scores)]  # type: ignore[type-var]
    with pytest.raises(InputError, match="validation"):
        train_model(make_model(), make_loader(), readout=readout, options=WILD, progress=False)


@pytest.mark.parametrize("is_resumed", [False, True])
def test_what_only_does_harm_leaves_the_model_as_it_was(is_resumed: bool, tmp_path: Path) -> None:
    readout, held, path = Readout("last", settle_steps=2), list(make_loader()), tmp_path / "model.ckpt"
    model = make_model()
    train_model(model, make_loader(), readout=readout, options=replace(FEW, n_epochs=12), progress=False)
    began, before = copy.deepcopy(model), score_model(model, held, readout=readout)

    def harm(done: float) -> None:
        spoil_late(model)(1.0)
        if is_resumed and done > 0.6:
            raise KeyboardInterrupt

    given = {"readout": readout, "options": replace(WILD, keep=None), "validation": held, "checkpoint": path, "progress": False}
    if is_resumed:
        with pytest.raises(KeyboardInterrupt):
            train_model(model, make_loader(), **given, on_gradients=harm)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="training began with"):
        history = train_model(model, make_loader(), **given, on_gradients=lambda _: spoil_late(model)(1.0))  # type: ignore[arg-type]
    assert all((result.validation_accuracy or 0.0) < before and not result.is_kept for result in history)
    assert equal(model, began)


def test_a_resumed_run_keeps_the_best_epoch_of_both_parts(tmp_path: Path) -> None:
    readout, held, path = Readout("last", settle_steps=2), list(make_loader()), tmp_path / "model.ckpt"
    whole, parts = make_model(), make_model()
    given = {"readout": readout, "options": WILD, "validation": held, "progress": False}
    train_model(whole, make_loader(), **given, on_gradients=spoil_late(whole))  # type: ignore[arg-type]

    def stop(done: float) -> None:
        if done > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(parts, make_loader(), **given, checkpoint=path, on_gradients=stop)  # type: ignore[arg-type]
    parts = make_model()
    train_model(parts, make_loader(), **given, checkpoint=path, on_gradients=spoil_late(parts))  # type: ignore[arg-type]
    assert equal(parts, whole)


AVERAGED = replace(FEW, average_last=0.6)


def test_the_mean_of_the_last_weights_is_left() -> None:
    model, seen = make_model(), []
    own = make_model()
    given = {"readout": Readout("last", settle_steps=2), "progress": False}
    train_model(own, make_loader(), **given, options=FEW, on_gradients=lambda _: seen.append(copy.deepcopy(own[0].weight)))  # type: ignore[arg-type]
    train_model(model, make_loader(), **given, options=AVERAGED)  # type: ignore[arg-type]
    after_steps = [weight.detach() for weight in seen[1:]] + [own[0].weight.detach()]
    kept = [weight for step, weight in enumerate(after_steps) if step + 1 > 0.4 * len(after_steps)]
    assert len(kept) == 8
    torch.testing.assert_close(model[0].weight.detach(), torch.stack(kept).mean(dim=0))


def test_what_is_validated_is_the_mean() -> None:
    model, readout = make_model(), Readout("last", settle_steps=2)
    scores: list[float] = []
    history = train_model(
        model,
        make_loader(),
        readout=readout,
        options=replace(WILD, average_last=1.0, keep="last"),
        validation=make_loader(),
        on_epoch=lambda _: scores.append(score_model(model, make_loader(), readout=readout)),
        progress=False,
    )
    assert history[-1].validation_accuracy == score_model(model, make_loader(), readout=readout)
    assert [result.validation_accuracy for result in history] != scores


def test_a_resumed_run_averages_both_parts(tmp_path: Path) -> None:
    whole, readout, path = make_model(), Readout("last", settle_steps=2), tmp_path / "model.ckpt"
    given = {"readout": readout, "options": AVERAGED, "progress": False}
    train_model(whole, make_loader(), **given)  # type: ignore[arg-type]

    def stop(done: float) -> None:
        if done > 0.8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(make_model(), make_loader(), **given, checkpoint=path, on_gradients=stop)  # type: ignore[arg-type]
    parts = make_model()
    train_model(parts, make_loader(), **given, checkpoint=path)  # type: ignore[arg-type]
    assert equal(parts, whole)


def test_running_statistics_are_averaged_with_the_weights() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    batches, seen = [(torch.randn(8, 4), torch.randint(0, 2, (8,)))] * 2, []
    options = TrainOptions(n_epochs=3, average_last=1.0)
    train_model(
        model, batches, options=options, on_gradients=lambda _: seen.append(model[1].running_mean.clone()), progress=False
    )
    torch.testing.assert_close(model[1].running_mean, torch.stack(seen).mean(dim=0))


def test_the_users_random_numbers_are_left_alone() -> None:
    model, before = make_model(), torch.get_rng_state()
    train_model(model, make_loader(), readout=Readout(settle_steps=2), options=FEW, progress=False)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (make_model(17), FEW, "module or parameter '0'"),
        (make_model()[:2].append(nn.Linear(16, 2, bias=False)).append(LeakyIntegrator(2)), FEW, "'2'"),
        (make_model(), replace(FEW, learning_rate=1e-3), "option 'learning_rate'"),
        (make_model(dash_mem=5), FEW, "1.beta"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, model: nn.Module, options: TrainOptions, said: str) -> None:
    path, readout = tmp_path / "model.ckpt", Readout(settle_steps=2)
    train_model(make_model(), make_loader(), readout=readout, options=replace(FEW, n_epochs=4), checkpoint=path, progress=False)
    before = copy.deepcopy(model)
    with pytest.raises(InputError, match=said):
        train_model(model, make_loader(), readout=readout, options=options, checkpoint=path, progress=False)
    assert equal(model, before)


@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: b"x" + data, lambda _: b"", lambda _: b"hello"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    path, readout = tmp_path / "model.ckpt", Readout(settle_steps=2)
    train_model(make_model(), make_loader(), readout=readout, options=FEW, checkpoint=path, progress=False)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match="damaged"):
        train_model(make_model(), make_loader(), readout=readout, options=FEW, checkpoint=path, progress=False)


def test_a_checkpoint_of_another_readout_or_other_batches_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    train_model(
        make_model(), make_loader(), readout=Readout("last", settle_steps=2), options=FEW, checkpoint=path, progress=False
    )
    for readout, loader, said in (
        (Readout("mean", settle_steps=2), make_loader(), "'readout'"),
        (Readout("last", settle_steps=2), make_loader(8), "'batches'"),
    ):
        with pytest.raises(InputError, match=said):
            train_model(make_model(), loader, readout=readout, options=FEW, checkpoint=path, progress=False)


def test_training_at_a_constant_rate_can_go_on_for_longer(tmp_path: Path) -> None:
    options, readout = replace(FEW, schedule="constant"), Readout("last", settle_steps=2)
    parts, whole = make_model(), make_model()
    for n_epochs in (2, 4):
        given = replace(options, n_epochs=n_epochs)
        history = train_model(
            parts, make_loader(), readout=readout, options=given, checkpoint=tmp_path / "model.ckpt", progress=False
        )
    train_model(whole, make_loader(), readout=readout, options=options, progress=False)
    assert len(history) == 4
    assert equal(parts, whole)


def test_progress_is_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    train_model(make_model(), make_loader(), readout=Readout(settle_steps=2), options=FEW, validation=make_loader())
    told = capsys.readouterr()
    assert told.out == ""
    assert [line.split(":")[0] for line in told.err.splitlines()] == [f"epoch {number} of 4" for number in range(1, 5)]
    assert "validation" in told.err


def test_outputs_over_time_need_a_readout() -> None:
    with pytest.raises(InputError, match="need a readout"):
        score_model(make_model(), make_loader())


def test_a_teacher_and_its_weight_belong_together() -> None:
    for teacher, weight in ((nn.Linear(4, 2), 0.0), (None, 0.5)):
        with pytest.raises(InputError, match="belong together"):
            train_model(make_model(), make_loader(), options=replace(FEW, distil_weight=weight), teacher=teacher)


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "onecycle"}, {"n_epochs": 0}, {"n_epochs": 2.5}, {"learning_rate": 0.0}, {"distil_weight": 2.0},
        {"clip_norm": -1.0}, {"seed": -1}, {"seed": 0.5}, {"seed": 2**32},
    ],
)  # fmt: skip
def test_options_have_ranges(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"TrainOptions.{next(iter(options))}"):
        TrainOptions(**options)  # type: ignore[arg-type]


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    path, readout = tmp_path / "model.ckpt", Readout("last", settle_steps=2)
    train_model(make_model(), make_loader(), readout=readout, options=replace(FEW, schedule="constant"), checkpoint=path)
    kept, model = path.read_bytes(), make_model()
    more = replace(FEW, schedule="constant", n_epochs=6)

    def spoil(_done: float) -> None:
        model[0].weight.grad.fill_(torch.nan)

    with pytest.raises(InputError, match="not finite"):
        train_model(model, make_loader(), readout=readout, options=more, checkpoint=path, on_gradients=spoil)
    assert path.read_bytes() == kept


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda inputs, labels: (inputs, labels + 1), r"measured: \d..2   limit: 0..1"),
        (lambda inputs, labels: (inputs, labels - 1), r"measured: -1..\d   limit: 0..1"),
        (lambda inputs, labels: (inputs, torch.eye(2, dtype=torch.int64)[labels]), r"labels\.argmax\(dim=1\)"),
        (lambda inputs, labels: (inputs, labels.float()), r"labels\.long\(\)"),
        (lambda inputs, labels: (inputs.double(), labels), r"inputs\.float\(\)"),
        (lambda inputs, labels: (inputs.long(), labels), r"inputs\.float\(\)"),
    ],
)
def test_batches_that_do_not_suit_are_told(spoil: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], said: str) -> None:
    batches = [spoil(inputs, labels) for inputs, labels, _ in make_loader()]
    with pytest.raises(InputError, match=said):
        train_model(make_model(), batches, readout=Readout("last"), options=FEW, progress=False)


def test_classes_may_be_short_integers_or_shares() -> None:
    found = []
    for change in (torch.Tensor.int, torch.Tensor.long, lambda labels: torch.eye(2)[labels]):
        torch.manual_seed(0)
        batches = [(inputs, change(labels)) for inputs, labels, _ in make_loader()]
        found.append(train_model(make_model(), batches, readout=Readout("last"), options=FEW, progress=False))
    assert [epoch.accuracy for epoch in found[0]] == [epoch.accuracy for epoch in found[1]]
    assert [epoch.accuracy for epoch in found[1]] == [epoch.accuracy for epoch in found[2]]
    assert found[2][-1].accuracy > 0


def test_a_name_is_no_readout_and_a_dict_no_options() -> None:
    with pytest.raises(InputError, match=r"give readout=Readout\('last'\)"):
        train_model(make_model(), make_loader(), readout="last", options=FEW, progress=False)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"(?s)dict.*give TrainOptions\(\.\.\.\)"):
        train_model(make_model(), make_loader(), options={"n_epochs": 2}, progress=False)  # type: ignore[arg-type]


def test_no_batches() -> None:
    with pytest.raises(InputError, match="no batches"):
        train_model(make_model(), [], progress=False)


def test_a_teacher_is_imitated() -> None:
    """Without labels' share in the loss, the student learns what the teacher says, be it wrong."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(64, 4, generator=generator)
    teacher, student = nn.Linear(4, 2), nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    taught = teacher(inputs).argmax(1)
    loader = DataLoader(TensorDataset(inputs, 1 - taught), 16)  # type: ignore[arg-type]
    options = replace(FEW, n_epochs=40, distil_weight=1.0)
    train_model(student, loader, options=options, teacher=teacher, progress=False)
    assert (student(inputs).argmax(1) == taught).float().mean() > 0.95


def test_penalties_pull_on_activity() -> None:
    def operations(options: TrainOptions) -> float:
        model = make_model()
        train_model(model, make_loader(), readout=Readout(settle_steps=2), options=options, progress=False)
        with ActivityRecorder(model) as activity:
            model.eval()(collate_sequences(2)(make_sequences())[0])
            return activity.synaptic_operations().item()

    free = operations(replace(FEW, n_epochs=10))
    assert operations(replace(FEW, n_epochs=10, operations_weight=0.05)) < 0.8 * free
    assert operations(replace(FEW, n_epochs=10, rate_weight=5.0, rate=0.0)) < 0.9 * free


def test_gradients_can_be_looked_at() -> None:
    model, seen = make_model(), []
    loader = make_loader()

    def look(done: float) -> None:
        seen.append(done)
        assert model[0].weight.grad is not None

    train_model(model, loader, readout=Readout(settle_steps=2), options=FEW, on_gradients=look, progress=False)
    assert len(seen) == 4 * len(loader)
    assert seen == sorted(seen)
    assert 0 == seen[0] < seen[-1] < 1

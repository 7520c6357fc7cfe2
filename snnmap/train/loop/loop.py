"""A training loop of a few lines: surrogate gradients, schedules, averages, activity penalties, a teacher, checkpoints."""

import copy
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError, OptionError
from snnmap.nn import Readout
from snnmap.train.activity import ActivityRecorder
from snnmap.train.loop.average import WeightAverage, copy_into
from snnmap.train.loop.batches import Batch, Batches
from snnmap.train.loop.checkpoint import BestState, Checkpoint, load_checkpoint, save_checkpoint
from snnmap.train.loop.progress import EpochResult, TrainingBars
from snnmap.train.models import require_module

__all__ = ["TrainOptions", "score_model", "train_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Choices of :func:`train_model`.

    Attributes:
        n_epochs: passes over the batches.
        learning_rate: of AdamW, the highest of the schedule.
        weight_decay: of AdamW (Loshchilov & Hutter 2019).
        schedule: ``one-cycle`` (Smith & Topin 2018), ``cosine`` or ``constant``.
        label_smoothing: of the cross entropy, 0..1.
        clip_norm: largest norm of the gradient; infinite for none.
        rate: spikes a neuron and step to which ``rate_weight`` pulls.
        rate_weight: weight of the squared distance from it.
        operations_weight: weight of the mean synaptic operations a sample.
        distil_weight: share of the loss that is the teacher's, 0..1.
        temperature: that softens both distributions for it (Hinton et al. 2015).
        average_last: share of the training, its last, of whose steps the weights are averaged (Izmailov et al. 2018), 0..1; 0 for
            none. The average is what is validated and left; training goes on from its own weights.
        keep: which model is left in the end: that of the ``last`` epoch, or the ``best`` on the validation batches, the one that
            training began with among them (the latest of equals). Where left out, the best where there are validation batches.
        seed: of the order of batches and of dropout, anew in each epoch, so that a resumed run is the uninterrupted one.

    Raises:
        InputError: a value out of its range.
    """

    n_epochs: int = 30
    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    label_smoothing: float = 0.0
    clip_norm: float = float("inf")
    rate: float = 0.05
    rate_weight: float = 0.0
    operations_weight: float = 0.0
    distil_weight: float = 0.0
    temperature: float = 2.0
    average_last: float = 0.0
    keep: Literal["last", "best"] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        checks = {
            "n_epochs": (isinstance(self.n_epochs, Integral) and self.n_epochs >= 1, "a whole number >= 1"),
            "learning_rate": (0.0 < self.learning_rate < float("inf"), "> 0"),
            "weight_decay": (self.weight_decay >= 0.0, ">= 0"),
            "schedule": (self.schedule in ("one-cycle", "cosine", "constant"), "one-cycle, cosine or constant"),
            "label_smoothing": (0.0 <= self.label_smoothing <= 1.0, "0..1"),
            "clip_norm": (self.clip_norm > 0.0, "> 0"),
            "rate_weight": (self.rate_weight >= 0.0, ">= 0"),
            "operations_weight": (self.operations_weight >= 0.0, ">= 0"),
            "distil_weight": (0.0 <= self.distil_weight <= 1.0, "0..1"),
            "temperature": (self.temperature > 0.0, "> 0"),
            "average_last": (0.0 <= self.average_last <= 1.0, "0..1"),
            "keep": (self.keep in (None, "last", "best"), "last or best"),
            "seed": (isinstance(self.seed, Integral) and 0 <= self.seed < 2**32, "a whole number from 0, below 2**32"),
        }
        for name, (holds, limit) in checks.items():
            InputError.require_option(self, name, holds, limit, of="the training")


@dataclass(slots=True, kw_only=True)
class _Trainer:
    """What a run changes, and what it is told by."""

    model: nn.Module
    batches: Batches
    readout: Readout | None
    options: TrainOptions
    loss: Callable[[Tensor, Tensor], Tensor]
    teacher: nn.Module | None
    on_gradients: Callable[[float], None]
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    history: list[EpochResult] = field(default_factory=list)
    best: BestState | None = None
    average: WeightAverage = field(default_factory=WeightAverage)

    def keep_best(self, epoch: int, accuracy: float) -> None:
        """Keep the model as it is now, unless it was better before."""
        if self.best is None or accuracy >= self.best.accuracy:
            self.best = BestState(epoch=epoch, accuracy=accuracy, state=copy.deepcopy(self.model.state_dict()))

    @property
    def penalises_activity(self) -> bool:
        return self.options.rate_weight > 0 or self.options.operations_weight > 0


def train_model(
    model: nn.Module,
    batches: Batches,
    *,
    readout: Readout | None = None,
    options: TrainOptions | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    teacher: nn.Module | None = None,
    validation: Iterable[Batch] | None = None,
    checkpoint: Path | str | None = None,
    on_gradients: Callable[[float], None] = lambda _: None,
    on_epoch: Callable[[EpochResult], None] = lambda _: None,
    progress: bool = True,
) -> tuple[EpochResult, ...]:
    """Train a classifier, spiking or not, in place; every part of it can be used in a loop of your own.

    ::

        loader = DataLoader(samples, 32, shuffle=True, collate_fn=collate_sequences(settle_steps=3))
        history = train_model(model, loader, readout=Readout("last", settle_steps=3), checkpoint="build/model.ckpt")

    Args:
        model: gives ``(batch, time, n)`` of ``(batch, time, n_inputs)``, or ``(batch, n)`` where there is no readout.
        batches: ``(inputs, labels)`` or ``(inputs, labels, lengths)``.
        readout: takes one value a class out of the outputs.
        options: choices.
        loss: of the read values and the labels, the mean over the batch; cross entropy where left out.
        teacher: an ANN, or any model, that takes the same ``(batch, time, n_inputs)`` inputs, padding included, and gives
            ``(batch, n)``; used with ``distil_weight``. Wrap one that takes something else.
        validation: batches that are scored after each epoch, and before the first where the best is kept.
        checkpoint: file written after each epoch; where it exists, training goes on from it, if model, options, readout and
            number of batches are the same. What the data are is not known to it.
        on_gradients: called between the backward pass and the step with the share of the training that is done, 0..1: the
            place for a :class:`snnmap.train.FanInLimiter` to regrow weights.
        on_epoch: called after each epoch, validated and its checkpoint written: the place for a plot that grows, or for
            :func:`log_to_tensorboard`. What it raises ends the training, which the checkpoint resumes.
        progress: show it on stderr, on a terminal with bars of epochs and batches. The first batch takes some seconds more, in
            which loops are compiled.

    Returns:
        A line an epoch, those before a resumption included; ``is_kept`` in that whose model is left. Where the best is kept and
        none scored as much as the model that training began with, none is, that model is left, and a ``UserWarning`` says so.

    Raises:
        InputError: no torch module, no batches, a teacher without ``distil_weight`` or the other way round, outputs that need
            a readout, no validation batches to keep the best epoch by, or a checkpoint that is damaged or of another model or
            other options.
    """
    require_module(model, "train_model")
    OptionError.require_record(options, TrainOptions, of="the training")
    options = options or TrainOptions()
    options = replace(options, keep=options.keep or ("last" if validation is None else "best"))
    if (teacher is None) != (options.distil_weight == 0.0):
        raise InputError(
            "a teacher and distil_weight belong together",
            where="train_model",
            measured=f"teacher {'given' if teacher is not None else 'missing'}, distil_weight {options.distil_weight:g}",
            fix="give both, or neither",
        )
    if options.keep == "best" and validation is None:
        raise InputError(
            "the best epoch is found on validation batches",
            where="train_model",
            measured="no validation",
            fix="give batches (validation=), or TrainOptions(keep='last')",
        )
    if not len(batches):
        raise InputError(
            "there are no batches to train on", where="train_model", measured="0", limit="1", fix="give some samples"
        )
    trainer = _make_trainer(model, batches, readout, options, loss, teacher, on_gradients)
    kept = Checkpoint(
        model=model,
        optimiser=trainer.optimiser,
        schedule=trainer.schedule,
        average=trainer.average,
        setting=_describe_setting(trainer),
    )
    if checkpoint is not None and Path(checkpoint).exists():
        trainer.history, trainer.best = load_checkpoint(kept, Path(checkpoint))
    with torch.random.fork_rng(devices=[]), TrainingBars(options.n_epochs, len(trainer.history), show=progress) as bars:
        if options.keep == "best" and validation is not None and trainer.best is None:
            trainer.keep_best(-1, score_model(model, validation, readout=readout))
        for epoch in range(len(trainer.history), options.n_epochs):
            torch.manual_seed(options.seed * 1_000_003 + epoch)
            result = _run_epoch(trainer, epoch, bars)
            with trainer.average.put_into(model):
                result.validation_accuracy = None if validation is None else score_model(model, validation, readout=readout)
                if options.keep == "best":
                    trainer.keep_best(epoch, result.validation_accuracy or 0.0)
            trainer.history.append(result)
            bars.tell(result)
            if checkpoint is not None:
                save_checkpoint(kept, trainer.history, trainer.best, Path(checkpoint))
            on_epoch(result)
    _leave_best(trainer)
    return tuple(trainer.history)


def _leave_best(trainer: _Trainer) -> None:
    """Bring the best model back where it is kept, or else the average, and mark the epoch whose model is left."""
    best = trainer.best
    if best is not None:
        trainer.model.load_state_dict(best.state)
    else:
        copy_into(trainer.model, trainer.average.values)
    if best is not None and best.epoch < 0:
        warnings.warn(
            f"no epoch reads as many validation samples right as the model that training began with ({best.accuracy:.2%}): "
            "it is left as it was; train with a lower learning_rate, or TrainOptions(keep='last')",
            stacklevel=3,
        )
    else:
        trainer.history[-1 if best is None else best.epoch].is_kept = True


@torch.no_grad()
def score_model(model: nn.Module, batches: Iterable[Batch], *, readout: Readout | None = None) -> float:
    """Return the share of samples whose largest read value is at their label; the model is run in evaluation mode."""
    was_training = model.training
    model.eval()
    right, n_samples = 0, 0
    try:
        for inputs, labels, *lengths in batches:
            right += _count_right(_read(_run_model(model, inputs), readout, lengths), labels)
            n_samples += len(labels)
    finally:
        model.train(was_training)
    return right / max(n_samples, 1)


def _make_trainer(
    model: nn.Module,
    batches: Batches,
    readout: Readout | None,
    options: TrainOptions,
    loss: Callable[[Tensor, Tensor], Tensor] | None,
    teacher: nn.Module | None,
    on_gradients: Callable[[float], None],
) -> _Trainer:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, options.learning_rate, weight_decay=options.weight_decay)
    return _Trainer(
        model=model,
        batches=batches,
        readout=readout,
        options=options,
        loss=loss or partial(_cross_entropy, label_smoothing=options.label_smoothing),
        teacher=teacher,
        on_gradients=on_gradients,
        optimiser=optimiser,
        schedule=_make_schedule(optimiser, options, options.n_epochs * len(batches)),
    )


def _describe_setting(trainer: _Trainer) -> dict[str, object]:
    """Return what a checkpoint must have been trained with to go on from."""
    setting = asdict(trainer.options)
    if trainer.options.schedule == "constant" and not trainer.options.average_last:
        del setting["n_epochs"]
    return setting | {
        "readout": str(trainer.readout),
        "teacher": type(trainer.teacher).__name__,
        "batches": len(trainer.batches),
    }


def _make_schedule(optimiser: Any, options: TrainOptions, n_batches: int) -> torch.optim.lr_scheduler.LRScheduler:
    schedules = torch.optim.lr_scheduler
    if options.schedule == "one-cycle":
        return schedules.OneCycleLR(optimiser, options.learning_rate, total_steps=max(n_batches, 2))
    if options.schedule == "cosine":
        return schedules.CosineAnnealingLR(optimiser, n_batches)
    return schedules.ConstantLR(optimiser, factor=1.0)


def _run_epoch(trainer: _Trainer, epoch: int, bars: TrainingBars) -> EpochResult:
    """Train on all batches once."""
    start, n_batches = time.monotonic(), len(trainer.batches)
    trainer.model.train()
    result = EpochResult(epoch=epoch, loss=0.0, accuracy=0.0)
    n_samples, right, total = 0, 0, 0.0
    recorder = ActivityRecorder(trainer.model) if trainer.penalises_activity else nullcontext()
    with recorder as activity:
        for number, batch in enumerate(bars.track(trainer.batches)):
            step, n_steps = epoch * n_batches + number, trainer.options.n_epochs * n_batches
            loss, read, labels = _run_batch(trainer, batch, activity, step / n_steps)
            if step + 1 > (1.0 - trainer.options.average_last) * n_steps:
                trainer.average.add(trainer.model)
            n_samples, right = n_samples + len(labels), right + _count_right(read, labels)
            total += loss * len(labels)
    result.loss, result.accuracy, result.seconds = total / n_samples, right / n_samples, time.monotonic() - start
    return result


def _run_batch(trainer: _Trainer, batch: Batch, activity: ActivityRecorder | None, done: float) -> tuple[float, Tensor, Tensor]:
    """Make one step; give the loss, what was read and the labels."""
    inputs, labels, *lengths = batch
    options = trainer.options
    trainer.optimiser.zero_grad()
    read = _read(_run_model(trainer.model, inputs), trainer.readout, lengths)
    loss = trainer.loss(read, labels)
    if trainer.teacher is not None:
        taught = _distil(read, _ask(trainer.teacher, inputs), options.temperature)
        loss = (1 - options.distil_weight) * loss + options.distil_weight * taught
    if activity is not None:
        loss = loss + options.rate_weight * activity.rate_penalty(options.rate)
        loss = loss + options.operations_weight * activity.synaptic_operations()
    if not loss.isfinite():
        raise InputError(
            "the loss is not finite; the last checkpoint is of the epoch before",
            where="train_model",
            measured=str(loss.item()),
            fix="train with a lower learning_rate or a clip_norm, and look for NaN in the data",
        )
    torch.autograd.backward(loss)
    trainer.on_gradients(done)
    if options.clip_norm < float("inf"):
        nn.utils.clip_grad_norm_(trainer.model.parameters(), options.clip_norm)
    trainer.optimiser.step()
    trainer.schedule.step()
    return float(loss.detach()), read.detach(), labels


def _run_model(model: nn.Module, inputs: Tensor) -> object:
    """Run a model; where it fails on numbers of another type than its weights', say so."""
    try:
        return model(inputs)
    except RuntimeError as error:
        kind = next((parameter.dtype for parameter in model.parameters()), inputs.dtype)
        if inputs.dtype == kind:
            raise
        raise InputError(
            "the inputs are of another type than the model's weights",
            where="train_model, score_model",
            measured=str(inputs.dtype),
            limit=str(kind),
            fix="convert them: inputs.float()",
        ) from error


def _cross_entropy(read: Tensor, labels: Tensor, *, label_smoothing: float) -> Tensor:
    """Return the cross entropy of classes ``(batch,)``, or of a share for each ``(batch, n)``."""
    are_shares = labels.is_floating_point()
    if labels.shape != (read.shape if are_shares else read.shape[:-1]):
        raise InputError(
            "the labels do not fit what the model gives",
            where="labels",
            measured=f"{labels.dtype} of shape {tuple(labels.shape)}",
            limit=f"integers of shape {tuple(read.shape[:-1])}, or shares of shape {tuple(read.shape)}",
            fix="give one class a sample: labels.long(), or labels.argmax(dim=1) of one-hot rows",
        )
    if not are_shares and not 0 <= int(labels.min()) <= int(labels.max()) < read.shape[-1]:
        raise InputError(
            "there are labels that no output stands for",
            where="labels",
            measured=f"{int(labels.min())}..{int(labels.max())}",
            limit=f"0..{read.shape[-1] - 1}",
            fix="number the classes as the outputs are, from 0",
        )
    return nn.functional.cross_entropy(read, labels if are_shares else labels.long(), label_smoothing=label_smoothing)


def _read(outputs: object, readout: Readout | None, lengths: list[Tensor]) -> Tensor:
    if not isinstance(outputs, Tensor):
        raise InputError(
            "the model gives something else than one tensor",
            where="train_model, score_model",
            measured=f"{type(outputs).__name__} of {len(outputs)}" if isinstance(outputs, tuple) else type(outputs).__name__,
            limit="(batch, time, n), or (batch, n)",
            fix="wrap it in a module that gives one output; to_chip_exact(model, chip) makes one of another framework's model",
        )
    if not callable(readout) and readout is not None:
        fix = f"give readout=Readout({str(readout)!r})"
        raise InputError("this is no readout", where="train_model, score_model", measured=repr(readout), fix=fix)
    read: Tensor = outputs if readout is None else readout(outputs, *lengths)
    if readout is None and outputs.ndim == 3:
        raise InputError(
            "outputs over time need a readout",
            where="train_model, score_model",
            measured=str(tuple(outputs.shape)),
            limit="(batch, n)",
            fix="give readout=Readout('last')",
        )
    return read


@torch.no_grad()
def _ask(teacher: nn.Module, inputs: Tensor) -> Tensor:
    answer: Tensor = teacher.eval()(inputs)
    return answer


def _distil(read: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Return the divergence of the softened distributions, times the squared temperature (Hinton et al. 2015, section 2.1)."""
    log = nn.functional.log_softmax
    return temperature**2 * nn.functional.kl_div(
        log(read / temperature, dim=1), log(taught / temperature, dim=1), reduction="batchmean", log_target=True
    )


def _count_right(read: Tensor, labels: Tensor) -> int:
    """Count the right classes, of shares the highest; 0 where labels are neither."""
    classes = labels.argmax(dim=-1) if labels.shape == read.shape else labels
    return int((read.argmax(dim=-1) == classes).sum()) if classes.shape == read.shape[:-1] else 0

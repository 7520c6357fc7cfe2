"""One candidate: made, held against the rules, trained, built and measured."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from snnmap.chip import Chip
from snnmap.core import IntArray
from snnmap.core.errors import ChipError, DesignRuleError, InputError, SnnmapError
from snnmap.core.near import suggest
from snnmap.core.record import record
from snnmap.design.objectives import OBJECTIVES, Shape, measure_run, measure_shape
from snnmap.design.optimiser import open_optuna
from snnmap.design.parameters import Value
from snnmap.design.space import Space
from snnmap.design.training import Labelled, limit_fan_in, train_classifier
from snnmap.lif.compare import read_labels, run_ports
from snnmap.loading import make_object
from snnmap.network import read_raster
from snnmap.pipeline import Artifacts, CompileOptions, compile_model
from snnmap.pipeline.build import check_structure, open_task
from snnmap.pipeline.ways import Task
from snnmap.train import EpochResult, TrainOptions

__all__ = ["Curve", "Outcome", "Samples", "State", "evaluate", "folder_of", "require_start"]

State = Literal["finished", "broken", "stopped", "failed"]
"""Measured; breaks a rule or limit; stopped early, as worse than others; an error."""
CANDIDATE_FILE = "candidate.json"
_ARRAYS = ("train", "train_labels", "validation", "validation_labels")


@record
class Curve:
    """What stopping early goes by.

    Attributes:
        weights: that a candidate stores.
        accuracies: on the validation data after each epoch.
    """

    weights: float
    accuracies: tuple[float, ...]


@record
class Outcome:
    """What became of a candidate.

    Attributes:
        state: finished, or why not.
        measures: figures by name, as far as it came.
        reason: why it is broken, stopped or failed.
        accuracies: on the validation data after each epoch, in floats.
    """

    state: State
    measures: Mapping[str, float]
    reason: str = ""
    accuracies: tuple[float, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "state": self.state,
            "measures": dict(self.measures),
            "reason": self.reason,
            "accuracies": list(self.accuracies),
        }


@record
class Samples:
    """Spike counts ``(n, n_steps, n_channels)`` and classes ``(n,)``."""

    train: IntArray
    train_labels: IntArray
    validation: IntArray
    validation_labels: IntArray


@record
class _Made:
    """A candidate before its training."""

    model: Any
    chip: Chip
    samples: Samples
    build: CompileOptions
    training: TrainOptions
    batch_size: int
    on_gradients: Callable[[float], None] | None


def folder_of(folder: Path, number: int) -> Path:
    """Return where the files of a candidate lie."""
    return folder / f"candidate-{number:04d}"


def require_start(space: Space, values: Mapping[str, Value]) -> None:
    """Make a candidate and hold it against the rules, so that what is wrong with the space is told before anything runs.

    Raises:
        SnnmapError: data or model cannot be made.
    """
    with _threads_and_draws(space.seed):
        try:
            made = _make(space, values)
            _open(made, made.samples.train[:1])
        except ChipError:  # of this candidate alone
            return


def evaluate(space: Space, values: Mapping[str, Value], earlier: tuple[Curve, ...], folder: Path | None) -> Outcome:
    """Make, train, build and measure a candidate; equal arguments give equal outcomes.

    Args:
        space: that it is of.
        values: what was chosen.
        earlier: candidates by which it is judged while it trains.
        folder: for its bitstream and the other files of the build; None for none.
    """
    with _threads_and_draws(space.seed):
        try:
            return _evaluate(space, values, earlier, folder)
        except SnnmapError as error:
            return Outcome(state="failed", measures={}, reason=str(error))


class _threads_and_draws:  # noqa: N801 - used as the function that it makes
    """Within the block torch runs on one thread and draws from a seed; after it as before."""

    def __init__(self, seed: int) -> None:
        self._seed, self._fork = seed, torch.random.fork_rng(devices=[])

    def __enter__(self) -> None:
        self._n_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self._fork.__enter__()
        torch.manual_seed(self._seed)

    def __exit__(self, *told: Any) -> None:
        self._fork.__exit__(*told)
        torch.set_num_threads(self._n_threads)


def _evaluate(space: Space, values: Mapping[str, Value], earlier: tuple[Curve, ...], folder: Path | None) -> Outcome:
    try:
        made = _make(space, values)
    except ChipError as error:
        return Outcome(state="broken", measures={}, reason=error.what)
    found = check_structure(_open(made, None), made.chip)
    measures = {} if found.mapped is None else measure_shape(Shape(found.mapped, made.samples.validation.shape[1]))
    reason = _tell_rules(found.report.errors) or _tell_limits(space, measures)
    if reason:
        return Outcome(state="broken", measures=measures, reason=reason)
    accuracies: list[float] = []
    if not _train(space, made, accuracies, lambda: _is_worse(space, earlier, measures["weights"], accuracies)):
        reason = f"accuracy {accuracies[-1]:.1%} after {len(accuracies)} of {made.training.n_epochs} epochs"
        return Outcome(state="stopped", measures=measures, reason=reason, accuracies=tuple(accuracies))
    try:
        artifacts = _build(space, made)
    except DesignRuleError as error:
        reason = _tell_rules(error.diagnostics)
        return Outcome(state="broken", measures=measures, reason=reason, accuracies=tuple(accuracies))
    measures |= _measure(artifacts, made.samples)
    reason = _tell_limits(space, measures)
    outcome = Outcome(state="broken" if reason else "finished", measures=measures, reason=reason, accuracies=tuple(accuracies))
    if folder is not None and not reason:
        _write(folder, artifacts, made.model, values, outcome)
    return outcome


def _make(space: Space, values: Mapping[str, Value]) -> _Made:
    chip = space.make_chip(values)
    build, training, batch_size, limits_fan_in = space.make_options(values)
    samples = _read_samples(space.locate(space.data_from), tuple(sorted(space.select(values, "data").items())))
    torch.manual_seed(space.seed)
    model, _, _ = make_object(space.locate(space.model_from), space.select(values, "model"))
    on_gradients = limit_fan_in(model, chip) if limits_fan_in and isinstance(model, nn.Module) else None
    return _Made(
        model=model,
        chip=chip,
        samples=samples,
        build=build,
        training=training,
        batch_size=batch_size,
        on_gradients=on_gradients,
    )


def _open(made: _Made, calibration: IntArray | None) -> Task:
    """Read a candidate's model, and hold the classes of its data against the outputs."""
    task = open_task(made.model, made.build, calibration, None)
    network = task.network
    n_classes = max((sum(network.population(name).size for name in port.populations) for port in network.outputs), default=0)
    for name in ("train_labels", "validation_labels"):
        labels: IntArray = getattr(made.samples, name)
        try:
            read_labels(labels, len(labels), n_classes)
        except InputError as error:
            raise error.within(name) from error
    return task


@lru_cache(maxsize=4)
def _read_samples(source: str, arguments: tuple[tuple[str, Value], ...]) -> Samples:
    """Read data: of a file, or of what a function gives for arguments."""
    if source.endswith(".npz"):
        if arguments:
            fix = "leave [data] out, or give a function as data_from"
            raise InputError("a file of data takes no parameters", where=source, measured=", ".join(dict(arguments)), fix=fix)
        try:
            with np.load(source, allow_pickle=False) as stored:
                found: Any = dict(stored.items())
        except Exception as error:  # numpy lets through whatever the bytes lead its readers to
            raise InputError(f"the data cannot be read: {error}", where=source, fix="give an .npz file") from error
    else:
        found, _, _ = make_object(source, dict(arguments))
    return _check_samples(found, source)


def _check_samples(found: Any, source: str) -> Samples:
    if not isinstance(found, Mapping):
        found = {name: getattr(found, name) for name in _ARRAYS if hasattr(found, name)}
    missing = [name for name in _ARRAYS if name not in found]
    if missing:
        fix = suggest(missing[0], found, f"give {', '.join(_ARRAYS)}: a mapping, an object with these, or an .npz file")
        raise InputError("the data lack arrays", where=source, measured=f"no {', '.join(missing)}", fix=fix)
    try:
        samples = Samples(**{name: np.asarray(found[name]).astype(np.int64, casting="same_kind") for name in _ARRAYS})
    except TypeError as error:
        fix = "give spike counts and classes as integers"
        raise InputError(f"the data are no whole numbers: {error}", where=source, fix=fix) from error
    for part in ("train", "validation"):
        counts, labels = getattr(samples, part), getattr(samples, f"{part}_labels")
        if counts.ndim != 3 or labels.shape != counts.shape[:1] or not counts.size:
            raise InputError(
                "samples and labels do not belong together",
                where=f"{source}, {part}",
                measured=f"{counts.shape} and {labels.shape}",
                limit="(n, n_steps, n_channels) and (n,), some",
                fix="give as many classes as samples",
            )
        read_raster(counts, samples.train.shape[2], where=f"{source}, {part}")
    return samples


def _tell_rules(broken: Any) -> str:
    """Return the rules that are broken, each once, with what was measured."""
    first = {found.rule: found for found in reversed(list(broken))}
    return "; ".join(f"{d.rule} {d.name}: {d.measured}, limit {d.limit}" for d in reversed(first.values()))


def _tell_limits(space: Space, measures: Mapping[str, float]) -> str:
    """Return the limits that are broken, as far as is measured."""
    return "; ".join(
        f"{name}: {measures[name]:.6g}, limit {limit:g}"
        for name, limit in space.limits.items()
        if name in measures and OBJECTIVES[name].excess(measures[name], limit) > 0
    )


def _is_worse(space: Space, earlier: tuple[Curve, ...], weights: float, accuracies: Sequence[float]) -> bool:
    """Say whether a candidate is to be stopped, by Optuna's pruner, among those that store no more weights."""
    stopping = space.early_stopping
    with open_optuna() as optuna:
        trials, study = optuna.trial, optuna.create_study(direction="maximize")
        for curve in earlier:
            if curve.weights <= weights:
                reported = dict(enumerate(curve.accuracies))
                study.add_trial(trials.create_trial(value=curve.accuracies[-1], intermediate_values=reported))
        pruner = optuna.pruners.PercentilePruner(
            100.0 * (1.0 - stopping.share), n_startup_trials=stopping.n_before, n_warmup_steps=stopping.n_epochs - 1
        )
        reported = dict(enumerate(accuracies))
        running = trials.create_trial(state=trials.TrialState.RUNNING, intermediate_values=reported)
        return bool(pruner.prune(study, running))


def _train(space: Space, made: _Made, accuracies: list[float], is_worse: Callable[[], bool]) -> bool:
    """Train a torch module in place, to the end unless it is worse than others; other models are built as they are."""
    if not isinstance(made.model, nn.Module):
        return True

    def ends(result: EpochResult) -> bool:
        accuracies.append(float(result.validation_accuracy or 0.0))
        return result.epoch + 1 < made.training.n_epochs and is_worse()

    samples = made.samples
    return train_classifier(
        made.model,
        Labelled(counts=samples.train, labels=samples.train_labels),
        options=made.training,
        readout=space.readout,
        batch_size=made.batch_size,
        validation=Labelled(counts=samples.validation, labels=samples.validation_labels),
        on_gradients=made.on_gradients,
        on_epoch=ends,
    )


def _build(space: Space, made: _Made) -> Artifacts:
    n, samples = space.n_calibration, made.samples
    return compile_model(
        made.model, made.chip, options=made.build, calibration=samples.train[:n], labels=samples.train_labels[:n]
    )


def _measure(artifacts: Artifacts, samples: Samples) -> dict[str, float]:
    image = artifacts.image
    if image.manifest is None:
        raise InputError("the image does not say how its outputs are read", where="evaluate")
    port, *more = run_ports(image, image.manifest, samples.validation)
    if more or port.classes is None:
        raise InputError("accuracy is of one output port of several outputs", where="evaluate", fix="give a model of one")
    accuracy = float((port.classes == samples.validation_labels).mean())
    return {"accuracy": accuracy, **measure_run(artifacts.profile(samples.validation))}


def _write(folder: Path, artifacts: Artifacts, model: Any, values: Mapping[str, Value], outcome: Outcome) -> None:
    """Write the build, with what was chosen and measured, and the trained weights."""
    plain = {"values": dict(values), **outcome.to_plain()}
    more = {CANDIDATE_FILE: f"{json.dumps(plain, indent=2)}\n".encode()}
    if isinstance(model, nn.Module):
        stream = io.BytesIO()
        torch.save(model.state_dict(), stream)
        more["model.pt"] = stream.getvalue()
    artifacts.write(folder, name="network", more=more)

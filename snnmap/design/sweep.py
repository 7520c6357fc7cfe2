"""Sweeps that train: a choice of the training at several values, or a model trained anew for each chip."""

import copy
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from snnmap.chip import Chip, load_chip
from snnmap.core.errors import InputError
from snnmap.core.fields import list_fields, put_field
from snnmap.design.training import Labelled, limit_fan_in, train_classifier
from snnmap.lif.fixes import FixOptions
from snnmap.loading import make_object
from snnmap.pipeline import CompileOptions, Fit
from snnmap.pipeline.build import OnStage
from snnmap.pipeline.fit import Variant, fit_variants, require_field, vary_fields
from snnmap.pipeline.ways import hold_back
from snnmap.train import TrainOptions

__all__ = ["sweep_training"]

_TRAIN = "train."


def sweep_training(
    model: object,
    chip: Chip | str,
    field: str,
    values: Sequence[Any],
    *,
    calibration: npt.ArrayLike,
    labels: npt.ArrayLike,
    training: TrainOptions | None = None,
    batch_size: int = 64,
    options: CompileOptions | None = None,
    fixes: FixOptions | None = None,
    on_stage: OnStage = lambda _: None,
    executor: Executor | None = None,
    n_workers: int = 0,
) -> Fit:
    """Train a model from where it is for each value of a field, within the fan-in of the chip, and build what that gives.

    It is trained on the samples that the quantiser sees; accuracy and decisions kept are those of the samples held back.

    Args:
        model: a torch module, or what makes one, as :func:`compile_model` takes it; it is left as it is.
        chip: a record, catalog name or TOML path.
        field: ``train.`` and a choice of :class:`snnmap.train.TrainOptions`; or a field of the record or of the options, as
            :func:`snnmap.sweep_model` takes it.
        values: likewise.
        calibration: ``(n_samples, n_steps, n_channels)`` spike counts.
        labels: ``(n_samples,)`` classes.
        training: choices of the training.
        batch_size: samples a batch.
        options: choices of the build; the readout that is trained is its ``decision``, else ``last``.
        fixes: as :func:`snnmap.sweep_model` takes them.
        on_stage: called with a line of text as each stage starts.
        executor: builds, not trains, as :func:`snnmap.fit_model` takes it.
        n_workers: likewise.

    Raises:
        InputError: no such field or value, no torch module, or data that do not suit.
        FrontendError, ChipError: as :func:`snnmap.fit_model`.
    """
    made, _, _ = make_object(model)
    if not isinstance(made, nn.Module):
        fix = "give the module that is to be trained, or a function that makes it"
        raise InputError("only torch modules are trained", where="sweep", measured=type(made).__name__, fix=fix)
    counts, classes = np.asarray(calibration), np.asarray(labels)
    if counts.ndim != 3 or classes.shape != counts.shape[:1]:
        raise InputError(
            "samples and labels do not belong together",
            where="calibration, labels",
            measured=f"{counts.shape} and {classes.shape}",
            limit="(n, n_steps, n_channels) and (n,)",
            fix="give a class for each sample",
        )
    chosen = options or CompileOptions()
    seen = np.setdiff1d(np.arange(len(counts)), hold_back(len(counts), chosen.hold_back))
    samples = Labelled(counts=counts[seen].astype(np.int64), labels=classes[seen].astype(np.int64))
    variants = _vary(made, load_chip(chip), field, values, samples, training or TrainOptions(), batch_size, chosen, on_stage)
    return fit_variants(
        variants,
        calibration=counts,
        labels=classes,
        fixes=fixes,
        on_stage=on_stage,
        executor=executor,
        n_workers=n_workers,
    )


def _vary(
    model: nn.Module,
    chip: Chip,
    field: str,
    values: Sequence[Any],
    samples: Labelled,
    training: TrainOptions,
    batch_size: int,
    options: CompileOptions,
    on_stage: OnStage,
) -> Iterator[Variant]:
    of_training = field.startswith(_TRAIN)
    known = [f"{_TRAIN}{name}" for name in list_fields(training)]
    if of_training:
        require_field(field, known, known)
    untrained = (
        (Variant(name=f"{chip.name}, {field} = {value}", source=model, chip=chip, options=options) for value in values)
        if of_training
        else vary_fields(model, chip, field, values, options)
    )
    for value, variant in zip(values, untrained, strict=True):
        varied = put_field(training, field.removeprefix(_TRAIN), value) if of_training else training
        yield variant if variant.problem else _train(variant, samples, varied, batch_size, on_stage)


def _train(variant: Variant, samples: Labelled, training: TrainOptions, batch_size: int, on_stage: OnStage) -> Variant:
    on_stage(f"training for '{variant.name}'")
    model: Any = copy.deepcopy(variant.source).to(torch.get_default_dtype())  # type: ignore[attr-defined]
    train_classifier(
        model,
        samples,
        options=training,
        readout=variant.options.decision or "last",
        batch_size=batch_size,
        on_gradients=limit_fan_in(model, variant.chip),
    )
    told = f"trained for {training.n_epochs} epochs on {len(samples.labels)} samples"
    return replace(variant, source=model, changes=(told,))

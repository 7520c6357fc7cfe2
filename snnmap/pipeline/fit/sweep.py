"""What a limit of the chip, or a choice of the build, is worth: a row a value."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy.typing as npt

from snnmap.chip import Chip, MemoryKind, load_chip
from snnmap.core.errors import ChipError, InputError, NoRoomError
from snnmap.core.fields import list_fields, put_field
from snnmap.core.near import suggest
from snnmap.lif.fixes import FixOptions
from snnmap.loading import Opened, open_model
from snnmap.pipeline.build import OnStage, open_source
from snnmap.pipeline.fit.fit import Variant, fit_variants
from snnmap.pipeline.fit.rows import Fit, tell_broken
from snnmap.pipeline.options import CompileOptions, Rasters

__all__ = [
    "require_field",
    "sweep_model",
    "vary_fields",
]

_CONVERT = "convert."
"""What names of choices of a conversion begin with."""


def sweep_model(
    model: object,
    chip: Chip | str,
    field: str,
    values: Sequence[Any],
    *,
    options: CompileOptions | None = None,
    calibration: Rasters | None = None,
    labels: npt.ArrayLike | None = None,
    read: Mapping[str, Any] | None = None,
    fixes: FixOptions | None = None,
    on_stage: OnStage = lambda _: None,
    executor: Executor | None = None,
    n_workers: int = 0,
) -> Fit:
    """Build a model again and again with one field of the chip's record, or one choice of the build, at several values.

    Args:
        model: whatever :func:`compile_model` takes.
        chip: whose record is changed.
        field: such as ``recurrent_weights.max_fan_in`` of the record, ``quantise.second_synapse`` of the options, or of an ANN
            ``convert.n_steps`` of the conversion. Of training, :func:`snnmap.design.sweep_training` varies choices.
        values: that it takes; texts are read as Python literals where the field is no text.
        options: choices of the build.
        calibration: as :func:`fit_model` takes it.
        labels: likewise.
        read: likewise.
        fixes: likewise.
        on_stage: called with a line of text as each stage starts.
        executor: as :func:`fit_model` takes it.
        n_workers: likewise.

    Returns:
        A line a value; where the record would contradict itself, with that as its problem.

    Raises:
        InputError: neither the record nor the options have such a field, or a value is not of its type.
        FrontendError, ChipError: as :func:`fit_model`.
    """
    base, chosen = load_chip(chip), options or CompileOptions()
    if field.startswith(_CONVERT):
        variants = _vary_conversion(model, base, field, values, chosen, calibration, read)
    else:
        variants = vary_fields(open_source(model, calibration, read), base, field, values, chosen)
    return fit_variants(
        variants,
        calibration=calibration,
        labels=labels,
        fixes=fixes,
        on_stage=on_stage,
        executor=executor,
        n_workers=n_workers,
    )


def vary_fields(source: object, chip: Chip, field: str, values: Sequence[Any], options: CompileOptions) -> Iterator[Variant]:
    """Yield a variant for each value of a field of the chip's record or of the options.

    Raises:
        InputError: neither has such a field, or a value is not of its type.
    """
    of_chip = field in list_fields(chip)
    if not of_chip:
        require_field(field, list_fields(options), [*list_fields(chip), *list_fields(options)])
    for value in values:
        name = f"{chip.name}, {field} = {value}"
        try:
            varied, choices = (put_field(chip, field, value), options) if of_chip else (chip, put_field(options, field, value))
        except ChipError as error:
            yield Variant(name=name, chip=chip, options=options, problem=error.what)
            continue
        yield Variant(name=name, source=source, chip=varied, options=choices, changes=_tell_price(chip, varied))


def _tell_price(chip: Chip, varied: Chip) -> tuple[str, ...]:
    """Say where memories of a record are of another size, and the one price that there is stays."""
    prices = chip.costs.prices
    if prices is None or prices.weight_bit_read_pj is None or prices.weight_reads:
        return ()
    sizes = [(kind.weights_name, chip.weight_bytes(kind), varied.weight_bytes(kind)) for kind in MemoryKind]
    changed = ", ".join(f"{name} of {now:.0f} bytes as of {before:.0f}" for name, before, now in sizes if now != before)
    return (
        (f"energy: reads are priced by one price whatever the size, {changed} (give costs.prices.weight_reads)",)
        if changed
        else ()
    )


def require_field(field: str, fields: Sequence[str], known: Sequence[str]) -> None:
    """Refuse a field that is not among those that a sweep can vary; one that is like it is told.

    Raises:
        InputError: there is none of its name.
    """
    if field not in fields:
        raise InputError(
            "neither the chip's record nor the options of the build have this field",
            where="sweep",
            measured=field,
            fix=suggest(field, known, "name one such as recurrent_weights.max_fan_in, hidden.count or quantise.second_synapse"),
        )


def _vary_conversion(
    model: object,
    chip: Chip,
    field: str,
    values: Sequence[Any],
    options: CompileOptions,
    calibration: Rasters | None,
    read: Mapping[str, Any] | None,
) -> Iterator[Variant]:
    """Yield a variant for each value of a choice of the conversion of an ANN, converted anew."""
    from snnmap.convert.options import ConvertOptions

    known = [f"{_CONVERT}{name}" for name in list_fields(ConvertOptions())]
    require_field(field, known, known)
    for value in values:
        chosen = put_field(ConvertOptions(), field.removeprefix(_CONVERT), value)
        name, opened = f"{chip.name}, {field} = {value}", None
        if calibration is not None and not isinstance(calibration, Mapping):
            try:
                opened = open_model(model, calibration=calibration, conversion=chosen, chips=(chip,), **dict(read or {}))
            except NoRoomError as error:
                yield Variant(name=name, chip=chip, options=options, problem=tell_broken(error.diagnostics))
                continue
        if opened is None or opened.conversion is None or isinstance(model, Opened):
            raise InputError(
                "choices of a conversion are varied for an ANN and input values, with which it is converted anew",
                where=f"sweep of {field}",
                measured="a model that is not converted" if calibration is not None else "no calibration",
                fix="give a torch module of ReLUs, an ONNX file or a layer graph, and calibration data",
            )
        changes = opened.conversion.changes
        yield Variant(name=name, source=opened, chip=chip, options=options, changes=changes)

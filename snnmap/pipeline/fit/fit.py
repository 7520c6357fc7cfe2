"""Which chip holds a model, and at what cost: every chip beside the others."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.chip import Chip, list_chips, load_chip
from snnmap.core.errors import NoRoomError
from snnmap.core.jobs import run_jobs
from snnmap.core.record import record
from snnmap.lif.fixes import Applied, FixOptions
from snnmap.lif.profile import ChipProfile, list_slots, profile_image
from snnmap.lif.program import measure_occupancy
from snnmap.pipeline.artifacts import CheckResult
from snnmap.pipeline.build import OnStage, check_task, open_task
from snnmap.pipeline.fit.rows import ChipFit, Fit
from snnmap.pipeline.fix import fix_task, open_to_fix
from snnmap.pipeline.options import CompileOptions, Rasters
from snnmap.pipeline.ways import Task

__all__ = [
    "Variant",
    "fit_model",
    "fit_variants",
    "refuse_all",
]


def fit_model(
    model: object,
    chips: Iterable[Chip | str] | None = None,
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
    """Build a model for several chips, and tell what each has room for and what a sample costs on it.

    Args:
        model: whatever :func:`compile_model` takes.
        chips: records, catalog names or TOML paths; all of the catalog where left out.
        options: choices of the build.
        calibration: as :func:`compile_model` takes it; cycles, energy and decisions are those of these inputs. Without, inputs
            are drawn.
        labels: as :func:`compile_model` takes them.
        read: likewise.
        fixes: change the model for chips that it does not fit, by these (:func:`fix_model`); without, nothing is changed.
        on_stage: called with a line of text as each stage starts.
        executor: runs a chip a job, with the interface of ``concurrent.futures``; the fit is the same.
        n_workers: local processes that do where there is no executor; 0 is none but this one.

    Returns:
        A line a chip, in the order given; what does not fit has the violations.

    Raises:
        FrontendError: the model cannot be read as a network.
        ChipError: unknown or malformed chip.
        InputError: calibration data or labels that do not suit the model.
    """
    records = [load_chip(chip) for chip in (list_chips() if chips is None else chips)]
    read_for = partial(open_task, model, options, calibration, labels, read)
    try:
        task = open_to_fix(read_for, records) if fixes else read_for(records)
    except NoRoomError as error:
        return refuse_all(records, error)
    builds = {place: (task, chip, chip.name, fixes) for place, chip in enumerate(records)}
    rows = _fit_all(builds, on_stage, executor, n_workers)
    return Fit(model=task.network.name, rows=tuple(rows[place] for place in builds))


def refuse_all(chips: Iterable[Chip], error: NoRoomError) -> Fit:
    """Return the fit of a model for which none of the chips has room, as counting shows; they are those of the error."""
    rows = (ChipFit(chip=chip.name, broken=report.errors) for chip, report in zip(chips, error.reports, strict=True))
    return Fit(model=error.model, rows=tuple(rows))


_Build = tuple[Task, Chip, str, FixOptions | None]


def _fit_all(builds: Mapping[int, _Build], on_stage: OnStage, executor: Executor | None, n_workers: int) -> dict[int, ChipFit]:
    if executor is None and n_workers == 0:
        return {place: _fit(*build, on_stage) for place, build in builds.items()}
    rows = {}
    for place, row in run_jobs(_fit, builds, executor, n_workers=n_workers or None):
        on_stage(f"chip '{row.chip}' is done")
        rows[place] = row
    return rows


def _say_nothing(_: str) -> None: ...


def _fit(task: Task, chip: Chip, name: str, fixes: FixOptions | None, on_stage: OnStage = _say_nothing) -> ChipFit:
    on_stage(f"chip '{name}'")
    found = check_task(task, chip, on_stage)
    applied: tuple[Applied, ...] = ()
    if fixes is not None and not found.report.is_clean:
        made = fix_task(task, chip, fixes=fixes, on_stage=on_stage)
        found, applied = made.checked, made.applied
    mapped = found.mapped
    placed = () if mapped is None else measure_occupancy(mapped)
    return ChipFit(
        chip=name,
        broken=found.report.errors,
        occupancy=placed,
        n_relays=0 if mapped is None else mapped.n_relays,
        latency_steps=0 if mapped is None else mapped.latency_steps,
        profile=_profile(task, found),
        comparison=found.comparison,
        fixes=tuple(map(str, applied)),
    )


def _profile(task: Task, found: CheckResult) -> ChipProfile | None:
    if found.image is None or found.mapped is None:
        return None
    mapped = found.mapped
    padded = np.pad(task.read_channels(mapped.chip), ((0, 0), (0, mapped.latency_steps), (0, 0)))
    return profile_image(found.image, padded, populations=list_slots(mapped.table), dt_s=mapped.dt_s)


@record
class Variant:
    """One of several builds to be compared.

    Attributes:
        name: in the table.
        source: the model, as :func:`compile_model` takes it; None where there is none.
        chip: likewise.
        options: of the build.
        problem: why there is nothing to build, empty where there is.
        changes: what was done to the model for this, each with what it costs.
    """

    name: str
    source: object = None
    chip: Chip
    options: CompileOptions
    problem: str = ""
    changes: tuple[str, ...] = ()


def fit_variants(
    variants: Iterable[Variant],
    *,
    calibration: Rasters | None,
    labels: npt.ArrayLike | None,
    fixes: FixOptions | None = None,
    on_stage: OnStage = lambda _: None,
    executor: Executor | None = None,
    n_workers: int = 0,
) -> Fit:
    """Build variants of a model, of its chip or of its build, a line each; arguments and errors as those of :func:`fit_model`."""
    model, rows, builds, changes = "", dict[int, ChipFit](), dict[int, _Build](), dict[int, tuple[str, ...]]()
    for place, variant in enumerate(variants):
        if variant.problem:
            rows[place] = ChipFit(chip=variant.name, problem=variant.problem)
            continue
        task = open_task(variant.source, variant.options, calibration, labels)
        builds[place], changes[place] = (task, variant.chip, variant.name, fixes), variant.changes
        model = model or task.network.name
    for place, row in _fit_all(builds, on_stage, executor, n_workers).items():
        rows[place] = replace(row, fixes=(*changes[place], *row.fixes))
    return Fit(model=model, rows=tuple(rows[place] for place in sorted(rows)))

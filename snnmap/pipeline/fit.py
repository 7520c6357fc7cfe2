"""Which chip holds a model, and at what cost: every chip beside the others, and what a limit is worth."""

import ast
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from snnmap.chip import Chip, MemoryKind, list_chips
from snnmap.core.diagnostics import Diagnostic
from snnmap.core.errors import ChipError, InputError
from snnmap.core.jobs import run_jobs
from snnmap.core.near import suggest
from snnmap.core.record import record
from snnmap.lif.fixes import Applied, FixOptions
from snnmap.lif.profile import ChipProfile, Cycles, list_slots, profile_image
from snnmap.lif.program import Comparison, MappedNetwork, Occupancy, measure_occupancy, memories_of
from snnmap.pipeline.artifacts import CheckResult
from snnmap.pipeline.build import OnStage, check_task, open_source, open_task, read_chip
from snnmap.pipeline.fix import fix_task
from snnmap.pipeline.options import CompileOptions, Rasters
from snnmap.pipeline.ways import Task

__all__ = ["ChipFit", "Fit", "find_smallest_chip", "fit_model", "sweep_model"]

T = TypeVar("T")


@record
class ChipFit:
    """A model on one chip.

    Attributes:
        chip: name; in a sweep with what was changed.
        problem: why there is no such chip, empty where there is.
        broken: violations; none where the model fits.
        occupancy: neurons and weight words, used and available, as far as the model could be folded.
        n_relays: hidden neurons that wait.
        latency_steps: steps by which outputs lag.
        profile: of the runs that bitstream and model were compared on; None where nothing was built.
        comparison: of bitstream and model; where the model was fixed, of bitstream and fixed network.
        fixes: what was changed for this chip, each with what that costs.
    """

    chip: str
    problem: str = ""
    broken: tuple[Diagnostic, ...] = ()
    occupancy: tuple[Occupancy, ...] = ()
    n_relays: int = 0
    latency_steps: int = 0
    profile: ChipProfile | None = None
    comparison: Comparison | None = None
    fixes: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the chip holds the model and does what it does, within the limits of the agreement."""
        return not self.problem and not self.broken

    @property
    def tightest(self) -> Occupancy | None:
        """The resource of which the largest part is used."""
        return max(self.occupancy, key=lambda o: o.share, default=None)

    @property
    def decisions(self) -> float | None:
        """Least share of samples, over ports, that are decided as the model does; None where no classes are read."""
        if self.comparison is None:
            return None
        ports = [max(a.agreeing for a in port.agreements) for port in self.comparison.ports if port.agreements]
        return min(ports) / max(1, self.comparison.n_samples) if ports else None

    def to_plain(self) -> dict[str, Any]:
        """Return the fit as JSON values, a number or null a column."""
        profile, tightest = self.profile, self.tightest
        cycles: dict[str, Cycles] = {} if profile is None else {c.model: c for c in profile.cycles}
        return {
            "chip": self.chip,
            "fits": self.fits,
            "broken": self.problem or "; ".join(map(_describe, self.broken)),
            "tightest": "" if tightest is None else tightest.block,
            "used": None if tightest is None else tightest.share,
            "relays": self.n_relays,
            "latency_steps": self.latency_steps,
            "walker_cycles_a_sample": _a_sample(profile, cycles, "walker"),
            "average_cycles_a_sample": _a_sample(profile, cycles, "average"),
            "synaptic_operations_a_sample": None
            if profile is None
            else sum(p.synaptic_operations for p in profile.populations) / max(1, profile.n_samples),
            "joules_a_sample": None if profile is None else profile.joules_a_sample,
            "decisions": self.decisions,
            "fixes": list(self.fixes),
            "slack": {o.block: o.capacity - o.used for o in self.occupancy},
        }


def _describe(found: Diagnostic) -> str:
    return f"{found.rule} {found.message}, measured {found.measured}, limit {found.limit}"


def _a_sample(profile: ChipProfile | None, cycles: Mapping[str, Cycles], model: str) -> float | None:
    return None if profile is None or model not in cycles else cycles[model].mean * profile.n_steps


@record
class Fit:
    """A model on several chips.

    Attributes:
        model: name of the network.
        rows: a line a chip.
    """

    model: str
    rows: tuple[ChipFit, ...]

    def _repr_html_(self) -> str:
        from snnmap.core.html import heading, make_table, to_html

        return to_html(heading(f"'{self.model}' on {len(self.rows)} chips"), make_table(self.columns, self.to_cells()))

    @property
    def columns(self) -> tuple[str, ...]:
        """Heads of the table, costs a sample; ``#`` marks numbers."""
        return (
            "chip", "fits", "tightest resource", "used#", "relays#", "latency (steps)#",
            "cycles, vendor's#", "cycles, open core#", "synaptic operations#", "energy#", "decisions kept#", "broken",
        )  # fmt: skip

    def to_cells(self) -> list[tuple[str, ...]]:
        """Return the table's rows as text; what is unknown is told as such."""
        return [_to_cells(row) for row in self.rows]


def _to_cells(row: ChipFit) -> tuple[str, ...]:
    plain = row.to_plain()
    walked, vendors = plain["walker_cycles_a_sample"], plain["average_cycles_a_sample"]
    ran = row.profile is not None
    return (
        row.chip,
        "yes" if row.fits else "no",
        plain["tightest"],
        "" if plain["used"] is None else f"{plain['used']:.0%}",
        str(row.n_relays) if row.occupancy else "",
        str(row.latency_steps) if row.occupancy else "",
        _tell(vendors, ran, ",.0f"),
        _tell(walked, ran, ",.0f"),
        _tell(plain["synaptic_operations_a_sample"], ran, ",.0f"),
        _tell(None if plain["joules_a_sample"] is None else 1e9 * plain["joules_a_sample"], ran, ",.1f", " nJ"),
        "" if row.decisions is None else f"{row.decisions:.1%}",
        row.problem or "; ".join(f"{d.rule} {d.name}: {d.measured}, limit {d.limit}" for d in _first_of_each(row.broken)),
    )


def _first_of_each(broken: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return the first finding of each rule."""
    return list({d.rule: d for d in reversed(list(broken))}.values())[::-1]


def _tell(value: float | None, ran: bool, form: str, unit: str = "") -> str:
    if value is None:
        return "unknown" if ran else ""
    return f"{value:{form}}{unit}"


def fit_model(
    model: object,
    chips: Iterable[Chip | str] | None = None,
    *,
    options: CompileOptions | None = None,
    calibration: Rasters | None = None,
    labels: npt.ArrayLike | None = None,
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
    task = open_task(model, options, calibration, labels)
    records = [read_chip(chip) for chip in (list_chips() if chips is None else chips)]
    builds = {place: (task, chip, chip.name, fixes) for place, chip in enumerate(records)}
    rows = _fit_all(builds, on_stage, executor, n_workers)
    return Fit(model=task.network.name, rows=tuple(rows[place] for place in builds))


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


def sweep_model(
    model: object,
    chip: Chip | str,
    field: str,
    values: Sequence[Any],
    *,
    options: CompileOptions | None = None,
    calibration: Rasters | None = None,
    labels: npt.ArrayLike | None = None,
    fixes: FixOptions | None = None,
    on_stage: OnStage = lambda _: None,
    executor: Executor | None = None,
    n_workers: int = 0,
) -> Fit:
    """Build a model again and again with one field of the chip's record, or one choice of the build, at several values.

    Args:
        model: whatever :func:`compile_model` takes.
        chip: whose record is changed.
        field: such as ``recurrent_weights.max_fan_in`` of the record, or ``quantise.second_synapse`` of the options.
        values: that it takes; texts are read as Python literals where the field is no text.
        options: choices of the build.
        calibration: as :func:`fit_model` takes it.
        labels: likewise.
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
    base, chosen = read_chip(chip), options or CompileOptions()
    of_chip = _has_field(base, field)
    if not of_chip and not _has_field(chosen, field):
        known = [*_list_fields(base), *_list_fields(chosen)]
        raise InputError(
            "neither the chip's record nor the options of the build have this field",
            where="sweep",
            measured=field,
            fix=suggest(field, known, "name one such as recurrent_weights.max_fan_in, hidden.count or quantise.second_synapse"),
        )
    source, rows, builds = open_source(model, calibration), dict[int, ChipFit](), dict[int, _Build]()
    for place, value in enumerate(values):
        name = f"{base.name}, {field} = {value}"
        try:
            varied, choices = (_put(base, field, value), chosen) if of_chip else (base, _put(chosen, field, value))
        except ChipError as error:
            rows[place] = ChipFit(chip=name, problem=error.what)
            continue
        builds[place] = open_task(source, choices, calibration, labels), varied, name, fixes
    rows |= _fit_all(builds, on_stage, executor, n_workers)
    return Fit(model=source.network.name, rows=tuple(rows[place] for place in sorted(rows)))


def _has_field(part: Any, path: str) -> bool:
    return path in _list_fields(part)


def _list_fields(part: Any, prefix: str = "") -> list[str]:
    """Return the paths of all fields that are no parts of their own."""
    found: list[str] = []
    for field in fields(part):
        value = getattr(part, field.name)
        nested = is_dataclass(value) and not isinstance(value, type)
        found += _list_fields(value, f"{prefix}{field.name}.") if nested else [f"{prefix}{field.name}"]
    return found


def _put(part: T, path: str, value: Any) -> T:
    """Return a record in which one field, of a part of it, has another value."""
    name, _, rest = path.partition(".")
    old = getattr(part, name)
    changes: dict[str, Any] = {name: _put(old, rest, value) if rest else _read_like(old, value, path)}
    return replace(part, **changes)  # type: ignore[type-var]


def _read_like(old: Any, value: Any, path: str) -> Any:
    """Return a value of the type that a field has; texts are read."""
    if isinstance(value, str) and not isinstance(old, str):
        with suppress(ValueError, SyntaxError):
            value = ast.literal_eval({"true": "True", "false": "False", "none": "None", "inf": "1e999"}.get(value, value))
    if isinstance(old, float) and type(value) is int:
        value = float(value)
    if old is not None and type(value) is not type(old):
        raise InputError(
            "this field holds values of another type", where=f"sweep of {path}", measured=repr(value), limit=type(old).__name__,
            fix=f"give such as {old!r}",
        )  # fmt: skip
    return value


def find_smallest_chip(
    model: object,
    chip: Chip | str,
    *,
    options: CompileOptions | None = None,
    calibration: Rasters | None = None,
    labels: npt.ArrayLike | None = None,
    on_stage: OnStage = lambda _: None,
) -> Chip:
    """Return the record with the fewest neurons and weight words that holds a model: a chip cut down to what the model uses.

    Widths, delays, layouts and arithmetic stay as they are.

    Args:
        model: whatever :func:`compile_model` takes.
        chip: that holds the model.
        options: choices of the build.
        calibration: as :func:`fit_model` takes it.
        labels: likewise.
        on_stage: called with a line of text as each stage starts.

    Raises:
        InputError: the chip does not hold the model, or the model does not fit what is left of it.
        FrontendError, ChipError: as :func:`fit_model`.
    """
    base, task = read_chip(chip), open_task(model, options, calibration, labels)
    found = check_task(task, base, on_stage)
    if found.mapped is None or not found.report.is_clean:
        raise InputError(
            f"chip '{base.name}' does not hold this model, so nothing can be cut from it",
            measured="; ".join(d.rule for d in found.report.errors),
            fix="name a chip that does (`snnmap fit MODEL` lists them)",
        )
    smallest = _shorten_reaches(task, _cut_down(found.mapped), found.mapped, on_stage)
    again = check_task(task, smallest, on_stage)
    if not again.report.is_clean:
        raise InputError(
            "on what is left of the chip the model is folded otherwise, and does not fit",
            measured="; ".join(str(d) for d in again.report.errors),
            fix="report this as a defect",
        )
    return smallest


def _shorten_reaches(task: Task, chip: Chip, mapped: MappedNetwork, on_stage: OnStage) -> Chip:
    """Cut the reaches down to the fewest slots into which the neurons that inputs reach, or outputs read, can be placed."""
    whole, (taking, read) = chip, _list_reached(mapped)
    for row, slots in (("inputs", taking), ("outputs", read)):
        low, high = max(1, slots.size), getattr(chip, row).reach.count
        count = low  # which mostly does
        while low < high:
            part = getattr(chip, row)
            changes: dict[str, Any] = {row: replace(part, reach=replace(part.reach, count=count))}
            found = check_task(task, replace(chip, **changes), on_stage)
            if found.mapped is not None and found.report.is_clean:
                chip = _cut_down(found.mapped)
                high = getattr(chip, row).reach.count
            else:
                low = count + 1
            count = (low + high) // 2
    return replace(chip, name=whole.name, description=whole.description)


def _list_reached(mapped: MappedNetwork) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the hidden slots that inputs reach, and those that outputs read."""
    taking = np.flatnonzero(np.sum([m.column_lengths for m in mapped.weights(MemoryKind.INPUT)], axis=0))
    read = np.flatnonzero(np.sum([m.row_lengths for m in mapped.weights(MemoryKind.OUTPUT)], axis=0))
    return taking, read


def _cut_down(mapped: MappedNetwork) -> Chip:
    chip, n_inputs, n_hidden, n_outputs = mapped.chip, mapped.table.channel_source.size, mapped.hidden.size, mapped.outputs.size
    taking, read = _list_reached(mapped)
    cut = replace(
        chip,
        name=f"{chip.name}-for-{mapped.name}",
        description=f"{chip.name}, cut down to what '{mapped.name}' uses",
        inputs=replace(chip.inputs, count=n_inputs, reach=_reach(chip.inputs.reach, taking, n_hidden)),
        hidden=replace(chip.hidden, count=n_hidden),
        outputs=replace(chip.outputs, count=n_outputs, reach=_reach(chip.outputs.reach, read, n_hidden)),
    )
    memories: dict[str, Any] = {}
    for kind, (name, memory, matrices) in zip(MemoryKind, memories_of(mapped), strict=True):
        sources, targets = cut.addresses(kind, n_inputs, n_hidden, n_outputs)
        words = max(matrix.nnz for matrix in matrices) if memory.is_sparse else len(sources) * len(targets)
        fan_in = max(int(matrix.column_lengths.max(initial=1)) for matrix in matrices)
        fan_out = int(np.sum([matrix.row_lengths for matrix in matrices], axis=0).max(initial=1))
        memories[name] = replace(
            memory, max_words=max(1, words), max_fan_in=memory.max_fan_in and fan_in, max_fan_out=memory.max_fan_out and fan_out
        )
    return replace(cut, **memories)


def _reach(reach: Any, slots: npt.NDArray[np.int64], n_hidden: int) -> Any:
    """Return the reach that still takes in these slots."""
    far = 1 if not slots.size else int(slots.max()) + 1 if reach.anchor == "first" else n_hidden - int(slots.min())
    return replace(reach, count=far)

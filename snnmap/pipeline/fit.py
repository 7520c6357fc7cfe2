"""Which chip holds a model, and at what cost: every chip beside the others, and what a limit is worth."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.chip import Chip, MemoryKind, list_chips
from snnmap.core.diagnostics import Diagnostic
from snnmap.core.errors import ChipError, InputError, NoRoomError
from snnmap.core.fields import list_fields, put_field
from snnmap.core.jobs import run_jobs
from snnmap.core.near import suggest
from snnmap.core.record import record
from snnmap.lif.fixes import Applied, FixOptions
from snnmap.lif.profile import ChipProfile, Cycles, list_slots, profile_image
from snnmap.lif.program import Comparison, MappedNetwork, Occupancy, measure_occupancy, memories_of
from snnmap.loading import Opened, open_model
from snnmap.pipeline.artifacts import CheckResult
from snnmap.pipeline.build import OnStage, check_task, open_source, open_task, read_chip
from snnmap.pipeline.fix import fix_task
from snnmap.pipeline.options import CompileOptions, Rasters
from snnmap.pipeline.ways import Task

__all__ = [
    "ChipFit",
    "Fit",
    "Variant",
    "find_smallest_chip",
    "fit_model",
    "fit_variants",
    "refuse_all",
    "require_field",
    "sweep_model",
    "vary_fields",
]

_FOR = "-for-"
_CONVERT = "convert."
"""What names of choices of a conversion begin with."""


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

    @property
    def accuracy(self) -> float | None:
        """Least share of samples, over ports, that the bitstream decides as labelled; None without labels."""
        if self.comparison is None:
            return None
        ports = [[a.chip_correct for a in port.agreements if a.chip_correct is not None] for port in self.comparison.ports]
        return min(max(port) for port in ports if port) / max(1, self.comparison.n_samples) if any(ports) else None

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
            "accuracy": self.accuracy,
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
            "cycles, vendor's#", "cycles, open core#", "synaptic operations#", "energy#", "decisions kept#", "accuracy#",
            "broken",
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
        "" if row.accuracy is None else f"{row.accuracy:.1%}",
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
    records = [read_chip(chip) for chip in (list_chips() if chips is None else chips)]
    try:
        task = open_task(model, options, calibration, labels, read, chips=() if fixes else records)
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
    base, chosen = read_chip(chip), options or CompileOptions()
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
                yield Variant(name=name, chip=chip, options=options, problem="; ".join(map(_describe, error.diagnostics)))
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


def find_smallest_chip(
    model: object,
    chip: Chip | str,
    *,
    enlarge: bool = False,
    options: CompileOptions | None = None,
    calibration: Rasters | None = None,
    labels: npt.ArrayLike | None = None,
    read: Mapping[str, Any] | None = None,
    on_stage: OnStage = lambda _: None,
) -> Chip:
    """Return the record with the fewest neurons and weight words that holds a model: a chip cut down to what the model uses.

    Widths, delays, layouts and arithmetic stay as they are; only ids become as wide as the neurons are many.

    Args:
        model: whatever :func:`compile_model` takes.
        chip: that holds the model.
        enlarge: whether the chip may have too little room for the model, which the record then has.
        options: choices of the build.
        calibration: as :func:`fit_model` takes it.
        labels: likewise.
        read: likewise.
        on_stage: called with a line of text as each stage starts.

    Raises:
        InputError: the chip does not hold the model, or the model does not fit what is left of it.
        FrontendError, ChipError: as :func:`fit_model`.
    """
    base, task = read_chip(chip), open_task(model, options, calibration, labels, read)
    found = check_task(task, base, on_stage)
    if enlarge and found.mapped is not None and not found.report.is_clean:
        found = check_task(task, _cut_down(found.mapped), on_stage)
    if found.mapped is None or not found.report.is_clean:
        even = ", even of any size," if enlarge else ""
        raise InputError(
            f"chip '{base.name}'{even} does not hold this model, so nothing can be cut from it",
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
    n_most, name = max(n_inputs, n_hidden, n_outputs), chip.name.partition(_FOR)[0]
    whole: dict[str, Any] = {
        kind.weights_name: replace(chip.memory(kind), max_words=max(1, math.prod(kind.shape(n_inputs, n_hidden, n_outputs))))
        for kind in MemoryKind
    }
    cut = replace(
        chip,
        name=f"{name}{_FOR}{mapped.name}",
        description=f"{name}, of the size that '{mapped.name}' uses",
        bits=replace(chip.bits, neuron_id=max(chip.bits.neuron_id, n_most.bit_length())),
        inputs=replace(chip.inputs, count=n_inputs, reach=_reach(chip.inputs.reach, taking, n_hidden)),
        hidden=replace(chip.hidden, count=n_hidden),
        outputs=replace(chip.outputs, count=n_outputs, reach=_reach(chip.outputs.reach, read, n_hidden)),
        **whole,
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

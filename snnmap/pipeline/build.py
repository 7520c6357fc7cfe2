"""From a model to a bitstream: the stages, one after the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import numpy.typing as npt

from snnmap.chip import Chip, MemoryKind, load_chip
from snnmap.core import Report
from snnmap.core.diagnostics import Diagnostic
from snnmap.core.errors import DesignRuleError, InputError, NetworkError, NoRoomError, OptionError
from snnmap.core.places import Places
from snnmap.findings import apply_waivers
from snnmap.lif.compare import read_labels
from snnmap.lif.drc import Rule, check_mapped, check_network, find_rule
from snnmap.lif.mapping import Verification, fold_network
from snnmap.loading import Opened, open_model
from snnmap.network import Network
from snnmap.pipeline.artifacts import Artifacts, CheckResult
from snnmap.pipeline.manifest import add_manifest
from snnmap.pipeline.options import CompileOptions, Rasters
from snnmap.pipeline.ways import Task, find_way

if TYPE_CHECKING:
    from snnmap.convert.convert import Conversion

__all__ = [
    "FIRST_STAGE",
    "OnStage",
    "check_model",
    "check_structure",
    "check_task",
    "compile_model",
    "open_source",
    "open_task",
]

OnStage = Callable[[str], None]
FIRST_STAGE = "checking the design rules"


def check_model(
    model: object,
    chip: Chip | str,
    *,
    options: CompileOptions | None = None,
    calibration: Rasters | None = None,
    labels: npt.ArrayLike | None = None,
    read: Mapping[str, Any] | None = None,
    on_stage: OnStage = lambda _: None,
) -> CheckResult:
    """Run all design rules: on the network, folded, in integers, and on what the bitstream does beside the model.

    Args:
        model: whatever :func:`compile_model` takes.
        chip: a chip record, catalog name or TOML path.
        options: choices of the build.
        calibration: as :func:`compile_model` takes it; the same data give the same findings.
        labels: likewise.
        read: likewise.
        on_stage: called with a line of text as each stage starts; stages that are tried in several ways come again.

    Raises:
        FrontendError: the model cannot be read as a network.
        ChipError: unknown or malformed chip.
        InputError: calibration data or labels that do not suit the model.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> check_model(network, "xylo-audio-3").report.is_clean
        True
    """
    record = load_chip(chip)
    try:
        task = open_task(model, options, calibration, labels, read, chips=(record,))
    except NoRoomError as error:
        return CheckResult(report=error.reports[0])
    return check_task(task, record, on_stage)


def compile_model(
    model: object,
    chip: Chip | str,
    *,
    options: CompileOptions | None = None,
    calibration: Rasters | None = None,
    labels: npt.ArrayLike | None = None,
    read: Mapping[str, Any] | None = None,
    on_stage: OnStage = lambda _: None,
) -> Artifacts:
    """Take a model to a bitstream: rules, folding, quantisation, comparison with the model, verification, files.

    What the bitstream does is measured against the model, on the calibration data or, without, on drawn inputs
    (:class:`snnmap.lif.program.Comparison`); beyond the limits of the options that violates design rules, unless allowed.

    Args:
        model: whatever :func:`snnmap.load` takes; or a :class:`snnmap.convert.Conversion`, which brings its calibration data.
        chip: a chip record, catalog name or TOML path.
        options: choices of the build.
        calibration: input rasters of typical use, ``(n_samples, n_steps, n_channels)``; by name where the network has several
            input ports.
        labels: ``(n_samples,)`` classes of the calibration data, for the accuracy of model and bitstream.
        read: choices of the frontend, by name, as :func:`snnmap.load` takes them; of an ANN, choices of its conversion
            (:class:`snnmap.convert.ConvertOptions`).
        on_stage: called with a line of text as each stage starts; stages that are tried in several ways come again.

    Raises:
        DesignRuleError: the network breaks rules; all violations are listed.
        FrontendError: the model cannot be read as a network.
        ChipError: unknown or malformed chip.
        InputError: calibration data or labels that do not suit the model.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> import numpy as np
        >>> artifacts = compile_model(network, "xylo-audio-3", calibration=np.full((2, 60, 2), 1))
        >>> artifacts.verification.n_mismatches
        0
        >>> artifacts.run(np.full((1, 4, 2), 1))["y"][0].tolist()
        [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    """
    record = load_chip(chip)
    task = open_task(model, options, calibration, labels, read, chips=(record,))
    found = check_task(replace(task, proves=task.options.verify), record, on_stage)
    if found.report.errors or found.matched is None or found.mapped is None or found.quantised is None:
        raise DesignRuleError(found.report.errors, found.report.warnings)
    if found.image is None or found.comparison is None:
        raise DesignRuleError(found.report.errors, found.report.warnings)
    if found.verification is not None:
        _require_match(found.verification)
    on_stage("writing the bitstream")
    return Artifacts(
        network=task.network,
        matches=found.matches,
        mapped=found.mapped,
        quantised=found.quantised,
        tunings=found.tunings,
        image=found.image,
        bitstream=found.bitstream,
        report=found.report,
        comparison=found.comparison,
        verification=found.verification,
    )


def open_task(
    model: object,
    options: CompileOptions | None,
    calibration: Rasters | None,
    labels: npt.ArrayLike | None,
    read: Mapping[str, Any] | None = None,
    chips: Sequence[Chip] = (),
) -> Task:
    """Read a model and what is to be done with it; arguments as those of :func:`compile_model`.

    Raises:
        NoRoomError: an ANN for which none of the chips has channels and neurons enough.
        InputError: calibration data or labels that do not suit the model, whatever the rules will find of it.
    """
    OptionError.require_record(options, CompileOptions, of="a build")
    task = _open_task(model, options or CompileOptions(), calibration, labels, read, chips)
    task.require_data()
    return task


def _open_task(
    model: object,
    options: CompileOptions,
    calibration: Rasters | None,
    labels: npt.ArrayLike | None,
    read: Mapping[str, Any] | None,
    chips: Sequence[Chip],
) -> Task:
    places, model = Places(), open_source(model, calibration, read, chips)
    if isinstance(model, Opened):
        places, network = model.places, model.network
        if model.conversion is None:
            return Task(network=network, options=options, calibration=calibration, labels=labels, conversion=None, places=places)
        model = model.conversion
        if labels is not None:
            n_given = len(model.expected if calibration is None else cast(Any, calibration))
            labels = read_labels(labels, n_given, model.expected.shape[1])[: len(model.expected)]  # of the samples that it keeps
        calibration = None
    depth = min(options.quantise.depth, model.depth)
    return Task(
        network=model.network,
        options=replace(options, quantise=replace(options.quantise, depth=depth)),
        calibration=model.calibration if calibration is None else calibration,
        labels=labels,
        conversion=model if calibration is None else None,
        places=places,
    )


def open_source(
    model: object, calibration: Rasters | None, read: Mapping[str, Any] | None = None, chips: Sequence[Chip] = ()
) -> "Opened | Conversion":
    """Read a model, once for all tasks with it; a conversion is taken as it is. Arguments as those of :func:`open_task`."""
    if _is_conversion(model):
        if read:
            raise InputError("a conversion is read already", measured=", ".join(sorted(read)), fix="leave read= out")
        return model
    values = None if isinstance(calibration, Mapping) else calibration
    return open_model(model, calibration=values, chips=chips, **dict(read or {}))


def _is_conversion(model: object) -> "TypeGuard[Conversion]":
    """Say whether a model is an ANN that was converted; what converts is imported where that can be."""
    if isinstance(model, str | Path | Network | Opened):
        return False
    from snnmap.convert.convert import Conversion

    return isinstance(model, Conversion)


def check_task(task: Task, chip: Chip, on_stage: OnStage) -> CheckResult:
    """Return what all rules find, with what is waived told as such."""
    found = _find(task, chip, on_stage)
    network = task.network
    report = apply_waivers(
        found.report,
        task.options.waivers,
        chip=chip.name,
        network=network.name,
        places=_list_places(network, found),
        may_waive=task.options.may_waive,
    )
    if found.image is not None:
        on_stage("describing the image")
    found = add_manifest(task, replace(found, report=report))
    located = (replace(diagnostic, location=task.places.locate(diagnostic.location)) for diagnostic in report.diagnostics)
    return replace(found, report=report.with_diagnostics(located))


def _list_places(network: Network, found: CheckResult) -> dict[str, frozenset[str]]:
    """Return the names that a location can have, by what they are."""
    memories = {kind.weights_name for kind in MemoryKind}
    told = {diagnostic.location.block for diagnostic in found.report.diagnostics}
    tensors = set() if found.quantised is None else {error.name for error in found.quantised.errors}
    return {
        "port": frozenset({*(port.name for port in network.inputs), *(port.name for port in network.outputs)}),
        "population": frozenset(population.name for population in network.populations),
        "projection": frozenset(projection.name for projection in network.projections),
        "block": frozenset({*memories, *told, *tensors}),
    }


def _find(task: Task, chip: Chip, on_stage: OnStage) -> CheckResult:
    network, options = task.network, task.options
    on_stage(FIRST_STAGE)
    report = check_network(network, chip)
    if any(_forbids_folding(diagnostic, options) for diagnostic in report.errors):
        return CheckResult(report=report)
    report = _without_mended(report, options)
    if report.errors:
        on_stage("folding into the hidden population")
        return _fold(task, chip, report)
    return find_way(task, chip, report, on_stage)


def check_structure(task: Task, chip: Chip) -> CheckResult:
    """Return what the rules find that need no trained weights: those of a network and of its fold."""
    report = check_network(task.network, chip)
    if any(_forbids_folding(diagnostic, task.options) for diagnostic in report.errors):
        return CheckResult(report=report)
    return _fold(task, chip, _without_mended(report, task.options))


def _fold(task: Task, chip: Chip, report: Report) -> CheckResult:
    mapped = fold_network(task.network, chip, options=task.options.fold)
    return CheckResult(report=report.merge(check_mapped(mapped)), mapped=mapped)


def _forbids_folding(diagnostic: Diagnostic, options: CompileOptions) -> bool:
    """Say whether a finding leaves nothing to fold; all others still let the later rules measure."""
    rule = find_rule(diagnostic)
    return rule is None or (rule.stops_folding and not _is_mended(rule, options))


def _is_mended(rule: Rule | None, options: CompileOptions) -> bool:
    """Say whether the mapping was asked to make up for what a rule finds."""
    return rule is not None and bool(rule.mended_by) and bool(getattr(options.fold, rule.mended_by))


def _without_mended(report: Report, options: CompileOptions) -> Report:
    kept = tuple(diagnostic for diagnostic in report.diagnostics if not _is_mended(find_rule(diagnostic), options))
    return Report(diagnostics=kept, rules_run=report.rules_run)


def _require_match(verification: Verification) -> None:
    if verification.n_mismatches:
        worst = {name: count for name, count in verification.mismatches.items() if count}
        raise NetworkError(
            "the folded network differs from its source", measured=str(worst), limit="0", fix="report this as a defect"
        )

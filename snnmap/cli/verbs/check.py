"""snnmap check: the design rules."""

import re
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

import snnmap
from snnmap.chip import Chip
from snnmap.cli.complete import complete_rules
from snnmap.cli.fixing import diff_networks, find_fixed_path, fix_options, read_fix_options, tell_fixes
from snnmap.cli.messages import report_stages
from snnmap.cli.options import (
    build_options,
    chips_option,
    config_option,
    load_chips,
    model_options,
    naming_file,
    open_named,
    read_data,
    read_project,
    write_text,
)
from snnmap.cli.records import read_record, record_options
from snnmap.core import fsio
from snnmap.core.errors import ChipError, InputError, NoRoomError
from snnmap.core.near import suggest
from snnmap.core.places import shorten
from snnmap.findings import (
    Checked,
    CheckRun,
    Config,
    Selection,
    format_baseline,
    list_formats,
    read_baseline,
    render,
)
from snnmap.loading import Opened
from snnmap.network import digest_network, save_network
from snnmap.pipeline import CheckResult, CompileOptions, FixResult, check_model, fix_model
from snnmap.pipeline.fix import open_to_fix

__all__ = ["command"]

_COLOURS = {"error": "red", "warning": "yellow", "waived": "blue"}
_HEAD = re.compile("^(error|warning|waived)(?= )", flags=re.MULTILINE)


@click.command("check")
@model_options
@chips_option
@click.option(
    "--format", "form", type=click.Choice(list_formats(), case_sensitive=False), default="text", help="Form of the report."
)
@click.option("--output", "-o", type=click.Path(dir_okay=False), help="File for the report; stdout where left out.")
@click.option("--also", multiple=True, metavar="FORM=FILE", help="Write the report in another form as well, to a file.")
@click.option("--quiet", "-q", is_flag=True, help="Print no progress, and no text where nothing is to be mended.")
@record_options(Selection, complete={"select": complete_rules, "ignore": complete_rules})
@fix_options
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings too.")
@click.option("--statistics", is_flag=True, help="Add sums by rule and place (text and Markdown).")
@click.option("--least", is_flag=True, help="Add the smallest change that satisfies each limit, as a table (text and Markdown).")
@click.option("--baseline", type=click.Path(dir_okay=False), help="File of findings that are known: only new and worse are told.")
@click.option("--write-baseline", type=click.Path(dir_okay=False), help="File to write all findings to, known from then on.")
@config_option
@build_options(without=("verify",))
def command(
    model: str,
    weights: str | None,
    read: tuple[str, ...],
    chips: tuple[str, ...],
    form: str,
    output: str | None,
    also: tuple[str, ...],
    quiet: bool,
    fix: bool,
    diff: bool,
    fixed: str | None,
    strict: bool,
    statistics: bool,
    least: bool,
    baseline: str | None,
    write_baseline: str | None,
    config: str | None,
    calibration: str | None,
    labels: str | None,
    **choices: Any,
) -> int:
    """Check MODEL against all design rules of chips; exit 1 on violations.

    MODEL is FILE.py:FUNCTION or PACKAGE.MODULE:FUNCTION, with arguments where it takes some (model.py:make(64)); a saved network,
    a .nir or .onnx file, a folder that a build wrote or the bitstream in it, or - (a network on standard input). An ANN is
    converted on the calibration data first.

    The last of the rules compare what the bitstream does with the model.

    With --fix the rules are told of the fixed network, which is written beside the model.
    """
    project = read_project(config, model)
    options = replace(read_record(CompileOptions, choices), waivers=project.waivers)
    selection = _select(project, choices)
    others = [_read_other(text) for text in also]
    records = _load_chips(chips, project)
    strict = strict or project.strict
    fixes = read_fix_options(choices, strict=strict)
    only = _take_one(records) if fix or diff else None
    target = find_fixed_path(model, fixed) if fix and not diff else None
    on_stage: Callable[[str], None] = (lambda _: None) if quiet else report_stages()
    on_stage("reading the model")
    raster, classes = read_data(calibration, labels)
    data: dict[str, Any] = {"options": options, "calibration": raster, "labels": classes, "on_stage": on_stage}
    made = None
    with naming_file(calibration, labels=labels):
        try:
            open_for = partial(open_named, model, weights, read, raster)
            opened = open_to_fix(open_for, records) if only else open_for(records)
        except NoRoomError as error:
            results = [CheckResult(report=report) for report in error.reports]
            described = CheckRun(model=model, digest=error.digest, version=snnmap.__version__)
        else:
            if only:
                made = fix_model(opened, only, fixes=fixes, told=lambda report: selection.split(report)[0], **data)
                tell_fixes(made)
            results = [made.checked] if made and target else [check_model(opened, chip, **data) for chip in records]
            if made and target:
                model, opened = _write_fixed(made, model, target), replace(opened, network=made.network)
            described = _describe(model, opened)
    checked = tuple(_tell(result, chip, selection, options) for result, chip in zip(results, records, strict=True))
    run = replace(described, checked=checked, rules_url=project.rules_url, strict=strict, statistics=statistics, least=least)
    if write_baseline:
        fsio.write_file(Path(write_baseline), format_baseline(run).encode())
    known = write_baseline or baseline or project.baseline
    run = _without_known(run, known) if known else run
    if made and not target:
        click.echo(diff_networks(made, model), nl=False)
        return 0 if run.passes else 1
    _write(run, form, output, silent=quiet and run.passes)
    for other, file in others:
        _write(run, other, file, silent=False)
    return 0 if run.passes else 1


def _select(project: Config, choices: dict[str, Any]) -> Selection:
    """Take what is told from the command line, and what is not given there from the configuration."""
    context = click.get_current_context()
    keys = [field.name for field in fields(Selection)]
    given: dict[str, Any] = {key: _split(choices[key]) for key in keys if context.get_parameter_source(key) is not _BY_DEFAULT}
    return replace(project.selection, **given)


def _split(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Return the rules of an option that may be given several times, or once with commas."""
    return value if isinstance(value, str) else tuple(key.strip() for text in value for key in text.split(","))


_BY_DEFAULT = click.core.ParameterSource.DEFAULT


def _read_other(text: str) -> tuple[str, str]:
    form, equals, file = text.partition("=")
    if form not in list_formats() or not equals or not file:
        known = ", ".join(list_formats())
        otherwise = "write --also FORM=FILE"
        fix = otherwise if form in list_formats() else suggest(form, list_formats(), otherwise)
        raise InputError("this option takes a form and a file", where="--also", measured=text, limit=known, fix=fix)
    return form, file


def _load_chips(given: tuple[str, ...], project: Config) -> list[Chip]:
    """Read the records of the chips that are given, else of the project's."""
    if given:
        return load_chips(given)
    if not project.chips:
        raise click.UsageError(
            "Missing option '--chip' / '-c': one that `snnmap chips` lists; or write chips = [...] under [tool.snnmap]."
        )
    try:
        return load_chips(project.chips)
    except ChipError as error:
        raise error.within(f"{shorten(Path(project.path))}, chips") from error


def _take_one(records: list[Chip]) -> Chip:
    if len(records) > 1:
        names = ", ".join(chip.name for chip in records)
        raise InputError("a network is fixed for one chip", where="--fix", measured=names, limit="1 chip", fix="give one --chip")
    return records[0]


def _write_fixed(made: FixResult, model: str, path: Path) -> str:
    """Write a fixed network beside the model; give the name that it now has."""
    if not made.applied:
        return model
    save_network(made.network, path)
    click.echo(f"fixed network: {path}", err=True)
    return str(path)


def _describe(model: str, opened: Opened) -> CheckRun:
    places = opened.places
    return CheckRun(
        model=model,
        digest=digest_network(opened.network),
        version=snnmap.__version__,
        file=shorten(Path(places.file)) if places.file else "",
        line=places.line,
    )


def _tell(result: CheckResult, chip: Chip, selection: Selection, options: CompileOptions) -> Checked:
    report, left_out = selection.split(result.report)
    return Checked(
        chip=chip.name,
        digest=chip.digest.hex(),
        report=report,
        n_left_out=len(left_out),
        n_errors_left_out=sum(d.severity == "error" and not d.waived for d in left_out),
        unwaivable=frozenset(d.fingerprint for d in report.diagnostics if not options.may_waive(d)),
        comparison=None if result.comparison is None else result.comparison.to_plain(),
        comparison_text="" if result.comparison is None else str(result.comparison),
    )


def _without_known(run: CheckRun, path: str) -> CheckRun:
    baseline = read_baseline(Path(path))
    checked = []
    for found in run.checked:
        report, n_known = baseline.split(found.report, found.chip, found.digest)
        checked.append(replace(found, report=report, n_known=n_known))
    return replace(run, checked=tuple(checked))


def _write(run: CheckRun, form: str, output: str | None, *, silent: bool) -> None:
    text = render(run, form)
    if output is not None or form != "text":
        write_text(text, output)
    elif not silent:
        coloured = _HEAD.sub(lambda found: click.style(found[0], fg=_COLOURS[found[0]]), text) if sys.stdout.isatty() else text
        click.echo(coloured, nl=False)

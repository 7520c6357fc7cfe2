"""snnmap fit: which chip holds a model, and at what cost."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from snnmap.chip import format_chip
from snnmap.cli.console import out
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
from snnmap.cli.records import read_record
from snnmap.cli.runners import open_executor, worker_options
from snnmap.core import fsio
from snnmap.core.errors import InputError, NoRoomError
from snnmap.core.table import write_table
from snnmap.lif.fixes import FixOptions
from snnmap.loading import make_object
from snnmap.pipeline import CompileOptions, Fit, find_smallest_chip, fit_model, refuse_all, sweep_model
from snnmap.pipeline.fix import open_to_fix
from snnmap.report import draw_fit, fit_csv, fit_rows, make_table, write_report

__all__ = ["command"]


@click.command("fit")
@model_options
@chips_option
@click.option(
    "--sweep",
    metavar="FIELD=V1,V2,...",
    help="Vary one field of the chip's record or one choice of the build, such as recurrent_weights.max_fan_in=8,16,32; of the "
    "conversion of an ANN (convert.n_steps=4,8); or of the training (train.n_epochs=5,20) on the calibration data.",
)
@click.option(
    "--retrain",
    type=click.IntRange(1),
    metavar="EPOCHS",
    help="Train MODEL anew for each value of a sweep, within the chip's fan-in, on the calibration data and labels.",
)
@click.option("--smallest", type=click.Path(dir_okay=False), help="TOML file for the smallest record that holds MODEL.")
@click.option("--enlarge", is_flag=True, help="Let the smallest record have more room than --chip, where MODEL needs it.")
@click.option("--fix", is_flag=True, help="Change the network for chips that it does not fit, as `snnmap check --fix` does.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "csv", "parquet"]), default="text", help="Form of the table."
)
@click.option("--output", "-o", type=click.Path(dir_okay=False), help="File for the table; stdout where left out.")
@click.option("--draw", type=click.Path(dir_okay=False), help="SVG file for a picture of the costs.")
@click.option("--report", type=click.Path(dir_okay=False), help="HTML file for a page: table, costs, cost against decisions.")
@click.option("--quiet", "-q", is_flag=True, help="Print no progress.")
@worker_options
@config_option
@build_options(without=("verify",))
def command(
    model: str,
    weights: str | None,
    read: tuple[str, ...],
    chips: tuple[str, ...],
    sweep: str | None,
    retrain: int | None,
    smallest: str | None,
    enlarge: bool,
    fix: bool,
    form: str,
    output: str | None,
    draw: str | None,
    report: str | None,
    quiet: bool,
    cluster: str | None,
    workers: int | None,
    config: str | None,
    calibration: str | None,
    labels: str | None,
    **choices: Any,
) -> int:
    """Tell which chips hold MODEL, named as for `snnmap check`, and what a sample costs on each; exit 1 where none does.

    Without --chip all chips of the catalog are tried.
    """
    options = replace(read_record(CompileOptions, choices), waivers=read_project(config, model).waivers)
    on_stage: Callable[[str], None] = (lambda _: None) if quiet else report_stages()
    _require_partners(sweep, retrain, smallest, enlarge=enlarge)
    on_stage("reading the model")
    raster, classes = read_data(calibration, labels)
    trains = retrain is not None or (sweep is not None and sweep.startswith("train."))
    anew = trains or (sweep is not None and sweep.startswith("convert."))
    counted = load_chips(chips or ("all",)) if sweep is None and smallest is None else []
    with naming_file(calibration, labels=labels):
        try:
            open_for = partial(open_named, model, weights, read, raster)
            if anew:
                opened: Any = make_object(model, weights=weights)[0]
            else:
                opened = open_to_fix(open_for, counted) if fix else open_for(counted)
        except NoRoomError as error:
            _write(refuse_all(counted, error), form, output)
            return 1
    data: dict[str, Any] = {"options": options, "calibration": raster, "labels": classes, "on_stage": on_stage}
    with open_executor(cluster, workers) as executor, naming_file(calibration, labels=labels):
        if smallest is not None:
            chip = find_smallest_chip(opened, _take_one(chips, "--smallest"), enlarge=enlarge, **data)
            fsio.write_file(Path(smallest), format_chip(chip).encode())
            click.echo(f"{smallest}: {chip.description}", err=True)
            chips = (*chips, smallest)
        data |= {"fixes": FixOptions() if fix else None, "executor": executor, "n_workers": workers or 0}
        if sweep is not None:
            fit, axis, ticks = _sweep(opened, chips, sweep, retrain, data, trains=trains)
        else:
            records = load_chips(chips or ("all",))
            fit, axis, ticks = fit_model(opened, records, **data), "chip", [chip.name for chip in records]
    if draw is not None:
        fsio.write_file(Path(draw), draw_fit(fit, ticks, axis=axis))
    if report is not None:
        write_report(fit, report)
    _write(fit, form, output)
    return 0 if any(row.fits for row in fit.rows) else 1


def _require_partners(sweep: str | None, retrain: int | None, smallest: str | None, *, enlarge: bool) -> None:
    """Refuse options without the one that they go with."""
    if retrain is not None and sweep is None:
        raise InputError("a model is trained anew along a sweep", where="--retrain", fix="add --sweep FIELD=V1,V2,...")
    if retrain is not None and str(sweep).partition("=")[0].strip() == "train.n_epochs":
        raise InputError("the sweep says for how many epochs to train", where="--retrain", fix="leave it out")
    if enlarge and smallest is None:
        raise InputError("only the smallest record is enlarged", where="--enlarge", fix="add --smallest FILE")


def _sweep(
    model: object, chips: tuple[str, ...], sweep: str, n_epochs: int | None, data: dict[str, Any], *, trains: bool
) -> tuple[Fit, str, list[str]]:
    """Build for each value of a sweep; say also what is varied, and its values."""
    field, values = _read_sweep(sweep)
    base = _take_one(chips, "--sweep")
    if trains:
        return _sweep_training(model, base, field, values, n_epochs, data), field, list(values)
    return sweep_model(model, base, field, values, **data), field, list(values)


def _sweep_training(
    model: object, chip: str, field: str, values: tuple[str, ...], n_epochs: int | None, data: dict[str, Any]
) -> Fit:
    from snnmap.design import sweep_training
    from snnmap.train import TrainOptions

    if data["calibration"] is None or data["labels"] is None:
        fix = "give --calibration counts.npy --labels classes.npy"
        raise InputError("a model is trained on spike counts and their classes", where="--sweep", measured="none", fix=fix)
    training = TrainOptions() if n_epochs is None else TrainOptions(n_epochs=n_epochs)
    return sweep_training(model, chip, field, values, training=training, **data)


def _take_one(chips: tuple[str, ...], option: str) -> str:
    if len(chips) != 1:
        raise InputError(
            "this option starts from one chip",
            where=option,
            measured=", ".join(chips) or "none",
            limit="1",
            fix="give one --chip",
        )
    return chips[0]


def _read_sweep(text: str) -> tuple[str, tuple[str, ...]]:
    field, equals, values = text.partition("=")
    listed = tuple(value.strip() for value in values.split(",") if value.strip())
    if not equals or not listed:
        raise InputError(
            "this option takes a field and its values", where="--sweep", measured=text, fix="write --sweep FIELD=V1,V2,..."
        )
    return field.strip(), listed


def _write(fit: Fit, form: str, output: str | None) -> None:
    if form == "text" and output is None:
        table = make_table(f"'{fit.model}', costs a sample", fit.columns, fit.to_cells())
        out().print(table)
        for row in fit.rows:
            for told in row.fixes:
                click.echo(f"{row.chip}: {told}")
        return
    if form == "parquet" and output is not None:
        write_table(Path(output), fit_rows(fit))
        return
    if form == "parquet" or form == "text":
        fix = "name a file: -o table.parquet" if form == "parquet" else "add --format csv or --format json"
        raise InputError("a file takes csv or json, and parquet a file", where="--output", measured=form, fix=fix)
    plain = {"model": fit.model, "chips": [row.to_plain() for row in fit.rows]}
    write_text(fit_csv(fit) if form == "csv" else json.dumps(plain, indent=2) + "\n", output)

"""snnmap check: the design rules."""

import json
from typing import Any

import click

from snnmap.cli.console import report_stages
from snnmap.cli.options import build_options, chip_option, model_argument, naming_file, read_data
from snnmap.cli.records import read_record
from snnmap.loading import load
from snnmap.pipeline import CheckResult, CompileOptions, check_model

__all__ = ["command"]


@click.command("check")
@model_argument
@chip_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the report.")
@build_options(without=("verify",))
def command(model: str, chip: str, form: str, calibration: str | None, labels: str | None, **choices: Any) -> int:
    """Check MODEL (file.py:callable, or a saved network) against all design rules of a chip; exit 1 on violations.

    The last of the rules compare what the bitstream does with the model.
    """
    options = read_record(CompileOptions, choices)
    on_stage = report_stages()
    on_stage("reading the model")
    network = load(model)
    raster, classes = read_data(calibration, labels)
    with naming_file(calibration):
        result = check_model(network, chip, options=options, calibration=raster, labels=classes, on_stage=on_stage)
    click.echo(json.dumps(_to_plain(result), indent=2) if form == "json" else _to_text(result))
    return 0 if result.report.is_clean else 1


def _to_plain(result: CheckResult) -> dict[str, Any]:
    comparison = None if result.comparison is None else result.comparison.to_plain()
    return {**result.report.to_plain(), "comparison": comparison}


def _to_text(result: CheckResult) -> str:
    return str(result.report) if result.comparison is None else f"{result.report}\n{result.comparison}"

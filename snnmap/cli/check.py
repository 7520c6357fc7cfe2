"""snnmap check: the design rules."""

import json

import click

from snnmap.cli.console import report_stages
from snnmap.cli.options import chip_option, model_argument, stretch_option
from snnmap.loading import load
from snnmap.mapping import FoldOptions
from snnmap.pipeline import CompileOptions, check_model

__all__ = ["command"]


@click.command("check")
@model_argument
@chip_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of the report.")
@stretch_option
def command(model: str, chip: str, form: str, stretch_loops: bool) -> int:
    """Check MODEL (file.py:callable, or a saved network) against all design rules of a chip; exit 1 on violations."""
    options = CompileOptions(fold=FoldOptions(stretch_loops=stretch_loops))
    on_stage = report_stages()
    on_stage("reading the model")
    report = check_model(load(model), chip, options=options, on_stage=on_stage).report
    click.echo(json.dumps(report.to_plain(), indent=2) if form == "json" else str(report))
    return 0 if report.is_clean else 1

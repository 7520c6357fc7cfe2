"""snnmap build: from a model to a bitstream."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from snnmap.cli.console import out
from snnmap.cli.messages import report_stages
from snnmap.cli.options import (
    build_options,
    chip_option,
    config_option,
    load_chips,
    model_options,
    naming_file,
    open_named,
    read_data,
    read_project,
)
from snnmap.cli.records import read_record
from snnmap.core.errors import SnnmapError
from snnmap.core.nouns import count_nouns
from snnmap.pipeline import CompileOptions, Stage, StageProfile, compile_model, mark_failure

__all__ = ["command"]


@click.command("build")
@model_options
@chip_option
@click.option("--output", "-o", required=True, type=click.Path(file_okay=False), help="Directory for the files.")
@click.option("--name", default="", help="Name of the bitstream and its text twin; without, the model's.")
@click.option("--profile", is_flag=True, help="Print seconds and peak memory of each stage.")
@config_option
@build_options()
def command(
    model: str,
    weights: str | None,
    read: tuple[str, ...],
    chip: str,
    output: str,
    name: str,
    profile: bool,
    config: str | None,
    calibration: str | None,
    labels: str | None,
    **choices: Any,
) -> None:
    """Build the bitstream of MODEL, named as for `snnmap check`, and all that belongs to it."""
    try:
        options = replace(read_record(CompileOptions, choices), waivers=read_project(config, model).waivers)
        on_stage = StageProfile(report_stages())
        on_stage("reading the model")
        raster, classes = read_data(calibration, labels)
        with naming_file(calibration, labels=labels):
            opened = open_named(model, weights, read, raster, load_chips((chip,)))
            artifacts = compile_model(opened, chip, options=options, calibration=raster, labels=classes, on_stage=on_stage)
        artifacts.write(output, name=name)
        stages = on_stage.finish()
    except SnnmapError as error:
        mark_failure(Path(output), error)
        raise
    for told in artifacts.report.diagnostics:
        sys.stderr.write(f"{told}\n")
    mapped = artifacts.mapped
    click.echo(f"{output}/{name or artifacts.file_stem}.bin: {len(artifacts.bitstream)} bytes for {mapped.chip.name}")
    click.echo(
        f"latency {count_nouns(mapped.latency_steps, 'step')}, {count_nouns(mapped.n_relays, 'relay')},"
        f" {count_nouns(len(artifacts.report.warnings), 'warning')}"
    )
    if artifacts.verification is not None:
        seen = artifacts.verification
        shown = f"; nothing was shown about {', '.join(seen.silent)}, silent in these runs" if seen.silent else ""
        click.echo(f"folded against source: {seen.n_mismatches} of {seen.n_compared} spike counts differ{shown}")
    click.echo(str(artifacts.comparison))
    if profile:
        out().print(_show_stages(stages))


def _show_stages(stages: tuple[Stage, ...]) -> Any:
    from snnmap.report import make_table

    everything = sum(stage.seconds for stage in stages) or 1.0
    rows = [(s.name, f"{s.seconds:.3f}", f"{s.seconds / everything:.0%}", f"{s.peak_bytes / 1e6:.0f}") for s in stages]
    for name, checks in (("building", False), ("holding it against the model", True)):
        seconds = sum(stage.seconds for stage in stages if stage.is_check == checks)
        rows.append((f"all of {name}", f"{seconds:.3f}", f"{seconds / everything:.0%}", ""))
    return make_table("stages", ("stage", "seconds#", "share#", "peak memory (MB)#"), rows)

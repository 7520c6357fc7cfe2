"""snnmap inspect: what is in a bitstream, or how a model lies on a chip."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from snnmap.cli.complete import complete_chips
from snnmap.cli.console import out
from snnmap.cli.messages import report_stages
from snnmap.cli.options import read_bytes, read_image, warn_of_failed_build
from snnmap.cli.records import read_record, record_options
from snnmap.core.errors import DesignRuleError, FormatError, InputError
from snnmap.lif.bitstream import MAGIC, TEXT_MAGIC, encode, peek_manifest, read_header
from snnmap.lif.mapping import FoldOptions
from snnmap.lif.program import unpack
from snnmap.lif.quantise import QuantiseOptions
from snnmap.report import (
    decay_table,
    describe_image,
    describe_manifest,
    error_table,
    lag_table,
    make_table,
    measure_occupancy,
    occupancy_table,
)

__all__ = ["command"]


@click.command("inspect")
@click.argument("subject")
@click.option(
    "--chip",
    "-c",
    shell_complete=complete_chips,
    help="Chip to map a model to; for a bitstream, its chip where that is not a built-in one.",
)
@record_options(FoldOptions)
@record_options(QuantiseOptions)
def command(subject: str, chip: str | None, **choices: Any) -> None:
    """Show what a bitstream is, its blocks and occupancy; or lags, relays and occupancy of a model."""
    if subject.endswith(".bin") or _is_bitstream(subject):
        _show_bitstream(subject, chip)
    elif chip is None and Path(subject).is_dir():
        read_bytes(subject)  # tells what is in it
    elif chip is None:
        raise InputError("a model is inspected on a chip", where=subject, fix="give --chip NAME")
    else:
        _show_model(subject, chip, choices)


def _is_bitstream(path: str) -> bool:
    """Say whether a file begins as bitstreams or their text twins do, whatever its name."""
    try:
        with Path(path).open("rb") as stream:
            return stream.read(len(TEXT_MAGIC)).startswith((MAGIC, TEXT_MAGIC))
    except OSError:
        return False


def _show_bitstream(path: str, chip: str | None) -> None:
    warn_of_failed_build(path)
    try:
        image = read_image(path, chip)
    except FormatError:
        _show_unknown(path)
        raise
    header = read_header(encode(image))
    rows = [(b.kind.name.lower(), b.synapse, b.offset, b.n_words, b.word_bits, f"{b.crc:08x}") for b in header.blocks]
    console = out()
    console.print(
        f"{path}: format version {header.version}, {header.total_size} bytes, chip {image.chip.name} (id {header.chip_id})"
    )
    console.print("\n".join(describe_image(image)) + "\n", markup=False, highlight=False, soft_wrap=True)
    console.print(make_table("blocks", ("kind", "synapse#", "offset#", "words#", "bits#", "crc-32"), rows))
    console.print(occupancy_table(measure_occupancy(unpack(image))))


def _show_unknown(path: str) -> None:
    """Show what a whole bitstream says of itself where the record of its chip is not at hand."""
    data = read_bytes(path)
    try:
        header, manifest = read_header(data), peek_manifest(data)
    except FormatError:
        return  # it is damaged, of which the error that led here tells
    lines = [
        f"{path}: format version {header.version}, {header.total_size} bytes, chip id {header.chip_id} {header.chip_digest.hex()}"
    ]
    out().print("\n".join([*lines, *describe_manifest(manifest)]), markup=False, highlight=False, soft_wrap=True)


def _show_model(model: str, chip: str, choices: Mapping[str, Any]) -> None:
    from snnmap.loading import load
    from snnmap.pipeline import CompileOptions, check_model

    options, on_stage = read_record(CompileOptions, choices), report_stages()
    on_stage("reading the model")
    checked = check_model(load(model), chip, options=options, on_stage=on_stage)
    console = out()
    if checked.mapped is None:
        raise DesignRuleError(checked.report.errors, checked.report.warnings)
    console.print(lag_table(checked.mapped))
    if checked.quantised is not None:
        console.print(occupancy_table(measure_occupancy(checked.quantised.program)))
        console.print(error_table(checked.quantised.errors))
    if checked.matches:
        console.print(decay_table(checked.matches))
    if checked.report.errors:
        raise DesignRuleError(checked.report.errors, checked.report.warnings)

"""snnmap export: a bitstream as what loaders take."""

from collections.abc import Callable
from pathlib import Path

import click

from snnmap.cli.options import bitstream_chip_option, read_image
from snnmap.core.errors import FormatError
from snnmap.core.folders import replace_folder
from snnmap.lif.bitstream import export_readmemh, export_readout, export_specification, export_xylo_ram
from snnmap.lif.program import Image
from snnmap.report import describe_ports

__all__ = ["command"]

_FORMATS: dict[str, Callable[[Image], dict[str, bytes]]] = {
    "rockpool-json": lambda image: {"specification.json": export_specification(image)},
    "xylo-ram": export_xylo_ram,
    "readmemh": export_readmemh,
}

_SUFFIXES, _NAMES = (".ini", ".mem"), ("specification.json", "basic_config.json", "readout.json")
"""Files of older exports, which go."""


@click.command("export")
@click.argument("bitstream")
@click.option("--format", "form", required=True, type=click.Choice(list(_FORMATS)), help="See docs/programmer.md.")
@click.option("--output", "-o", required=True, type=click.Path(file_okay=False), help="Directory for the files.")
@bitstream_chip_option
def command(bitstream: str, form: str, output: str, chip: str | None) -> None:
    """Write BITSTREAM as what loaders take: a specification for samna, Xylo's memory files, or memory files of any chip.

    readout.json beside them tells how the chip is fed, and how its outputs are read.
    """
    image = read_image(bitstream, chip)
    try:
        files = {**_FORMATS[form](image), **export_readout(image)}
    except FormatError as error:
        raise error.within(bitstream) from error
    replace_folder(Path(output), files, lambda name: Path(name).suffix in _SUFFIXES or name in _NAMES)
    click.echo(f"{output}: {len(files)} files of {bitstream}")
    if image.manifest is None:
        click.echo("no readout.json: the image does not tell how its outputs are read", err=True)
    else:
        click.echo("\n".join(describe_ports(image.manifest)))

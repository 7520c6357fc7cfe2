"""snnmap export: a bitstream as what loaders take."""

from collections.abc import Callable
from pathlib import Path

import click

from snnmap.cli.options import bitstream_chip_option, read_image
from snnmap.core.errors import FormatError
from snnmap.core.folders import replace_folder
from snnmap.lif.bitstream import export_readmemh, export_specification, export_xylo_ram
from snnmap.lif.program import Image

__all__ = ["command"]

_FORMATS: dict[str, Callable[[Image], dict[str, bytes]]] = {
    "rockpool-json": lambda image: {"specification.json": export_specification(image)},
    "xylo-ram": export_xylo_ram,
    "readmemh": export_readmemh,
}

_SUFFIXES, _NAMES = (".ini", ".mem"), ("specification.json", "basic_config.json")
"""Files of older exports, which go."""


@click.command("export")
@click.argument("bitstream")
@click.option("--format", "form", required=True, type=click.Choice(list(_FORMATS)), help="See docs/programmer.md.")
@click.option("--output", "-o", required=True, type=click.Path(file_okay=False), help="Directory for the files.")
@bitstream_chip_option
def command(bitstream: str, form: str, output: str, chip: str | None) -> None:
    """Write BITSTREAM as what loaders take: a specification for samna, Xylo's memory files, or memory files of any chip."""
    try:
        files = _FORMATS[form](read_image(bitstream, chip))
    except FormatError as error:
        raise error.within(bitstream) from error
    replace_folder(Path(output), files, lambda name: Path(name).suffix in _SUFFIXES or name in _NAMES)
    click.echo(f"{output}: {len(files)} files of {bitstream}")

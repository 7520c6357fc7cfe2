"""snnmap disasm: a bitstream as text."""

from pathlib import Path

import click

from snnmap.cli.options import bitstream_chip_option, read_image
from snnmap.core import fsio
from snnmap.lif.bitstream import disassemble

__all__ = ["command"]


@click.command("disasm")
@click.argument("bitstream")
@bitstream_chip_option
@click.option("--output", "-o", help="File to write; stdout where left out.")
def command(bitstream: str, chip: str | None, output: str | None) -> None:
    """Write BITSTREAM as text."""
    text = disassemble(read_image(bitstream, chip))
    if output is None:
        click.echo(text, nl=False)
    else:
        fsio.write_file(Path(output), text.encode())
        click.echo(f"{output}: {text.count(chr(10))} lines of {bitstream}")

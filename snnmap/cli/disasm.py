"""snnmap disasm: a bitstream as text."""

from pathlib import Path

import click

from snnmap import fsio
from snnmap.bitstream import decode, disassemble
from snnmap.chip import load_chip
from snnmap.cli.options import read_bytes

__all__ = ["command"]


@click.command("disasm")
@click.argument("bitstream")
@click.option("--chip", "-c", help="Name or TOML file of the chip, where it is not a built-in one.")
@click.option("--output", "-o", help="File to write; stdout where left out.")
def command(bitstream: str, chip: str | None, output: str | None) -> None:
    """Write BITSTREAM as text."""
    text = disassemble(decode(read_bytes(bitstream), chip=load_chip(chip) if chip else None))
    if output is None:
        click.echo(text, nl=False)
    else:
        fsio.write_file(Path(output), text.encode())

"""snnmap disasm: a bitstream as text."""

import click

from snnmap.cli.options import bitstream_chip_option, read_image, write_text
from snnmap.lif.bitstream import disassemble

__all__ = ["command"]


@click.command("disasm")
@click.argument("bitstream")
@bitstream_chip_option
@click.option("--output", "-o", help="File to write; stdout where left out.")
def command(bitstream: str, chip: str | None, output: str | None) -> None:
    """Write BITSTREAM as text."""
    text = disassemble(read_image(bitstream, chip))
    write_text(text, output)
    if output is not None:
        click.echo(f"{output}: {text.count(chr(10))} lines of {bitstream}")

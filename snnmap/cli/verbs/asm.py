"""snnmap asm: text as a bitstream."""

from pathlib import Path

import click

from snnmap.chip import load_chip
from snnmap.cli.options import bitstream_chip_option, read_bytes
from snnmap.core import fsio
from snnmap.core.errors import FormatError
from snnmap.lif.bitstream import assemble, encode

__all__ = ["command"]


@click.command("asm")
@click.argument("text")
@bitstream_chip_option
@click.option("--output", "-o", required=True, help="Bitstream to write.")
def command(text: str, chip: str | None, output: str) -> None:
    """Write the bitstream of TEXT, a file as disasm writes it."""
    try:
        source = read_bytes(text).decode()
    except UnicodeDecodeError as error:
        raise FormatError(
            "the text is not UTF-8", where=text, measured=f"byte {error.start}", fix="give the output of disasm"
        ) from error
    record = load_chip(chip) if chip else None
    try:
        image = assemble(source, chip=record)
    except FormatError as error:
        raise error.within(text) from error
    fsio.write_file(Path(output), encode(image))

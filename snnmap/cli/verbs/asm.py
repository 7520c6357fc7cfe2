"""snnmap asm: text as a bitstream."""

from pathlib import Path

import click

from snnmap.chip import load_chip
from snnmap.cli.options import bitstream_chip_option, read_bytes
from snnmap.core import fsio
from snnmap.core.errors import FormatError
from snnmap.lif.bitstream import MAGIC, assemble, encode

__all__ = ["command"]


@click.command("asm")
@click.argument("text")
@bitstream_chip_option
@click.option("--output", "-o", required=True, help="Bitstream to write.")
def command(text: str, chip: str | None, output: str) -> None:
    """Write the bitstream of TEXT, a file as disasm writes it.

    Where memories were changed, the bitstream says so, and holds no golden samples any more; what the text says of itself behind
    `manifest` is written as it stands there.
    """
    given = read_bytes(text)
    try:
        source = given.decode()
    except UnicodeDecodeError as error:
        fix = "give the output of disasm, which is a bitstream's text twin"
        what = "this is a bitstream: the text is not UTF-8" if given.startswith(MAGIC) else "the text is not UTF-8"
        raise FormatError(what, where=text, measured=f"byte {error.start}", fix=fix) from error
    record = load_chip(chip) if chip else None
    try:
        image = assemble(source, chip=record)
    except FormatError as error:
        raise error.within(text) from error
    data = encode(image)
    fsio.write_file(Path(output), data)
    sizes = "{} input channels, {} hidden and {} output neurons".format(*image.sizes)
    manifest = image.manifest
    edited = "; edited, without golden samples" if manifest is not None and manifest.edited else ""
    click.echo(f"{output}: {len(data)} bytes of {text}; {sizes} of {image.chip.name}{edited}")

"""The text twin of a bitstream: for reading, reviewing and writing by hand."""

from snnmap.chip import Chip
from snnmap.lif.program import Image, format_program, pack, parse_program, unpack

__all__ = ["assemble", "disassemble"]


def disassemble(image: Image) -> str:
    """Write an image as text: shape, shifts, weights by source as ``target=weight``, and the codes of each neuron.

    :func:`assemble` reads it back to the same image.

    Raises:
        FormatError: the image is not one that packing could make.
    """
    return format_program(unpack(image))


def assemble(text: str, *, chip: Chip | None = None) -> Image:
    """Read the text form; empty lines and ``#`` comments are passed over.

    Args:
        text: as :func:`disassemble` writes it.
        chip: the record to use; by default the built-in chip with the text's id.

    Raises:
        FormatError: a line is malformed or misplaced, or the chip cannot hold the program.
    """
    return pack(parse_program(text, chip=chip))

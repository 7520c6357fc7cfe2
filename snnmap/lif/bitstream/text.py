"""The text twin of a bitstream: for reading, reviewing and writing by hand."""

from dataclasses import replace

from snnmap.chip import Chip
from snnmap.lif.bitstream.encode import digest_image
from snnmap.lif.program import Image, format_image, parse_image

__all__ = ["assemble", "disassemble"]


def disassemble(image: Image) -> str:
    """Write an image as text: shape, shifts, weights by source as ``target=weight``, the codes of each neuron, the manifest.

    :func:`assemble` reads it back to the same image.

    Raises:
        FormatError: the image is not one that packing could make.
    """
    return format_image(image)


def assemble(text: str, *, chip: Chip | None = None) -> Image:
    """Read the text form; empty lines and ``#`` comments are passed over.

    Args:
        text: as :func:`disassemble` writes it.
        chip: the record to use; by default the built-in chip with the text's id.

    Returns:
        The image; where its memories are not those that its manifest is of, this is of them now, says that they were edited, and
        holds no golden samples any more.

    Raises:
        FormatError: a line is malformed or misplaced, or the chip cannot hold the program.
    """
    image = parse_image(text, chip=chip)
    manifest, digest = image.manifest, digest_image(image)
    if manifest is None or manifest.image_digest == digest:
        return image
    return image.with_manifest(replace(manifest, image_digest=digest, edited=True, golden=()))

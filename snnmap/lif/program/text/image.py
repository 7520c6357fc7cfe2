"""An image as text: its program, and its manifest, a line a field."""

from dataclasses import fields

from snnmap.chip import Chip
from snnmap.lif.program.image import Image, pack, unpack
from snnmap.lif.program.manifest import Manifest, format_fields, read_field, require_fit
from snnmap.lif.program.text.lines import LineReader
from snnmap.lif.program.text.program import format_program, read_program

__all__ = ["format_image", "parse_image"]

_HEAD, _FIX = "manifest", "compare with the output of snnmap disasm"


def format_image(image: Image) -> str:
    """Write an image as text: its program as :func:`format_program` writes it, then the fields of its manifest as JSON."""
    manifest = image.manifest
    told = [] if manifest is None else [_HEAD, *(f"  {key}: {_escape(text)}" for key, text in format_fields(manifest).items())]
    return format_program(unpack(image)) + "".join(f"{line}\n" for line in told)


def _escape(text: str) -> str:
    """Let no sign begin a comment."""
    return text.replace("#", r"\u0023")


def parse_image(text: str, *, chip: Chip | None = None) -> Image:
    """Read what :func:`format_image` wrote; arguments and errors as those of :func:`parse_program`."""
    reader = LineReader(text, fix=_FIX)
    image = pack(read_program(reader, chip))
    if not reader.follows(_HEAD):
        reader.expect_end("neuron")
        return image
    manifest = _read_manifest(reader)
    reader.expect_end("field of the manifest")
    require_fit(manifest, image.sizes)
    return image.with_manifest(manifest)


def _read_manifest(reader: LineReader) -> Manifest:
    reader.expect(_HEAD)
    values = {}
    for name in sorted(field.name for field in fields(Manifest)):
        (text,) = reader.expect(rf"{name}: (.*)")
        try:
            values[name] = read_field(name, text)
        except ValueError as error:
            raise reader.error(f"this is no {name} of a manifest: {error}", measured=text[:60], back=1) from error
    return Manifest(**values)

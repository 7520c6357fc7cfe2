"""From an image to bytes."""

import hashlib
import zlib
from collections.abc import Iterator

from snnmap.core.errors import FormatError
from snnmap.crossbar.container.image import Image, TensorEntry
from snnmap.crossbar.container.layout import CRC, ENTRY, HEADER, MAGIC, MAX_BYTES, SHA_BYTES, TENSOR, VERSION, SectionKind
from snnmap.crossbar.isa import encode_program

__all__ = ["encode_image"]


def encode_image(image: Image) -> bytes:
    """Write an image as a file; the format is specified in bitstreams/CROSSBAR.md.

    Equal images give equal bytes, on every machine.

    Raises:
        FormatError: it takes more bytes than the format counts.
    """
    sections = list(_list_sections(image))
    offset = HEADER.size + len(sections) * ENTRY.size + CRC.size
    total = offset + sum(len(payload) for _, _, payload in sections) + SHA_BYTES
    if total > MAX_BYTES:
        raise FormatError("the image takes more bytes than the format counts", measured=str(total), limit=str(MAX_BYTES))
    header = HEADER.pack(MAGIC, VERSION, len(sections), total, image.architecture.digest)
    for kind, core, payload in sections:
        header += ENTRY.pack(kind, core, offset, len(payload), zlib.crc32(payload))
        offset += len(payload)
    content = b"".join([header, CRC.pack(zlib.crc32(header)), *(payload for _, _, payload in sections)])
    return content + hashlib.sha256(content).digest()


def _list_sections(image: Image) -> Iterator[tuple[SectionKind, int, bytes]]:
    name = image.name.encode()
    tensors = b"".join(map(_encode_tensor, image.tensors))
    yield SectionKind.TENSORS, 0, len(name).to_bytes(2, "little") + name + len(image.tensors).to_bytes(2, "little") + tensors
    yield SectionKind.CONSTANTS, 0, image.constants
    for core, program in enumerate(image.programs):
        yield SectionKind.PROGRAM, core, encode_program(program)
    for core, weights in enumerate(image.weights):
        yield SectionKind.WEIGHTS, core, weights


def _encode_tensor(entry: TensorEntry) -> bytes:
    name = entry.name.encode()
    numbers = (entry.address, entry.channels, entry.height, entry.width, entry.zero, entry.role, entry.storage, entry.scale)
    return TENSOR.pack(*numbers, len(name)) + name

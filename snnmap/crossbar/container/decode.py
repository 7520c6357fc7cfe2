"""From bytes to an image, refusing everything that encoding never writes."""

import hashlib
import math
import zlib
from dataclasses import dataclass

from snnmap.core.errors import FormatError
from snnmap.core.intact import DAMAGED, require_intact
from snnmap.crossbar.container.image import Image, TensorEntry
from snnmap.crossbar.container.layout import CRC, ENTRY, HEADER, MAGIC, SHA_BYTES, TENSOR, VERSION, SectionKind
from snnmap.crossbar.isa import decode_program
from snnmap.crossbar.record import Architecture, find_architecture

__all__ = ["SectionEntry", "decode_image", "read_directory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionEntry:
    """One line of the directory: where a section is in the file."""

    kind: SectionKind
    core: int
    offset: int
    n_bytes: int
    crc: int


def decode_image(data: bytes, *, architecture: Architecture | None = None) -> Image:
    """Read a file; the exact inverse of :func:`~snnmap.crossbar.container.encode_image`.

    Args:
        data: the whole file.
        architecture: that it is for; by default the built-in one of the digest in the header.

    Raises:
        FormatError: any bit differs from what encoding writes, or the architecture is another one.
    """
    digest, entries = read_directory(data)
    require_intact(
        hashlib.sha256(data[:-SHA_BYTES]).digest() == data[-SHA_BYTES:],
        "the SHA-256 at the end does not fit the content",
        where=f"byte {len(data) - SHA_BYTES}",
    )
    chosen = _choose(digest, architecture)
    wanted = [(SectionKind.TENSORS, 0), (SectionKind.CONSTANTS, 0)]
    wanted += [(kind, core) for kind in (SectionKind.PROGRAM, SectionKind.WEIGHTS) for core in range(chosen.cores)]
    found = [(entry.kind, entry.core) for entry in entries]
    require_intact(
        found == wanted, "the sections are not those of the architecture's cores", where="directory", measured=str(len(found))
    )
    payloads = [data[entry.offset : entry.offset + entry.n_bytes] for entry in entries]
    for entry, payload in zip(entries, payloads, strict=True):
        where = f"section {entry.kind.name} {entry.core}, byte {entry.offset}"
        require_intact(zlib.crc32(payload) == entry.crc, "the section's CRC does not fit", where=where)
    name, tensors = _decode_tensors(payloads[0])
    programs = payloads[2 : 2 + chosen.cores]
    image = Image(
        name=name,
        architecture=chosen,
        tensors=tensors,
        constants=payloads[1],
        weights=tuple(payloads[2 + chosen.cores :]),
        programs=tuple(decode_program(part, where=f"program of core {core}") for core, part in enumerate(programs)),
    )
    _require_tensors(image)
    return image


def read_directory(data: bytes) -> tuple[bytes, tuple[SectionEntry, ...]]:
    """Read and check header and directory: the architecture's digest, and the sections.

    Raises:
        FormatError: not such a file, another version, damaged, truncated or longer than it says.
    """
    smallest = HEADER.size + CRC.size + SHA_BYTES
    require_intact(
        len(data) >= smallest, "the file is too short", where="byte 0", measured=str(len(data)), limit=f"{smallest} bytes"
    )
    magic, version, n_sections, total, digest = HEADER.unpack_from(data)
    require_intact(magic == MAGIC, "this is no file for crossbars", where="byte 0", measured=magic.hex(" "), limit=MAGIC.hex(" "))
    require_intact(version == VERSION, "the format version is unknown", where="byte 8", measured=str(version), limit=str(VERSION))
    size = str(len(data))
    require_intact(total == len(data), "the file has another size than it says", where="byte 12", measured=size, limit=str(total))
    end = HEADER.size + n_sections * ENTRY.size
    require_intact(
        end + CRC.size + SHA_BYTES <= total, "the directory is longer than the file", where="byte 10", measured=str(n_sections)
    )
    (crc,) = CRC.unpack_from(data, end)
    require_intact(crc == zlib.crc32(data[:end]), "the header's CRC does not fit", where=f"byte {end}")
    entries = tuple(_read_entry(data, number) for number in range(n_sections))
    _require_contiguous(entries, end + CRC.size, total - SHA_BYTES)
    return digest, entries


def _read_entry(data: bytes, number: int) -> SectionEntry:
    at = HEADER.size + number * ENTRY.size
    kind, core, offset, n_bytes, crc = ENTRY.unpack_from(data, at)
    require_intact(kind in set(SectionKind), "the section is unknown", where=f"byte {at}", measured=str(kind), limit="1..4")
    return SectionEntry(kind=SectionKind(kind), core=core, offset=offset, n_bytes=n_bytes, crc=crc)


def _require_contiguous(entries: tuple[SectionEntry, ...], start: int, stop: int) -> None:
    """Check that sections follow each other without hole or overlap up to the trailer."""
    for number, entry in enumerate(entries):
        where = f"directory entry {number}"
        require_intact(
            entry.offset == start,
            "a section leaves a hole or overlaps",
            where=where,
            measured=str(entry.offset),
            limit=str(start),
        )
        start += entry.n_bytes
        require_intact(start <= stop, "a section reaches past the end", where=where, measured=str(start), limit=str(stop))
    require_intact(start == stop, "bytes lie between the last section and the trailer", where=f"byte {start}")


def _choose(digest: bytes, architecture: Architecture | None) -> Architecture:
    found = architecture or find_architecture(digest)
    if found is None or found.digest != digest:
        raise FormatError(
            "the file is for another architecture",
            where="byte 16",
            measured=digest.hex()[:16],
            limit="a built-in one" if found is None else f"{found.digest.hex()[:16]} ({found.name})",
            fix="give the TOML file of the architecture that it was built for: --chip mine.toml, in Python architecture=",
        )
    return found


def _decode_tensors(payload: bytes) -> tuple[str, tuple[TensorEntry, ...]]:
    where = "section TENSORS"
    name, at = _read_text(payload, 2, int.from_bytes(payload[:2], "little"))
    count = int.from_bytes(payload[at : at + 2], "little")
    at, tensors = at + 2, []
    for number in range(count):
        require_intact(at + TENSOR.size <= len(payload), "a tensor is cut off", where=f"{where}, tensor {number}")
        *numbers, length = TENSOR.unpack_from(payload, at)
        text, at = _read_text(payload, at + TENSOR.size, length)
        names = ("address", "channels", "height", "width", "zero", "role", "storage", "scale")
        tensors.append(TensorEntry(name=text, **dict(zip(names, numbers, strict=True))))
    require_intact(at == len(payload), "bytes follow the last tensor", where=where, measured=str(len(payload) - at), limit="0")
    return name, tuple(tensors)


def _read_text(payload: bytes, at: int, length: int) -> tuple[str, int]:
    raw = payload[at : at + length]
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise FormatError("a name is not UTF-8", where=f"section TENSORS, byte {at}", fix=DAMAGED) from error
    require_intact(len(raw) == length, "a name is cut off", where=f"section TENSORS, byte {at}")
    return text, at + length


def _require_tensors(image: Image) -> None:
    """Check that tensors lie in the activation memory, and that those that share bytes have them."""
    limit = image.architecture.memories.activation_bytes
    for number, tensor in enumerate(image.tensors):
        where = f"tensor {number} '{tensor.name}'"
        end = tensor.address + tensor.size
        require_intact(
            tensor.size > 0 and end <= limit,
            "a tensor is not in the memory",
            where=where,
            measured=str(end),
            limit=f"{limit} bytes",
        )
        require_intact(
            math.isfinite(tensor.scale) and tensor.scale > 0, "a scale is not positive", where=where, measured=str(tensor.scale)
        )
        require_intact(
            tensor.role in (0, 1, 2), "a tensor's role is unknown", where=where, measured=str(tensor.role), limit="0..2"
        )
        require_intact(
            tensor.storage <= number, "a tensor takes the bytes of a later one", where=where, measured=str(tensor.storage)
        )
        root = image.tensors[tensor.storage]
        same = (root.address, root.size, root.storage) == (tensor.address, tensor.size, tensor.storage)
        require_intact(same, "a tensor that shares bytes has others", where=where)

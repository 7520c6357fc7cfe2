"""From bytes to an image, refusing everything that encoding never writes."""

import hashlib
import zlib
from dataclasses import dataclass

import numpy as np

from snnmap.chip import Chip, find_chip_by_id
from snnmap.core import IntArray, seal
from snnmap.core.cached import let_give
from snnmap.core.errors import FormatError
from snnmap.core.intact import require_intact
from snnmap.lif.bitstream.encode import measure_crc, require_own_manifest, write_words
from snnmap.lif.bitstream.layout import (
    CRC,
    DIRECTORY_ENTRY,
    HEADER,
    MAGIC,
    MAX_BLOCKS,
    SHA_BYTES,
    TEXT_MAGIC,
    VERSION,
    word_bytes,
)
from snnmap.lif.program import Block, BlockKind, Image, Manifest, find_manifest, unpack

__all__ = ["BlockEntry", "Header", "decode", "peek_manifest", "read_header"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEntry:
    """One line of the directory: where a block is in the file."""

    kind: BlockKind
    synapse: int
    word_bits: int
    offset: int
    n_words: int
    crc: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the block in the file."""
        return self.n_words * word_bytes(self.word_bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a bitstream says of itself."""

    version: int
    chip_id: int
    chip_digest: bytes
    total_size: int
    blocks: tuple[BlockEntry, ...]


def decode(data: bytes, *, chip: Chip | None = None) -> Image:
    """Read a bitstream; the exact inverse of :func:`~snnmap.lif.bitstream.encode`.

    Args:
        data: the whole file.
        chip: the record to read it with; by default the built-in chip with the header's id.

    Raises:
        FormatError: any bit differs from what encoding writes, or the chip record is another one.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from snnmap.lif.bitstream import encode
        >>> from snnmap.pipeline import compile_model
        >>> artifacts = compile_model(network, "xylo-audio-3")
        >>> encode(decode(artifacts.bitstream)) == artifacts.bitstream
        True
    """
    header = read_header(data)
    blocks = _read_blocks(data, header)
    image = Image(chip=_find_chip(header, chip), blocks=blocks)
    unpack(image)
    require_own_manifest(image)
    return image


def peek_manifest(data: bytes) -> Manifest | None:
    """Read what a bitstream says of itself, without the record of its chip; whether it is of these memories is not known then.

    Raises:
        FormatError: the file is damaged, or its manifest malformed.
    """
    return find_manifest(_read_blocks(data, read_header(data)))


def read_header(data: bytes) -> Header:
    """Read and check header and directory, without the blocks.

    Nothing is allocated from sizes in the file before its CRC has been checked.

    Raises:
        FormatError: not a bitstream, another version, damaged, truncated or longer than it says.
    """
    smallest = HEADER.size + CRC.size + SHA_BYTES
    require_intact(
        len(data) >= smallest, "the file is too short", where="byte 0", measured=str(len(data)), limit=f"{smallest} bytes"
    )
    if data.startswith(TEXT_MAGIC):
        fix = "make its bytes by `snnmap asm`"
        raise FormatError(
            "this is not a snnmap bitstream, but its text twin", where="byte 0", measured="text", limit="bytes", fix=fix
        )
    magic, version, chip_id, total_size, n_blocks, zero, digest = HEADER.unpack_from(data)
    require_intact(
        magic == MAGIC, "this is not a snnmap bitstream", where="byte 0", measured=magic.hex(" "), limit=MAGIC.hex(" ")
    )
    require_intact(version == VERSION, "the format version is unknown", where="byte 8", measured=str(version), limit=str(VERSION))
    require_intact(
        total_size == len(data),
        "the file has another size than it says",
        where="byte 12",
        measured=str(len(data)),
        limit=str(total_size),
    )
    require_intact(n_blocks <= MAX_BLOCKS, "too many blocks", where="byte 16", measured=str(n_blocks), limit=str(MAX_BLOCKS))
    end = HEADER.size + n_blocks * DIRECTORY_ENTRY.size
    require_intact(
        end + CRC.size + SHA_BYTES <= len(data), "the directory is longer than the file", where="byte 16", measured=str(n_blocks)
    )
    (crc,) = CRC.unpack_from(data, end)
    require_intact(
        crc == zlib.crc32(data[:end]),
        "the header's CRC does not fit",
        where=f"byte {end}",
        measured=f"{zlib.crc32(data[:end]):08x}",
        limit=f"{crc:08x}",
    )
    require_intact(zero == 0, "a reserved field is not zero", where="byte 18", measured=str(zero), limit="0")
    entries = tuple(_read_entry(data, number) for number in range(n_blocks))
    _require_contiguous(entries, end + CRC.size, total_size - SHA_BYTES)
    return Header(version=version, chip_id=chip_id, chip_digest=digest, total_size=total_size, blocks=entries)


def _read_blocks(data: bytes, header: Header) -> tuple[Block, ...]:
    blocks = tuple(_read_block(data, entry) for entry in header.blocks)
    require_intact(
        hashlib.sha256(memoryview(data)[:-SHA_BYTES]).digest() == data[-SHA_BYTES:],
        "the SHA-256 at the end does not fit the content",
        where=f"byte {len(data) - SHA_BYTES}",
    )
    return blocks


def _read_entry(data: bytes, number: int) -> BlockEntry:
    at = HEADER.size + number * DIRECTORY_ENTRY.size
    kind, synapse, word_bits, zero, offset, n_words, crc = DIRECTORY_ENTRY.unpack_from(data, at)
    where = f"directory entry {number}, byte {at}"
    require_intact(kind in set(BlockKind), "the block kind is unknown", where=where, measured=str(kind), limit="1..11 or 32")
    require_intact(
        1 <= word_bits <= 32, "a word's width is out of range", where=where, measured=str(word_bits), limit="1..32 bits"
    )
    require_intact(zero == 0, "a reserved field is not zero", where=where, measured=str(zero), limit="0")
    return BlockEntry(kind=BlockKind(kind), synapse=synapse, word_bits=word_bits, offset=offset, n_words=n_words, crc=crc)


def _require_contiguous(entries: tuple[BlockEntry, ...], start: int, stop: int) -> None:
    """Check that blocks ascend and follow each other without hole or overlap up to the trailer."""
    before = (-1, -1)
    for number, entry in enumerate(entries):
        where = f"directory entry {number}"
        key = (int(entry.kind), entry.synapse)
        require_intact(
            key > before, "blocks do not ascend in kind and synapse", where=where, measured=str(key), limit=f"above {before}"
        )
        require_intact(
            entry.offset == start, "a block leaves a hole or overlaps", where=where, measured=str(entry.offset), limit=str(start)
        )
        before, start = key, start + entry.n_bytes
        require_intact(start <= stop, "a block reaches past the end", where=where, measured=str(start), limit=str(stop))
    require_intact(
        start == stop,
        "bytes lie between the last block and the trailer",
        where=f"byte {start}",
        measured=str(stop - start),
        limit="0",
    )


def _find_chip(header: Header, chip: Chip | None) -> Chip:
    record = find_chip_by_id(header.chip_id) if chip is None else chip
    if record is None or record.chip_id != header.chip_id:
        raise FormatError(
            "the bitstream is for another chip", where="byte 10", measured=f"chip id {header.chip_id}",
            limit="a built-in chip" if record is None else f"chip id {record.chip_id} ('{record.name}')",
            fix="give the chip's TOML file",
        )  # fmt: skip
    require_intact(
        record.digest == header.chip_digest,
        f"the bitstream was written for another record of chip '{record.plain_name}'",
        where="byte 20", measured=header.chip_digest.hex()[:16], limit=record.short_digest,
        fix="give the chip's TOML file that it was built with",
    )  # fmt: skip
    return record


def _read_block(data: bytes, entry: BlockEntry) -> Block:
    payload = data[entry.offset : entry.offset + entry.n_bytes]
    where = f"block {entry.kind.name}[{entry.synapse}], byte {entry.offset}"
    crc = zlib.crc32(payload)
    require_intact(crc == entry.crc, "the block's CRC does not fit", where=where, measured=f"{crc:08x}", limit=f"{entry.crc:08x}")
    words = _split_words(payload, word_bytes(entry.word_bits))
    is_padded = not int(words.max(initial=0)) >> entry.word_bits
    require_intact(is_padded, "pad bits are not zero", where=where, limit=f"{entry.word_bits} bits a word")
    block = Block(kind=entry.kind, synapse=entry.synapse, word_bits=entry.word_bits, words=words)
    return let_give(measure_crc, let_give(write_words, block, payload), crc)


def _split_words(payload: bytes, width: int) -> IntArray:
    narrow = np.frombuffer(payload, np.uint8).reshape(-1, width)
    wide = np.zeros(narrow.shape[0], "<i8")
    wide.view(np.uint8).reshape(-1, 8)[:, :width] = narrow
    return seal(wide.astype(np.int64, copy=False))

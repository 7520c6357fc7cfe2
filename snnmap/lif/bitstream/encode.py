"""From an image to bytes."""

import hashlib
import zlib

import numpy as np

from snnmap.core.cached import cached
from snnmap.core.errors import FormatError
from snnmap.lif.bitstream.layout import CRC, DIRECTORY_ENTRY, HEADER, MAGIC, MAX_BYTES, SHA_BYTES, VERSION, word_bytes
from snnmap.lif.program import Block, Image, unpack

__all__ = ["digest_image", "encode", "measure_crc", "require_own_manifest", "write_words"]


def encode(image: Image) -> bytes:
    """Write an image as a bitstream; the format is specified in bitstreams/FORMAT.md.

    Equal images give equal bytes, on every machine.

    Raises:
        FormatError: the image is not one that packing could make, or takes more bytes than the format counts.
    """
    unpack(image)
    require_own_manifest(image)
    return _write(image)


def digest_image(image: Image) -> str:
    """Return what the SHA-256 at the end of an image's file is without a manifest, in hexadecimal."""
    return _write(image.with_manifest(None))[-SHA_BYTES:].hex()


def require_own_manifest(image: Image) -> None:
    """Refuse an image with the manifest of another image or chip.

    Raises:
        FormatError: its digests are others, or the manifest names what the image does not have.
    """
    manifest = image.manifest
    if manifest is None:
        return
    own = {"chip": image.chip.digest.hex(), "image": digest_image(image)}
    said = {"chip": manifest.chip_digest, "image": manifest.image_digest}
    for what, digest in own.items():
        if said[what] != digest:
            raise FormatError(
                f"the manifest is of another {what}",
                where="block MANIFEST",
                measured=said[what][:16],
                limit=digest[:16],
                fix="build the image anew with snnmap build",
            )


def _write(image: Image) -> bytes:
    _require_size(image)
    payloads = [write_words(block) for block in image.blocks]
    offset = HEADER.size + len(payloads) * DIRECTORY_ENTRY.size + CRC.size
    directory = b""
    for block, payload in zip(image.blocks, payloads, strict=True):
        fields = (block.kind, block.synapse, block.word_bits, 0, offset, block.words.size, measure_crc(block))
        directory += DIRECTORY_ENTRY.pack(*fields)
        offset += len(payload)
    chip = image.chip
    header = HEADER.pack(MAGIC, VERSION, chip.chip_id, offset + SHA_BYTES, len(payloads), 0, chip.digest) + directory
    content = header + CRC.pack(zlib.crc32(header)) + b"".join(payloads)
    return content + hashlib.sha256(content).digest()


def _require_size(image: Image) -> None:
    size = HEADER.size + CRC.size + SHA_BYTES
    size += sum(DIRECTORY_ENTRY.size + block.words.size * word_bytes(block.word_bits) for block in image.blocks)
    if size > MAX_BYTES:
        raise FormatError(
            "the image takes more bytes than a bitstream can say",
            where=f"chip '{image.chip.name}'",
            measured=f"{size} bytes",
            limit=f"{MAX_BYTES} bytes",
            fix="prune weights (`torch.nn.utils.prune.l1_unstructured`), or make layers smaller",
        )


@cached
def measure_crc(block: Block) -> int:
    """Return the CRC-32 of a block's bytes."""
    return zlib.crc32(write_words(block))


@cached
def write_words(block: Block) -> bytes:
    """Write words in whole bytes, little-endian: once, however often the manifest beside them changes."""
    wide = block.words.astype("<i8", copy=False).reshape(-1, 1).view(np.uint8)
    return wide[:, : word_bytes(block.word_bits)].tobytes()

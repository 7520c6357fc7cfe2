"""The fixed parts of the file format, as bitstreams/FORMAT.md specifies them."""

import struct

__all__ = [
    "CRC",
    "DIRECTORY_ENTRY",
    "HEADER",
    "MAGIC",
    "MAX_BLOCKS",
    "MAX_BYTES",
    "SHA_BYTES",
    "TEXT_MAGIC",
    "VERSION",
    "word_bytes",
]

MAGIC = b"\x89SNM\r\n\x1a\n"
"""High bit set, both line endings and an end-of-file mark: what a text-mode transfer breaks first."""
TEXT_MAGIC = b"snnmap-image"
"""What the text twin begins with."""
VERSION = 1
MAX_BLOCKS = 64
MAX_BYTES = 2**32 - 1
HEADER = struct.Struct("<8sHHIHH32s")
"""Magic, version, chip id, total size, number of blocks, zero, chip digest."""
DIRECTORY_ENTRY = struct.Struct("<BBBBIII")
"""Kind, synapse, bits a word, zero, offset, number of words, CRC-32 of the block's bytes."""
CRC = struct.Struct("<I")
SHA_BYTES = 32


def word_bytes(word_bits: int) -> int:
    """Return the bytes that a word of this width takes in the file."""
    return (word_bits + 7) // 8

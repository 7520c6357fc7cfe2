"""The fixed parts of the file, as bitstreams/CROSSBAR.md specifies them."""

import struct
from enum import IntEnum

__all__ = ["CRC", "ENTRY", "HEADER", "MAGIC", "MAX_BYTES", "SHA_BYTES", "TENSOR", "VERSION", "SectionKind"]

MAGIC = b"\x89SXB\r\n\x1a\n"
"""High bit set, both line endings and an end-of-file mark: what a text-mode transfer breaks first."""
VERSION = 1
MAX_BYTES = 2**32 - 1
HEADER = struct.Struct("<8sHHI32s")
"""Magic, version, number of sections, total size, digest of the architecture."""
ENTRY = struct.Struct("<HHIII")
"""Kind, core, offset, number of bytes, CRC-32 of the section."""
CRC = struct.Struct("<I")
TENSOR = struct.Struct("<IIHHBBHfH")
"""Address, channels, height, width, zero, role, storage, scale, bytes of the name that follows."""
SHA_BYTES = 32


class SectionKind(IntEnum):
    """What a section holds; they ascend in kind and core."""

    TENSORS = 1
    CONSTANTS = 2
    PROGRAM = 3
    WEIGHTS = 4

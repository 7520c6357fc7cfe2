"""Files that were changed behind valid checksums."""

import hashlib
import struct
import zlib
from typing import Any

KINDS = {1: "tensors", 2: "constants", 3: "program", 4: "weights"}


def list_sections(data: bytes) -> list[tuple[int, int, int, int]]:
    """Kind, core, offset and size of each section."""
    (n_sections,) = struct.unpack_from("<H", data, 10)
    return [struct.unpack_from("<HHII", data, 48 + 16 * number) for number in range(n_sections)]


def reseal(data: bytes) -> bytes:
    """Write all checksums anew."""
    made = bytearray(data)
    for number, (_, _, offset, size) in enumerate(list_sections(data)):
        struct.pack_into("<I", made, 48 + 16 * number + 12, zlib.crc32(data[offset : offset + size]))
    end = 48 + 16 * len(list_sections(data))
    struct.pack_into("<I", made, end, zlib.crc32(bytes(made[:end])))
    return bytes(made[:-32]) + hashlib.sha256(bytes(made[:-32])).digest()


def mutate(data: bytes, rng: Any) -> tuple[bytes, str]:
    """Change one byte of one section, each kind as often, and say which."""
    kinds = sorted({kind for kind, _, _, size in list_sections(data) if size})
    kind = kinds[int(rng.integers(len(kinds)))]
    sections = [(offset, size) for found, _, offset, size in list_sections(data) if found == kind and size]
    weights = [size for _, size in sections]
    offset, size = sections[int(rng.choice(len(sections), p=[weight / sum(weights) for weight in weights]))]
    at = offset + int(rng.integers(size))
    made = bytearray(data)
    made[at] ^= int(rng.integers(1, 256))
    return reseal(bytes(made)), f"{KINDS[kind]}, byte {at}"

"""A second reader of the files for crossbars, written from bitstreams/CROSSBAR.md alone; it shares no code with snnmap."""

import hashlib
import re
import struct
import zlib
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[1] / "bitstreams" / "CROSSBAR.md").read_text()


def read_table() -> dict[int, tuple[str, list[tuple[str, int]]]]:
    """Opcode, name and fields of each instruction, from the page."""
    table = {}
    for name, opcode, body in re.findall(r"### (\w+)\n\nOpcode 0x(\w+),(.*?)(?=\n### |\n## |\Z)", PAGE, flags=re.DOTALL):
        fields = re.findall(r"^\| `(\w+)` \| (\d+)", body, flags=re.MULTILINE)
        table[int(opcode, 16)] = (name, [(field, int(bits)) for field, bits in fields])
    return table


def read_file(data: bytes) -> dict[str, Any]:
    assert data[:8] == bytes.fromhex("89 53 58 42 0D 0A 1A 0A")
    version, n_sections, total = struct.unpack_from("<HHI", data, 8)
    assert (version, total) == (1, len(data))
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]
    end = 48 + 16 * n_sections
    assert zlib.crc32(data[:end]) == int.from_bytes(data[end : end + 4], "little")
    sections: dict[tuple[int, int], bytes] = {}
    for number in range(n_sections):
        kind, core, offset, size, crc = struct.unpack_from("<HHIII", data, 48 + 16 * number)
        sections[kind, core] = data[offset : offset + size]
        assert zlib.crc32(sections[kind, core]) == crc
    table = read_table()
    return {
        "tensors": read_tensors(sections[1, 0]),
        "constants": sections[2, 0],
        "programs": [read_program(part, table) for (kind, _), part in sections.items() if kind == 3],
        "weights": [part for (kind, _), part in sections.items() if kind == 4],
    }


def read_tensors(data: bytes) -> list[dict[str, Any]]:
    at = 2 + int.from_bytes(data[:2], "little")
    count, at, tensors = int.from_bytes(data[at : at + 2], "little"), at + 2, []
    for _ in range(count):
        address, channels, height, width = struct.unpack_from("<IIHH", data, at)
        zero, _, _, scale, length = struct.unpack_from("<BBHfH", data, at + 12)
        name = data[at + 22 : at + 22 + length].decode()
        tensors.append({"name": name, "address": address, "shape": (channels, height, width), "zero": zero, "scale": scale})
        at += 22 + length
    assert at == len(data)
    return tensors


def read_program(data: bytes, table: dict[int, Any]) -> list[tuple[str, dict[str, int]]]:
    at, program = 0, []
    while at < len(data):
        name, fields = table[data[at]]
        at, values = at + 1, {}
        for field, bits in fields:
            values[field] = int.from_bytes(data[at : at + bits // 8], "little")
            at += bits // 8
        program.append((name, values))
    return program

"""A second reader, written from bitstreams/FORMAT.md and the chip's TOML alone: it imports nothing of snnmap."""

import hashlib
import json
import struct
import tomllib
import zlib
from pathlib import Path
from typing import Any

KINDS = {
    1: "config",
    2: "il",
    3: "iw",
    4: "rl",
    5: "rw",
    6: "ol",
    7: "ow",
    8: "decays",
    9: "thresholds",
    10: "biases",
    11: "aliases",
    32: "manifest",
}


LATER_FIELDS = {"bits": {"neuron_id": 16}}


def digest_of(chip: dict[str, Any]) -> bytes:
    """Hash the record without texts, costs and later fields that hold their default."""
    fields = {key: value for key, value in chip.items() if key not in ("name", "description", "source", "costs")}
    for table, later in LATER_FIELDS.items():
        fields[table] = {key: value for key, value in fields[table].items() if key not in later or value != later[key]}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).digest()


def signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def read_blocks(data: bytes, chip: dict[str, Any]) -> dict[tuple[str, int], tuple[int, list[int]]]:
    """Check the file's frame and give (bits, words) by (kind, synapse)."""
    magic, version, chip_id, total, count, zero, digest = struct.unpack_from("<8sHHIHH32s", data, 0)
    assert magic == bytes.fromhex("89534E4D0D0A1A0A")
    assert (version, chip_id, total, zero) == (1, chip["chip_id"], len(data), 0)
    assert digest == digest_of(chip)
    end = 52 + 16 * count
    assert struct.unpack_from("<I", data, end)[0] == zlib.crc32(data[:end])
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]
    blocks, at, before = {}, end + 4, (0, -1)
    for entry in range(count):
        kind, synapse, bits, reserved, offset, n_words, crc = struct.unpack_from("<BBBBIII", data, 52 + 16 * entry)
        width = -(-bits // 8)
        payload = data[offset : offset + n_words * width]
        assert (kind, synapse) > before
        assert (reserved, offset, crc) == (0, at, zlib.crc32(payload))
        words = [int.from_bytes(payload[k : k + width], "little") for k in range(0, len(payload), width)]
        assert all(word >> bits == 0 for word in words)
        blocks[KINDS[kind], synapse] = (bits, words)
        at, before = offset + len(payload), (kind, synapse)
    assert at == len(data) - 32
    return blocks


def slots(reach: dict[str, Any], n_hidden: int) -> list[int]:
    width = min(reach["count"], n_hidden)
    return list(range(width)) if reach["anchor"] == "first" else list(range(n_hidden - width, n_hidden))


def read_memory(chip: dict[str, Any], blocks: dict, letter: str, synapse: int, sources: list[int], targets: list[int]) -> dict:
    """Give {(source, target): weight} of one weight memory."""
    record = chip[{"i": "input_weights", "r": "recurrent_weights", "o": "output_weights"}[letter]]
    weight_bits = chip["bits"]["weight"]
    bits, words = blocks.pop((f"{letter}w", synapse))
    if record["layout"] == "dense":
        assert bits == weight_bits
        assert len(words) == len(sources) * len(targets)
        pairs = [(s, t) for s in sources for t in targets]
        return {pair: signed(word, bits) for pair, word in zip(pairs, words, strict=True) if word}
    by_source = record["layout"] == "rows_by_source"
    hidden, inputs, outputs = chip["hidden"]["count"], chip["inputs"]["count"], chip["outputs"]["count"]
    n_other = (outputs if letter == "o" else hidden) if by_source else (inputs if letter == "i" else hidden)
    length_bits, lengths = blocks.pop((f"{letter}l", synapse))
    assert length_bits == (record["max_fan_in"] if not by_source else outputs if letter == "o" else hidden).bit_length()
    assert bits == max(1, (n_other - 1).bit_length()) + weight_bits
    owners, at, found = sources if by_source else targets, 0, {}
    assert len(lengths) == len(owners)
    for owner, length in zip(owners, lengths, strict=True):
        for word in words[at : at + length]:
            other, weight = word >> weight_bits, signed(word, weight_bits)
            found[(owner, other) if by_source else (other, owner)] = weight
        at += length
    assert at == len(words)
    return found


def read_manifest(data: bytes, chip: dict[str, Any], blocks: dict) -> dict[str, Any] | None:
    """Give what the image says of itself, held against the rest of the file; takes its block away."""
    if ("manifest", 0) not in blocks:
        return None
    bits, words = blocks.pop(("manifest", 0))
    assert bits == 8
    text = bytes(words)
    manifest = json.loads(text)
    assert json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode() == text
    assert manifest["chip_digest"] == digest_of(chip).hex()
    assert manifest["image_digest"] == hashlib.sha256(without_manifest(data)).hexdigest()
    return manifest


def without_manifest(data: bytes) -> bytes:
    """Give the file, up to its trailer, as it is without its last block."""
    (count,) = struct.unpack_from("<H", data, 16)
    *_, offset, _, _ = struct.unpack_from("<BBBBIII", data, 52 + 16 * (count - 1))
    header = bytearray(data[: 52 + 16 * (count - 1)])
    struct.pack_into("<I", header, 12, offset - 16 + 32)
    struct.pack_into("<H", header, 16, count - 1)
    for entry in range(count - 1):
        at = 52 + 16 * entry + 4
        struct.pack_into("<I", header, at, struct.unpack_from("<I", header, at)[0] - 16)
    return bytes(header) + struct.pack("<I", zlib.crc32(header)) + data[52 + 16 * count + 4 : offset]


def read_bitstream(data: bytes, chip_toml: Path) -> dict[str, Any]:
    """Give shifts, weights by (memory, synapse) and the codes of all neurons."""
    chip = tomllib.loads(chip_toml.read_text())
    blocks = read_blocks(data, chip)
    manifest = read_manifest(data, chip, blocks)
    bits, (n_inputs, n_hidden, n_outputs, *shifts) = blocks.pop(("config", 0))
    assert bits == chip["bits"].get("neuron_id", 16)
    inputs, hidden, outputs = (list(range(n)) for n in (n_inputs, n_hidden, n_outputs))
    areas = {
        "i": (inputs, slots(chip["inputs"]["reach"], n_hidden), chip["hidden"]["synapses"]),
        "r": (hidden, hidden, chip["hidden"]["synapses"]),
        "o": (slots(chip["outputs"]["reach"], n_hidden), outputs, chip["outputs"]["synapses"]),
    }
    weights = {
        (letter, synapse): read_memory(chip, blocks, letter, synapse, sources, targets)
        for letter, (sources, targets, n_synapses) in areas.items()
        for synapse in range(n_synapses)
    }
    width = chip["bits"]["decay"]
    n_dashes = 1 + chip["hidden"]["synapses"]
    decay_bits, decays = blocks.pop(("decays", 0))
    threshold_bits, thresholds = blocks.pop(("thresholds", 0))
    bias_bits, biases = blocks.pop(("biases", 0), (1, [0] * (n_hidden + n_outputs)))
    _, aliases = blocks.pop(("aliases", 0), (1, [0] * n_hidden))
    assert decay_bits == width * n_dashes
    assert not blocks
    return {
        "shifts": shifts,
        "weights": weights,
        "dashes": [[(word >> (width * k)) % (1 << width) for k in range(n_dashes)] for word in decays],
        "thresholds": [signed(word, threshold_bits) for word in thresholds],
        "biases": [signed(word, bias_bits) for word in biases],
        "aliases": [word - 1 for word in aliases],
        "manifest": manifest,
    }

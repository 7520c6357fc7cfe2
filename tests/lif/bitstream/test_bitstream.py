import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lif.bitstream.format_reader import read_bitstream
from lif.bitstream.make_golden import FOLDER, golden_files
from random_programs import random_program

from snnmap.chip import Chip, list_chips, load_chip, read_record
from snnmap.core import CsrMatrix
from snnmap.core.errors import FormatError
from snnmap.lif.bitstream import assemble, decode, digest_image, disassemble, encode, export_readmemh, read_header
from snnmap.lif.program import BlockKind, Image, NeuronCodes, Program, pack, unpack

encode_module = sys.modules["snnmap.lif.bitstream.encode"]
GOLDEN = sorted(path.name for path in FOLDER.glob("*.bin"))
HEADER_BYTES, ENTRY_BYTES = 52, 16


def draw_program(name: str, seed: int) -> Program:
    chip, rng = load_chip(name), np.random.default_rng(seed)
    top = {"n_inputs": min(6, chip.inputs.count), "n_hidden": min(20, chip.hidden.count), "n_outputs": min(4, chip.outputs.count)}
    sizes = {key: int(rng.integers(1, limit + 1)) for key, limit in top.items()}
    shifts = tuple(rng.integers(0, 8, 3).tolist())
    return random_program(
        chip, rng, **sizes, density=float(rng.random()), shifts=shifts, with_alias=chip.hidden.alias, threshold=(-300, 300)
    )


def test_golden_files_are_what_the_code_writes() -> None:
    files = golden_files()
    assert {path.name for path in FOLDER.iterdir()} == {*files, "FORMAT.md", "CROSSBAR.md"}
    for name, content in files.items():
        assert (FOLDER / name).read_bytes() == content, f"{name} differs; see make_golden.py"


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_files_and_their_twins_are_the_same_image(name: str) -> None:
    data, twin = (FOLDER / name).read_bytes(), (FOLDER / name).with_suffix(".txt").read_text()
    image = decode(data)
    assert encode(image) == data
    assert (disassemble(image), assemble(twin)) == (twin, image)


@pytest.mark.parametrize("name", GOLDEN)
def test_every_single_bit_flip_is_refused(name: str) -> None:
    data = bytearray((FOLDER / name).read_bytes())
    accepted = []
    for position in range(8 * len(data)):
        data[position // 8] ^= 1 << position % 8
        if not is_refused(bytes(data)):
            accepted.append(position)
        data[position // 8] ^= 1 << position % 8
    assert accepted == []
    assert not is_refused(bytes(data))


@pytest.mark.parametrize("name", GOLDEN)
def test_every_strict_prefix_and_every_appended_byte_is_refused(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    assert all(is_refused(data[:length]) for length in range(len(data)))
    assert all(is_refused(data + bytes([byte])) for byte in range(256))


def is_refused(data: bytes) -> bool:
    try:
        decode(data)
    except FormatError:
        return True
    return False


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list_chips()), st.integers(0, 2**32 - 1))
def test_bytes_and_text_round_trip(name: str, seed: int) -> None:
    program = draw_program(name, seed)
    image = pack(program)
    assert unpack(image) == program
    assert decode(encode(image)) == image
    assert assemble(disassemble(image)) == image


def require_second_reader_agrees(data: bytes, program: Program, toml: Path) -> None:
    read = read_bitstream(data, toml)
    assert read["shifts"] == [program.input_shift, program.recurrent_shift, program.output_shift]
    for letter, (_, _, matrices) in zip("iro", program.memories, strict=True):
        for synapse, matrix in enumerate(matrices):
            ours = dict(zip(zip(matrix.rows.tolist(), matrix.indices.tolist(), strict=True), matrix.data.tolist(), strict=True))
            assert read["weights"][letter, synapse] == ours
    both = (program.hidden, program.outputs)
    n_synapses = program.chip.hidden.synapses
    dashes = [[int(c.dash_mem[n]), *c.dash_syn[:, n].tolist()] for c in both for n in range(c.size)]
    assert read["dashes"] == [row + [0] * (1 + n_synapses - len(row)) for row in dashes]
    assert read["thresholds"] == [*program.hidden.threshold.tolist(), *program.outputs.threshold.tolist()]
    assert read["biases"] == [*program.hidden.bias.tolist(), *program.outputs.bias.tolist()]
    assert read["aliases"] == program.alias.tolist()


@pytest.mark.parametrize("name", GOLDEN)
def test_a_reader_written_from_the_specification_reads_the_same(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    program = unpack(decode(data))
    toml = resources.files("snnmap.chip") / "catalog" / f"{program.chip.name}.toml"
    require_second_reader_agrees(data, program, Path(str(toml)))
    manifest, found = decode(data).manifest, read_bitstream(data, Path(str(toml)))["manifest"]
    assert (manifest is None) == (found is None) == (name != "toy-4-manifest.bin")
    assert manifest is None or found == json.loads(json.dumps(asdict(manifest)))


# chips with more neurons than 16 bits count


def wide_record(folder: Path) -> Path:
    """Write the record of a chip of ten million hidden neurons."""
    text = read_record("generic-4096").replace('"generic-4096"', '"wide"').replace("chip_id = 16\n", "chip_id = 901\n")
    text = re.sub(r"(?m)^count = 4096$", "count = 10_000_000", text).replace("count = 4096 }", "count = 10_000_000 }")
    text = re.sub(r"(?m)^max_words = \d+$", "max_words = 2_000_000_000", text)
    path = folder / "wide.toml"
    path.write_text(text + "neuron_id = 24\n")
    return path


def wide_program(chip: Chip, n_hidden: int) -> Program:
    """Wire a chain through all hidden neurons, with inputs into the last of them and an output that reads it."""
    rng, chain = np.random.default_rng(5), np.arange(n_hidden - 1)
    weights = CsrMatrix.from_triplets(chain, chain + 1, rng.integers(1, 128, chain.size), (n_hidden, n_hidden))
    last = np.array([n_hidden - 1])
    inputs, outputs = (
        CsrMatrix.from_triplets([1], last, [-7], (2, n_hidden)),
        CsrMatrix.from_triplets(last, [0], [9], (n_hidden, 1)),
    )
    empty = [CsrMatrix.from_triplets([], [], np.zeros(0, np.int64), m.shape) for m in (inputs, weights, outputs)]
    codes = [
        NeuronCodes(
            dash_syn=rng.integers(1, 6, (n_synapses, n)), dash_mem=rng.integers(0, 6, n), threshold=rng.integers(20, 400, n),
            bias=rng.integers(-5, 6, n),
        )
        for n, n_synapses in ((n_hidden, chip.hidden.synapses), (1, chip.outputs.synapses))
    ]  # fmt: skip
    return Program(
        chip=chip, input_weights=(inputs, *[empty[0]] * (chip.hidden.synapses - 1)),
        recurrent_weights=(weights, *[empty[1]] * (chip.hidden.synapses - 1)),
        output_weights=(outputs, *[empty[2]] * (chip.outputs.synapses - 1)), input_shift=1, recurrent_shift=2, output_shift=3,
        hidden=codes[0], outputs=codes[1], alias=np.full(n_hidden, -1),
    )  # fmt: skip


def test_ids_are_as_wide_as_the_record_asks(tmp_path: Path) -> None:
    chip = load_chip(str(wide_record(tmp_path)))
    program = wide_program(chip, 70_000)
    image = pack(program)
    data = encode(image)
    assert decode(data, chip=chip) == image
    assert unpack(image) == program
    assert assemble(disassemble(image), chip=chip) == image
    require_second_reader_agrees(data, program, wide_record(tmp_path))


def test_a_file_of_more_bytes_than_the_header_counts_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    image = decode(golden())
    monkeypatch.setattr(encode_module, "MAX_BYTES", len(golden()) - 1)
    with pytest.raises(FormatError, match=f"measured: {len(golden())} bytes"):
        encode(image)
    monkeypatch.setattr(encode_module, "MAX_BYTES", len(golden()))
    assert encode(image) == golden()


@pytest.mark.parametrize(
    "extra",
    [{"PYTHONHASHSEED": "3", "OMP_NUM_THREADS": "1"}, {"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F", "PYTHONHASHSEED": "9"}],
)
def test_other_processes_write_the_same_bytes(extra: dict[str, str]) -> None:
    script = (
        "import sys, hashlib; sys.path[:0] = ['tests']; from lif.bitstream.make_golden import golden_files;"
        "print(hashlib.sha256(b''.join(golden_files().values())).hexdigest())"
    )
    command = [sys.executable, "-W", "ignore", "-c", script]
    other = subprocess.run(command, env={**os.environ, **extra}, capture_output=True, text=True, check=True).stdout.strip()
    assert other == hashlib.sha256(b"".join(golden_files().values())).hexdigest()


# attacks: one defect each, all checksums made to fit


def golden() -> bytes:
    return (FOLDER / "toy-4.bin").read_bytes()


def seal(data: bytes) -> bytes:
    """Make total size, block CRCs, header CRC and SHA-256 fit the content."""
    content = bytearray(data[:-32])
    struct.pack_into("<I", content, 12, len(content) + 32)
    (count,) = struct.unpack_from("<H", content, 16)
    for entry in range(min(count, (len(content) - HEADER_BYTES) // ENTRY_BYTES)):
        at = HEADER_BYTES + ENTRY_BYTES * entry
        _, _, bits, _, offset, n_words, _ = struct.unpack_from("<BBBBIII", content, at)
        struct.pack_into("<I", content, at + 12, zlib.crc32(content[offset : offset + n_words * -(-bits // 8)]))
    end = HEADER_BYTES + ENTRY_BYTES * count
    if end + 4 <= len(content):
        struct.pack_into("<I", content, end, zlib.crc32(content[:end]))
    return bytes(content) + hashlib.sha256(content).digest()


def patched(offset: int, form: str, value: int) -> bytes:
    data = bytearray(golden())
    struct.pack_into(form, data, offset, value)
    return seal(bytes(data))


def entry(number: int, field: int) -> int:
    return HEADER_BYTES + ENTRY_BYTES * number + field


def block_start(kind: int, synapse: int = 0) -> int:
    return next(block.offset for block in read_header(golden()).blocks if (block.kind, block.synapse) == (kind, synapse))


def swapped_entries() -> bytes:
    data = bytearray(golden())
    data[entry(1, 1)], data[entry(2, 1)] = data[entry(2, 1)], data[entry(1, 1)]
    return seal(bytes(data))


def with_hole() -> bytes:
    data = golden()
    return seal(data[:-32] + b"\0" + data[-32:])


ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "no bitstream": (lambda: b"\x7fELF" * 40, "not a snnmap bitstream"),
    "line ends translated": (lambda: golden().replace(b"\r\n", b"\n"), "not a snnmap bitstream"),
    "unknown version": (lambda: patched(8, "<H", 2), "format version is unknown"),
    "unknown chip": (lambda: patched(10, "<H", 999), "another chip"),
    "other chip's id": (lambda: patched(10, "<H", 2), "another record of chip 'xylo-audio-2'"),
    "wrong chip digest": (lambda: patched(20, "<B", golden()[20] ^ 1), "another record of chip 'toy-4'"),
    "too many blocks": (lambda: patched(16, "<H", 65), "too many blocks"),
    "directory beyond the file": (lambda: patched(16, "<H", 64), "directory is longer than the file"),
    "reserved header field": (lambda: patched(18, "<H", 1), "reserved field"),
    "unknown kind": (lambda: patched(entry(0, 0), "<B", 12), "block kind is unknown"),
    "kind 0": (lambda: patched(entry(0, 0), "<B", 0), "block kind is unknown"),
    "word of 0 bits": (lambda: patched(entry(0, 2), "<B", 0), "width is out of range"),
    "word of 33 bits": (lambda: patched(entry(0, 2), "<B", 33), "width is out of range"),
    "word of another width": (lambda: patched(entry(0, 2), "<B", 15), "wrong size"),
    "reserved entry field": (lambda: patched(entry(3, 3), "<B", 7), "reserved field"),
    "overlap": (lambda: patched(entry(2, 4), "<I", block_start(3, 0)), "hole or overlaps"),
    "huge block": (lambda: patched(entry(1, 8), "<I", 0xFFFFFFFF), "reaches past the end"),
    "short block": (lambda: patched(entry(1, 8), "<I", 7), "hole or overlaps"),
    "hole before the trailer": (with_hole, "between the last block and the trailer"),
    "blocks out of order": (swapped_entries, "do not ascend"),
    "block twice": (lambda: patched(entry(2, 1), "<B", 0), "do not ascend"),
    "missing synapse": (lambda: patched(entry(2, 1), "<B", 5), "block is missing"),
    "pad bits": (lambda: patched(block_start(8) + 1, "<B", 0xF0), "pad bits"),
    "too many neurons": (lambda: patched(block_start(1) + 2, "<H", 5), "configures 5 hidden neurons"),
    "fewer neurons than words": (lambda: patched(block_start(1) + 2, "<H", 3), "wrong size"),
    "shift too large": (lambda: patched(block_start(1) + 6, "<H", 8), "input_shift"),
    "stored weight of 0": (lambda: patched(block_start(5), "<B", 0), "a weight of 0"),
    "targets descend": (lambda: patched(block_start(5) + 3, "<B", 0), "ids that do not ascend"),
    "decay of a synapse outputs lack": (lambda: patched(block_start(8) + 2 * 4 + 1, "<B", 1), "decay for a synapse it lacks"),
    "alias out of range": (lambda: patched(block_start(11), "<B", 5), "alias: targets"),
    "alias of itself": (lambda: patched(block_start(11), "<B", 1), "its own alias"),
    "alias of two": (lambda: patched(block_start(11) + 1, "<B", 4), "alias of two"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_with_fitting_checksums_is_refused_for_its_own_reason(name: str) -> None:
    make, message = ATTACKS[name]
    with pytest.raises(FormatError, match=message):
        decode(make())


# attacks on the manifest


def dump(manifest: dict[str, Any]) -> bytes:
    return json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()


def with_manifest_text(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Change the manifest of the golden image that has one, or give another text for it; checksums are made to fit."""
    data = (FOLDER / "toy-4-manifest.bin").read_bytes()
    block = read_header(data).blocks[-1]
    manifest = json.loads(data[block.offset : block.offset + block.n_words])
    changed = change(manifest)
    text = changed if isinstance(changed, bytes) else dump(manifest)
    content = bytearray(data[: block.offset] + text)
    struct.pack_into("<I", content, entry(len(read_header(data).blocks) - 1, 8), len(text))
    return seal(bytes(content) + bytes(32))


MANIFEST_ATTACKS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "of another image": (lambda m: m.update(image_digest="0" * 64), "manifest is of another image"),
    "of another chip": (lambda m: m.update(chip_digest="0" * 64), "manifest is of another chip"),
    "no digest": (lambda m: m.update(model_digest="A" * 64), "model_digest is no SHA-256"),
    "no JSON": (lambda _: b"{", "manifest is malformed"),
    "no UTF-8": (lambda _: b"\xff\xfe", "manifest is malformed"),
    "no object": (lambda _: b"[]", "other fields than"),
    "nested without end": (lambda _: b"[" * 100_000, "manifest is malformed"),
    "white space": (lambda m: json.dumps(m, sort_keys=True).encode(), "canonical"),
    "keys out of order": (lambda m: json.dumps(dict(reversed(m.items())), separators=(",", ":")).encode(), "canonical"),
    "a key twice": (lambda m: dump(m).replace(b"{", b'{"chip":"x",', 1), "canonical"),
    "an unknown field": (lambda m: m.update(path="/home"), "other fields than"),
    "a missing field": (lambda m: m.pop("tool"), "other fields than"),
    "a number for a name": (lambda m: m.update(model=3), "model is 3"),
    "a fraction": (lambda m: m.update(settle_steps=2.0), "settle_steps is 2.0"),
    "a truth for a number": (lambda m: m.update(settle_steps=True), "settle_steps is true"),
    "a negative number": (lambda m: m.update(settle_steps=-1), "settle_steps is -1"),
    "no end of settling": (lambda m: m.update(settle_steps=2**30, golden=[]), "lags more than the image settles"),
    "an unknown readout": (lambda m: m["readouts"][0].update(readout="colour"), "readout is"),
    "an output beyond": (lambda m: m["readouts"][0].update(neurons=[[1, 2, 0]]), "outputs that the image does not have"),
    "an output over and over": (lambda m: m["readouts"][0].update(neurons=[[0, 1, 0]] * 70_000), "from outputs over and over"),
    "outputs without end": (lambda m: m["readouts"][0].update(neurons=[[0, 2**39, 0]]), "outputs that the image does not have"),
    "a lag beyond settling": (lambda m: m["readouts"][0].update(neurons=[[1, 1, 3]]), "lags more than the image settles"),
    "no scale": (lambda m: m["readouts"][1].update(scale=[]), "no scale for each of its outputs"),
    "a scale of 0": (lambda m: m["readouts"][1].update(scale=["0x0.0p+0"]), "no scale"),
    "a scale in other digits": (lambda m: m["readouts"][1].update(scale=["0x1p-2"]), "no scale"),
    "a slot beyond": (lambda m: m["places"][1].update(runs=[[3, 0, 2]]), "hidden slots 3..4"),
    "a slot twice": (lambda m: m["places"][2].update(runs=[[3, 0, 1]]), "slots that are another's"),
    "an unknown row": (lambda m: m["places"][2].update(row="attic"), "slots that are another's"),
    "a channel beyond": (lambda m: m["golden"][0]["inputs"].__setitem__(0, [[2, 1]]), "channels out of order"),
    "channels that descend": (lambda m: m["golden"][0]["inputs"].__setitem__(0, [[1, 1], [0, 1]]), "channels out of order"),
    "a silent spike": (lambda m: m["golden"][0]["inputs"].__setitem__(0, [[1, 0]]), "channels out of order"),
    "too few outputs": (lambda m: m["golden"][0]["outputs"].pop(), "outputs of another shape"),
}  # fmt: skip


@pytest.mark.parametrize("name", MANIFEST_ATTACKS)
def test_a_manifest_that_encoding_never_writes_is_refused_for_its_own_reason(name: str) -> None:
    change, message = MANIFEST_ATTACKS[name]
    with pytest.raises(FormatError, match=message) as refused:
        decode(with_manifest_text(change))
    assert refused.value.where == "block MANIFEST"
    assert refused.value.fix


def test_a_manifest_is_one_block_of_bytes() -> None:
    data = bytearray(with_manifest_text(lambda _: None))
    assert data == (FOLDER / "toy-4-manifest.bin").read_bytes()
    image = decode(bytes(data))
    (block,) = [block for block in image.blocks if block.kind is BlockKind.MANIFEST]
    for wrong in (replace(block, word_bits=9), replace(block, synapse=1)):
        with pytest.raises(FormatError, match="not one block of bytes"):
            encode(Image(chip=image.chip, blocks=(*image.memories, wrong)))


def test_the_same_memories_have_the_same_digest() -> None:
    image = decode((FOLDER / "toy-4-manifest.bin").read_bytes())
    assert digest_image(image) == digest_image(decode(golden())) == golden()[-32:].hex()
    assert encode(image.with_manifest(None)) == golden()


def test_sealing_the_golden_file_changes_nothing() -> None:
    assert seal(golden()) == golden()


def test_a_hostile_header_allocates_nothing() -> None:
    hostile = [golden()[:12] + b"\xff" * length for length in (40, 400, 4000)]
    hostile += [patched(entry(1, 8), "<I", 0xFFFFFFFF), golden()[:12] + b"\xff" * 4 + golden()[16:]]
    tracemalloc.start()
    for data in hostile:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        with pytest.raises(FormatError):
            read_header(data)
        _, peak = tracemalloc.get_traced_memory()
        assert peak - before <= len(data) + 65536
    tracemalloc.stop()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_nothing_but_format_error_escapes(noise: bytes) -> None:
    for data in (noise, golden()[:60] + noise, seal(golden()[:52] + noise + bytes(32)) if len(noise) > 4 else noise):
        assert is_refused(data)


def test_a_chip_of_the_users_own_is_given_by_record() -> None:
    mine = replace(load_chip("toy-4"), chip_id=77)
    image = pack(replace(unpack(decode(golden())), chip=mine))
    with pytest.raises(FormatError, match="another chip"):
        decode(encode(image))
    assert decode(encode(image), chip=mine) == image
    with pytest.raises(FormatError, match="another chip record"):
        assemble(disassemble(image))
    assert assemble(disassemble(image), chip=mine) == image


def test_memory_files_hold_one_word_a_line() -> None:
    image = decode(golden())
    files = export_readmemh(image)
    assert len(files) == len(image.blocks)
    lines = files["thresholds_0.mem"].decode().splitlines()
    assert lines[0] == "// thresholds 0: 6 words of 16 bits"
    assert [int(line, 16) for line in lines[1:]] == [150, 200, 1, 32767, 90, 33]


def test_an_image_that_packing_never_makes_is_not_written() -> None:
    image = decode(golden())
    with pytest.raises(FormatError, match="missing"):
        encode(Image(chip=image.chip, blocks=image.blocks[:-1]))

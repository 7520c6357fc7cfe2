"""Bytes: what is written is read, what is damaged is refused, and a reader of the specification alone reads the same."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crossbar_format import read_file
from crossbar_variants import GRID, PRICED, change

from snnmap.core.errors import FormatError
from snnmap.crossbar import Built, decode_image, encode_image, load_architecture, run_image
from snnmap.crossbar.container import assemble, disassemble


def test_round_trip(built: Built) -> None:
    image = decode_image(built.data)
    assert image == built.image
    assert encode_image(image) == built.data


def test_text_round_trip(built: Built) -> None:
    text = disassemble(built.image)
    assert encode_image(assemble("# a comment\n\n" + text)) == built.data


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("snnmap-crossbar 1", "snnmap-crossbar 2", "another line"),
        ("barrier number=0", "bariere number=0", "did you mean 'barrier'"),
        ("barrier number=0", "barrier count=0", "(?s)fields are others.*line"),
        ("barrier number=0", "barrier number=x", "no number"),
        ("barrier number=0", "barrier number=65536", "(?s)does not fit its field.*limit: 0 to 65535"),
        ("tensor address=0", "tensor adress=0", "(?s)malformed.*line 5"),
        ("constants\n=", "constants\n=zz", "not hexadecimal"),
        ("core 1\n", "core 7\n", "(?s)another line.*core 1"),
    ],
)
def test_text_that_is_no_image(built: Built, old: str, new: str, message: str) -> None:
    text = disassemble(built.image)
    assert old in text
    with pytest.raises(FormatError, match=message):
        assemble(text.replace(old, new, 1))


def test_every_flip_is_refused(built: Built) -> None:
    """Of one bit of each byte, another from byte to byte; every third byte of those behind the directory."""
    places = [*range(800), *range(800, len(built.data), 3)]
    for at in places:
        damaged = bytearray(built.data)
        damaged[at] ^= 1 << (at % 8)
        with pytest.raises(FormatError):
            decode_image(bytes(damaged))


def test_every_prefix_and_what_follows_is_refused(built: Built) -> None:
    for length in [*range(900), *range(900, len(built.data), 37)]:
        with pytest.raises(FormatError):
            decode_image(built.data[:length])
    with pytest.raises(FormatError, match="another size"):
        decode_image(built.data + b"\0")


def test_a_file_for_another_architecture(built: Built) -> None:
    with pytest.raises(FormatError, match="another architecture"):
        decode_image(built.data, architecture=change(GRID, "weights", bias="row"))
    other = encode_image(replace(built.image, architecture=change(GRID, "weights", bias="row")))
    with pytest.raises(FormatError, match=r"(?s)another architecture.*TOML"):
        decode_image(other)


def test_a_reader_of_the_specification_reads_the_same(built: Built) -> None:
    found: Any = read_file(built.data)
    assert [tensor["name"] for tensor in found["tensors"]] == [tensor.name for tensor in built.image.tensors]
    assert [tensor["address"] for tensor in found["tensors"]] == [tensor.address for tensor in built.image.tensors]
    assert found["weights"] == list(built.image.weights)
    assert found["constants"] == built.image.constants
    for core, program in enumerate(built.image.programs):
        assert [[name, *values.values()] for name, values in found["programs"][core]] == [
            [one.kind.name, *one.values] for one in program
        ]
    assert np.frombuffer(found["constants"], "<i4").size == len(built.image.constants) // 4


def test_a_file_of_the_first_record_is_still_read() -> None:
    """Built when prices counted in the digest, and were others."""
    data = (Path(__file__).parent / "first-record.bin").read_bytes()
    image = decode_image(data)
    assert image.architecture == load_architecture("example-16x4")
    assert encode_image(image) == data
    assert run_image(image, np.zeros((1, 1, 13, 64)))["conv2"].shape == (1, 8, 3, 29)


def test_the_digest_is_what_the_specification_says() -> None:
    fields = asdict(GRID)
    for name in ("name", "description", "source", "sources"):
        del fields[name]
    page = (Path(__file__).parents[2] / "bitstreams" / "CROSSBAR.md").read_text()
    (costs,) = re.findall(r"`(\{.*?\})`", page)
    fields["costs"] = json.loads(costs)
    assert hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).digest() == GRID.digest


def test_a_record_that_grows_keeps_its_digest() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Grown(type(GRID.noc)):  # type: ignore[misc]
        lanes: int = 1

    old, one, two = (replace(GRID, noc=noc) for noc in (GRID.noc, *(Grown(**asdict(GRID.noc), lanes=n) for n in (1, 2))))
    assert old.digest == one.digest == change(PRICED, "costs", hop_pj=None).digest
    assert two.digest != old.digest
    assert change(GRID, "noc", columns=2).digest != old.digest

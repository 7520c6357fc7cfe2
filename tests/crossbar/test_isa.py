"""The instruction set: every instruction goes to bytes, to text and back; its page is made of the table."""

from pathlib import Path

import numpy as np
import pytest

from snnmap.core.errors import FormatError
from snnmap.crossbar.isa import (
    TABLE,
    Instruction,
    Kind,
    decode_program,
    encode_program,
    format_instruction,
    format_table,
    from_float,
    make_instruction,
    parse_instruction,
)

PAGE = Path(__file__).parents[2] / "bitstreams" / "CROSSBAR.md"


def draw(kind: Kind, rng: np.random.Generator) -> Instruction:
    values = {
        field.name: from_float(rng.normal()) if field.role == "float" else int(rng.integers(1 << field.bits))
        for field in kind.fields
    }
    return make_instruction(kind.name, **values)


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.name)
def test_round_trips(kind: Kind) -> None:
    rng = np.random.default_rng(kind.opcode)
    for _ in range(20):
        one = draw(kind, rng)
        assert decode_program(encode_program([one, one]), where="") == (one, one)
        assert len(encode_program([one])) == kind.n_bytes
        assert parse_instruction(format_instruction(one), where="line 1") == one


def test_opcodes_and_names_are_unique() -> None:
    assert len({kind.opcode for kind in TABLE}) == len({kind.name for kind in TABLE}) == len(TABLE)


def test_the_page_is_made_of_the_table() -> None:
    assert format_table() in PAGE.read_text()


def test_what_is_no_instruction() -> None:
    with pytest.raises(FormatError, match=r"(?s)opcode is unknown.*core 3, byte 0.*0xff"):
        decode_program(b"\xff", where="core 3")
    with pytest.raises(FormatError, match=r"(?s)cut off.*2 bytes.*limit: 9 bytes of clear"):
        decode_program(encode_program([make_instruction("clear", accumulator=0, words=1)])[:2], where="core 3")
    infinite = make_instruction("mean", tensor=0, source=0, channel=0, channels=1, factor=from_float(np.inf))
    with pytest.raises(FormatError, match="not finite"):
        decode_program(encode_program([infinite]), where="core 0")

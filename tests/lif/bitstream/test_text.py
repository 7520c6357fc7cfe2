"""The text twin of a bitstream: edited, damaged, with noise in it."""

import random
import re
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lif.bitstream.make_golden import FOLDER

from snnmap.core.errors import FormatError
from snnmap.lif.bitstream import assemble, decode, digest_image, disassemble, encode


def require_refused(name: str, before: str, after: str, message: str) -> None:
    text = (FOLDER / name).read_text()
    assert before in text
    with pytest.raises(FormatError, match=message):
        assemble(text.replace(before, after, 1))


def test_memories_that_are_edited_in_the_text_are_said_to_be() -> None:
    text = (FOLDER / "toy-4-manifest.txt").read_text()
    built = assemble(text).manifest
    edited = assemble(text.replace("0: 0=100", "0: 0=99", 1))
    assert built is not None
    assert edited.manifest == replace(built, edited=True, golden=(), image_digest=digest_image(edited))
    assert decode(encode(edited)) == edited


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('  chip: "toy-4"', "  chip: toy-4", "line 28"),
        ('  chip: "toy-4"', "  chip: 4", "line 28"),
        ("  edited: false", "  edited: no", "line 30"),
        ("  settle_steps: 2", "  settle_steps: 2=2", "line 37"),
        ("  tool:", "  tools:", "line 38"),
        ("  waivers:", "  waivers: []\n  waivers:", "line 40"),
        ('"row":"output","runs":[[0,0,2]]', '"row":"output","runs":[[0,0,3]]', "output slots 0..2"),
    ],
)
def test_a_defect_of_a_manifest_s_text_names_its_line(before: str, after: str, message: str) -> None:
    require_refused("toy-4-manifest.txt", before, after, message)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("snnmap-image 1", "snnmap-image 2", "line 1"),
        ("shape inputs=2", "shape inputs=3", "larger than the chip"),
        ("0: 0=100", "0: 9=100", "not a synapse"),
        ("0: 0=100", "0: 0=1000", "outside -128..127"),
        ("0: 0=100", "0: 0=1e2", "line 6"),
        ("threshold=150", "threshold=150.5", "not what comes here"),
        ("alias=3", "alias=4", "alias: targets"),
        ("outputs\n", "", "not what comes here"),
        ("  1: dash_syn=3,1", "  2: dash_syn=3,1", "one after the other"),
        ("0: 0=-20 1=60", "0: 1=60 0=-20", "must ascend"),
        ("0: 0=-20 1=60", "0: 0=-201=60", "line 10"),
        ("0: 0=-20 1=60", "0: 0=-20 1=60=2", "line 10"),
        ("0: 0=-20 1=60", "0: 0=-20  1=60", "line 10"),
    ],
)
def test_a_defect_of_a_text_names_its_line(before: str, after: str, message: str) -> None:
    require_refused("toy-4.txt", before, after, message)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80), st.integers(0, 2000))
def test_no_text_lets_anything_but_format_error_escape(noise: str, at: int) -> None:
    text = (FOLDER / "toy-4.txt").read_text()
    try:
        assemble(text[:at] + noise + text[at:])
    except FormatError:
        return
    assert assemble(text[:at] + noise + text[at:]).blocks


@settings(max_examples=200, deadline=None)
@given(st.text("0123=:-, ", max_size=60), st.sampled_from(["  0: 0=100", "  0: 0=-20 1=60", "  1: dash_syn=3,1"]))
def test_no_line_of_the_texts_own_letters_lets_anything_else_escape(noise: str, line: str) -> None:
    text = (FOLDER / "toy-4.txt").read_text()
    assert line in text
    try:
        image = assemble(text.replace(line, line[: len(line) // 2] + noise, 1))
    except FormatError:
        return
    assert assemble(disassemble(image)) == image


@pytest.mark.parametrize("line", ["0: " + "1=11111" * 3000 + "x", "0: " + "1=1 " * 5000 + "x", "0: " + "1" * 20000])
def test_a_line_is_refused_in_no_time(line: str) -> None:
    start = time.perf_counter()
    with pytest.raises(FormatError, match="line 6"):
        assemble((FOLDER / "toy-4.txt").read_text().replace("0: 0=100", line, 1))
    assert time.perf_counter() - start < 1.0


@pytest.mark.parametrize("n_mutants", [300, pytest.param(100_000, marks=pytest.mark.nightly)])
def test_every_mutant_of_a_text_is_read_or_refused_with_its_place(n_mutants: int) -> None:
    draw, texts = random.Random(7), [path.read_text() for path in sorted(FOLDER.glob("toy-4*.txt"))]
    pieces = [
        "=",
        ":",
        " ",
        "-",
        "1",
        "9" * 20,
        "1=11111" * 20,
        "#",
        "\n",
        "{",
        "]",
        '"',
        "\x85",
        "é",
        "manifest\n",
        "threshold=",
    ]
    for _ in range(n_mutants):
        text = draw.choice(texts)
        at = draw.randrange(len(text))
        mutant = text[:at] + draw.choice(pieces) + text[at + draw.randrange(3) :]
        try:
            assemble(mutant)
        except FormatError as error:
            place = error.where
        else:
            continue
        assert re.fullmatch(r"line \d+|end of text|chip 'toy-4'|block MANIFEST", place), (mutant, place)


def test_comments_and_empty_lines_are_passed_over() -> None:
    text = (FOLDER / "toy-4.txt").read_text()
    assert assemble("# by hand\n\n" + text.replace("\n", "  # note\n")) == assemble(text)

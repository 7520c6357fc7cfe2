"""Packing and unpacking: the identity both ways, on every chip and layout."""

from dataclasses import replace

import numpy as np
import pytest
from random_programs import random_program

from snnmap.chip import LAYOUTS, list_chips, load_chip
from snnmap.core.errors import FormatError
from snnmap.lif.program import Image, Program, layouts, pack, unpack


def draw_program(name: str, seed: int = 0) -> Program:
    chip = load_chip(name)
    return random_program(
        chip, np.random.default_rng(seed), n_inputs=min(5, chip.inputs.count), n_hidden=min(20, chip.hidden.count),
        n_outputs=min(3, chip.outputs.count), with_alias=chip.hidden.alias,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", list_chips())
def test_unpack_gives_the_program_back(name: str, seed: int) -> None:
    program = draw_program(name, seed)
    image = pack(program)
    assert unpack(image) == program
    assert pack(unpack(image)) == image


@pytest.mark.parametrize("name", list_chips())
def test_words_fit_their_width_and_blocks_ascend(name: str) -> None:
    image = pack(draw_program(name))
    order = [(block.kind, block.synapse) for block in image.blocks]
    assert order == sorted(set(order))
    for block in image.blocks:
        assert block.words.min(initial=0) >= 0
        assert block.words.max(initial=0) < 2**block.word_bits


def test_blocks_cannot_be_changed() -> None:
    words = pack(draw_program("toy-4")).blocks[0].words
    with pytest.raises(ValueError, match="read-only"):
        words[0] = 1


@pytest.mark.parametrize("name", list_chips())
def test_a_missing_block_is_named(name: str) -> None:
    image = pack(draw_program(name))
    for index, block in enumerate(image.blocks):
        with pytest.raises(FormatError, match=block.kind.name):
            unpack(Image(chip=image.chip, blocks=image.blocks[:index] + image.blocks[index + 1 :]))


@pytest.mark.parametrize("name", list_chips())
def test_a_word_more_or_less_is_refused(name: str) -> None:
    image = pack(draw_program(name))
    for index, block in enumerate(image.blocks):
        for words in (block.words[:-1], np.append(block.words, 0)):
            changed = (*image.blocks[:index], replace(block, words=words), *image.blocks[index + 1 :])
            with pytest.raises(FormatError):
                unpack(Image(chip=image.chip, blocks=changed))


def test_too_many_words_are_refused_when_packing() -> None:
    program = draw_program("toy-4")
    hidden = replace(program.hidden, threshold=program.hidden.threshold + 2**15)
    with pytest.raises(FormatError, match="threshold"):
        pack(replace(program, hidden=hidden))


def test_a_layout_that_nothing_packs_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    program = draw_program("toy-4")
    image = pack(program)
    monkeypatch.setattr(layouts, "LAYOUT_CODECS", {"dense": layouts.LAYOUT_CODECS["dense"]})
    for act, thing in ((pack, program), (unpack, image)):
        with pytest.raises(FormatError, match="layout of a memory is unknown") as caught:
            act(thing)
        assert "where: chip 'toy-4', recurrent_weights.layout" in str(caught.value)
        assert ("'rows_by_source'" in str(caught.value), "limit: dense" in str(caught.value)) == (True, True)


def test_every_layout_of_a_record_is_packed() -> None:
    assert tuple(layouts.LAYOUT_CODECS) == tuple(LAYOUTS)

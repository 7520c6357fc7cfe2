"""Packing and unpacking: the identity both ways, on every chip and layout."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from random_programs import random_program

from snnmap.chip import LAYOUTS, Chip, MemoryKind, list_chips, load_chip, memory
from snnmap.chip import record as chip_record
from snnmap.chip.memory import LayoutFacts
from snnmap.core import CsrMatrix
from snnmap.core.errors import FormatError
from snnmap.lif.bitstream import decode, encode
from snnmap.lif.program import Image, Program, layouts, pack, unpack
from snnmap.lif.program.layouts import MemoryArea, TakeWords, Words, to_signed
from snnmap.lif.simulator import simulate_image


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
    assert unpack(image) is unpack(image)
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


class Bitmap:
    """A layout that nothing in the package names: a bit for every address, and the weights of those that are set."""

    def pack(self, area: MemoryArea, matrix: CsrMatrix) -> list[Words]:
        bits = np.zeros((len(area.sources), len(area.targets)), np.int64)
        bits[matrix.rows - area.sources.start, matrix.indices - area.targets.start] = 1
        return [Words("lengths", 1, bits.ravel()), Words("weights", area.word_bits, matrix.data & ((1 << area.weight_bits) - 1))]

    def unpack(self, area: MemoryArea, take: TakeWords) -> CsrMatrix:
        bits = take("lengths", 1, len(area.sources) * len(area.targets)).reshape(len(area.sources), len(area.targets))
        rows, columns = np.nonzero(bits)
        data = to_signed(take("weights", area.word_bits, rows.size), area.weight_bits)
        return CsrMatrix.from_triplets(rows + area.sources.start, columns + area.targets.start, data, area.shape)


@pytest.fixture
def in_bits(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Chip]:
    """Give a chip memories of such a layout, of which two tables alone know."""
    facts = {**LAYOUTS, "bitmap": LayoutFacts(is_sparse=True, stored_ids=(), needs_fan_in=False)}
    for module in (memory, chip_record):
        monkeypatch.setattr(module, "LAYOUTS", facts)
    monkeypatch.setattr(layouts, "LAYOUT_CODECS", {**layouts.LAYOUT_CODECS, "bitmap": Bitmap()})

    def change(chip: Chip, **fields: int) -> Chip:
        memories = {kind.weights_name: replace(chip.memory(kind), layout="bitmap", **fields) for kind in MemoryKind}
        return replace(chip, name="in bits", chip_id=900, **memories)

    return change


@pytest.mark.parametrize("name", ["toy-4", "xylo-audio-3", "generic-1024-factor"])
def test_a_layout_of_two_tables_is_packed_decoded_and_run(name: str, in_bits: Callable[..., Chip]) -> None:
    program = draw_program(name)
    other = replace(program, chip=in_bits(program.chip))
    image = pack(other)
    assert unpack(image) == other
    assert decode(encode(image), chip=other.chip) == image
    raster = np.random.default_rng(1).integers(0, program.chip.inputs.max_count + 1, (2, 30, program.n_inputs))
    kept = {"counts_of": ("hidden", "outputs"), "states_of": ("hidden", "outputs")}
    assert simulate_image(image, raster, **kept) == simulate_image(pack(program), raster, **kept)


def test_words_of_a_layout_without_ids_are_counted(in_bits: Callable[..., Chip]) -> None:
    program = draw_program("generic-4096")
    with pytest.raises(FormatError, match=r"words, the chip has 3"):
        pack(replace(program, chip=in_bits(program.chip, max_words=3)))

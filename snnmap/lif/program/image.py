"""The chip's memory content as blocks of unsigned words, and the layouts that make them from a program and back."""

from collections.abc import Iterator
from enum import IntEnum

import numpy as np

from snnmap.chip import Chip, MemoryKind
from snnmap.core.cached import Cached, cached, hand_on
from snnmap.core.csr import CsrMatrix
from snnmap.core.errors import FormatError
from snnmap.core.record import IntArray, freeze_int, record, replace_array
from snnmap.lif.program.layouts import MemoryArea, Part, find_codec, to_signed
from snnmap.lif.program.manifest import Manifest, read_manifest, write_manifest
from snnmap.lif.program.program import NeuronCodes, Program, StoredWeights, find_program_defects

__all__ = ["Block", "BlockKind", "Image", "find_manifest", "pack", "unpack"]


class BlockKind(IntEnum):
    """Kinds of block, memories of the chip below 32; the number is the one in the bitstream's directory."""

    CONFIG = 1
    INPUT_LENGTHS = 2
    INPUT_WEIGHTS = 3
    RECURRENT_LENGTHS = 4
    RECURRENT_WEIGHTS = 5
    OUTPUT_LENGTHS = 6
    OUTPUT_WEIGHTS = 7
    DECAYS = 8
    THRESHOLDS = 9
    BIASES = 10
    ALIASES = 11
    MANIFEST = 32

    @classmethod
    def of_memory(cls, kind: MemoryKind, part: Part) -> "BlockKind":
        """Return the kind of block that holds a part of a weight memory."""
        return cls[f"{kind.name}_{part.upper()}"]


@record
class Block(Cached):
    """One memory of the chip.

    Attributes:
        kind: which.
        synapse: which of the memories of this kind; 0 where there is one.
        word_bits: width of a word.
        words: ``(n,) int64``, each in ``0 .. 2**word_bits - 1``.
    """

    kind: BlockKind
    synapse: int
    word_bits: int
    words: IntArray

    def __post_init__(self) -> None:
        replace_array(self, "words", freeze_int(self.words))


@record
class Image(Cached):
    """The chip's memory content, and what is said of it: blocks in ascending order of kind and synapse."""

    chip: Chip
    blocks: tuple[Block, ...]

    @property
    def memories(self) -> tuple[Block, ...]:
        """The blocks that are the chip's memories."""
        return tuple(block for block in self.blocks if block.kind < BlockKind.MANIFEST)

    @property
    def manifest(self) -> Manifest | None:
        """What the image says of itself; None where it says nothing.

        Raises:
            FormatError: the manifest is malformed, or names what the image does not have.
        """
        return find_manifest(self.blocks)

    def with_manifest(self, manifest: Manifest | None) -> "Image":
        """Return the image with another manifest, or without one."""
        if manifest is None:
            return hand_on(unpack, self, Image(chip=self.chip, blocks=self.memories))
        words = np.frombuffer(write_manifest(manifest), np.uint8).astype(np.int64)
        block = Block(kind=BlockKind.MANIFEST, synapse=0, word_bits=8, words=words)
        return hand_on(unpack, self, Image(chip=self.chip, blocks=(*self.memories, block)))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Input channels, hidden and output neurons in use."""
        return _read_sizes(self.blocks)


def find_manifest(blocks: tuple[Block, ...]) -> Manifest | None:
    """Read the manifest from the blocks of an image; errors as those of :attr:`Image.manifest`."""
    found = [block for block in blocks if block.kind is BlockKind.MANIFEST]
    if not found:
        return None
    if len(found) > 1 or (found[0].synapse, found[0].word_bits) != (0, 8):
        raise FormatError("the manifest is not one block of bytes", where="block MANIFEST", fix="write the image with snnmap")
    return read_manifest(found[0].words.astype(np.uint8).tobytes(), _read_sizes(blocks))


def _read_sizes(blocks: tuple[Block, ...]) -> tuple[int, int, int]:
    config = next((block.words for block in blocks if block.kind is BlockKind.CONFIG), np.zeros(3, np.int64))
    if config.size < 3:
        raise FormatError("the block has the wrong size", where="block CONFIG[0]", measured=f"{config.size} words")
    n_inputs, n_hidden, n_outputs = config[:3].tolist()
    return n_inputs, n_hidden, n_outputs


def pack(program: Program) -> Image:
    """Lay a program out in the chip's memory blocks.

    Raises:
        FormatError: the chip cannot hold the program; the message names every reason.
    """
    _require_no_defects(program)
    chip, sizes = program.chip, (program.n_inputs, program.hidden.size, program.outputs.size)
    config = [*sizes, *(program.memory(kind).shift for kind in MemoryKind)]
    blocks = [Block(kind=BlockKind.CONFIG, synapse=0, word_bits=chip.bits.neuron_id, words=np.array(config))]
    for area in _list_areas(chip, *sizes):
        for synapse, matrix in enumerate(program.memory(area.kind).weights):
            blocks += _pack_memory(area, synapse, matrix)
    blocks += _pack_neurons(program)
    return Image(chip=chip, blocks=tuple(sorted(blocks, key=lambda block: (block.kind, block.synapse))))


@cached
def unpack(image: Image) -> Program:
    """Read a program back from memory blocks; the exact inverse of :func:`pack`. A manifest is passed over.

    Raises:
        FormatError: a block is missing, unexpected, of the wrong length or width, or holds what ``pack`` never writes.
    """
    chip = image.chip
    blocks = _Blocks(image)
    config = blocks.take(BlockKind.CONFIG, 0, chip.bits.neuron_id, 6)
    n_inputs, n_hidden, n_outputs, *shifts = map(int, config)
    for what, used, limit in (
        ("input channels", n_inputs, chip.inputs.count),
        ("hidden neurons", n_hidden, chip.hidden.count),
        ("output neurons", n_outputs, chip.outputs.count),
    ):
        if used > limit:
            raise FormatError(f"the image configures {used} {what}", where="block CONFIG", measured=str(used), limit=str(limit))
    stored = {
        area.kind: StoredWeights(tuple(_unpack_memory(blocks, area, s) for s in range(chip.synapses(area.kind))), shift)
        for area, shift in zip(_list_areas(chip, n_inputs, n_hidden, n_outputs), shifts, strict=True)
    }
    hidden, outputs, alias = _unpack_neurons(blocks, chip, n_hidden, n_outputs)
    blocks.require_empty()
    program = Program.from_memories(chip, stored, hidden=hidden, outputs=outputs, alias=alias)
    _require_no_defects(program)
    return program


def _require_no_defects(program: Program) -> None:
    defects = list(find_program_defects(program))
    if defects:
        raise FormatError(
            "the chip cannot hold this program: " + "; ".join(defects),
            where=f"chip '{program.chip.name}'",
            fix="check the design rules first",
        )


def _list_areas(chip: Chip, n_inputs: int, n_hidden: int, n_outputs: int) -> list[MemoryArea]:
    """Return the weight memories as far as they are in use."""
    used = n_inputs, n_hidden, n_outputs
    return [MemoryArea(chip, kind, *chip.addresses(kind, *used), kind.shape(*used)) for kind in MemoryKind]


def _pack_memory(area: MemoryArea, synapse: int, matrix: CsrMatrix) -> Iterator[Block]:
    for part, word_bits, words in find_codec(area).pack(area, matrix):
        yield Block(kind=BlockKind.of_memory(area.kind, part), synapse=synapse, word_bits=word_bits, words=words)


def _unpack_memory(blocks: "_Blocks", area: MemoryArea, synapse: int) -> CsrMatrix:
    def take(part: Part, word_bits: int, n_words: int) -> IntArray:
        return blocks.take(BlockKind.of_memory(area.kind, part), synapse, word_bits, n_words)

    return find_codec(area).unpack(area, take)


def _pack_neurons(program: Program) -> Iterator[Block]:
    bits, chip = program.chip.bits, program.chip
    hidden, outputs = program.hidden, program.outputs
    decays = [_join_dashes(codes, bits.decay) for codes in (hidden, outputs)]
    yield Block(kind=BlockKind.DECAYS, synapse=0, word_bits=bits.decay * (1 + chip.hidden.synapses), words=np.concatenate(decays))
    thresholds = np.concatenate([hidden.threshold, outputs.threshold]) & ((1 << bits.threshold) - 1)
    yield Block(kind=BlockKind.THRESHOLDS, synapse=0, word_bits=bits.threshold, words=thresholds)
    if chip.hidden.bias or chip.outputs.bias:
        biases = np.concatenate([hidden.bias, outputs.bias]) & ((1 << bits.bias) - 1)
        yield Block(kind=BlockKind.BIASES, synapse=0, word_bits=bits.bias, words=biases)
    if chip.hidden.alias:
        yield Block(kind=BlockKind.ALIASES, synapse=0, word_bits=chip.hidden.count.bit_length(), words=program.alias + 1)


def _join_dashes(codes: NeuronCodes, width: int) -> IntArray:
    words = codes.dash_mem.copy()
    for synapse, dash in enumerate(codes.dash_syn):
        words |= dash << (width * (1 + synapse))
    return words


def _split_dashes(words: IntArray, width: int, n_synapses: int) -> tuple[IntArray, IntArray]:
    mask = (1 << width) - 1
    return words & mask, np.array([(words >> (width * (1 + s))) & mask for s in range(n_synapses)]).reshape(
        n_synapses, words.size
    )


def _unpack_neurons(blocks: "_Blocks", chip: Chip, n_hidden: int, n_outputs: int) -> tuple[NeuronCodes, NeuronCodes, IntArray]:
    bits, n = chip.bits, n_hidden + n_outputs
    decays = blocks.take(BlockKind.DECAYS, 0, bits.decay * (1 + chip.hidden.synapses), n)
    thresholds = to_signed(blocks.take(BlockKind.THRESHOLDS, 0, bits.threshold, n), bits.threshold)
    biases = np.zeros(n, np.int64)
    if chip.hidden.bias or chip.outputs.bias:
        biases = to_signed(blocks.take(BlockKind.BIASES, 0, bits.bias, n), bits.bias)
    alias = np.full(n_hidden, -1)
    if chip.hidden.alias:
        alias = blocks.take(BlockKind.ALIASES, 0, chip.hidden.count.bit_length(), n_hidden) - 1
    unused = decays[n_hidden:] >> (bits.decay * (1 + chip.outputs.synapses))
    if unused.any():
        raise FormatError(
            "an output neuron has a decay for a synapse it lacks",
            where=f"block DECAYS, word {n_hidden + int(np.argmax(unused > 0))}",
        )
    codes = []
    for part, n_synapses in ((slice(0, n_hidden), chip.hidden.synapses), (slice(n_hidden, n), chip.outputs.synapses)):
        dash_mem, dash_syn = _split_dashes(decays[part], bits.decay, n_synapses)
        codes.append(NeuronCodes(dash_syn=dash_syn, dash_mem=dash_mem, threshold=thresholds[part], bias=biases[part]))
    return codes[0], codes[1], alias


class _Blocks:
    """The blocks of an image, each of which must be asked for once."""

    def __init__(self, image: Image) -> None:
        keys = [(block.kind, block.synapse) for block in image.memories]
        if keys != sorted(set(keys)):
            raise FormatError(
                "blocks are not in ascending order, each once",
                where="image",
                measured=", ".join(f"{kind.name}[{s}]" for kind, s in keys),
            )
        self._left = dict(zip(keys, image.memories, strict=True))

    def take(self, kind: BlockKind, synapse: int, word_bits: int, n_words: int) -> IntArray:
        block = self._left.pop((kind, synapse), None)
        where = f"block {kind.name}[{synapse}]"
        if block is None:
            raise FormatError("the block is missing", where=where, fix="write the image with snnmap")
        if (block.word_bits, block.words.size) != (word_bits, n_words):
            found = f"{block.words.size} words of {block.word_bits} bits"
            raise FormatError(
                "the block has the wrong size", where=where, measured=found, limit=f"{n_words} words of {word_bits} bits"
            )
        if n_words and (block.words.min() < 0 or int(block.words.max()) >> word_bits):
            raise FormatError("a word does not fit its width", where=where, limit=f"{word_bits} bits")
        return block.words

    def require_empty(self) -> None:
        for kind, synapse in self._left:
            raise FormatError("the chip has no such block", where=f"block {kind.name}[{synapse}]", fix="remove the block")

"""The text twin of a bitstream: for reading, reviewing and writing by hand."""

import re
from collections.abc import Iterator

import numpy as np

from snnmap.chip import Chip, MemoryKind, find_chip_by_id
from snnmap.core import CsrMatrix, IntArray
from snnmap.core.errors import FormatError
from snnmap.lif.program import Image, NeuronCodes, Program, StoredWeights, pack, unpack

__all__ = ["assemble", "disassemble"]

_FIRST_LINE = "snnmap-image 1"


def disassemble(image: Image) -> str:
    """Write an image as text: shape, shifts, weights by source as ``target=weight``, and the codes of each neuron.

    :func:`assemble` reads it back to the same image.

    Raises:
        FormatError: the image is not one that packing could make.
    """
    program = unpack(image)
    return "\n".join([*_format_head(program), *_format_weights(program), *_format_neurons(program)]) + "\n"


def assemble(text: str, *, chip: Chip | None = None) -> Image:
    """Read the text form; empty lines and ``#`` comments are passed over.

    Args:
        text: as :func:`disassemble` writes it.
        chip: the record to use; by default the built-in chip with the text's id.

    Raises:
        FormatError: a line is malformed or misplaced, or the chip cannot hold the program.
    """
    return pack(_Reader(text).read(chip))


def _format_head(program: Program) -> Iterator[str]:
    chip = program.chip
    yield _FIRST_LINE
    yield f"chip {chip.chip_id} {chip.digest.hex()} {chip.name}"
    yield f"shape inputs={program.n_inputs} hidden={program.hidden.size} outputs={program.outputs.size}"
    yield "shift " + " ".join(f"{kind.value}={program.memory(kind).shift}" for kind in MemoryKind)


def _format_weights(program: Program) -> Iterator[str]:
    for name, _, matrices in program.memories:
        for synapse, matrix in enumerate(matrices):
            yield f"{name} {synapse}"
            starts, targets, weights = matrix.indptr.tolist(), matrix.indices.tolist(), matrix.data.tolist()
            for source in np.flatnonzero(matrix.row_lengths).tolist():
                row = range(starts[source], starts[source + 1])
                yield f"  {source}: " + " ".join(f"{targets[k]}={weights[k]}" for k in row)


def _format_neurons(program: Program) -> Iterator[str]:
    for name, codes in (("hidden", program.hidden), ("outputs", program.outputs)):
        yield name
        synapse, membrane = program.chip.family.decay_names
        for neuron in range(codes.size):
            dash_syn = ",".join(map(str, codes.dash_syn[:, neuron].tolist()))
            line = f"  {neuron}: {synapse}={dash_syn} {membrane}={codes.dash_mem[neuron]}"
            line += f" threshold={codes.threshold[neuron]} bias={codes.bias[neuron]}"
            alias = int(program.alias[neuron]) if name == "hidden" else -1
            yield line + (f" alias={alias}" if alias >= 0 else "")


def _list_patterns(chip: Chip) -> tuple[str, str]:
    """Return the patterns of an id on this chip and of a row of weights.

    Blanks part the pairs, so that a line can be read in one way only and in linear time.
    """
    number = rf"\d{{1,{len(str(chip.bits.neurons_max))}}}"
    pair = rf"{number}=-?\d{{1,5}}"
    return number, rf"({number}): ({pair}(?: {pair})*)"


class _Reader:
    """Reads lines one after the other; every error names the line."""

    def __init__(self, text: str) -> None:
        bare = ((number, line.split("#")[0].strip()) for number, line in enumerate(text.splitlines(), start=1))
        self._lines = [(number, line) for number, line in bare if line]
        self._at = 0
        self._id, self._row = "", ""

    def read(self, chip: Chip | None) -> Program:
        self._expect(re.escape(_FIRST_LINE))
        chip = self._find_chip(self._expect(r"chip (\d{1,5}) ([0-9a-f]{64})(?: .*)?"), chip)
        self._id, self._row = _list_patterns(chip)
        n_inputs, n_hidden, n_outputs = map(
            int, self._expect(rf"shape inputs=({self._id}) hidden=({self._id}) outputs=({self._id})")
        )
        for used, limit in ((n_inputs, chip.inputs.count), (n_hidden, chip.hidden.count), (n_outputs, chip.outputs.count)):
            if used > limit:
                raise self._error("the shape is larger than the chip", measured=str(used), limit=str(limit))
        shifts = map(int, self._expect("shift " + " ".join(rf"{kind.value}=(\d)" for kind in MemoryKind)))
        sizes = n_inputs, n_hidden, n_outputs
        stored = {
            kind: StoredWeights(self._read_memory(kind, kind.shape(*sizes), chip.synapses(kind)), shift)
            for kind, shift in zip(MemoryKind, shifts, strict=True)
        }
        hidden, alias = self._read_neurons("hidden", n_hidden, chip.hidden.synapses, chip)
        outputs, _ = self._read_neurons("outputs", n_outputs, chip.outputs.synapses, chip)
        if self._at < len(self._lines):
            raise self._error("lines follow the last neuron")
        return Program.from_memories(chip, stored, hidden=hidden, outputs=outputs, alias=alias)

    def _find_chip(self, fields: tuple[str, ...], chip: Chip | None) -> Chip:
        record = find_chip_by_id(int(fields[0])) if chip is None else chip
        if record is None or record.chip_id != int(fields[0]) or record.digest.hex() != fields[1]:
            raise self._error(
                "the text is for another chip record", measured=f"chip {fields[0]}", fix="give the chip's TOML file"
            )
        return record

    def _read_memory(self, kind: MemoryKind, shape: tuple[int, int], n_synapses: int) -> tuple[CsrMatrix, ...]:
        return tuple(self._read_matrix(kind.weights_name, synapse, shape) for synapse in range(n_synapses))

    def _read_matrix(self, name: str, synapse: int, shape: tuple[int, int]) -> CsrMatrix:
        self._expect(f"{name} {synapse}")
        rows: list[int] = []
        columns: list[int] = []
        data: list[int] = []
        while self._at < len(self._lines) and re.fullmatch(r"\d+:.*", self._lines[self._at][1]):
            (source, pairs) = self._expect(self._row)
            for pair in pairs.split():
                target, weight = map(int, pair.split("="))
                if int(source) >= shape[0] or target >= shape[1] or weight == 0:
                    raise self._error(f"{source}: {pair} is not a synapse of this memory", limit=f"{shape}", back=1)
                if rows and (int(source), target) <= (rows[-1], columns[-1]):
                    raise self._error("sources and targets must ascend", measured=f"{source}: {pair}", back=1)
                rows.append(int(source))
                columns.append(target)
                data.append(weight)
        return CsrMatrix.from_triplets(rows, columns, np.array(data, np.int64), shape)

    def _read_neurons(self, name: str, n: int, n_synapses: int, chip: Chip) -> tuple[NeuronCodes, IntArray]:
        self._expect(name)
        synapse, membrane = chip.family.decay_names
        code = rf"(\d{{1,{len(str(chip.bits.dash_max))}}})"
        codes_syn = ",".join([code] * n_synapses)
        alias_field = rf"(?: alias=({self._id}))?" if name == "hidden" else "()"
        integers = r"threshold=(-?\d{1,9}) bias=(-?\d{1,9})"
        pattern = rf"({self._id}): {synapse}={codes_syn} {membrane}={code} {integers}{alias_field}"
        rows = np.zeros((n, n_synapses + 4), np.int64)
        for neuron in range(n):
            number, *fields = self._expect(pattern)
            if int(number) != neuron:
                raise self._error("neurons must be numbered one after the other", measured=number, limit=str(neuron), back=1)
            rows[neuron] = [int(field) if field else -1 for field in fields]
        dash_syn = rows[:, :n_synapses].T
        codes = NeuronCodes(dash_syn=dash_syn, dash_mem=rows[:, -4], threshold=rows[:, -3], bias=rows[:, -2])
        return codes, rows[:, -1]

    def _expect(self, pattern: str) -> tuple[str, ...]:
        line = self._lines[self._at][1] if self._at < len(self._lines) else ""
        match = re.fullmatch(pattern, line, flags=re.ASCII)
        if match is None:
            raise self._error("the line is not what comes here", measured=line[:60] or "end of text", limit=pattern)
        self._at += 1
        return match.groups(default="")

    def _error(self, what: str, *, measured: str = "", limit: str = "", fix: str = "", back: int = 0) -> FormatError:
        at = self._at - back
        where = f"line {self._lines[at][0]}" if at < len(self._lines) else "end of text"
        return FormatError(
            what, where=where, measured=measured, limit=limit, fix=fix or "compare with the output of snnmap disasm"
        )

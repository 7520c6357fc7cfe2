"""A program as text: for reading, reviewing and writing by hand."""

from collections.abc import Iterator

import numpy as np

from snnmap.chip import Chip, HiddenNeurons, MemoryKind, OutputNeurons
from snnmap.core.record import IntArray
from snnmap.lif.program.program import NeuronCodes, Program, StoredWeights
from snnmap.lif.program.text.lines import LineReader, format_chip
from snnmap.lif.program.text.weights import WeightPatterns, format_weights, read_weights

__all__ = ["format_program", "parse_program", "read_program"]

_FIRST_LINE = "snnmap-image 1"


def format_program(program: Program) -> str:
    """Write a program as text: shape, shifts, weights by source as ``target=weight``, and the codes of each neuron."""
    return "\n".join([*_format_head(program), *_format_weights(program), *_format_neurons(program)]) + "\n"


def parse_program(text: str, *, chip: Chip | None = None) -> Program:
    """Read what :func:`format_program` wrote; empty lines and ``#`` comments are passed over.

    Args:
        text: to read.
        chip: the record to use; by default the built-in chip with the text's id.

    Raises:
        FormatError: a line is malformed or misplaced.
    """
    reader = LineReader(text, fix="compare with the output of snnmap disasm")
    program = read_program(reader, chip)
    reader.expect_end("neuron")
    return program


def _format_head(program: Program) -> Iterator[str]:
    yield _FIRST_LINE
    yield format_chip(program.chip)
    yield f"shape inputs={program.n_inputs} hidden={program.hidden.size} outputs={program.outputs.size}"
    yield "shift " + " ".join(f"{kind.value}={program.memory(kind).shift}" for kind in MemoryKind)


def _format_weights(program: Program) -> Iterator[str]:
    for kind in MemoryKind:
        yield from format_weights(kind, program.memory(kind).weights)


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


def read_program(reader: LineReader, chip: Chip | None) -> Program:
    """Read a program from the next line on, up to its last neuron."""
    reader.expect(_FIRST_LINE)
    chip = reader.expect_chip(chip)
    number = rf"\d{{1,{len(str(chip.bits.neurons_max))}}}"
    sizes = _read_shape(reader, chip, number)
    shifts = tuple(map(int, reader.expect("shift " + " ".join(rf"{kind.value}=(\d)" for kind in MemoryKind))))
    if max(shifts) > chip.bits.shift_max:
        raise reader.out_of_range("shifts", str(max(shifts)), 0, chip.bits.shift_max)
    patterns = WeightPatterns(number, r"-?\d{1,5}", int, chip.bits.weight_range)
    stored = {
        kind: StoredWeights(read_weights(reader, kind, kind.shape(*sizes), chip.synapses(kind), patterns), shift)
        for kind, shift in zip(MemoryKind, shifts, strict=True)
    }
    _, n_hidden, n_outputs = sizes
    hidden, alias = _read_neurons(reader, "hidden", n_hidden, chip.hidden, chip, number)
    outputs, _ = _read_neurons(reader, "outputs", n_outputs, chip.outputs, chip, number)
    return Program.from_memories(chip, stored, hidden=hidden, outputs=outputs, alias=alias)


def _read_shape(reader: LineReader, chip: Chip, number: str) -> tuple[int, int, int]:
    n_inputs, n_hidden, n_outputs = map(int, reader.expect(rf"shape inputs=({number}) hidden=({number}) outputs=({number})"))
    for used, limit in ((n_inputs, chip.inputs.count), (n_hidden, chip.hidden.count), (n_outputs, chip.outputs.count)):
        if used > limit:
            raise reader.error("the shape is larger than the chip", measured=str(used), limit=str(limit))
    return n_inputs, n_hidden, n_outputs


def _read_neurons(
    reader: LineReader, name: str, n: int, part: HiddenNeurons | OutputNeurons, chip: Chip, number: str
) -> tuple[NeuronCodes, IntArray]:
    reader.expect(name)
    n_synapses, limits = part.synapses, _list_limits(part, chip, n)
    synapse, membrane = chip.family.decay_names
    code = rf"(\d{{1,{len(str(chip.bits.dash_max))}}})"
    codes_syn = ",".join([code] * n_synapses)
    alias_field = rf"(?: alias=({number}))?" if name == "hidden" else "()"
    integers = r"threshold=(-?\d{1,9}) bias=(-?\d{1,9})"
    pattern = rf"({number}): {synapse}={codes_syn} {membrane}={code} {integers}{alias_field}"
    rows = np.zeros((n, n_synapses + 4), np.int64)
    for neuron in range(n):
        fields = reader.expect_neuron(neuron, pattern)
        for field, (what, low, high) in zip(fields, limits, strict=False):
            if field and not low <= int(field) <= high:
                raise reader.out_of_range(what, field, low, high)
        rows[neuron] = [int(field) if field else -1 for field in fields]
    codes = NeuronCodes(dash_syn=rows[:, :n_synapses].T, dash_mem=rows[:, -4], threshold=rows[:, -3], bias=rows[:, -2])
    return codes, rows[:, -1]


def _list_limits(part: HiddenNeurons | OutputNeurons, chip: Chip, n: int) -> list[tuple[str, int, int]]:
    """Return name, lowest and highest value of each field in a neuron's line."""
    bits = chip.bits
    decays = [(f"{name} codes", 0, bits.dash_max) for name in ["synapses' decay"] * part.synapses + ["membranes' decay"]]
    threshold = "thresholds", -bits.threshold_max - 1, bits.threshold_max
    alias = [("alias: targets", 0, n - 1)] if isinstance(part, HiddenNeurons) and part.alias else []
    return [*decays, threshold, ("biases", *(bits.bias_range if part.bias else (0, 0))), *alias]

"""What the chip is told, as integers: the content of an image before it is laid out in blocks."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np

from snnmap.chip import Chip, MemoryKind, WeightMemory
from snnmap.core.cached import Cached
from snnmap.core.csr import CsrMatrix
from snnmap.core.record import IntArray, freeze_int, record, replace_array

__all__ = ["NeuronCodes", "Program", "StoredWeights", "find_program_defects"]


@record
class NeuronCodes:
    """Integer parameters of a row of chip neurons.

    Attributes:
        dash_syn: ``(n_synapses, n) int64``, bit-shift decay of each synaptic current.
        dash_mem: ``(n,) int64``, bit-shift decay of the membrane.
        threshold: ``(n,) int64``, in units of the state.
        bias: ``(n,) int64``, in units of the state a step.
    """

    dash_syn: IntArray
    dash_mem: IntArray
    threshold: IntArray
    bias: IntArray

    def __post_init__(self) -> None:
        for name in ("dash_syn", "dash_mem", "threshold", "bias"):
            replace_array(self, name, freeze_int(getattr(self, name)))

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(self.threshold.size)


class StoredWeights(NamedTuple):
    """What is in one kind of weight memory.

    Attributes:
        weights: one ``(n_sources, n_targets)`` int64 matrix a synapse.
        shift: the weights count ``<< shift``.
    """

    weights: tuple[CsrMatrix, ...]
    shift: int


@record
class Program(Cached):
    """Integer weights and codes of a configured chip; :meth:`memory` gives weights and shift by kind of memory.

    Attributes:
        chip: the record they are for.
        input_weights: one ``(n_inputs, n_hidden)`` int64 matrix a synapse.
        recurrent_weights: one ``(n_hidden, n_hidden)`` int64 matrix a synapse.
        output_weights: one ``(n_hidden, n_outputs)`` int64 matrix a synapse.
        input_shift: weights of the input memories count ``<< input_shift``.
        recurrent_shift: the same for the recurrent memories.
        output_shift: the same for the output memories.
        hidden: codes of the hidden neurons in use.
        outputs: codes of the output neurons in use.
        alias: ``(n_hidden,) int64``, hidden slot that repeats this one's counts in the same step, -1 for none.
    """

    chip: Chip
    input_weights: tuple[CsrMatrix, ...]
    recurrent_weights: tuple[CsrMatrix, ...]
    output_weights: tuple[CsrMatrix, ...]
    input_shift: int
    recurrent_shift: int
    output_shift: int
    hidden: NeuronCodes
    outputs: NeuronCodes
    alias: IntArray

    def __post_init__(self) -> None:
        replace_array(self, "alias", freeze_int(self.alias))

    @classmethod
    def from_memories(
        cls, chip: Chip, stored: Mapping[MemoryKind, StoredWeights], *, hidden: NeuronCodes, outputs: NeuronCodes, alias: IntArray
    ) -> Self:
        """Build a program from what is in each kind of weight memory."""
        return cls(chip=chip, hidden=hidden, outputs=outputs, alias=alias, **_name_fields(stored))

    @property
    def n_inputs(self) -> int:
        """Input channels in use."""
        return self.memory(MemoryKind.INPUT).weights[0].shape[0]

    def memory(self, kind: MemoryKind) -> StoredWeights:
        """Return the weights and the weight shift of one kind of memory."""
        return StoredWeights(getattr(self, kind.weights_name), getattr(self, kind.shift_name))

    def with_weights(self, weights: Mapping[MemoryKind, tuple[CsrMatrix, ...]]) -> Self:
        """Return the program with other weights in some kinds of memory."""
        changes: dict[str, Any] = {kind.weights_name: matrices for kind, matrices in weights.items()}
        return replace(self, **changes)

    @property
    def memories(self) -> tuple[tuple[str, WeightMemory, tuple[CsrMatrix, ...]], ...]:
        """The three kinds of weight memory: name, record, one matrix a synapse."""
        return tuple((kind.weights_name, self.chip.memory(kind), self.memory(kind).weights) for kind in MemoryKind)


def _name_fields(stored: Mapping[MemoryKind, StoredWeights]) -> dict[str, Any]:
    weights = {kind.weights_name: memory.weights for kind, memory in stored.items()}
    return {**weights, **{kind.shift_name: memory.shift for kind, memory in stored.items()}}


def find_program_defects(program: Program) -> Iterator[str]:
    """Say what in a program the chip cannot hold: counts, shapes, ranges, fan-in, fan-out, slots out of reach."""
    yield from _wrong_sizes(program)
    yield from _wrong_codes(program)
    yield from _wrong_weights(program)
    yield from _wrong_aliases(program)


def _wrong_sizes(program: Program) -> Iterator[str]:
    chip, n_hidden, n_outputs = program.chip, program.hidden.size, program.outputs.size
    for what, used, limit in (
        ("input channels", program.n_inputs, chip.inputs.count),
        ("hidden neurons", n_hidden, chip.hidden.count),
        ("output neurons", n_outputs, chip.outputs.count),
    ):
        if used > limit:
            yield f"{used} {what}, the chip has {limit}"
    for kind in MemoryKind:
        name, matrices, n_synapses = kind.weights_name, program.memory(kind).weights, chip.synapses(kind)
        shape = kind.shape(program.n_inputs, n_hidden, n_outputs)
        if len(matrices) != n_synapses or any(matrix.shape != shape for matrix in matrices):
            yield f"{name}: {[matrix.shape for matrix in matrices]} instead of {n_synapses} of {shape}"
    for name, codes, n_synapses in (
        ("hidden", program.hidden, chip.hidden.synapses),
        ("outputs", program.outputs, chip.outputs.synapses),
    ):
        n = codes.size
        if codes.dash_syn.shape != (n_synapses, n) or codes.dash_mem.shape != (n,) or codes.bias.shape != (n,):
            yield f"{name}: codes differ in length or number of synapses"


def _wrong_codes(program: Program) -> Iterator[str]:
    bits = program.chip.bits
    for name, codes, has_bias in (
        ("hidden", program.hidden, program.chip.hidden.bias),
        ("outputs", program.outputs, program.chip.outputs.bias),
    ):
        bias_low, bias_high = bits.bias_range if has_bias else (0, 0)
        for field, values, low, high in (
            ("dash_syn", codes.dash_syn, 0, bits.dash_max),
            ("dash_mem", codes.dash_mem, 0, bits.dash_max),
            ("threshold", codes.threshold, -bits.threshold_max - 1, bits.threshold_max),
            ("bias", codes.bias, bias_low, bias_high),
        ):
            if values.size and (values.min() < low or values.max() > high):
                yield f"{name}.{field}: {values.min()}..{values.max()} outside {low}..{high}"
    for kind in MemoryKind:
        shift = program.memory(kind).shift
        if not 0 <= shift <= bits.shift_max:
            yield f"{kind.shift_name}: {shift} outside 0..{bits.shift_max}"


def _wrong_weights(program: Program) -> Iterator[str]:
    low, high = program.chip.bits.weight_range
    for name, memory, matrices in program.memories:
        for synapse, matrix in enumerate(matrices):
            where = f"{name} of synapse {synapse}"
            if matrix.nnz and (matrix.data.min() < low or matrix.data.max() > high):
                yield f"{where}: weights {matrix.data.min()}..{matrix.data.max()} outside {low}..{high}"
            if (matrix.data == 0).any():
                yield f"{where}: a stored weight is 0"
            if memory.max_fan_in and matrix.nnz and matrix.column_lengths.max() > memory.max_fan_in:
                yield f"{where}: fan-in {matrix.column_lengths.max()}, the chip stores {memory.max_fan_in}"
            if memory.is_sparse and matrix.nnz > memory.max_words:
                yield f"{where}: {matrix.nnz} words, the chip has {memory.max_words}"
        fan_out = np.sum([matrix.row_lengths for matrix in matrices], axis=0)
        if memory.max_fan_out and fan_out.size and fan_out.max() > memory.max_fan_out:
            yield f"{name}: fan-out {fan_out.max()}, the chip stores {memory.max_fan_out}"
    yield from _out_of_reach(program)


def _out_of_reach(program: Program) -> Iterator[str]:
    used = program.n_inputs, program.hidden.size, program.outputs.size
    for kind, what in ((MemoryKind.INPUT, "an input reaches"), (MemoryKind.OUTPUT, "an output reads")):
        sources, targets = program.chip.addresses(kind, *used)
        reach = targets if kind is MemoryKind.INPUT else sources
        for matrix in program.memory(kind).weights:
            slots = matrix.indices if kind is MemoryKind.INPUT else matrix.rows
            if matrix.nnz and (slots.min() < reach.start or slots.max() >= reach.stop):
                yield f"{kind.weights_name}: {what} hidden slots outside {reach.start}..{reach.stop - 1}"


def _wrong_aliases(program: Program) -> Iterator[str]:
    alias, n_hidden = program.alias, program.hidden.size
    if alias.shape != (n_hidden,):
        yield f"alias: {alias.size} entries for {n_hidden} hidden neurons"
        return
    targets = alias[alias != -1]
    if targets.size and not program.chip.hidden.alias:
        yield "alias: this chip has none"
    if targets.size and (targets.min() < 0 or targets.max() >= n_hidden):
        yield f"alias: targets {targets.min()}..{targets.max()} outside 0..{n_hidden - 1}"
    if np.unique(targets).size < targets.size:
        yield "alias: a neuron is the alias of two"
    if (alias == np.arange(n_hidden)).any():
        yield "alias: a neuron is its own alias"

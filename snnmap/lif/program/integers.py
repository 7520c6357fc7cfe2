"""Networks that hold a chip's own integers: reading them back, or saying why that fails."""

from collections.abc import Iterator

import numpy as np

from snnmap.chip import Chip, MemoryKind
from snnmap.core.csr import CsrMatrix
from snnmap.core.record import BoolArray, FloatArray, IntArray, record
from snnmap.lif.program.mapped import MappedNetwork, NeuronParameters
from snnmap.lif.program.relays import fits_relay_cell, relay_memories

__all__ = ["IntegerMemory", "find_integer_problems", "read_integer_memories"]

_TOLERANCE = 1e-6


@record
class IntegerMemory:
    """Weights of one kind of memory, in state units, without those of relays.

    Attributes:
        name: such as ``recurrent_weights``.
        matrices: ``(n_pre, n)`` integers a synapse.
        shift: smallest weight shift at which all of them are stored words; -1 where none is.
    """

    name: str
    matrices: tuple[CsrMatrix, ...]
    shift: int


def read_integer_memories(mapped: MappedNetwork) -> tuple[IntegerMemory, ...]:
    """Read the integers of the three kinds of weight memory of a network that holds them."""
    real = mapped.table.hidden_hop == 0
    every = np.ones(mapped.outputs.size, np.bool_)
    return tuple(
        _read_memory(
            mapped.chip,
            kind.weights_name,
            mapped.weights(kind),
            kind.target(hidden=mapped.hidden, outputs=mapped.outputs),
            kind.target(hidden=real, outputs=every),
        )
        for kind in MemoryKind
    )


def find_integer_problems(mapped: MappedNetwork) -> Iterator[tuple[str, str, str]]:
    """Yield (place, measured, limit) of everything that is not the chip's integer."""
    memories = read_integer_memories(mapped)
    shift_of = {kind: memory.shift for kind, memory in zip(MemoryKind, memories, strict=True)}
    for memory in memories:
        if memory.shift < 0:
            yield memory.name, "no common weight shift", f"words of {mapped.chip.bits.weight} bits at one shift"
    shifts = tuple(shift_of[kind] for kind in relay_memories(mapped))
    if mapped.n_relays and min(shifts) >= 0 and not fits_relay_cell(mapped.chip, shifts):
        yield "relays", f"weight shifts {', '.join(map(str, shifts))}", "shifts at which a relay cell fits"
    bits, family, real = mapped.chip.bits, mapped.chip.family, mapped.table.hidden_hop == 0
    for row, parameters, kept in (("hidden", mapped.hidden, real), ("outputs", mapped.outputs, slice(None))):
        beta = family.membrane_factors(family.code_membranes(parameters.beta, bits.dash_max))
        threshold = np.where(np.isposinf(parameters.threshold), bits.threshold_max, parameters.threshold)
        checks: tuple[tuple[str, FloatArray, BoolArray], ...] = (
            (
                "threshold",
                threshold,
                _is_whole(threshold) & (threshold >= 1) & (threshold <= bits.threshold_max + family.least_firing),
            ),
            ("bias", parameters.bias, _is_whole(parameters.bias) & (np.abs(parameters.bias) <= bits.bias_range[1])),
            ("beta", parameters.beta, np.abs(beta - parameters.beta) < _TOLERANCE),
        )
        for name, values, holds in checks:
            wrong = np.asarray(values)[kept][~np.asarray(holds)[kept]]
            if wrong.size:
                yield f"{row}.{name}", f"{wrong[0]:.6g}", "an integer in range" if name != "beta" else family.decay_formula


def _read_memory(
    chip: Chip, name: str, matrices: tuple[CsrMatrix, ...], parameters: NeuronParameters, kept: BoolArray
) -> IntegerMemory:
    found, whole, family = [], True, chip.family
    for synapse, matrix in enumerate(matrices):
        mine = kept[matrix.indices]
        codes = family.code_synapses(parameters.alpha[synapse], chip.bits.dash_max)[matrix.indices[mine]]
        values = matrix.data[mine] / family.weight_gain(codes)
        coded = np.abs(family.synapse_factors(codes) - parameters.alpha[synapse][matrix.indices[mine]]) < _TOLERANCE
        whole &= bool((_is_whole(values) & coded).all())
        steps = np.rint(values).astype(np.int64)
        found.append(matrix.keep(mine).with_data(steps).keep(steps != 0))
    everything = np.concatenate([matrix.data for matrix in found])
    return IntegerMemory(name=name, matrices=tuple(found), shift=_find_shift(everything, chip) if whole else -1)


def _find_shift(values: IntArray, chip: Chip) -> int:
    low, high = chip.bits.weight_range
    for shift in range(chip.bits.shift_max + 1):
        places = shift + chip.family.weight_shift
        words = values >> places
        if (words << places == values).all() and words.min(initial=0) >= low and words.max(initial=0) <= high:
            return shift
    return -1


def _is_whole(values: FloatArray) -> BoolArray:
    return np.asarray(np.abs(values - np.rint(values)) < _TOLERANCE, np.bool_)

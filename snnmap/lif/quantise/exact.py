"""Networks that were trained in the chip's integers: nothing is rounded."""

import numpy as np

from snnmap.chip import MemoryKind
from snnmap.core import CsrMatrix
from snnmap.core.errors import NetworkError
from snnmap.lif.program import (
    MappedNetwork,
    NeuronCodes,
    NeuronParameters,
    Program,
    QuantisedNetwork,
    StoredWeights,
    find_integer_problems,
    read_integer_memories,
)
from snnmap.lif.quantise.relays import insert_relays

__all__ = ["keep_integers"]


def keep_integers(mapped: MappedNetwork) -> QuantisedNetwork:
    """Take a folded network of the chip's own integers as it is.

    Raises:
        NetworkError: something in it is not an integer that the chip holds; the design rules say so first (SNN507).
    """
    problems = [f"{place}: {measured}, not {limit}" for place, measured, limit in find_integer_problems(mapped)]
    if problems:
        raise NetworkError(
            "the network is not made of the chip's integers: " + "; ".join(problems), fix="check the design rules first"
        )
    more = mapped.chip.family.weight_shift
    memories = [
        StoredWeights(tuple(_to_words(matrix, memory.shift + more) for matrix in memory.matrices), memory.shift)
        for memory in read_integer_memories(mapped)
    ]
    program = Program.from_memories(
        mapped.chip,
        dict(zip(MemoryKind, memories, strict=True)),
        hidden=_to_codes(mapped.hidden, mapped),
        outputs=_to_codes(mapped.outputs, mapped),
        alias=np.full(mapped.hidden.size, -1),
    )
    return QuantisedNetwork(
        mapped=mapped,
        program=insert_relays(mapped, program),
        hidden_scale=np.ones(mapped.hidden.size),
        output_scale=np.ones(mapped.outputs.size),
        hidden_input_error=np.zeros(mapped.hidden.size),
        output_input_error=np.zeros(mapped.outputs.size),
        errors=(),
    )


def _to_words(matrix: CsrMatrix, shift: int) -> CsrMatrix:
    return matrix.with_data(matrix.data >> shift)


def _to_codes(parameters: NeuronParameters, mapped: MappedNetwork) -> NeuronCodes:
    bits, family = mapped.chip.bits, mapped.chip.family
    threshold = np.where(np.isposinf(parameters.threshold), bits.threshold_max, parameters.threshold - family.least_firing)
    return NeuronCodes(
        dash_syn=family.code_synapses(parameters.alpha, bits.dash_max),
        dash_mem=family.code_membranes(parameters.beta, bits.dash_max),
        threshold=np.rint(threshold).astype(np.int64),
        bias=np.rint(parameters.bias).astype(np.int64),
    )

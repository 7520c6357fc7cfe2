"""Relay slots in the chip's integers."""

from dataclasses import replace
from itertools import product

import numpy as np

from snnmap.chip import HIDDEN_MEMORIES, MemoryKind, RelayCell, find_relay_cells
from snnmap.core import CsrMatrix, IntArray
from snnmap.core.errors import NetworkError
from snnmap.lif.program import MappedNetwork, NeuronCodes, Program, fits_relay_cell, relay_memories

__all__ = ["insert_relays", "list_shifts"]


def list_shifts(mapped: MappedNetwork) -> list[tuple[int, ...]]:
    """List the weight shifts of input and recurrent memory that may be chosen: all, or those at which relays can be built.

    Raises:
        NetworkError: relays are needed and the chip has no relay cell.
    """
    pairs = list(product(range(mapped.chip.bits.shift_max + 1), repeat=len(HIDDEN_MEMORIES)))
    if mapped.n_relays == 0:
        return list(pairs)
    places = [HIDDEN_MEMORIES.index(kind) for kind in relay_memories(mapped)]
    allowed = [pair for pair in pairs if fits_relay_cell(mapped.chip, tuple(pair[place] for place in places))]
    if not allowed:
        raise _missing_cell(mapped)
    return list(allowed)


def _missing_cell(mapped: MappedNetwork) -> NetworkError:
    return NetworkError(
        "paths must be aligned but the chip has no neuron that repeats a count",
        where=f"{mapped.n_relays} relays on chip '{mapped.chip.name}'",
        fix="remove skip connections, or see snnmap explain SNN302",
    )


def insert_relays(mapped: MappedNetwork, program: Program) -> Program:
    """Give relay slots the chip's relay cell, its weights in the units of the memories they sit in."""
    relays = np.flatnonzero(mapped.table.hidden_hop)
    if relays.size == 0:
        return program
    unit = max(program.memory(kind).shift for kind in relay_memories(mapped))
    cell = find_relay_cells(mapped.chip).get(unit)
    if cell is None:
        raise _missing_cell(mapped)
    own = np.full(relays.size if cell.self_weight else 0, cell.self_weight)
    itself = CsrMatrix.from_triplets(relays[: own.size], relays[: own.size], own, (mapped.hidden.size, mapped.hidden.size))
    added = {kind: [_relay_wiring(mapped, kind, cell.weight)] for kind in relay_memories(mapped)}
    added[MemoryKind.RECURRENT].append(itself)
    weights = {}
    for kind, matrices in added.items():
        (first, *others), shift = program.memory(kind)
        weights[kind] = (CsrMatrix.sum_of([first, *(_scale(matrix, unit - shift) for matrix in matrices)]), *others)
    return replace(program.with_weights(weights), hidden=_relay_codes(program.hidden, relays, cell, unit))


def _relay_wiring(mapped: MappedNetwork, kind: MemoryKind, weight: int) -> CsrMatrix:
    """Return the synapses onto relays in one kind of memory, with a relay cell's weight."""
    wiring = mapped.weights(kind)[0]
    onto_relays = wiring.keep((mapped.table.hidden_hop > 0)[wiring.indices])
    return onto_relays.with_data(np.full(onto_relays.nnz, weight))


def _scale(matrix: CsrMatrix, n_bits: int) -> CsrMatrix:
    """Return weights as words of a memory whose shift is this much smaller than that of the unit."""
    return matrix.with_data(matrix.data.astype(np.int64) << n_bits)


def _relay_codes(codes: NeuronCodes, relays: IntArray, cell: RelayCell, unit_shift: int) -> NeuronCodes:
    dash_syn, dash_mem, threshold, bias = (a.copy() for a in (codes.dash_syn, codes.dash_mem, codes.threshold, codes.bias))
    dash_syn[:, relays], dash_mem[relays] = cell.dash_syn, cell.dash_mem
    threshold[relays], bias[relays] = cell.threshold << unit_shift, 0
    return NeuronCodes(dash_syn=dash_syn, dash_mem=dash_mem, threshold=threshold, bias=bias)

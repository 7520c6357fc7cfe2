"""Relay slots in the chip's integers."""

from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt

from snnmap.chip import RelayCell, find_relay_cells
from snnmap.errors import NetworkError
from snnmap.ir import CsrMatrix, IntArray, MappedNetwork, NeuronCodes, Program, fits_relay_cell, relay_shifts

__all__ = ["insert_relays", "list_shifts"]


def list_shifts(mapped: MappedNetwork) -> list[tuple[int, ...]]:
    """List the weight shifts of input and recurrent memory that may be chosen: all, or those at which relays can be built.

    Raises:
        NetworkError: relays are needed and the chip has no relay cell.
    """
    pairs = list(product(range(mapped.chip.bits.shift_max + 1), repeat=2))
    if mapped.n_relays == 0:
        return list(pairs)
    allowed = [pair for pair in pairs if fits_relay_cell(mapped.chip, relay_shifts(mapped, *pair))]
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
    input_shift, recurrent_shift = program.input_shift, program.recurrent_shift
    unit = max(relay_shifts(mapped, input_shift, recurrent_shift))
    cell = find_relay_cells(mapped.chip).get(unit)
    if cell is None:
        raise _missing_cell(mapped)
    is_relay = mapped.table.hidden_hop > 0
    feeding = _relay_weights(mapped.input_weights[0], is_relay, cell.weight << (unit - input_shift) if unit >= input_shift else 0)
    chained = _relay_weights(mapped.recurrent_weights[0], is_relay, cell.weight << (unit - recurrent_shift))
    own = np.full(relays.size if cell.self_weight else 0, cell.self_weight * (1 << (unit - recurrent_shift)))
    itself = CsrMatrix.from_triplets(relays[: own.size], relays[: own.size], own, chained.shape)
    return replace(
        program,
        input_weights=(_add(program.input_weights[0], feeding), *program.input_weights[1:]),
        recurrent_weights=(_add(program.recurrent_weights[0], chained, itself), *program.recurrent_weights[1:]),
        hidden=_relay_codes(program.hidden, relays, cell, unit),
    )


def _relay_weights(wiring: CsrMatrix, is_relay: npt.NDArray[np.bool_], weight: int) -> CsrMatrix:
    mine = is_relay[wiring.indices]
    return CsrMatrix.from_triplets(wiring.rows[mine], wiring.indices[mine], np.full(int(mine.sum()), weight), wiring.shape)


def _add(*matrices: CsrMatrix) -> CsrMatrix:
    return CsrMatrix.from_triplets(
        np.concatenate([matrix.rows for matrix in matrices]),
        np.concatenate([matrix.indices for matrix in matrices]),
        np.concatenate([matrix.data.astype(np.int64) for matrix in matrices]),
        matrices[0].shape,
    )


def _relay_codes(codes: NeuronCodes, relays: IntArray, cell: RelayCell, unit_shift: int) -> NeuronCodes:
    dash_syn, dash_mem, threshold, bias = (a.copy() for a in (codes.dash_syn, codes.dash_mem, codes.threshold, codes.bias))
    dash_syn[:, relays], dash_mem[relays] = cell.dash_syn, cell.dash_mem
    threshold[relays], bias[relays] = cell.threshold << unit_shift, 0
    return NeuronCodes(dash_syn=dash_syn, dash_mem=dash_mem, threshold=threshold, bias=bias)

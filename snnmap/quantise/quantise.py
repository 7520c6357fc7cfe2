"""From a folded float network to the chip's integers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from snnmap.chip import RelayCell, find_relay_cell
from snnmap.errors import NetworkError
from snnmap.ir import CsrMatrix, IntArray, MappedNetwork, NeuronCodes, Program, QuantisedNetwork
from snnmap.quantise.calibrate import assume_statistics, measure_statistics
from snnmap.quantise.match import SecondSynapse
from snnmap.quantise.neurons import MemoryWeights, QuantisedNeurons, mask_targets, quantise_neurons

__all__ = ["QuantiseOptions", "quantise_network"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantiseOptions:
    """Choices of the quantisation.

    Attributes:
        second_synapse: see :func:`match_decays`: ``decays`` (use a free second synapse where decays cannot be coded),
            ``always`` (also to round weights more finely) or ``never``.
    """

    second_synapse: SecondSynapse = "decays"


def quantise_network(
    mapped: MappedNetwork, *, calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None
) -> QuantisedNetwork:
    """Quantise a folded network: decay codes, a scale a neuron, weights rounded for the sum they make.

    Args:
        mapped: folded float network.
        calibration: input rasters that show how often neurons fire and how far states swing; without, all sources are
            taken to fire alike and states to stay within 16 thresholds.

    Returns:
        Integers with the scales and errors. Capacities are judged by the design rules, not here.

    Raises:
        NetworkError: relays are needed and the chip has no relay cell.
        InputError: calibration rasters that do not suit the network.
    """
    chip, bits = mapped.chip, mapped.chip.bits
    statistics = assume_statistics(mapped) if calibration is None else measure_statistics(mapped, calibration)
    neurons = mapped.table.hidden_hop == 0
    input_memory = MemoryWeights(
        name="input_weights",
        matrices=mask_targets(mapped.input_weights, neurons),
        mean=statistics.input_mean,
        variance=statistics.input_variance,
    )
    recurrent_memory = MemoryWeights(
        name="recurrent_weights",
        matrices=mask_targets(mapped.recurrent_weights, neurons),
        mean=statistics.hidden_mean,
        variance=statistics.hidden_variance,
    )
    output_memory = replace(recurrent_memory, name="output_weights", matrices=mapped.output_weights)
    apart = bits.shift_max if not _has_input_relays(mapped) else bits.weight - 3
    hidden = quantise_neurons(
        "hidden", mapped.hidden, (input_memory, recurrent_memory), statistics.hidden, bits, apart, has_bias=chip.hidden.bias
    )
    outputs = quantise_neurons(
        "outputs", mapped.outputs, (output_memory,), statistics.outputs, bits, bits.shift_max, has_bias=chip.outputs.bias
    )
    program = Program(
        chip=chip,
        input_weights=hidden.weights[0],
        recurrent_weights=hidden.weights[1],
        output_weights=outputs.weights[0],
        input_shift=hidden.shifts[0],
        recurrent_shift=hidden.shifts[1],
        output_shift=outputs.shifts[0],
        hidden=hidden.codes,
        outputs=outputs.codes,
        alias=np.full(mapped.hidden.size, -1),
    )
    return _assemble(mapped, _insert_relays(mapped, program), hidden, outputs)


def _assemble(mapped: MappedNetwork, program: Program, hidden: QuantisedNeurons, outputs: QuantisedNeurons) -> QuantisedNetwork:
    return QuantisedNetwork(
        mapped=mapped,
        program=program,
        hidden_scale=hidden.scale,
        output_scale=outputs.scale,
        hidden_input_error=hidden.input_error,
        output_input_error=outputs.input_error,
        errors=(*hidden.errors, *outputs.errors),
    )


def _has_input_relays(mapped: MappedNetwork) -> bool:
    relays = mapped.table.hidden_hop > 0
    return any(relays[matrix.indices].any() for matrix in mapped.input_weights)


def _insert_relays(mapped: MappedNetwork, program: Program) -> Program:
    """Give relay slots the chip's relay cell, its weights in the units of the memories they sit in."""
    relays = np.flatnonzero(mapped.table.hidden_hop)
    if relays.size == 0:
        return program
    input_shift, recurrent_shift = program.input_shift, program.recurrent_shift
    unit = max(input_shift, recurrent_shift) if _has_input_relays(mapped) else recurrent_shift
    cell = find_relay_cell(mapped.chip, unit_shift=unit)
    if cell is None:
        raise NetworkError(
            "paths must be aligned but the chip has no neuron that repeats a count",
            where=f"{relays.size} relays on chip '{mapped.chip.name}'",
            fix="remove skip connections, or see snnmap explain SNN302",
        )
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

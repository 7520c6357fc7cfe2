"""From a folded float network to the chip's integers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from snnmap.ir import MappedNetwork, Program, QuantisedNetwork
from snnmap.quantise.calibrate import assume_statistics, measure_statistics
from snnmap.quantise.exact import keep_integers
from snnmap.quantise.match import SecondSynapse
from snnmap.quantise.neurons import MemoryWeights, QuantisedNeurons, mask_targets, quantise_neurons
from snnmap.quantise.relays import insert_relays, list_shifts

__all__ = ["QuantiseOptions", "quantise_network"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantiseOptions:
    """Choices of the quantisation.

    Attributes:
        second_synapse: see :func:`match_decays`: ``decays`` (use a free second synapse where decays cannot be coded),
            ``always`` (also to round weights more finely), ``never`` or ``unmatched``. Where what this adds does not fit
            the chip, the next less is taken.
        depth: thresholds below 0 beyond which potentials may saturate. A ReLU that is off sinks ever lower, and holding all
            of it would cost the weights' precision; a converted network takes 16.
    """

    second_synapse: SecondSynapse = "decays"
    depth: float = math.inf


def quantise_network(
    mapped: MappedNetwork,
    *,
    calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None,
    options: QuantiseOptions | None = None,
) -> QuantisedNetwork:
    """Quantise a folded network: decay codes, a scale a neuron, weights rounded for the sum they make.

    Args:
        mapped: folded float network.
        calibration: input rasters that show how often neurons fire and how far states swing; without, all sources are
            taken to fire alike and states to stay within 16 thresholds. A network of the chip's own integers
            (``integers``) is taken as it is, and needs none.
        options: choices; ``second_synapse`` has had its effect before folding.

    Returns:
        Integers with the scales and errors. Capacities are judged by the design rules, not here.

    Raises:
        NetworkError: relays are needed and the chip has no relay cell.
        InputError: calibration rasters that do not suit the network.
    """
    if mapped.integers:
        return keep_integers(mapped)
    chip, bits = mapped.chip, mapped.chip.bits
    options = options or QuantiseOptions()
    statistics = assume_statistics(mapped)
    if calibration is not None:
        statistics = measure_statistics(mapped, calibration, depth=options.depth)
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
    hidden = quantise_neurons(
        "hidden",
        mapped.hidden,
        (input_memory, recurrent_memory),
        statistics.hidden,
        bits,
        list_shifts(mapped),
        has_bias=chip.hidden.bias,
    )
    outputs = quantise_neurons(
        "outputs",
        mapped.outputs,
        (output_memory,),
        statistics.outputs,
        bits,
        [(shift,) for shift in range(bits.shift_max + 1)],
        has_bias=chip.outputs.bias,
        compared=np.isposinf(mapped.outputs.threshold),
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
    return _assemble(mapped, insert_relays(mapped, program), hidden, outputs)


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

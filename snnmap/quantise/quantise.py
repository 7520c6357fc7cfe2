"""From a folded float network to the chip's integers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnmap.errors import InputError
from snnmap.ir import MappedNetwork, Program, QuantisedNetwork, draw_inputs
from snnmap.quantise.calibrate import Statistics, measure_statistics
from snnmap.quantise.exact import keep_integers
from snnmap.quantise.match import SecondSynapse
from snnmap.quantise.neurons import MemoryWeights, QuantisedNeurons, mask_targets, quantise_neurons
from snnmap.quantise.relays import insert_relays, list_shifts

__all__ = ["QuantiseOptions", "quantise_network"]

_DRAWN_HEIGHT = 512.0
"""Thresholds that are given room for on drawn inputs, of which the bursts may never come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantiseOptions:
    """Choices of the quantisation.

    Attributes:
        second_synapse: see :func:`match_decays`: ``decays`` (use a free second synapse where decays cannot be coded),
            ``always`` (also to round weights more finely), ``never`` or ``unmatched``. Where what this adds does not fit
            the chip, the next less is taken.
        depth: thresholds below 0 beyond which potentials may saturate. A ReLU that is off sinks ever lower, and holding all
            of it would cost the weights' precision; a converted network takes 16.
        readout_margin: how far beyond what was seen readouts by potential have room before they fire or saturate. More is
            coarser, and leaves more room for training on.
    """

    second_synapse: SecondSynapse = "decays"
    depth: float = math.inf
    readout_margin: float = 4.0

    def __post_init__(self) -> None:
        InputError.require_option(self, "readout_margin", 1.0 <= self.readout_margin <= 1e6, "1..1e6", of="the quantisation")


def quantise_network(
    mapped: MappedNetwork,
    *,
    calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None,
    options: QuantiseOptions | None = None,
) -> QuantisedNetwork:
    """Quantise a folded network: decay codes, a scale a neuron, weights rounded for the sum they make.

    Args:
        mapped: folded float network.
        calibration: input rasters that show how often neurons fire and how far states swing; without, inputs are drawn
            (:func:`draw_inputs`) and the same is measured on them. A network of the chip's own integers (``integers``) is
            taken as it is, and needs none.
        options: choices; ``second_synapse`` has had its effect before folding.

    Returns:
        Integers with the scales and errors. Capacities are judged by the design rules, not here.

    Raises:
        NetworkError: relays are needed and the chip has no relay cell.
        InputError: calibration rasters that do not suit the network.
    """
    if mapped.integers:
        return keep_integers(mapped)
    depth = (options or QuantiseOptions()).depth
    if calibration is None:
        drawn = draw_inputs(mapped.inputs, max_count=mapped.chip.inputs.max_count)
        statistics = measure_statistics(mapped, drawn, depth=depth, height=_DRAWN_HEIGHT)
    else:
        statistics = measure_statistics(mapped, calibration, depth=depth)
    margin = (options or QuantiseOptions()).readout_margin
    hidden, outputs = _quantise_hidden(mapped, statistics), _quantise_outputs(mapped, statistics, margin)
    program = Program(
        chip=mapped.chip,
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
    return QuantisedNetwork(
        mapped=mapped,
        program=insert_relays(mapped, program),
        hidden_scale=hidden.scale,
        output_scale=outputs.scale,
        hidden_input_error=hidden.input_error,
        output_input_error=outputs.input_error,
        errors=(*hidden.errors, *outputs.errors),
    )


def _quantise_hidden(mapped: MappedNetwork, statistics: Statistics) -> QuantisedNeurons:
    """Quantise the hidden neurons; relays get their integers later."""
    neurons = mapped.table.hidden_hop == 0
    inputs = MemoryWeights(
        name="input_weights",
        matrices=mask_targets(mapped.input_weights, neurons),
    )
    recurrent = MemoryWeights(
        name="recurrent_weights",
        matrices=mask_targets(mapped.recurrent_weights, neurons),
    )
    chip = mapped.chip
    return quantise_neurons(
        "hidden",
        mapped.hidden,
        (inputs, recurrent),
        statistics.hidden_sources,
        statistics.hidden,
        chip,
        list_shifts(mapped),
        has_bias=chip.hidden.bias,
    )


def _quantise_outputs(mapped: MappedNetwork, statistics: Statistics, readout_margin: float) -> QuantisedNeurons:
    """Quantise the output neurons; those that never fire are read by their potentials, which are compared."""
    chip = mapped.chip
    memory = MemoryWeights(
        name="output_weights",
        matrices=mapped.output_weights,
    )
    return quantise_neurons(
        "outputs",
        mapped.outputs,
        (memory,),
        statistics.output_sources,
        statistics.outputs,
        chip,
        [(shift,) for shift in range(chip.bits.shift_max + 1)],
        has_bias=chip.outputs.bias,
        readout_margin=readout_margin,
        compared=np.isposinf(mapped.outputs.threshold),
    )

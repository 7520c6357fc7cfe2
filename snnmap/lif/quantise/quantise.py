"""From a folded float network to the chip's integers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from snnmap.chip import HIDDEN_MEMORIES, MemoryKind
from snnmap.core.errors import InputError, NetworkError
from snnmap.lif.program import MappedNetwork, Program, QuantisedNetwork, StoredWeights
from snnmap.lif.quantise.calibrate import Statistics, measure_statistics
from snnmap.lif.quantise.exact import keep_integers
from snnmap.lif.quantise.lines import MemoryWeights
from snnmap.lif.quantise.match import SecondSynapse
from snnmap.lif.quantise.neurons import QuantisedNeurons, mask_targets, quantise_neurons
from snnmap.lif.quantise.relays import insert_relays, list_shifts
from snnmap.network import draw_inputs

__all__ = ["QuantiseOptions", "quantise_network"]

_DRAWN_HEIGHT = 512.0
"""Thresholds that are given room for on drawn inputs, of which the bursts may never come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantiseOptions:
    """Choices of the quantisation.

    Attributes:
        second_synapse: what a free second synapse is for (see :func:`match_decays`): ``decays`` that cannot be coded, ``always``
            (also to round weights more finely), ``never``, or ``unmatched``, where decays are rounded as they are. Where what
            this adds does not fit the chip, the next less is taken.
        depth: thresholds below 0 beyond which potentials may saturate. A ReLU that is off sinks ever lower, and holding all
            of it would cost the weights' precision; a converted network takes 16.
        readout_margin: how far beyond what was seen readouts by potential have room before they fire or saturate. More is
            coarser, and leaves more room for training on.

    Raises:
        InputError: a choice that is out of its range.
    """

    second_synapse: SecondSynapse = "decays"
    depth: float = math.inf
    readout_margin: float = 4.0

    def __post_init__(self) -> None:
        ways = get_args(SecondSynapse)
        known = self.second_synapse in ways
        InputError.require_option(self, "second_synapse", known, ", ".join(ways), of="the quantisation")
        InputError.require_option(self, "depth", self.depth >= 0.0, "0 or more", of="the quantisation")
        InputError.require_option(self, "readout_margin", 1.0 <= self.readout_margin <= 1e6, "1..1e6", of="the quantisation")


def quantise_network(
    mapped: MappedNetwork,
    *,
    calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None,
    drawn: bool = False,
    options: QuantiseOptions | None = None,
) -> QuantisedNetwork:
    """Quantise a folded network: decay codes, a scale a neuron, weights rounded for the sum they make.

    Args:
        mapped: folded float network.
        calibration: input rasters that show how often neurons fire and how far states swing; without, inputs are drawn
            (:func:`draw_inputs`) and the same is measured on them. A network of the chip's own integers (``integers``) is
            taken as it is, and needs none.
        drawn: whether the calibration was drawn too, so that not all of its bursts need room.
        options: choices; ``second_synapse`` has had its effect before folding.

    Returns:
        Integers with the scales and errors. Capacities are judged by the design rules, not here.

    Raises:
        NetworkError: relays are needed and the chip has no relay cell; the chip's neurons have fewer synapses.
        InputError: calibration rasters that do not suit the network, or with a count above what a channel carries.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from snnmap.chip import load_chip
        >>> from snnmap.lif.mapping import fold_network
        >>> quantised = quantise_network(fold_network(network, load_chip("xylo-audio-3")))
        >>> quantised.program.input_weights[0].to_dense()[:, :2].tolist(), quantised.program.hidden.threshold.tolist()
        ([[127, 0], [0, 127]], [254, 254])
    """
    _require_synapses(mapped)
    if mapped.integers:
        return keep_integers(mapped)
    options = options or QuantiseOptions()
    if calibration is None:
        calibration, drawn = draw_inputs(mapped.inputs, max_count=mapped.chip.inputs.max_count), True
    height = _DRAWN_HEIGHT if drawn else math.inf
    statistics = measure_statistics(mapped, calibration, depth=options.depth, height=height)
    margin = options.readout_margin
    hidden, outputs = _quantise_hidden(mapped, statistics), _quantise_outputs(mapped, statistics, margin)
    stored = map(StoredWeights, (*hidden.weights, *outputs.weights), (*hidden.shifts, *outputs.shifts))
    program = Program.from_memories(
        mapped.chip,
        dict(zip(MemoryKind, stored, strict=True)),
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


def _require_synapses(mapped: MappedNetwork) -> None:
    for kind in MemoryKind:
        used, limit = len(mapped.weights(kind)), mapped.chip.synapses(kind)
        if used > limit:
            raise NetworkError(
                "the chip's neurons have fewer synapses",
                where=f"{kind.weights_name}, chip '{mapped.chip.name}'",
                measured=str(used),
                limit=str(limit),
                fix="train with fewer synapses; see snnmap explain SNN207",
            )


def _quantise_hidden(mapped: MappedNetwork, statistics: Statistics) -> QuantisedNeurons:
    """Quantise the hidden neurons; relays get their integers later."""
    neurons = mapped.table.hidden_hop == 0
    memories = tuple(
        MemoryWeights(name=kind.weights_name, matrices=mask_targets(mapped.weights(kind), neurons)) for kind in HIDDEN_MEMORIES
    )
    chip = mapped.chip
    return quantise_neurons(
        "hidden",
        mapped.hidden,
        memories,
        statistics.hidden_sources,
        statistics.hidden,
        chip,
        list_shifts(mapped),
        has_bias=chip.hidden.bias,
    )


def _quantise_outputs(mapped: MappedNetwork, statistics: Statistics, readout_margin: float) -> QuantisedNeurons:
    """Quantise the output neurons; those that never fire are read by their potentials, which are compared."""
    chip, kind = mapped.chip, MemoryKind.OUTPUT
    memory = MemoryWeights(name=kind.weights_name, matrices=mapped.weights(kind))
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

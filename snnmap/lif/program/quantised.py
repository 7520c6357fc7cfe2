"""A folded network in the chip's integers, with what the rounding cost."""

from dataclasses import asdict
from typing import Any

import numpy as np

from snnmap.chip import Readout
from snnmap.core.record import FloatArray, freeze_float, record, replace_array
from snnmap.lif.program.mapped import MappedNetwork
from snnmap.lif.program.program import Program

__all__ = ["QuantisedNetwork", "TensorError"]


@record
class TensorError:
    """What quantisation did to one tensor.

    Attributes:
        name: such as ``recurrent_weights`` or ``hidden.threshold``.
        n_values: values quantised.
        relative_rms: root mean square of (chip value - trained value) over that of the trained values.
        largest: largest absolute difference, as a share of the largest trained value.
        n_lost: non-zero values that became 0.
        lost_share: of weights, largest share of a neuron's sum of magnitudes that became 0.
        n_clipped: values outside the chip's range, moved to its edge.
    """

    name: str
    n_values: int
    relative_rms: float
    largest: float
    n_lost: int
    n_clipped: int
    lost_share: float = 0.0

    def to_plain(self) -> dict[str, Any]:
        """Return the entry as JSON values."""
        return asdict(self)


@record
class QuantisedNetwork:
    """Integers for the chip, and how they relate to the trained floats.

    Attributes:
        mapped: the folded float network.
        program: the integers.
        hidden_scale: ``(n_hidden,) float64``, chip state units per trained unit of each hidden neuron: a stored word is the
            trained weight ``(word << shift) * alpha / scale``, alpha the synapse's decay, on chips that decay after the input.
        output_scale: ``(n_outputs,) float64``, the same for output neurons.
        hidden_input_error: ``(n_hidden,) float64``, expected error of the potential from rounded weights, as a share of the
            threshold.
        output_input_error: ``(n_outputs,) float64``, the same for output neurons.
        errors: one entry a tensor.
    """

    mapped: MappedNetwork
    program: Program
    hidden_scale: FloatArray
    output_scale: FloatArray
    hidden_input_error: FloatArray
    output_input_error: FloatArray
    errors: tuple[TensorError, ...]

    def __post_init__(self) -> None:
        for name in ("hidden_scale", "output_scale", "hidden_input_error", "output_input_error"):
            replace_array(self, name, freeze_float(getattr(self, name)))

    def readout_scale(self, readout: Readout) -> FloatArray:
        """Return chip units per trained unit of what is read of each output neuron, ``(n_outputs,) float64``."""
        if readout == "spikes":
            return np.ones(self.output_scale.size)
        return self.output_scale if readout == "potential" else self.output_current_scale

    @property
    def output_current_scale(self) -> FloatArray:
        """Chip units of an output neuron's current per trained unit, ``(n_outputs,) float64``.

        It is the neuron's scale, but for what the weights were changed by so that a membrane decay that no code gives
        keeps its gain: the potential wants that, the current has no membrane.
        """
        lost = 1.0 - self.mapped.outputs.beta
        coded = 1.0 - self.mapped.chip.family.membrane_factors(self.program.outputs.dash_mem)
        return np.asarray(self.output_scale * np.where(lost > 0, coded / np.where(lost > 0, lost, 1.0), 1.0), np.float64)

"""Neurons that compute in the chip's integers while they train: what is trained is what the bitstream holds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from snnmap.chip import Bits, Family, find_family
from snnmap.chip.arithmetic import DEFAULT_FAMILY
from snnmap.core.errors import InputError
from snnmap.nn.chip.dynamics import run_chip_integrator, run_chip_lif
from snnmap.nn.event_linear import multiply_counts
from snnmap.nn.neurons import Surrogate, SurrogateName

__all__ = ["ChipCodes", "ChipIntegrator", "ChipLIF", "round_product", "round_through"]

XYLO_BITS = Bits(weight=8, threshold=16, bias=16, decay=4, weight_shift=3, state=16)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipCodes:
    """The integers of a layer, as tensors that carry gradients to what is trained.

    Attributes:
        weight: ``(n_synapses * size, n_inputs)``, weights shifted by the memory's weight shift, in state units.
        recurrent_weight: ``(size, n_synapses * size)`` likewise, or None.
        dash_syn: ``(n_synapses, size)``.
        dash_mem: ``(size,)``.
        threshold: ``(size,)`` in state units.
        bias: ``(size,)`` in state units.
    """

    weight: Tensor
    recurrent_weight: Tensor | None
    dash_syn: Tensor
    dash_mem: Tensor
    threshold: Tensor
    bias: Tensor


class _ChipNeurons(nn.Module):
    """Weights and neurons in the chip's integers: what spiking layers and readouts share."""

    def __init__(
        self,
        n_inputs: int,
        size: int,
        *,
        n_synapses: int,
        dash_syn: int | Sequence[int],
        dash_mem: int,
        scale: float | Tensor,
        shift: int,
        bits: Bits,
        arithmetic: str,
        train_decays: bool,
        train_bias: bool,
        dt_s: float,
    ) -> None:
        super().__init__()
        self.arithmetic = find_family(arithmetic).name
        self.n_inputs, self.size, self.n_synapses = n_inputs, size, n_synapses
        self.shift, self.bits, self.dt_s = shift, bits, dt_s
        self.wake_step = 0
        self.weight = nn.Parameter(torch.randn(n_synapses * size, n_inputs) * (0.5 / math.sqrt(n_inputs)))
        dashes = torch.as_tensor(dash_syn, dtype=torch.get_default_dtype()).reshape(-1, 1)
        self.dash_syn = nn.Parameter(dashes.expand(n_synapses, size).clone(), requires_grad=train_decays)
        self.dash_mem = nn.Parameter(torch.full((size,), float(dash_mem)), requires_grad=train_decays)
        self.bias = nn.Parameter(torch.zeros(size), requires_grad=train_bias)
        self.scale: Tensor
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.get_default_dtype()).expand(size).clone())

    @property
    def family(self) -> Family:
        """The chip's arithmetic."""
        return find_family(self.arithmetic)

    def _code_weight(self, weight: Tensor, scale: Tensor, shift: int) -> Tensor:
        low, high = self.bits.weight_range
        unit = float(1 << (shift + self.family.weight_shift))
        return round_product(weight, scale, unit).clamp(low, high) * unit

    def _codes(self, threshold: Tensor, recurrent_weight: Tensor | None, recurrent_shift: int) -> ChipCodes:
        columns = self.scale.repeat(self.n_synapses)
        low, high = self.bits.bias_range
        return ChipCodes(
            weight=self._code_weight(self.weight, columns.unsqueeze(1), self.shift),
            recurrent_weight=None if recurrent_weight is None else self._code_weight(recurrent_weight, columns, recurrent_shift),
            dash_syn=round_through(self.dash_syn).clamp(*map(float, self.family.synapse_codes(self.bits.dash_max))),
            dash_mem=round_through(self.dash_mem).clamp(0.0, float(self.bits.dash_max)),
            threshold=threshold,
            bias=round_product(self.bias, self.scale).clamp(float(low), float(high)),
        )

    def _arrive(self, counts: Tensor, weight: Tensor) -> Tensor:
        if counts.ndim != 3 or counts.shape[2] != self.n_inputs:
            raise InputError(
                "the input of the layer has the wrong shape",
                where=f"{type(self).__name__}({self.n_inputs}, {self.size})",
                measured=str(tuple(counts.shape)),
                limit=f"(batch, time, {self.n_inputs})",
                fix="give spike counts, one column an input",
            )
        if weight.dtype not in (torch.float32, torch.float64):
            raise InputError(
                "the chip's integers do not fit a float of 16 bits",
                where=f"{type(self).__name__}({self.n_inputs}, {self.size})",
                measured=str(weight.dtype),
                limit="float32 or float64",
                fix="use model.float()",
            )
        arrived = multiply_counts(counts[:, self.wake_step :].to(weight.dtype), weight)
        return arrived.view(*arrived.shape[:2], self.n_synapses, self.size)

    def _fill(self, values: Tensor) -> Tensor:
        """Put zeros where the layer was not awake yet."""
        return nn.functional.pad(values, (0, 0, self.wake_step, 0)) if self.wake_step else values


class ChipLIF(_ChipNeurons):
    """LIF neurons with their incoming weights, in the chip's integer arithmetic; trained by surrogate gradients.

    The forward pass is the chip's, integer for integer: weights of 8 bits shifted by the memory's shift, bit-shift decays that
    lose at least one unit, saturated states, thresholds and biases of 16 bits, several spikes a step. Parameters are held as
    floats in trained units and rounded on their way (straight-through: the backward pass takes the rounding for nothing, Bengio
    et al. 2013); ``scale`` gives the state units for one trained unit. Exporting such a layer quantises nothing.

    Sums of one step saturate once, after the last weight, where the chip saturates after each spike, in the order of its slots.
    The two can differ only where what a current holds and the absolute contributions of a step leave the state's range
    together. :func:`snnmap.train.to_chip_exact` with calibration data scales neurons so that this does not occur on these data;
    :func:`snnmap.verify_model` shows whether it occurs.

    A model with biases must be aligned with the chip, see :func:`snnmap.align_model`.

    Args:
        n_inputs: sources.
        size: neurons.
        n_synapses: currents a neuron.
        dash_syn: bit shift of each synapse, at least 1.
        dash_mem: bit shift of the membrane.
        threshold: in trained units.
        scale: state units for one trained unit, scalar or ``(size,)``.
        shift: weight shift of the memory of the incoming weights; one for all layers of a memory.
        recurrent: whether counts return to the same neurons one step later.
        recurrent_shift: weight shift of the recurrent memory.
        max_count: the most spikes a step: the chip's, 31 for hidden and 1 for output neurons on Xylo.
        surrogate: name or :class:`Surrogate`.
        bits: widths of the chip; the Xylo family's where left out.
        arithmetic: of the chip's record.
        train_threshold: train thresholds.
        train_bias: train biases.
        train_decays: train decay codes.
        dt_s: length of a step in seconds, for reports.
    """

    def __init__(
        self,
        n_inputs: int,
        size: int,
        *,
        n_synapses: int = 1,
        dash_syn: int | Sequence[int] = 1,
        dash_mem: int = 2,
        threshold: float | Tensor = 1.0,
        scale: float | Tensor = 256.0,
        shift: int = 1,
        recurrent: bool = False,
        recurrent_shift: int = 1,
        max_count: int = 31,
        surrogate: SurrogateName | Surrogate = "relu",
        bits: Bits = XYLO_BITS,
        arithmetic: str = DEFAULT_FAMILY,
        train_threshold: bool = False,
        train_bias: bool = False,
        train_decays: bool = False,
        dt_s: float = 1e-3,
    ) -> None:
        super().__init__(
            n_inputs,
            size,
            n_synapses=n_synapses,
            dash_syn=dash_syn,
            dash_mem=dash_mem,
            scale=scale,
            shift=shift,
            bits=bits,
            arithmetic=arithmetic,
            train_decays=train_decays,
            train_bias=train_bias,
            dt_s=dt_s,
        )
        self.max_count, self.recurrent_shift = min(max_count, self.family.most_spikes), recurrent_shift
        self.surrogate = Surrogate(name=surrogate) if isinstance(surrogate, str) else surrogate
        given = torch.as_tensor(threshold, dtype=torch.get_default_dtype())
        self.threshold = nn.Parameter(given.expand(size).clone(), requires_grad=train_threshold)
        self.recurrent_weight: Tensor | None = None
        if recurrent:
            self.recurrent_weight = nn.Parameter(torch.randn(size, n_synapses * size) * (0.5 / math.sqrt(size)))

    def codes(self) -> ChipCodes:
        """Return the integers that the layer computes with."""
        threshold = round_product(self.threshold, self.scale).clamp(
            1.0, float(self.bits.threshold_max + self.family.least_firing)
        )
        return self._codes(threshold, self.recurrent_weight, self.recurrent_shift)

    def forward(self, counts: Tensor) -> Tensor:
        """Run all steps from zero states.

        Args:
            counts: ``(batch, time, n_inputs)`` spike counts.

        Returns:
            ``(batch, time, size)`` spike counts.
        """
        codes = self.codes()
        fired = run_chip_lif(
            self._arrive(counts, codes.weight),
            codes.dash_syn,
            codes.dash_mem,
            codes.bias,
            codes.threshold,
            codes.recurrent_weight,
            self.max_count,
            self.surrogate,
            self.bits.state_max,
            self.family,
        )
        return self._fill(fired)

    def extra_repr(self) -> str:
        """Say what the module prints of itself."""
        kind = f", recurrent_shift={self.recurrent_shift}" if self.recurrent_weight is not None else ""
        rule = f"max_count={self.max_count}, surrogate={self.surrogate}, bits={self.bits}"
        return f"{self.n_inputs}, {self.size}, n_synapses={self.n_synapses}, shift={self.shift}{kind}, {rule}"


class ChipIntegrator(_ChipNeurons):
    """A readout in the chip's integer arithmetic: its membrane potentials are the output, in trained units.

    Args:
        n_inputs: sources.
        size: neurons.
        dash_syn: bit shift of the synapse, at least 1.
        dash_mem: bit shift of the membrane.
        scale: state units for one trained unit, scalar or ``(size,)``; one for all, where potentials are compared.
        shift: weight shift of the output memory.
        bits: widths of the chip; the Xylo family's where left out.
        arithmetic: of the chip's record.
        train_bias: train biases.
        train_decays: train decay codes.
        dt_s: length of a step in seconds, for reports.
    """

    def __init__(
        self,
        n_inputs: int,
        size: int,
        *,
        dash_syn: int = 1,
        dash_mem: int = 4,
        scale: float | Tensor = 64.0,
        shift: int = 0,
        bits: Bits = XYLO_BITS,
        arithmetic: str = DEFAULT_FAMILY,
        train_bias: bool = False,
        train_decays: bool = False,
        dt_s: float = 1e-3,
    ) -> None:
        super().__init__(
            n_inputs,
            size,
            n_synapses=1,
            dash_syn=dash_syn,
            dash_mem=dash_mem,
            scale=scale,
            shift=shift,
            bits=bits,
            arithmetic=arithmetic,
            train_decays=train_decays,
            train_bias=train_bias,
            dt_s=dt_s,
        )

    def codes(self) -> ChipCodes:
        """Return the integers that the layer computes with; the threshold is the chip's highest."""
        return self._codes(torch.full_like(self.scale, float(self.bits.threshold_max + self.family.least_firing)), None, 0)

    def forward(self, counts: Tensor) -> Tensor:
        """Run all steps from zero states.

        Args:
            counts: ``(batch, time, n_inputs)`` spike counts.

        Returns:
            ``(batch, time, size)`` membrane potentials in trained units.
        """
        codes = self.codes()
        x = self._arrive(counts, codes.weight)
        potentials = run_chip_integrator(
            x, codes.dash_syn, codes.dash_mem, codes.bias, codes.threshold, 1, self.bits.state_max, self.family
        )
        return self._fill(potentials) / self.scale


def round_product(values: Tensor, scale: Tensor, unit: float = 1.0) -> Tensor:
    """Round ``values * scale / unit``, computed in float64, so that a model of either type has the same integers."""
    exact = (values.detach().double() * scale.double() / unit).round().to(values.dtype)
    product = values * scale / unit
    return product + (exact - product).detach()


def round_through(values: Tensor) -> Tensor:
    """Round; the backward pass takes it for nothing."""
    rounded: Tensor = values + (values.round() - values).detach()
    return rounded

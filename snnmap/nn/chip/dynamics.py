"""The chip's integer arithmetic over all steps, with the gradients of the float neuron that it stands for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snnmap.chip import Family, find_family
from snnmap.chip.arithmetic import FloatOps
from snnmap.core.threads import run_parts
from snnmap.nn.neurons import Surrogate
from snnmap.nn.neurons.dynamics import Course, backward_through_time, own_input, run_steps, share_rows

__all__ = ["OPS", "Decays", "reset_potentials", "retreat_integrator", "run_chip_integrator", "run_chip_lif"]


@dataclass(frozen=True, slots=True)
class Decays:
    """What the codes of some neurons mean in their family, as tensors like the codes, which are held as floats.

    Attributes:
        family: the chip's arithmetic.
        dash_syn: codes of the synapses, ``(n_synapses, size)``.
        dash_mem: codes of the membranes, ``(size,)``.
    """

    family: Family
    dash_syn: Tensor
    dash_mem: Tensor

    @property
    def alpha(self) -> Tensor:
        """Decay factors of the synapses."""
        return _decode(self.family, "synapse_factors", self.dash_syn)

    @property
    def beta(self) -> Tensor:
        """Decay factors of the membranes."""
        return _decode(self.family, "membrane_factors", self.dash_mem)

    @property
    def gain(self) -> Tensor:
        """What a weight counts in the step it arrives."""
        return _decode(self.family, "weight_gain", self.dash_syn)

    def by_synapse_codes(self, by_state: Tensor, currents: Tensor) -> Tensor:
        """Return the gradient by the synapses' codes, from that by the currents and the currents with all input."""
        if self.family.decays_after_input:
            by_alpha = (by_state * currents).sum(dim=(0, 1))
        else:
            by_alpha = (by_state[:, 1:] * currents[:, :-1]).sum(dim=(0, 1))
        return by_alpha * _decode(self.family, "factor_slopes", self.dash_syn)

    def by_membrane_codes(self, by_beta: Tensor) -> Tensor:
        """Return the gradient by the membranes' codes, from that by their factors."""
        return by_beta * _decode(self.family, "factor_slopes", self.dash_mem)


def _decode(family: Family, what: str, codes: Tensor) -> Tensor:
    held = codes.detach().cpu().numpy()
    return _decode_content(family.name, what, held.tobytes(), held.dtype.str, held.shape, codes.device)


@lru_cache(maxsize=512)
def _decode_content(
    arithmetic: str, what: str, content: bytes, dtype: str, shape: tuple[int, ...], device: torch.device
) -> Tensor:
    """Decode codes once for all steps of training in which they stay."""
    codes = np.frombuffer(content, dtype).reshape(shape)
    meaning: npt.NDArray[np.float64] = getattr(find_family(arithmetic), what)(codes)
    return torch.as_tensor(meaning.astype(dtype), device=device)


def run_chip_lif(
    x: Tensor,
    dash_syn: Tensor,
    dash_mem: Tensor,
    bias: Tensor,
    threshold: Tensor,
    recurrent_weight: Tensor | None,
    max_count: int,
    surrogate: Surrogate,
    state_max: int,
    family: Family,
    delays: tuple[int, ...] = (1,),
) -> Tensor:
    """Run the rules of a family from zero states, all tensors integers held as floats, in state units.

    The backward pass takes an integer decay for the decay factor that it rounds, a state at its limit for itself, and a spike
    count for its surrogate; a decay code gets the gradient of its factor.

    Args:
        x: ``(batch, time, n_synapses, size)``, weights shifted and added.
        dash_syn: ``(n_synapses, size)``.
        dash_mem: ``(size,)``.
        bias: ``(size,)``.
        threshold: ``(size,)``, the least potential that fires.
        recurrent_weight: ``(size, n_synapses * size)``, for several delays one below the other, or None.
        max_count: the most spikes a step.
        surrogate: derivative of the count.
        state_max: largest state; the lowest is ``-state_max - 1``.
        family: the chip's arithmetic.
        delays: after which counts return, in steps.

    Returns:
        ``(batch, time, size)`` spike counts.
    """
    apply = cast(Callable[..., Tensor], _ChipLif.apply)
    return apply(x, dash_syn, dash_mem, bias, threshold, recurrent_weight, max_count, surrogate, state_max, family, delays)


def run_chip_integrator(
    x: Tensor, dash_syn: Tensor, dash_mem: Tensor, bias: Tensor, threshold: Tensor, max_count: int, state_max: int, family: Family
) -> Tensor:
    """Run a readout; give its potentials after the reset, ``(batch, time, size)``, in state units.

    Its threshold is the highest that the chip has, so that it fires only where the potential saturates.
    """
    apply = cast(Callable[..., Tensor], _ChipIntegrator.apply)
    return apply(x, dash_syn, dash_mem, bias, threshold, max_count, state_max, family)


class _ChipLif(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        dash_syn: Tensor,
        dash_mem: Tensor,
        bias: Tensor,
        threshold: Tensor,
        recurrent_weight: Tensor | None,
        max_count: int,
        surrogate: Surrogate,
        state_max: int,
        family: Family,
        delays: tuple[int, ...],
    ) -> Tensor:
        currents, course = _forward(
            x, dash_syn, dash_mem, bias, threshold, recurrent_weight, max_count, state_max, family, delays
        )
        ctx.save_for_backward(dash_syn, dash_mem, threshold, recurrent_weight, currents, course.reached, course.counts)
        ctx.max_count, ctx.surrogate, ctx.delays, ctx.family = max_count, surrogate, delays, family
        return course.counts

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        dash_syn, dash_mem, threshold, recurrent_weight, currents, reached, counts = ctx.saved_tensors
        decays = Decays(ctx.family, dash_syn, dash_mem)
        course = Course(currents=None, reached=reached, counts=counts, all_at_once=recurrent_weight is None)
        gain = decays.gain.flatten()
        scaled = None if recurrent_weight is None else recurrent_weight * gain
        by_state, _, by_beta, by_bias, by_threshold, by_recurrent = backward_through_time(
            gradients[0],
            course,
            decays.alpha,
            decays.beta,
            threshold,
            scaled,
            ctx.max_count,
            ctx.surrogate,
            ctx.needs_input_grad,
            ctx.delays,
            to_zero=ctx.family.reset == "value",
        )
        return (
            by_state * decays.gain,
            decays.by_synapse_codes(by_state, currents) if ctx.needs_input_grad[1] else None,
            decays.by_membrane_codes(by_beta) if by_beta is not None else None,
            by_bias,
            by_threshold,
            by_recurrent * gain if by_recurrent is not None else None,
            *(None,) * 5,
        )


class _ChipIntegrator(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        dash_syn: Tensor,
        dash_mem: Tensor,
        bias: Tensor,
        threshold: Tensor,
        max_count: int,
        state_max: int,
        family: Family,
    ) -> Tensor:
        currents, course = _forward(x, dash_syn, dash_mem, bias, threshold, None, max_count, state_max, family)
        potentials = reset_potentials(family, course.reached, course.counts, threshold)
        ctx.save_for_backward(dash_syn, dash_mem, currents, potentials)
        ctx.family = family
        return potentials

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (*retreat_integrator(ctx.family, gradients[0], *ctx.saved_tensors), *(None,) * 4)


def reset_potentials(family: Family, reached: Tensor, counts: Tensor, threshold: Tensor) -> Tensor:
    """Return what spikes leave of potentials."""
    left: Tensor = family.build_float_rules(OPS).reset(reached, counts, threshold)
    return left


def retreat_integrator(
    family: Family, given: Tensor, dash_syn: Tensor, dash_mem: Tensor, currents: Tensor, potentials: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of a readout's potentials by input, both decay codes and bias."""
    decays = Decays(family, dash_syn, dash_mem)
    alpha, beta = decays.alpha, decays.beta
    by_state, by_u = torch.empty_like(currents), torch.zeros_like(potentials[:, 0])
    by_current, by_beta, by_bias = torch.zeros_like(currents[:, 0]), torch.zeros_like(beta), torch.zeros_like(beta)
    for step in range(potentials.shape[1] - 1, -1, -1):
        by_u = given[:, step] + beta * by_u
        by_current = alpha * by_current + by_u.unsqueeze(1)
        by_state[:, step] = by_current
        by_bias += by_u.sum(dim=0)
        if step:
            by_beta += (by_u * potentials[:, step - 1]).sum(dim=0)
    return by_state * decays.gain, decays.by_synapse_codes(by_state, currents), decays.by_membrane_codes(by_beta), by_bias


def _forward(
    x: Tensor,
    dash_syn: Tensor,
    dash_mem: Tensor,
    bias: Tensor,
    threshold: Tensor,
    recurrent_weight: Tensor | None,
    max_count: int,
    state_max: int,
    family: Family,
    delays: tuple[int, ...] = (1,),
) -> tuple[Tensor, Course]:
    """Run the steps; give the currents that decays were applied to, and the course of potentials and counts."""
    batch, n_steps, n_synapses, size = x.shape
    x = own_input(x, recurrent_weight)
    currents = torch.empty_like(x)
    course = Course(
        currents=None,
        reached=x.new_empty(batch, n_steps, size),
        counts=x.new_empty(batch, n_steps, size),
        all_at_once=recurrent_weight is None,
    )
    limits = x.new_tensor([0.0, 1.0, float(max_count), -float(state_max) - 1.0, float(state_max)])
    decays = Decays(family, dash_syn, dash_mem)
    parameters = (1.0 - decays.alpha, 1.0 - decays.beta, bias, threshold, limits)
    rows = (x, x.new_zeros(batch, n_synapses, size), x.new_zeros(batch, size), currents, course.reached, course.counts)
    if x.device.type == "cpu":
        advance = _compile_advance(rows, parameters, share_rows(course), family)
    else:
        advance = partial(_advance, family, rows, parameters)
    run_steps(advance, x, course.counts, recurrent_weight, delays)
    return currents, course


def _compile_advance(
    rows: tuple[Tensor, ...], parameters: tuple[Tensor, ...], shares: list[slice], family: Family
) -> Callable[[int, int], object]:
    """Return the compiled loop over some steps, the samples shared among threads."""
    from snnmap.nn.chip.kernels import find_chip_loops

    advance = find_chip_loops(family).advance
    x, *states = (tensor.detach().numpy() for tensor in rows)
    *shared, limits = (tensor.detach().contiguous().numpy() for tensor in parameters)
    parts = [(x[share], tuple(shared), limits, tuple(state[share] for state in states)) for share in shares]
    return lambda start, stop: run_parts([partial(advance, start, stop, *part) for part in parts])


def _advance(family: Family, rows: tuple[Tensor, ...], parameters: tuple[Tensor, ...], start: int, stop: int) -> None:
    """Do the same in torch, on whatever device."""
    x, current, potential, currents, reached, counts = rows
    share_syn, share_mem, bias, threshold, limits = parameters
    rules, edges = family.build_float_rules(OPS), tuple(limits.tolist())
    for step in range(start, stop):
        currents[:, step] = rules.add(rules.enter(current, share_syn, edges), x[:, step], edges)
        current.copy_(rules.settle(currents[:, step], share_syn, edges))
        reached[:, step] = rules.integrate(potential, share_mem, current.sum(dim=1), bias, edges)
        counts[:, step] = rules.spikes(reached[:, step], threshold, edges)
        potential.copy_(rules.reset(reached[:, step], counts[:, step], threshold))


def _lowest(one: Tensor, other: Tensor | float) -> Tensor:
    return torch.minimum(one, other) if isinstance(other, Tensor) else one.clamp(max=other)


def _highest(one: Tensor, other: Tensor | float) -> Tensor:
    return torch.maximum(one, other) if isinstance(other, Tensor) else one.clamp(min=other)


def _widen(value: Tensor | float) -> Tensor | float:
    return value.double() if isinstance(value, Tensor) else value


OPS = FloatOps(
    floor=torch.floor, ceil=torch.ceil, lowest=_lowest, highest=_highest, limit=torch.clamp, select=torch.where, wide=_widen
)
"""Of tensors, on whatever device."""

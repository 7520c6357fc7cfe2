"""The chip's integer arithmetic over all steps, with the gradients of the float neuron that it stands for."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from snnmap.nn.dynamics import Course, backward_through_time, own_input, run_parts, run_steps, share_rows
from snnmap.nn.surrogate import Surrogate

__all__ = ["retreat_integrator", "run_chip_integrator", "run_chip_lif"]


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
    delays: tuple[int, ...] = (1,),
) -> Tensor:
    """Run :mod:`snnmap.chip.arithmetic` from zero states, all tensors integers held as floats, in state units.

    The backward pass takes a shift for the decay ``1 - 2**-dash`` that it rounds, a saturated state for itself, and a spike
    count for its surrogate; a dash gets the gradient of that decay.

    Args:
        x: ``(batch, time, n_synapses, size)``, weights shifted and added.
        dash_syn: ``(n_synapses, size)``.
        dash_mem: ``(size,)``.
        bias: ``(size,)``.
        threshold: ``(size,)``.
        recurrent_weight: ``(size, n_synapses * size)``, for several delays one below the other, or None.
        max_count: the most spikes a step.
        surrogate: derivative of the count.
        state_max: largest state; the lowest is ``-state_max - 1``.
        delays: after which counts return, in steps.

    Returns:
        ``(batch, time, size)`` spike counts.
    """
    apply = cast(Callable[..., Tensor], _ChipLif.apply)
    return apply(x, dash_syn, dash_mem, bias, threshold, recurrent_weight, max_count, surrogate, state_max, delays)


def run_chip_integrator(
    x: Tensor, dash_syn: Tensor, dash_mem: Tensor, bias: Tensor, threshold: Tensor, max_count: int, state_max: int
) -> Tensor:
    """Run a readout; give its potentials after the reset, ``(batch, time, size)``, in state units.

    Its threshold is the highest that the chip has, so that it fires only where the potential saturates.
    """
    apply = cast(Callable[..., Tensor], _ChipIntegrator.apply)
    return apply(x, dash_syn, dash_mem, bias, threshold, max_count, state_max)


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
        delays: tuple[int, ...],
    ) -> Tensor:
        currents, course = _forward(x, dash_syn, dash_mem, bias, threshold, recurrent_weight, max_count, state_max, delays)
        ctx.save_for_backward(dash_syn, dash_mem, threshold, recurrent_weight, currents, course.reached, course.counts)
        ctx.surrogate, ctx.delays = surrogate, delays
        return course.counts

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        dash_syn, dash_mem, threshold, recurrent_weight, currents, reached, counts = ctx.saved_tensors
        alpha, beta = 1.0 - torch.exp2(-dash_syn), 1.0 - torch.exp2(-dash_mem)
        course = Course(currents=None, reached=reached, counts=counts, all_at_once=recurrent_weight is None)
        # the chip decays a current after its input: a weight counts alpha times
        scaled = None if recurrent_weight is None else recurrent_weight * alpha.flatten()
        by_state, _, by_beta, by_bias, by_threshold, by_recurrent = backward_through_time(
            gradients[0], course, alpha, beta, threshold, scaled, ctx.surrogate, ctx.needs_input_grad, ctx.delays
        )
        by_dash_syn = (by_state * currents).sum(dim=(0, 1)) * torch.exp2(-dash_syn) * math.log(2.0)
        return (
            by_state * alpha,
            by_dash_syn if ctx.needs_input_grad[1] else None,
            by_beta * torch.exp2(-dash_mem) * math.log(2.0) if by_beta is not None else None,
            by_bias,
            by_threshold,
            by_recurrent * alpha.flatten() if by_recurrent is not None else None,
            *(None,) * 4,
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
    ) -> Tensor:
        currents, course = _forward(x, dash_syn, dash_mem, bias, threshold, None, max_count, state_max)
        potentials = course.reached - course.counts * threshold
        ctx.save_for_backward(dash_syn, dash_mem, currents, potentials)
        return potentials

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (*retreat_integrator(gradients[0], *ctx.saved_tensors), *(None,) * 3)


def retreat_integrator(
    given: Tensor, dash_syn: Tensor, dash_mem: Tensor, currents: Tensor, potentials: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Give the gradients of a readout's potentials by input, both decay codes and bias."""
    alpha, beta = 1.0 - torch.exp2(-dash_syn), 1.0 - torch.exp2(-dash_mem)
    by_state, by_u = torch.empty_like(currents), torch.zeros_like(potentials[:, 0])
    by_current, by_beta, by_bias = torch.zeros_like(currents[:, 0]), torch.zeros_like(beta), torch.zeros_like(beta)
    for step in range(potentials.shape[1] - 1, -1, -1):
        by_u = given[:, step] + beta * by_u
        by_current = alpha * by_current + by_u.unsqueeze(1)
        by_state[:, step] = by_current
        by_bias += by_u.sum(dim=0)
        if step:
            by_beta += (by_u * potentials[:, step - 1]).sum(dim=0)
    by_alpha, log = (by_state * currents).sum(dim=(0, 1)), math.log(2.0)
    return by_state * alpha, by_alpha * torch.exp2(-dash_syn) * log, by_beta * torch.exp2(-dash_mem) * log, by_bias


def _forward(
    x: Tensor,
    dash_syn: Tensor,
    dash_mem: Tensor,
    bias: Tensor,
    threshold: Tensor,
    recurrent_weight: Tensor | None,
    max_count: int,
    state_max: int,
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
    parameters = (torch.exp2(-dash_syn), torch.exp2(-dash_mem), bias, threshold, limits)
    rows = (x, x.new_zeros(batch, n_synapses, size), x.new_zeros(batch, size), currents, course.reached, course.counts)
    if x.device.type == "cpu":
        advance = _compile_advance(rows, parameters, share_rows(course))
    else:
        advance = partial(_advance, rows, parameters)
    run_steps(advance, x, course.counts, recurrent_weight, delays)
    return currents, course


def _compile_advance(rows: tuple[Tensor, ...], parameters: tuple[Tensor, ...], shares: list[slice]) -> Callable[[int, int], None]:
    """Give the compiled loop over some steps, the samples shared among threads."""
    from snnmap.nn.kernels import advance_chip

    x, *states = (tensor.detach().numpy() for tensor in rows)
    shared = [tensor.detach().contiguous().numpy() for tensor in parameters]
    parts = [(x[share], *shared, *(state[share] for state in states)) for share in shares]
    return lambda start, stop: run_parts([partial(advance_chip, start, stop, *part) for part in parts])


def _advance(rows: tuple[Tensor, ...], parameters: tuple[Tensor, ...], start: int, stop: int) -> None:
    """Do the same in torch, on whatever device."""
    x, current, potential, currents, reached, counts = rows
    shift_syn, shift_mem, bias, threshold, limits = parameters
    _, _, most, low, high = limits.tolist()
    for step in range(start, stop):
        arrived = (current + x[:, step]).clamp(low, high)
        currents[:, step] = arrived
        current.copy_(arrived - _lost(arrived, shift_syn))
        gained = -_lost(potential, shift_mem)
        gained = torch.where(gained > high, low, gained)  # a word: what the lowest state loses whole wraps
        change = (current.sum(dim=1) + gained).clamp(low, high)
        reached[:, step] = (potential + (change + bias).clamp(low, high)).clamp(low, high)
        counts[:, step] = torch.floor(reached[:, step] / threshold).clamp(0.0, most)
        potential.copy_(reached[:, step] - counts[:, step] * threshold)


def _lost(state: Tensor, shift: Tensor) -> Tensor:
    lost = torch.floor(state * shift)
    return torch.where((lost == 0) & (state != 0), torch.sign(state), lost)

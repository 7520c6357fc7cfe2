"""LIF neurons over all steps as one differentiable function, its gradients written out (back-propagation through time).

One node of the autograd graph a layer, in place of a dozen a step. The loop over steps is compiled for CPU tensors and made of
torch operations elsewhere; both give the same numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from snnmap.core.threads import run_parts
from snnmap.nn.compiled import is_compiled, split_evenly
from snnmap.nn.neurons.surrogate import Surrogate

__all__ = [
    "Backward",
    "Course",
    "add_sums",
    "backward_through_time",
    "own_input",
    "run_lif",
    "run_steps",
    "share_rows",
]

Sums = tuple[Tensor | None, Tensor | None, Tensor | None]
"""Gradients by beta, bias and threshold; None where none is asked for."""
_WORTH_SHARING = 1 << 23
"""Values of a layer, over all samples and steps, from which on threads are worth their start, and torch's own that still spin."""


@dataclass(slots=True)
class Course:
    """What a forward pass leaves for the backward pass.

    Attributes:
        currents: ``(batch, time + 1, n_synapses, size)``, the state before the first step in front; None where no gradient
            of a synaptic decay is asked for.
        reached: ``(batch, time, size)``, potentials before the reset.
        counts: ``(batch, time, size)``, spikes.
        all_at_once: whether steps follow each other without matrix products between, so that samples can be shared out.
    """

    currents: Tensor | None
    reached: Tensor
    counts: Tensor
    all_at_once: bool = False


def run_lif(
    x: Tensor,
    alpha: Tensor,
    beta: Tensor,
    bias: Tensor,
    threshold: Tensor,
    recurrent_weight: Tensor | None,
    max_count: int,
    surrogate: Surrogate,
) -> Tensor:
    """Run the equations of :class:`snnmap.nn.LIF` from zero states.

    Args:
        x: ``(batch, time, n_synapses, size)``.
        alpha: ``(n_synapses, size)``.
        beta: ``(size,)``.
        bias: ``(size,)``.
        threshold: ``(size,)``; infinite for neurons that never fire.
        recurrent_weight: ``(size, n_synapses * size)`` or None.
        max_count: the most spikes a step.
        surrogate: derivative of the count.

    Returns:
        ``(batch, time, size)`` spike counts.
    """
    apply = cast(Callable[..., Tensor], _Lif.apply)
    return apply(x, alpha, beta, bias, threshold, recurrent_weight, max_count, surrogate)


class _Lif(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        alpha: Tensor,
        beta: Tensor,
        bias: Tensor,
        threshold: Tensor,
        recurrent_weight: Tensor | None,
        max_count: int,
        surrogate: Surrogate,
    ) -> Tensor:
        course = _forward(x, alpha, beta, bias, threshold, recurrent_weight, max_count, keep_currents=ctx.needs_input_grad[1])
        ctx.save_for_backward(alpha, beta, threshold, recurrent_weight, course.currents, course.reached, course.counts)
        ctx.surrogate, ctx.max_count = surrogate, max_count
        return course.counts

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        alpha, beta, threshold, recurrent_weight, currents, reached, counts = ctx.saved_tensors
        course = Course(currents=currents, reached=reached, counts=counts, all_at_once=recurrent_weight is None)
        limit, surrogate, needed = ctx.max_count, ctx.surrogate, ctx.needs_input_grad
        found = backward_through_time(gradients[0], course, alpha, beta, threshold, recurrent_weight, limit, surrogate, needed)
        return *found, None, None


def _forward(
    x: Tensor,
    alpha: Tensor,
    beta: Tensor,
    bias: Tensor,
    threshold: Tensor,
    recurrent_weight: Tensor | None,
    max_count: int,
    *,
    keep_currents: bool,
) -> Course:
    batch, n_steps, n_synapses, size = x.shape
    x = own_input(x, recurrent_weight)
    course = Course(
        currents=x.new_zeros(batch, n_steps + 1, n_synapses, size) if keep_currents else None,
        reached=x.new_empty(batch, n_steps, size),
        counts=x.new_empty(batch, n_steps, size),
        all_at_once=recurrent_weight is None,
    )
    forward = (_CompiledForward if is_compiled(x) else _TorchForward)(x, alpha, beta, bias, threshold, max_count, course)
    run_steps(forward.run, x, course.counts, recurrent_weight)
    return course


def own_input(x: Tensor, recurrent_weight: Tensor | None) -> Tensor:
    """Return the input as one piece of memory, a copy where :func:`run_steps` will add to it."""
    return x.contiguous() if recurrent_weight is None else x.clone(memory_format=torch.contiguous_format)


def run_steps(
    run: Callable[[int, int], object],
    x: Tensor,
    counts: Tensor,
    recurrent_weight: Tensor | None,
    delays: tuple[int, ...] = (1,),
) -> None:
    """Run all steps at once, or one by one with what earlier counts send back added to the input.

    Args:
        run: runs the steps from one number to before another.
        x: ``(batch, time, n_synapses, size)``, from :func:`own_input`.
        counts: ``(batch, time, size)``, filled by ``run``.
        recurrent_weight: ``(n_delays * size, n_synapses * size)`` or None.
        delays: of each of its parts, in steps.
    """
    if recurrent_weight is None:
        run(0, x.shape[1])
        return
    parts = torch.split(recurrent_weight, counts.shape[2])
    for step in range(x.shape[1]):
        for delay, weight in zip(delays, parts, strict=True):
            if step >= delay:
                x[:, step] += (counts[:, step - delay] @ weight).view_as(x[:, step])
        run(step, step + 1)


class _TorchForward:
    """The loop over steps in torch, on whatever device."""

    def __init__(
        self, x: Tensor, alpha: Tensor, beta: Tensor, bias: Tensor, threshold: Tensor, max_count: int, course: Course
    ) -> None:
        self.x, self.alpha, self.beta, self.bias, self.threshold = x, alpha, beta, bias, threshold
        self.taken, self.max_count, self.course = threshold.nan_to_num(posinf=0.0), max_count, course
        self.current, self.potential = torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0, 0])

    def run(self, start: int, stop: int) -> None:
        course = self.course
        for step in range(start, stop):
            self.current = self.alpha * self.current + self.x[:, step]
            if course.currents is not None:
                course.currents[:, step + 1] = self.current
            reached = self.beta * self.potential + self.current.sum(dim=1) + self.bias
            fired = torch.floor(reached / self.threshold).clamp(0.0, float(self.max_count))
            self.potential = reached - fired * self.taken
            course.reached[:, step], course.counts[:, step] = reached, fired


class _CompiledForward:
    """The same on a CPU."""

    def __init__(
        self, x: Tensor, alpha: Tensor, beta: Tensor, bias: Tensor, threshold: Tensor, max_count: int, course: Course
    ) -> None:
        limits = _array(x.new_tensor([0.0, float(max_count)]))
        parameters = tuple(map(_array, (alpha, beta, bias, threshold, threshold.nan_to_num(posinf=0.0))))
        kept = course.currents if course.currents is not None else x.new_empty(0, *x.shape[1:])
        rows = (x, torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0, 0]), kept, course.reached, course.counts)
        held, *states = map(_array, rows)
        self.parts = [(held[part], parameters, limits, tuple(state[part] for state in states)) for part in share_rows(course)]

    def run(self, start: int, stop: int) -> None:
        from snnmap.nn.kernels import advance

        run_parts([partial(advance, start, stop, *part) for part in self.parts])


def backward_through_time(
    by_counts: Tensor,
    course: Course,
    alpha: Tensor,
    beta: Tensor,
    threshold: Tensor,
    recurrent_weight: Tensor | None,
    max_count: int,
    surrogate: Surrogate,
    needed: tuple[bool, ...],
    delays: tuple[int, ...] = (1,),
    *,
    to_zero: bool = False,
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """Return the gradients by input, alpha, beta, bias, threshold and recurrent weights.

    With ``s`` the surrogate's dn/dx at x = u / threshold, from the last step to the first, where counts return after one step::

        g_v[t] = beta * g_u[t+1]
        g_n[t] = given + g_x[t+1] @ recurrent_weight'
        g_u[t] = g_v[t] + (g_n[t] - threshold * g_v[t]) * s[t] / threshold
        g_i[t] = g_u[t] + alpha * g_i[t+1]        = g_x[t]

    With ``to_zero`` a spike, of which there is at most one a step, takes u itself instead of the threshold, and with it g_v; that
    the surrogate would move it is left out, since gradients would grow by ``u / threshold`` a step::

        g_u[t] = g_v[t] * (1 - n[t]) + g_n[t] * s[t] / threshold
    """
    batch, n_steps, size = course.reached.shape
    given = by_counts.contiguous() if recurrent_weight is None else by_counts.clone(memory_format=torch.contiguous_format)
    by_x = given.new_empty(batch, n_steps, alpha.shape[0], size)
    retreat = (_CompiledBackward if is_compiled(given) else _TorchBackward)(
        given, alpha, beta, threshold, max_count, surrogate, course, by_x, needed, to_zero
    )
    if recurrent_weight is None:
        retreat.run(0, n_steps)
    else:
        parts = torch.split(recurrent_weight, size)
        for step in range(n_steps - 1, -1, -1):
            for delay, weight in zip(delays, parts, strict=True):
                if step + delay < n_steps:
                    given[:, step] += by_x[:, step + delay].flatten(1) @ weight.t()
            retreat.run(step, step + 1)
    return (
        by_x,
        (by_x * course.currents[:, :-1]).sum(dim=(0, 1)) if course.currents is not None else None,
        *retreat.sums(),
        _recurrent_gradient(course.counts, by_x, delays) if recurrent_weight is not None and needed[5] else None,
    )


@dataclass
class Backward:
    """What a loop over steps, from the last, needs; it fills ``by_x``.

    Attributes are the arguments of :func:`snnmap.nn.neurons.dynamics.backward_through_time`, ``given`` the gradient by counts.
    """

    given: Tensor
    alpha: Tensor
    beta: Tensor
    threshold: Tensor
    max_count: int
    surrogate: Surrogate
    course: Course
    by_x: Tensor
    needed: tuple[bool, ...]
    to_zero: bool

    def split(self, shares: list[slice]) -> tuple[list[tuple[Any, ...]], list[list[Tensor]]]:
        """Return what the compiled loops take for each share of the samples, and the sums by neuron that they fill in it."""
        surrogate, course = self.surrogate, self.course
        constants = self.given.new_tensor([0.0, 1.0, surrogate.kernel_slope, surrogate.window, float(self.max_count)])
        rule = (self.to_zero, surrogate.kernel_kind, _array(constants))
        parameters = tuple(map(_array, (self.alpha, self.beta, self.threshold, self.threshold.nan_to_num(posinf=0.0))))
        last = (torch.zeros_like(self.given[:, 0]), torch.zeros_like(self.by_x[:, 0]))
        given, *states = map(_array, (self.given, course.reached, course.counts, self.by_x, *last))
        parts, parted = [], []
        for share in shares:
            sums = [torch.zeros_like(self.beta) if asked else self.beta.new_empty(0) for asked in self.needed[2:5]]
            rows = tuple(state[share] for state in states)
            parts.append((given[share], parameters, *rule, rows, tuple(map(_array, sums))))
            parted.append(sums)
        return parts, parted


@dataclass
class _TorchBackward(Backward):
    """The loop over steps, from the last, in torch."""

    def __post_init__(self) -> None:
        given, beta, threshold = self.given, self.beta, self.threshold
        self.ratio = self.course.reached / threshold
        self.rate = self.surrogate.derivative(self.ratio, self.max_count) / threshold
        self.taken = torch.zeros_like(threshold) if self.to_zero else threshold.nan_to_num(posinf=0.0)
        self.by_u, self.by_current = torch.zeros_like(given[:, 0]), torch.zeros_like(self.by_x[:, 0])
        self.by_beta, self.by_bias, self.by_threshold = (torch.zeros_like(beta) for _ in range(3))

    def run(self, start: int, stop: int) -> None:
        reached, counts = self.course.reached, self.course.counts
        for step in range(stop - 1, start - 1, -1):
            by_v = self.by_u * self.beta * (1.0 - counts[:, step]) if self.to_zero else self.by_u * self.beta
            pull = (self.given[:, step] - by_v * self.taken) * self.rate[:, step]
            self.by_threshold -= (by_v * counts[:, step] + pull * self.ratio[:, step]).sum(dim=0)
            self.by_u = by_v + pull
            self.by_bias += self.by_u.sum(dim=0)
            if step:
                taken = reached[:, step - 1] if self.to_zero else self.taken
                self.by_beta += (self.by_u * (reached[:, step - 1] - counts[:, step - 1] * taken)).sum(dim=0)
            self.by_current = self.alpha * self.by_current + self.by_u.unsqueeze(1)
            self.by_x[:, step] = self.by_current

    def sums(self) -> Sums:
        return self.by_beta, self.by_bias, self.by_threshold


@dataclass
class _CompiledBackward(Backward):
    """The same on a CPU."""

    def __post_init__(self) -> None:
        self.parts, self.parted = self.split(share_rows(self.course))

    def run(self, start: int, stop: int) -> None:
        from snnmap.nn.kernels import retreat

        run_parts([partial(retreat, start, stop, *part) for part in self.parts])

    def sums(self) -> Sums:
        return add_sums(self.parted)


def add_sums(parted: list[list[Tensor]]) -> Sums:
    """Add what :meth:`snnmap.nn.neurons.dynamics.Backward.split` parted; None for what no gradient is asked of."""
    totals = [torch.stack(sums).sum(dim=0) for sums in zip(*parted, strict=True)]
    by_beta, by_bias, by_threshold = (total if total.numel() else None for total in totals)
    return by_beta, by_bias, by_threshold


def share_rows(course: Course) -> list[slice]:
    """Share the samples of a batch among torch's threads, where there is enough to do."""
    batch = course.counts.shape[0]
    is_worth_it = course.all_at_once and course.counts.numel() >= _WORTH_SHARING
    return split_evenly(batch, torch.get_num_threads() if is_worth_it else 1)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()


def _recurrent_gradient(counts: Tensor, by_x: Tensor, delays: tuple[int, ...]) -> Tensor:
    """Sum, over all steps, the outer products of counts and what they led to after each delay."""
    n_steps = counts.shape[1]
    sent = [counts[:, : max(n_steps - delay, 0)].flatten(0, 1) for delay in delays]
    led_to = [by_x[:, delay:].flatten(2).flatten(0, 1) for delay in delays]
    return torch.cat([one.t() @ other for one, other in zip(sent, led_to, strict=True)])

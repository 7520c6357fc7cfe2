"""Neurons of the chip whose counts return to them through few weights and after any delays: loops of a network."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, cast

import torch
from torch import Tensor

from snnmap.chip import Family
from snnmap.core.threads import run_parts
from snnmap.nn.chip.delivery import Delivery
from snnmap.nn.chip.dynamics import Decays, reset_potentials, retreat_integrator, run_chip_integrator, run_chip_lif
from snnmap.nn.compiled import is_compiled, split_evenly
from snnmap.nn.neurons import Surrogate
from snnmap.nn.neurons.dynamics import Backward, Course, add_sums

__all__ = ["WiredNeurons", "Wiring", "run_wired_integrator", "run_wired_lif"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Where counts return, and when: the weights as rows by delay and source.

    Attributes:
        delays: ``(n_delays,) int64``, each at least 1.
        starts: ``(n_delays, size + 1) int64``, where the weights of each source start.
        targets: ``(n_weights,) int64``, ``synapse * size + neuron``.
        order: ``(n_weights,) int64``, place of each weight in the order in which they are given.
    """

    delays: Tensor
    starts: Tensor
    targets: Tensor
    order: Tensor

    @classmethod
    def create(cls, delays: Tensor, sources: Tensor, targets: Tensor, size: int) -> Self:
        """Sort weights by delay and source, ``(n_weights,) int64`` each."""
        kinds, number = torch.unique(delays, return_inverse=True)
        row = number * size + sources
        order = torch.argsort(row, stable=True)
        lengths = torch.bincount(row, minlength=len(kinds) * size).view(len(kinds), size)
        before = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.sum(dim=1).cumsum(dim=0)[:-1]])
        starts = torch.nn.functional.pad(lengths.cumsum(dim=1), (1, 0)) + before[:, None]
        return cls(delays=kinds, starts=starts.contiguous(), targets=targets[order], order=order)

    def to_dense(self, weights: Tensor, n_targets: int) -> Tensor:
        """Return sorted weights as matrices, one below the other, ``(n_delays * size, n_targets)``."""
        n_rows = self.starts.shape[0] * (self.starts.shape[1] - 1)
        lengths = self.starts.diff(dim=1).flatten().to(weights.device)
        rows = torch.repeat_interleave(torch.arange(n_rows, device=weights.device), lengths)
        return weights.new_zeros(n_rows, n_targets).index_put((rows, self.targets.to(weights.device)), weights, accumulate=True)

    def arrays(self) -> tuple[Any, Any, Any]:
        """Return delays, starts and targets for the compiled loops."""
        return self.delays.numpy(), self.starts.numpy(), self.targets.numpy()


@dataclass(frozen=True, slots=True, kw_only=True)
class WiredNeurons:
    """What a run of neurons on the chip is made of, but for what arrives.

    Attributes:
        dash_syn: ``(n_synapses, size)``.
        dash_mem: ``(size,)``.
        bias: ``(size,)``.
        threshold: ``(size,)``.
        max_count: the most spikes a step.
        surrogate: derivative of the count.
        state_max: largest state.
        family: the chip's arithmetic.
    """

    dash_syn: Tensor
    dash_mem: Tensor
    bias: Tensor
    threshold: Tensor
    max_count: int
    surrogate: Surrogate
    state_max: int
    family: Family


def run_wired_lif(x: Tensor, neurons: WiredNeurons, weights: Tensor, wiring: Wiring, delivery: Delivery) -> Tensor:
    """Run :func:`snnmap.nn.chip.dynamics.run_chip_lif` with counts that return through a wiring, and in the chip's order.

    On CPUs all steps are compiled, and cost what the spikes and weights do; elsewhere the weights are matrices, and sums are
    clamped once a step.

    Args:
        x: ``(batch, time, n_synapses, size)``, weights shifted and added.
        neurons: what they are.
        weights: ``(n_weights,)``, shifted, in the order in which the wiring was given them.
        wiring: where they lead.
        delivery: all that arrives, in the chip's order.

    Returns:
        ``(batch, time, size)`` spike counts.
    """
    ordered, parts = weights[wiring.order.to(weights.device)], _tensors(neurons)
    if is_compiled(x):
        apply = cast(Callable[..., Tensor], _WiredLif.apply)
        return apply(x, *parts, ordered, wiring, delivery, neurons)
    dense = wiring.to_dense(ordered, neurons.dash_syn.numel()) if weights.numel() else None
    delays = tuple(wiring.delays.tolist()) or (1,)
    return run_chip_lif(x, *parts, dense, neurons.max_count, neurons.surrogate, neurons.state_max, neurons.family, delays)


def run_wired_integrator(x: Tensor, neurons: WiredNeurons, wiring: Wiring, delivery: Delivery) -> Tensor:
    """Run :func:`snnmap.nn.chip.dynamics.run_chip_integrator` in the chip's order; arguments as :func:`run_wired_lif`.

    Returns:
        ``(batch, time, size)`` potentials in state units.
    """
    if is_compiled(x):
        apply = cast(Callable[..., Tensor], _WiredIntegrator.apply)
        return apply(x, *_tensors(neurons), wiring, delivery, neurons)
    return run_chip_integrator(x, *_tensors(neurons), neurons.max_count, neurons.state_max, neurons.family)


def _tensors(neurons: WiredNeurons) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return neurons.dash_syn, neurons.dash_mem, neurons.bias, neurons.threshold


def _advance(
    x: Tensor, neurons: WiredNeurons, weights: Tensor, wiring: Wiring, delivery: Delivery
) -> tuple[Tensor, Tensor, Tensor]:
    """Run all steps, again where the order of additions may matter; give currents, potentials before the reset and counts."""
    flagged = torch.zeros(0, dtype=torch.int64)
    while True:
        currents, reached, counts = _advance_once(x, neurons, weights, wiring, delivery, flagged)
        if neurons.family.is_order_free:
            return currents, reached, counts
        seen = torch.unique(torch.cat([flagged, delivery.find_flagged(currents, counts, neurons.state_max)]))
        if len(seen) == len(flagged):
            return currents, reached, counts
        flagged = seen


def _advance_once(
    x: Tensor, neurons: WiredNeurons, weights: Tensor, wiring: Wiring, delivery: Delivery, flagged: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    from snnmap.nn.chip.kernels import find_chip_loops

    advance_wired = find_chip_loops(neurons.family).advance_wired
    batch, n_steps, n_synapses, size = x.shape
    x = x.detach().clone(memory_format=torch.contiguous_format)
    currents, reached, counts = torch.empty_like(x), x.new_empty(batch, n_steps, size), x.new_empty(batch, n_steps, size)
    most = float(neurons.state_max)
    (limits,) = _arrays(x.new_tensor([0.0, 1.0, float(neurons.max_count), -most - 1.0, most]))
    decays = Decays(neurons.family, neurons.dash_syn, neurons.dash_mem)
    parameters = tuple(_arrays(1.0 - decays.alpha, 1.0 - decays.beta, neurons.bias, neurons.threshold))
    wired, (listed, entries, history) = (*wiring.arrays(), *_arrays(weights)), delivery.arrays(flagged, counts)
    held, *states = _arrays(x, x.new_zeros(batch, n_synapses, size), x.new_zeros(batch, size), currents, reached, counts)
    kernels = []
    for share in _share(batch, n_steps):
        given = (history[share], held[share], parameters, limits, tuple(state[share] for state in states))
        kernels.append(partial(advance_wired, wired, listed, entries, *given))
    run_parts(kernels)
    return currents, reached, counts


class _WiredLif(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        dash_syn: Tensor,
        dash_mem: Tensor,
        _bias: Tensor,
        threshold: Tensor,
        weights: Tensor,
        wiring: Wiring,
        delivery: Delivery,
        neurons: WiredNeurons,
    ) -> Tensor:
        currents, reached, counts = _advance(x, neurons, weights, wiring, delivery)
        ctx.save_for_backward(dash_syn, dash_mem, threshold, weights, currents, reached, counts)
        ctx.wiring, ctx.family = wiring, neurons.family
        ctx.surrogate, ctx.max_count = neurons.surrogate, neurons.max_count
        return counts

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        dash_syn, dash_mem, threshold, weights, currents, reached, counts = ctx.saved_tensors
        decays, to_zero = Decays(ctx.family, dash_syn, dash_mem), ctx.family.reset == "value"
        wiring, needed = ctx.wiring, ctx.needs_input_grad
        kept = decays.gain.flatten()[wiring.targets]
        given, by_state = gradients[0].clone(memory_format=torch.contiguous_format), torch.empty_like(currents)
        course = Course(currents=None, reached=reached, counts=counts)
        backward = Backward(
            given, decays.alpha, decays.beta, threshold, ctx.max_count, ctx.surrogate, course, by_state, needed, to_zero
        )
        parts, parted = backward.split(_share(*counts.shape[:2]))
        wired = (*wiring.arrays(), *_arrays(weights * kept))
        run_parts([partial(_retreat, wired, *part) for part in parts])
        by_beta, by_bias, by_threshold = add_sums(parted)
        return (
            by_state * decays.gain,
            decays.by_synapse_codes(by_state, currents) if needed[1] else None,
            decays.by_membrane_codes(by_beta) if by_beta is not None else None,
            by_bias,
            by_threshold,
            _collect(wiring, counts, by_state, weights) * kept if needed[5] else None,
            *(None,) * 3,
        )


class _WiredIntegrator(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        dash_syn: Tensor,
        dash_mem: Tensor,
        _bias: Tensor,
        threshold: Tensor,
        wiring: Wiring,
        delivery: Delivery,
        neurons: WiredNeurons,
    ) -> Tensor:
        currents, reached, counts = _advance(x, neurons, x.new_zeros(0), wiring, delivery)
        potentials = reset_potentials(neurons.family, reached, counts, threshold)
        ctx.save_for_backward(dash_syn, dash_mem, currents, potentials)
        ctx.family = neurons.family
        return potentials

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (*retreat_integrator(ctx.family, gradients[0], *ctx.saved_tensors), *(None,) * 4)


def _retreat(*arguments: Any) -> None:
    from snnmap.nn.kernels import retreat_wired

    retreat_wired(*arguments)


def _collect(wiring: Wiring, counts: Tensor, by_state: Tensor, weights: Tensor) -> Tensor:
    from snnmap.nn.kernels import collect_wired

    total = torch.zeros_like(weights)
    collect_wired(*wiring.arrays(), *_arrays(counts, by_state, total))
    return total


def _share(batch: int, n_steps: int) -> list[slice]:
    return split_evenly(batch, torch.get_num_threads() if batch * n_steps > 1 << 12 else 1)


def _arrays(*tensors: Tensor) -> list[Any]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]

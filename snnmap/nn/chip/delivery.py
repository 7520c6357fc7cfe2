"""The order in which the chip adds what arrives at a synapse, for sums that leave the range of its states on their way.

The chip saturates after each spike, in the order of its slots. As long as what a current holds and the absolute contributions
of a step stay within the range together, a sum that is clamped once is the same; elsewhere weights are added one by one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

__all__ = ["Delivery", "DeliveryPlan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPlan:
    """All weights onto some neurons, target by target, those of a target in the chip's order.

    Attributes:
        starts: ``(n_targets + 1,) int64``, where the weights of each target start; targets are ``synapse * size + neuron``.
        sources: ``(n_weights,) int64``: a column outside, or ``n_outside`` and a neuron of these.
        delays: ``(n_weights,) int64``, steps on the chip.
        order: ``(n_weights,) int64``, place of each weight in the order in which they are given.
        n_outside: columns of what comes from elsewhere.
    """

    starts: Tensor
    sources: Tensor
    delays: Tensor
    order: Tensor
    n_outside: int

    @classmethod
    def create(cls, targets: Tensor, ranks: Tensor, sources: Tensor, delays: Tensor, n_targets: int, n_outside: int) -> Self:
        """Sort weights by target and rank, ``(n_weights,) int64`` each."""
        order = torch.tensor(np.lexsort((ranks.numpy(), targets.numpy())), dtype=torch.int64)
        lengths = torch.bincount(targets, minlength=n_targets)
        return cls(
            starts=torch.nn.functional.pad(lengths.cumsum(dim=0), (1, 0)),
            sources=sources[order].contiguous(),
            delays=delays[order].contiguous(),
            order=order,
            n_outside=n_outside,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What a plan delivers in a run.

    Attributes:
        plan: where and in which order.
        weights: ``(n_weights,)``, in state units, in the plan's order.
        most: ``(n_outside,)``, the highest count of each column in the run.
        give_history: counts from elsewhere, ``(batch, lead + time, n_outside)``: what was before the run, then its steps.
    """

    plan: DeliveryPlan
    weights: Tensor
    most: Tensor
    give_history: Callable[[], Tensor]

    def find_flagged(self, currents: Tensor, counts: Tensor, state_max: int) -> Tensor:
        """Return the targets, ``(n,) int64``, at which the order may matter, after a run that took it for nothing.

        Args:
            currents: ``(batch, time, n_synapses, size)``, with what arrived.
            counts: ``(batch, time, size)``, of the neurons themselves.
            state_max: largest state.
        """
        if not currents.numel() or not self.weights.numel():
            return torch.zeros(0, dtype=torch.int64)
        most = torch.cat([self.most, counts.amax(dim=(0, 1))])
        targets = torch.repeat_interleave(torch.arange(len(self.plan.starts) - 1), self.plan.starts.diff())
        largest = currents.abs().amax(dim=(0, 1)).flatten()
        largest.index_add_(0, targets, self.weights.abs() * most[self.plan.sources])
        return torch.nonzero(largest > state_max).flatten()

    def arrays(self, flagged: Tensor, counts: Tensor) -> tuple[Any, tuple[Any, ...], Any]:
        """Return what the compiled loop takes: flagged targets, entries and the history of all samples."""
        plan = self.plan
        nothing = counts.new_zeros(counts.shape[0], counts.shape[1], plan.n_outside if not flagged.numel() else 0)
        history = self.give_history().contiguous() if flagged.numel() else nothing
        entries = tuple(part.detach().numpy() for part in (plan.starts, plan.sources, plan.delays, self.weights))
        return flagged.numpy(), entries, history.detach().numpy()

"""Plain leaky integrate-and-fire neurons, such as most frameworks have: what a module's parameters come to."""

from dataclasses import dataclass

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.following.framework import WeightedCounts
from snnmap.frontends.network_parts import NEVER_REACHED, NetworkParts
from snnmap.network import Population
from snnmap.network.network import Reset

__all__ = ["LifNeurons", "refuse", "spread"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LifNeurons:
    """``i[t] = alpha i[t-1] + gain x[t]``, ``u[t] = beta v[t-1] + i[t] + leak``, a spike where ``u >= threshold``.

    Attributes:
        path: of the module.
        alpha, beta, gain, leak, threshold, v_reset: ``(size,)``.
        reset: what a spike does.
        max_count: most spikes of a neuron in a step; 0 for neurons that never fire.
    """

    path: str
    alpha: FloatArray
    beta: FloatArray
    gain: FloatArray
    leak: FloatArray
    threshold: FloatArray
    v_reset: FloatArray
    reset: Reset
    max_count: int

    @property
    def scale(self) -> FloatArray:
        """Value of a spike behind the neurons."""
        return np.ones(self.beta.size)

    @property
    def is_readout(self) -> bool:
        """Whether the membrane is to be read where the module gives it beside spikes."""
        return not self.max_count or bool((self.threshold >= NEVER_REACHED).all())

    @property
    def why_not_read(self) -> str:
        """Why the membrane alone cannot be read; empty where it can."""
        return "" if self.is_readout else "the neurons fire"

    def add_to(self, parts: NetworkParts, name: str, terms: tuple[WeightedCounts, ...], bias: FloatArray) -> None:
        """Add the population; a constant input to a synapse with memory comes from a neuron that fires in each step."""
        constant = bias * self.gain
        population = Population.create(
            name,
            self.beta.size,
            alpha=self.alpha.reshape(1, -1),
            beta=self.beta,
            threshold=self.threshold if self.max_count else np.inf,
            bias=self.leak + np.where(self.alpha == 0, constant, 0.0),
            reset=self.reset,
            v_reset=self.v_reset,
            max_count=self.max_count or 1,
            source=self.path,
        )
        parts.populations.append(population)
        for term in terms:
            term.add_to(parts, name, gain=self.gain)
        parts.hold_currents(name, np.where(self.alpha == 0, 0.0, constant).reshape(1, -1), source=self.path)

    def start_at(self, start: FloatArray) -> "LifNeurons":
        """Return the neurons with potentials counted from where they start, since a network starts at 0.

        Raises:
            FrontendError: a membrane that is read starts elsewhere than at 0, or neurons above their threshold.
        """
        if not start.any():
            return self
        if self.is_readout or self.reset == "subtract" or (self.threshold <= start).any():
            fix = "let the neurons start at 0"
            raise refuse(self.path, "the membrane starts where no network's does", f"{start.flat[0]:g}", "0", fix)
        return LifNeurons(
            path=self.path, alpha=self.alpha, beta=self.beta, gain=self.gain, reset=self.reset, max_count=self.max_count,
            leak=self.leak - (1.0 - self.beta) * start, threshold=self.threshold - start, v_reset=self.v_reset - start,
        )  # fmt: skip


def spread(path: str, name: str, values: object, size: int) -> FloatArray:
    """Return ``(size,)`` from one value for all, or one a neuron.

    Raises:
        FrontendError: there are others.
    """
    detached = values.detach().cpu().double().numpy() if hasattr(values, "detach") else values
    found = np.asarray(detached, np.float64).reshape(-1)
    if found.size not in (1, size):
        raise refuse(path, f"'{name}' does not fit the neurons", f"{found.size} values", f"1 or {size}", "give one a neuron")
    return np.array(np.broadcast_to(found, (size,)))


def refuse(path: str, what: str, measured: str, limit: str, fix: str) -> FrontendError:
    """Return the error about a module of neurons."""
    return FrontendError(what, where=f"module '{path}'", measured=measured, limit=limit, fix=fix)

"""From NIR neurons and the signals that reach them to populations and projections."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnmap.core import CsrMatrix, FloatArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.nir.neurons import Dynamics, discretise
from snnmap.frontends.nir.options import NirOptions
from snnmap.frontends.nir.signal import Label, Signal, Term
from snnmap.frontends.nir.written import restore
from snnmap.network import Population, Projection, find_fresh_name

__all__ = ["Parts", "Wire"]


@dataclass(frozen=True, slots=True)
class Wire:
    """A projection whose delay may be open.

    Attributes:
        projection: with the delay of its Delay nodes.
        is_timed: whether the graph says the delay.
        order: place among the projections.
        is_constant: whether it brings constant currents, which lead from no input.
    """

    projection: Projection
    is_timed: bool
    order: int = 0
    is_constant: bool = False


@dataclass(slots=True)
class Parts:
    """Populations and projections found so far."""

    options: NirOptions
    populations: dict[str, Population] = field(default_factory=dict)
    wires: list[Wire] = field(default_factory=list)
    steady: dict[str, FloatArray] = field(default_factory=dict)
    """Constant current into the synapse of each population, ``(size,)``, that a neuron must carry."""

    def add_neurons(self, name: str, path: str, node: Any, shape: tuple[int, ...], signal: Signal | None, where: str) -> None:
        """Add the population of a neuron node, and the projections of what reaches it."""
        is_recurrent = signal is not None and any(term.source == name for term in signal.terms)
        dynamics = discretise(node, shape, self.options, where, is_recurrent=is_recurrent)
        constant = np.zeros(int(np.prod(shape))) if signal is None else signal.constant
        with np.errstate(over="ignore", invalid="ignore"):
            membrane, steady = self._split_constant(dynamics, constant * dynamics.gain, where)
            bias = dynamics.bias + membrane
        _require_finite(np.concatenate([bias, dynamics.gain, steady]), "gain or bias", where)
        exact = restore(node, dynamics, bias, where)
        gain = np.ones_like(dynamics.gain) if exact is not None else dynamics.gain
        self.populations[name] = Population.create(
            name,
            bias.size,
            source=_source(node, path),
            **(exact if exact is not None else self._parameters(dynamics, bias)),
        )
        if steady.any():
            self.steady[name] = steady
        for term in () if signal is None else signal.terms:
            self._add_wire(term, name, gain, path)
        if np.any(dynamics.late):
            self._add_late_reset(name, dynamics, path)

    def _add_late_reset(self, name: str, dynamics: Dynamics, path: str) -> None:
        """Add what a spike takes off a step later; what a synapse keeps of it is taken back in the step after."""
        index = np.arange(dynamics.beta.size)
        for weights, delay in ((dynamics.late, 1), (-dynamics.alpha * dynamics.late, 2)):
            if np.any(weights):
                diagonal = CsrMatrix.from_triplets(index, index, np.asarray(weights), (index.size, index.size))
                self._append(name, name, diagonal, Label(source=path), delay)

    def add_readout(self, name: str, path: str, signal: Signal) -> None:
        """Add neurons without memory whose potential is a signal."""
        _require_finite(signal.constant, "bias", f"node '{path}' (Output)")
        self.populations[name] = Population.create(
            name, signal.size, threshold=np.inf, bias=signal.constant, max_count=1, source=path
        )
        for term in signal.terms:
            self._add_wire(term, name, np.ones(signal.size), path)

    def finish(self, taken: set[str]) -> list[Wire]:
        """Add the neuron that carries constant currents, where one is needed, and give all projections."""
        if self.steady:
            name = find_fresh_name("bias", taken | set(self.populations))
            self.populations[name] = self._make_carrier(name)
            for post, current in self.steady.items():
                weights = CsrMatrix.from_dense(current[np.newaxis, :])
                self._append(name, post, weights, Label(source="constant currents"), 0, is_constant=True)
        return sorted(self.wires, key=lambda wire: wire.order)

    def _parameters(self, dynamics: Dynamics, bias: FloatArray) -> dict[str, Any]:
        return {
            "alpha": dynamics.alpha.reshape(1, -1),
            "beta": dynamics.beta,
            "threshold": dynamics.threshold,
            "bias": bias,
            "reset": dynamics.reset,
            "v_reset": dynamics.v_reset,
            "max_count": dynamics.max_count or 1,
        }

    def _split_constant(self, dynamics: Dynamics, current: FloatArray, where: str) -> tuple[FloatArray, FloatArray]:
        """Return what a constant current adds to the membrane, and what a neuron must bring to the synapse."""
        filtered = dynamics.alpha != 0
        if self.options.constant_current == "neuron":
            return np.where(filtered, 0.0, current), np.where(filtered, current, 0.0)
        if (current[dynamics.alpha == 1] != 0).any():
            raise FrontendError(
                "a constant current never settles in a synapse that does not decay", where=where,
                fix="choose constant_current='neuron', or remove the bias",
            )  # fmt: skip
        settled = np.divide(current, 1.0 - dynamics.alpha, out=np.zeros_like(current), where=dynamics.alpha != 1)
        return settled, np.zeros_like(current)

    def _add_wire(self, term: Term, post: str, gain: FloatArray, path: str) -> None:
        label = term.label if term.label.name else Label(source="+".join(term.path) or path)
        with np.errstate(over="ignore"):
            weights = _to_csr(term, gain * self.options.spike_scale)
        _require_finite(weights.data, "weights", f"node '{'+'.join((*term.path, path))}'")
        self._append(term.source, post, weights, label, term.delay_steps)

    def _make_carrier(self, name: str) -> Population:
        """Make a neuron that fires in every step; of a network that resets to zero, it does so too, and beyond doubt."""
        resets = {population.reset for population in self.populations.values() if np.isfinite(population.threshold).any()}
        to_zero = resets == {"value"}
        return Population.create(
            name,
            1,
            threshold=1.0,
            bias=2.0 if to_zero else 1.0,
            reset="value" if to_zero else "subtract",
            max_count=1,
            source="constant currents",
        )

    def _append(
        self, pre: str, post: str, weights: CsrMatrix, label: Label, delay_steps: int | None, *, is_constant: bool = False
    ) -> None:
        taken = {wire.projection.name for wire in self.wires}
        name = label.name if label.name and label.name not in taken else find_fresh_name(f"{pre}->{post}", taken)
        projection = Projection(name=name, pre=pre, post=post, weights=weights, delay_steps=delay_steps or 0, source=label.source)
        self.wires.append(Wire(projection, delay_steps is not None, label.order, is_constant))


def _to_csr(term: Term, gain: FloatArray) -> CsrMatrix:
    """Return the weights times the gain of their targets."""
    if term.matrix is None:
        index = np.arange(gain.size)
        return CsrMatrix.from_triplets(index, index, gain, (gain.size, gain.size))
    matrix = term.matrix.tocsr(copy=True)
    matrix.sum_duplicates()
    matrix.sort_indices()
    matrix.data = matrix.data * gain[matrix.indices]
    matrix.eliminate_zeros()
    return CsrMatrix(shape=matrix.shape, indptr=matrix.indptr, indices=matrix.indices, data=matrix.data)


def _require_finite(values: FloatArray, what: str, where: str) -> None:
    if not np.isfinite(values).all():
        raise FrontendError(
            f"{what} of a step leave float64", where=where, limit=f"below {np.finfo(np.float64).max:.1e}",
            fix="check the node's numbers, dt_s and time_unit",
        )  # fmt: skip


def _source(node: Any, path: str) -> str:
    given = node.metadata if isinstance(node.metadata, dict) else {}
    return str(given["snnmap_source"]) if "snnmap_source" in given else path

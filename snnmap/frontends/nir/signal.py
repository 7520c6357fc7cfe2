"""Signals between neurons: sums of spike counts through fused linear nodes, with a constant."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.nir.arrays import are_same_but_batch

__all__ = ["NO_LABEL", "Label", "Signal", "Term", "add_signals", "merge_terms", "source_signal"]

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """The projection that snnmap wrote a Linear node for: name, place among projections, source; empty for others."""

    name: str = ""
    order: int = 0
    source: str = ""


NO_LABEL = Label()


@dataclass(frozen=True, slots=True)
class Term:
    """Counts of one source through linear nodes.

    Attributes:
        source: name of a port, population or sum.
        matrix: ``(n_source, n_here)`` csr_array; None where the counts are passed on as they are.
        delay_steps: of the Delay nodes on the way; None where there are none.
        path: nodes that weigh the counts.
        label: of the Linear node, where snnmap wrote it.
    """

    source: str
    matrix: Any = None
    delay_steps: int | None = None
    path: tuple[str, ...] = ()
    label: Label = NO_LABEL


@dataclass(frozen=True, slots=True)
class Signal:
    """What a node sends.

    Attributes:
        shape: of the values.
        terms: weighted spike counts that add up.
        constant: ``(n,) float64``, added in every step.
        potential: whether the values are membrane potentials of the one term's source, not spike counts.
    """

    shape: Shape
    terms: tuple[Term, ...]
    constant: FloatArray
    potential: bool = False

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    @property
    def is_plain(self) -> bool:
        """Whether this is one source's own spikes or potentials, at once."""
        plain = len(self.terms) == 1 and self.terms[0].matrix is None and self.terms[0].delay_steps is None
        return plain and not self.constant.any()


def source_signal(name: str, shape: Shape, *, potential: bool = False) -> Signal:
    """Return the signal of a port or population."""
    return Signal(shape, (Term(name),), np.zeros(int(np.prod(shape))), potential)


def add_signals(signals: Iterable[tuple[str, Signal]], where: str) -> Signal:
    """Add what arrives at a node; each signal comes with the name of the node that sends it.

    Raises:
        FrontendError: the signals differ in shape, or potentials are added.
    """
    arriving = list(signals)
    first_name, first = arriving[0]
    for name, signal in arriving[1:]:
        if not are_same_but_batch(signal.shape, first.shape):
            raise FrontendError(
                "signals of different shapes arrive", where=where, measured=f"{signal.shape} from '{name}'",
                limit=f"{first.shape} from '{first_name}'", fix="give all of them the node's shape",
            )  # fmt: skip
        if signal.potential or first.potential:
            raise FrontendError(
                "membrane potentials are added to other signals", where=where, measured=f"from '{first_name}' and '{name}'",
                fix="read potentials with an Output of their own",
            )  # fmt: skip
    if len(arriving) == 1:
        return first
    constant = np.sum([signal.constant for _, signal in arriving], axis=0)
    return Signal(first.shape, merge_terms((term for _, signal in arriving for term in signal.terms), first.size), constant)


def merge_terms(terms: Iterable[Term], size: int) -> tuple[Term, ...]:
    """Add the weights of terms of one source, delay and label, of ``size`` values: parallel ways stay one projection."""
    merged: dict[tuple[str, int | None, Label], Term] = {}
    for term in terms:
        key = (term.source, term.delay_steps, term.label)
        known = merged.get(key)
        merged[key] = term if known is None else _add_terms(known, term, size)
    return tuple(merged.values())


def _add_terms(one: Term, other: Term, size: int) -> Term:
    return replace(one, matrix=_matrix(one, size) + _matrix(other, size), path=(*one.path, *other.path))


def _matrix(term: Term, size: int) -> Any:
    from scipy.sparse import eye_array

    return eye_array(size, format="csr") if term.matrix is None else term.matrix

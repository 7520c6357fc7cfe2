"""Classes and values read from outputs, chip beside model."""

import math

import numpy as np

from snnmap.chip import Readout
from snnmap.core import BoolArray, FloatArray, IntArray
from snnmap.core.errors import InputError
from snnmap.lif.program import Agreement, Decision

__all__ = [
    "LAST",
    "SpreadError",
    "compare_decisions",
    "read_classes",
    "read_labels",
    "summarise_course",
    "take_decision",
    "usual_decision",
]

_WAYS: tuple[Decision, ...] = ("count", "last", "mean", "max")
LAST = _WAYS.index("last")
"""Place of the values of the last step in what :func:`summarise_course` gives."""
_USUAL: dict[Readout, tuple[Decision, ...]] = {"spikes": ("count",), "potential": _WAYS[1:], "current": _WAYS[1:]}
_TIE, _TIE_OF_DRAWN = 1e-9, 0.05
"""Share of the largest value by which two may differ and still be a tie. Drawn inputs are of no class: near ties abound."""


def summarise_course(values: FloatArray) -> FloatArray:
    """Return sum, last, mean and largest, ``(4, n_samples, size)``, of values ``(n_samples, n_steps, size)``."""
    if not values.shape[1]:
        return np.zeros((len(_WAYS), values.shape[0], values.shape[2]))
    return np.stack([values.sum(axis=1), values[:, -1], values.mean(axis=1), values.max(axis=1)])


def take_decision(decision: Decision, values: FloatArray) -> FloatArray:
    """Return the values of which the highest decides, ``(n_samples, size)``, of a course ``(n_samples, n_steps, size)``."""
    return np.asarray(summarise_course(values)[_WAYS.index(decision)], np.float64)


def usual_decision(readout: Readout) -> Decision:
    """Return how classes are read where nothing else is said: the most spikes, or the highest last value."""
    return _USUAL[readout][0]


def read_classes(values: FloatArray, decision: Decision) -> IntArray:
    """Return the class of each sample, ``(n_samples,)``, of outputs ``(n_samples, n_steps, size)``; the first of equals."""
    return np.asarray(take_decision(decision, values).argmax(axis=1), np.int64)


def compare_decisions(
    readout: Readout, wanted: FloatArray, found: FloatArray, labels: IntArray | None, decision: Decision | None, *, drawn: bool
) -> tuple[Agreement, ...]:
    """Compare classes in each way of reading, or in the one that is given.

    Args:
        readout: of the port.
        wanted: of the model, from :func:`summarise_course`.
        found: of the chip.
        labels: ``(n_samples,)``, or None.
        decision: how classes are read; None is every usual way.
        drawn: whether the inputs were drawn.
    """
    if wanted.shape[2] < 2:
        return ()
    ways, tie = (decision,) if decision else _USUAL[readout], _TIE_OF_DRAWN if drawn else _TIE
    return tuple(_compare(way, wanted[_WAYS.index(way)], found[_WAYS.index(way)], labels, tie) for way in ways)


def _compare(way: Decision, wanted: FloatArray, found: FloatArray, labels: IntArray | None, tie: float) -> Agreement:
    best = _find_best(wanted, tie)
    chosen = found.argmax(axis=1)
    undecided = _find_best(wanted, _TIE).all(axis=1)
    agreeing = best[np.arange(len(chosen)), chosen] & ~undecided | undecided & _find_best(found, tie).all(axis=1)
    return Agreement(
        decision=way,
        agreeing=int(agreeing.sum()),
        undecided=int(undecided.sum()),
        tied=int((_find_best(wanted, _TIE).sum(axis=1) > 1).sum()),
        model_correct=None if labels is None else int((wanted.argmax(axis=1) == labels).sum()),
        chip_correct=None if labels is None else int((chosen == labels).sum()),
    )


def _find_best(values: FloatArray, tie: float) -> BoolArray:
    """Say which outputs are the highest of their sample, ties included."""
    highest = values.max(axis=1, keepdims=True)
    return np.asarray(values >= highest - tie * np.abs(values).max(axis=1, keepdims=True), np.bool_)


def read_labels(labels: object, n_samples: int, n_classes: int) -> IntArray:
    """Check classes against the samples and the outputs.

    Raises:
        InputError: not one integer a sample, or classes that no output stands for.
    """
    given = np.asarray(labels)
    if given.size and given.dtype.kind in "iu" and not 0 <= given.min() <= given.max() < n_classes:
        raise InputError(
            "there are labels that no output stands for",
            where="labels",
            measured=f"{given.min()}..{given.max()}",
            limit=f"0..{n_classes - 1}",
            fix="number the classes as the outputs are, from 0",
        )
    if given.shape != (n_samples,) or given.dtype.kind not in "iu":
        raise InputError(
            "the labels do not fit the samples",
            where="labels",
            measured=f"{given.dtype} of shape {given.shape}",
            limit=f"integers of shape ({n_samples},)",
            fix="give one class a sample" + ("; of one-hot rows labels.argmax(axis=1)" if given.ndim == 2 else ""),
        )
    return given.astype(np.int64)


class SpreadError:
    """Root mean square of a difference, over the standard deviation of what was wanted; fed part by part."""

    def __init__(self) -> None:
        self.n = 0
        self.difference, self.total, self.square = np.zeros(0), np.zeros(0), np.zeros(0)

    def add(self, wanted: FloatArray, found: FloatArray) -> None:
        """Take in values of one shape, ``(..., n_outputs)``."""
        wanted, found = (values.reshape(-1, values.shape[-1]) for values in (wanted, found))
        if not self.n:
            self.difference, self.total, self.square = (np.zeros(wanted.shape[1]) for _ in range(3))
        self.n += len(wanted)
        self.difference += ((found - wanted) ** 2).sum(axis=0)
        self.total += wanted.sum(axis=0)
        self.square += (wanted**2).sum(axis=0)

    def finish(self) -> float:
        """Return the error of all outputs; infinite where the wanted values do not differ and the found ones do."""
        n = max(1, self.n * self.difference.size)
        return _relate(self.difference.sum() / n, self.total.sum() / n, self.square.sum() / n, 0.0)

    def finish_worst(self) -> float:
        """Return the largest error of one output, in whose spread no less than a tenth of all outputs' is taken."""
        n, size = max(1, self.n), max(1, self.difference.size)
        least = 0.01 * max(0.0, self.square.sum() / n / size - (self.total.sum() / n / size) ** 2)
        parts = zip((self.difference / n).tolist(), (self.total / n).tolist(), (self.square / n).tolist(), strict=True)
        return max((_relate(difference, mean, square, least) for difference, mean, square in parts), default=0.0)


def _relate(difference: float, mean: float, square: float, least: float) -> float:
    """Return a mean squared difference over a variance of at least ``least``, as a root; over the mean square without one."""
    if not difference:
        return 0.0
    variance = max(square - mean * mean, least)
    spread = variance if variance > 1e-12 * square else square
    return math.sqrt(difference / spread) if spread else math.inf

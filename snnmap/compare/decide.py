"""Classes and values read from outputs, chip beside model."""

import math

import numpy as np

from snnmap.chip import Readout
from snnmap.errors import InputError
from snnmap.ir import Agreement, BoolArray, Decision, FloatArray, IntArray

__all__ = ["LAST", "SpreadError", "compare_decisions", "read_labels", "summarise_course"]

_WAYS: tuple[Decision, ...] = ("count", "last", "mean", "max")
LAST = _WAYS.index("last")
"""Place of the values of the last step in what :func:`summarise_course` gives."""
_USUAL: dict[Readout, tuple[Decision, ...]] = {"spikes": ("count",), "potential": _WAYS[1:], "current": _WAYS[1:]}
_TIE, _TIE_OF_DRAWN = 1e-9, 0.05
"""Share of the largest value by which two may differ and still be a tie. Drawn inputs are of no class: near ties abound."""


def summarise_course(values: FloatArray) -> FloatArray:
    """Give sum, last, mean and largest, ``(4, n_samples, size)``, of values ``(n_samples, n_steps, size)``."""
    if not values.shape[1]:
        return np.zeros((len(_WAYS), values.shape[0], values.shape[2]))
    return np.stack([values.sum(axis=1), values[:, -1], values.mean(axis=1), values.max(axis=1)])


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
        model_correct=None if labels is None else int((wanted.argmax(axis=1) == labels).sum()),
        chip_correct=None if labels is None else int((chosen == labels).sum()),
    )


def _find_best(values: FloatArray, tie: float) -> BoolArray:
    """Say which outputs are the highest of their sample, ties included."""
    highest = values.max(axis=1, keepdims=True)
    return np.asarray(values >= highest - tie * np.abs(values).max(axis=1, keepdims=True), np.bool_)


def read_labels(labels: object, n_samples: int) -> IntArray:
    """Check classes against the calibration data.

    Raises:
        InputError: not one integer a sample.
    """
    given = np.asarray(labels)
    if given.shape != (n_samples,) or given.dtype.kind not in "iu":
        raise InputError(
            "the labels do not fit the calibration data",
            where="labels",
            measured=f"{given.dtype} of shape {given.shape}",
            limit=f"integers of shape ({n_samples},)",
            fix="give one class a sample",
        )
    return given.astype(np.int64)


class SpreadError:
    """Root mean square of a difference, over the standard deviation of what was wanted; fed part by part."""

    def __init__(self) -> None:
        self.n, self.difference, self.total, self.square = 0, 0.0, 0.0, 0.0

    def add(self, wanted: FloatArray, found: FloatArray) -> None:
        """Take in values of one shape."""
        self.n += wanted.size
        self.difference += float(((found - wanted) ** 2).sum())
        self.total += float(wanted.sum())
        self.square += float((wanted**2).sum())

    def finish(self) -> float:
        """Give the error; infinite where the wanted values do not differ and the found ones do."""
        if not self.n or not self.difference:
            return 0.0
        variance = self.square / self.n - (self.total / self.n) ** 2
        spread = variance if variance > 1e-12 * self.square / self.n else self.square / self.n
        return math.sqrt(self.difference / self.n / spread) if spread else math.inf

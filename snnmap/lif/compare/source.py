"""A converted network's bitstream beside the network that it was converted from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from snnmap.core import FloatArray
from snnmap.lif.compare.decide import SpreadError
from snnmap.lif.program import SourceOutputs

__all__ = ["SourceReference", "compare_source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReference:
    """What a converted network's outputs should be.

    Attributes:
        what: the network that was converted, in words.
        expected: ``(n_samples, n_outputs)`` its outputs on the samples that are compared.
        read: gives the same from the potentials ``(n_samples, n_steps, n_outputs)`` of a run, of which the last step counts.
    """

    what: str
    expected: FloatArray
    read: Callable[[FloatArray], FloatArray]


def compare_source(reference: SourceReference, last: FloatArray) -> SourceOutputs:
    """Compare outputs read from the bitstream with those of the source.

    Args:
        reference: what they should be.
        last: ``(n_samples, n_outputs)`` potentials of the bitstream in the last step.
    """
    what, expected, found = reference.what, reference.expected, reference.read(last[:, None])
    error = SpreadError()
    error.add(expected, found)
    same = expected.argmax(axis=1) == found.argmax(axis=1) if expected.shape[1] > 1 else np.ones(len(expected), np.bool_)
    return SourceOutputs(what=what, error=error.finish(), agreeing=int(same.sum()), n_samples=len(expected))

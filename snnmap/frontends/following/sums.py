"""Outputs that add up the values of all steps: what each step brings to them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from snnmap.core import FloatArray, IntArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.following.signal import Part, Signal, Source
from snnmap.frontends.following.trace import Trace

__all__ = ["Entries", "Summed", "are_alike", "list_entries", "list_sources", "read_sum"]

_CLOSE = 1e-9
"""What the order of sums in float64 may make of a weight, as a share of it."""


@dataclass(frozen=True, slots=True)
class Entries:
    """Weights of a signal: of which value, of which step of a source (-1: of every one), of which of its values, and how much."""

    row: IntArray
    step: IntArray
    source: IntArray
    data: FloatArray


@dataclass(frozen=True, slots=True)
class Summed:
    """Values of one step whose sum or mean over all steps forward returns.

    Attributes:
        step: the values; of spikes alone, times any factor.
        parts: of them.
        over_steps: which of both it is.
    """

    step: Signal
    parts: list[Part]
    over_steps: Literal["mean", "sum"]


def list_entries(trace: Trace, signal: Signal) -> Entries:
    """Return the weights of a signal, those of the same values in different steps under the same number."""
    found, known = trace.sources.found, dict[tuple[str, str, str], int]()
    starts = np.array([source.start for source in found])
    firsts = np.array([known.setdefault((source.name, source.kind, source.state), source.start) for source in found])
    steps = np.array([-1 if source.step is None else source.step for source in found])
    matrix = signal.matrix.copy()
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    entries = matrix.tocoo()
    number = np.searchsorted(starts, entries.col, side="right") - 1
    return Entries(entries.row, steps[number], entries.col - starts[number] + firsts[number], entries.data)


def are_alike(step: IntArray, columns: Sequence[npt.NDArray[Any]], n_steps: int) -> bool:
    """Say whether what belongs to each step is the same."""
    order = np.lexsort((*columns, step))
    if not np.array_equal(step[order], np.repeat(np.arange(n_steps), step.size // n_steps)):
        return False
    tables = [column[order].reshape(n_steps, -1) for column in columns]
    return all(bool((table == table[-1]).all()) for table in tables)


def list_sources(trace: Trace, signal: Signal) -> list[Source]:
    """Return what a signal is made of."""
    return [part.source for part in trace.sources.split(signal)]


def read_sum(trace: Trace, signal: Signal, find_again: Callable[[Trace], Signal]) -> Summed:
    """Return what each step brings to a sum or mean over all; which of both, and which bias, a longer run tells.

    Raises:
        FrontendError: steps bring different values, or no sum of values of each step is the same.
    """
    step = _take_step(trace, signal)
    if _are_spikes(trace, step):
        return Summed(step, list(trace.sources.split(step)), "sum")
    longer = trace.run_again(1 << trace.n_given.bit_length())  # a power of 2, of which a mean has exact weights
    if longer.n_steps == trace.n_steps:
        mean = replace(step.scale(np.full(step.size, float(trace.n_steps))), constant=signal.constant)
        return Summed(mean, list(trace.sources.split(mean)), "mean")
    return _read_longer(trace, step, longer, _take_step(longer, find_again(longer)))


def _are_spikes(trace: Trace, signal: Signal) -> bool:
    """Say whether values are spikes, each of one neuron, all times the same factor."""
    parts = list(trace.sources.split(signal))
    is_single = not signal.constant.any() and not (np.diff(signal.matrix.indptr) > 1).any()
    is_even = len({value for part in parts for value in part.weights.data.tolist()}) == 1
    return is_single and is_even and all(part.source.kind == "spikes" for part in parts)


def _read_longer(trace: Trace, step: Signal, longer: Trace, again: Signal) -> Summed:
    """Return the values of a step of the longer run, in which a mean's weights are less and a sum's bias is more."""
    factor = _find_factor(list(trace.sources.split(step)), list(longer.sources.split(again)))
    growth = longer.n_steps / trace.n_steps
    if _is_close(factor, 1 / growth) and _is_close(again.constant, step.constant):
        found = again.scale(np.full(again.size, float(longer.n_steps)))
        found, over_steps = replace(found, constant=again.constant), "mean"
    elif _is_close(factor, 1.0) and _is_close(again.constant, step.constant * growth):
        found, over_steps = replace(again, constant=again.constant / longer.n_steps), "sum"
    else:
        raise FrontendError(
            "an output adds up the steps and a bias that is not of each step, which no readout of a chip does",
            where=f"module '{step.path}'" if step.path else "output",
            fix="return the mean over the steps, fc(spikes.mean(0)), or those of each step, fc(spikes)",
        )
    return Summed(found, list(longer.sources.split(found)), over_steps)  # type: ignore[arg-type]  # one of both


def _find_factor(parts: Sequence[Part], others: Sequence[Part]) -> FloatArray:
    """Return by what the weights of others are more, one by one; NaN where they are of other values."""
    alike = [(part.source.name, part.source.kind) for part in parts] == [(part.source.name, part.source.kind) for part in others]
    if not alike or any(_differ(one.weights, two.weights) for one, two in zip(parts, others, strict=True)):
        return np.full(1, np.nan)
    return np.concatenate([two.weights.data / one.weights.data for one, two in zip(parts, others, strict=True)])


def _differ(one: Any, other: Any) -> bool:
    return not (np.array_equal(one.indptr, other.indptr) and np.array_equal(one.indices, other.indices))


def _is_close(found: FloatArray, wanted: FloatArray | float) -> bool:
    return bool(np.allclose(found, wanted, rtol=_CLOSE, atol=0.0))


def _take_step(trace: Trace, signal: Signal) -> Signal:
    """Return what the last step adds to a sum over all, and the whole constant.

    Raises:
        FrontendError: it adds something else than the others.
    """
    entries = list_entries(trace, signal)
    if not are_alike(entries.step, (entries.row, entries.source, entries.data), trace.n_steps):
        names = [trace.layers[source.name].path for source in list_sources(trace, signal) if source.name in trace.layers]
        raise FrontendError(
            "an output takes the spikes of one step otherwise than those of another",
            where="output",
            measured=f"steps {', '.join(map(str, np.unique(entries.step)))} of {trace.n_steps}",
            limit="their stack, or a sum over all steps with the same weights",
            fix=f"return those of each step: torch.stack(list); or name the neurons that are read, such as outputs={names[-1:]}",
        )
    kept = np.zeros(signal.matrix.shape[1])
    for source in trace.sources.found:
        if source.step == trace.n_steps - 1 and source.start < kept.size:
            kept[source.start : source.start + source.size] = 1.0
    from scipy.sparse import diags_array

    return replace(signal, matrix=(signal.matrix @ diags_array(kept)).tocsr())

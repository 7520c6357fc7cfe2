"""What forward returns, told apart: spikes or membranes of neurons, or currents; of several steps, the last stands for all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from snnmap.core import FloatArray, IntArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.following.signal import Part, Signal, Source
from snnmap.frontends.following.trace import Trace

__all__ = ["Output", "read_outputs"]


@dataclass(frozen=True, slots=True)
class Output:
    """A tensor that forward returns.

    Attributes:
        kind: what it holds; ``state`` is one that is no membrane.
        names: of the layers whose spikes or membranes these are.
        parts: of currents.
        constant: likewise, ``(n,)``.
        path: of the module that gave the currents.
    """

    kind: Literal["spikes", "mem", "state", "currents"]
    names: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    constant: FloatArray = field(default_factory=lambda: np.zeros(0))
    path: str = ""


def read_outputs(trace: Trace) -> list[Output]:
    """Tell what forward returns.

    Raises:
        FrontendError: something that has no counterpart.
    """
    return [output for signal, shape in _join_steps(trace) for output in _read(trace, signal, shape)]


def _join_steps(trace: Trace) -> Iterator[tuple[Signal | FrontendError, tuple[int, ...]]]:
    """Yield what forward returns; of tensors of one step each that are alike, as a list holds them, the last alone."""
    keys = [_describe_one_step(trace, signal) for signal, _ in trace.outputs]
    lasts = {values for step, values in keys if step == trace.n_steps - 1}
    for (signal, shape), (step, values) in zip(trace.outputs, keys, strict=True):
        if step in (-1, trace.n_steps - 1) or values not in lasts:
            yield signal, shape


def _describe_one_step(trace: Trace, signal: Signal | FrontendError) -> tuple[int, tuple[bytes, ...]]:
    """Return the step of values that are of one alone, else -1, and all else that they are."""
    if isinstance(signal, FrontendError):
        return -1, ()
    entries = _list_entries(trace, signal)
    order = np.lexsort((entries.row, entries.source))
    values = (entries.row[order], entries.source[order], entries.data[order], signal.constant)
    steps = set(entries.step.tolist())
    return steps.pop() if len(steps) == 1 else -1, tuple(value.tobytes() for value in values)


def _read(trace: Trace, signal: Signal | FrontendError, shape: tuple[int, ...]) -> Iterator[Output]:
    if isinstance(signal, FrontendError):
        last_path = [layer.path for layer in trace.layers.values()][-1:]
        raise signal.advising(f"or name the neurons that are read, such as outputs={last_path}") if last_path else signal
    last = _take_last(trace, signal, shape)
    parts = list(trace.sources.split(last))
    sources = {part.source.kind for part in parts}
    if sources <= {"input"}:
        if parts and last.path:
            yield Output("currents", parts=tuple(parts), constant=last.constant, path=last.path)
        return
    if "state" in sources:
        yield _read_states(parts)
        return
    populations = _name_spikes(parts, last)
    if populations is None:
        yield Output("currents", parts=tuple(parts), constant=last.constant, path=last.path)
    else:
        yield Output("spikes", populations)


def _take_last(trace: Trace, signal: Signal, shape: tuple[int, ...]) -> Signal:
    """Return the part of the last step of values of several, stacked along a side or added up.

    Raises:
        FrontendError: the values of one step are not taken as those of the others.
    """
    steps = {source.step for source in _list_sources(trace, signal) if source.step is not None and source.kind != "input"}
    if steps <= {trace.n_steps - 1}:
        return signal
    entries = _list_entries(trace, signal)
    for axis in [axis for axis, side in enumerate(shape) if side and side % trace.n_steps == 0]:
        places = np.moveaxis(np.arange(signal.size).reshape(shape), axis, 0).reshape(trace.n_steps, -1)
        stack, place = np.divmod(np.argsort(places, axis=None)[entries.row], places.shape[1])
        last, constants = signal.pick(places[-1]), signal.constant[places]
        is_stack = bool(((entries.step == stack) | (entries.step < 0)).all() and (constants == constants[-1]).all())
        if is_stack and _are_alike(stack, (place, entries.source, entries.data), trace.n_steps):
            return last
        if (entries.step <= stack).all():
            return _take_of_sum(trace, last)  # of all steps so far
    return _take_of_sum(trace, signal)


@dataclass(frozen=True, slots=True)
class _Entries:
    """Weights of a signal: of which value, of which step of a source (-1: of every one), of which of its values, and how much."""

    row: IntArray
    step: IntArray
    source: IntArray
    data: FloatArray


def _list_entries(trace: Trace, signal: Signal) -> _Entries:
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
    return _Entries(entries.row, steps[number], entries.col - starts[number] + firsts[number], entries.data)


def _are_alike(step: IntArray, columns: Sequence[npt.NDArray[Any]], n_steps: int) -> bool:
    """Say whether what belongs to each step is the same."""
    order = np.lexsort((*columns, step))
    if not np.array_equal(step[order], np.repeat(np.arange(n_steps), step.size // n_steps)):
        return False
    tables = [column[order].reshape(n_steps, -1) for column in columns]
    return all(bool((table == table[-1]).all()) for table in tables)


def _take_of_sum(trace: Trace, signal: Signal) -> Signal:
    """Return what the last step adds to a sum over all."""
    if any(source.kind != "spikes" for source in _list_sources(trace, signal)) or signal.constant.any() or signal.path:
        raise FrontendError(
            "an output adds up currents or membranes over the steps, which no readout of a chip does",
            where="output",
            fix="return those of each step: torch.stack(list)",
        )
    entries = _list_entries(trace, signal)
    if not _are_alike(entries.step, (entries.row, entries.source, entries.data), trace.n_steps):
        names = [trace.layers[source.name].path for source in _list_sources(trace, signal)]
        raise FrontendError(
            "an output takes the spikes of one step otherwise than those of another",
            where="output",
            measured=f"steps {', '.join(map(str, np.unique(entries.step)))} of {trace.n_steps}",
            limit="their stack, or a sum over all steps with the same weights",
            fix=f"return those of each step: torch.stack(list); or name the neurons that are read, such as outputs={names[-1:]}",
        )
    kept = np.zeros(signal.matrix.shape[1])
    for source in trace.sources.found:
        if source.step == trace.n_steps - 1 and source.kind == "spikes" and source.start < kept.size:
            kept[source.start : source.start + source.size] = 1.0
    from scipy.sparse import diags_array

    return replace(signal, matrix=(signal.matrix @ diags_array(kept)).tocsr())


def _list_sources(trace: Trace, signal: Signal) -> list[Source]:
    return [part.source for part in trace.sources.split(signal)]


def _read_states(parts: list[Part]) -> Output:
    if len(parts) > 1 or parts[0].scales is None:
        raise FrontendError(
            "an output mixes states with other values", where="output", fix="return membranes and spikes each by itself"
        )
    source = parts[0].source
    return Output("mem" if source.state == "mem" else "state", (source.name,))


def _name_spikes(parts: list[Part], signal: Signal) -> tuple[str, ...] | None:
    """Return whose spikes the values are, one after the other; None where they are weighted, or not all worth the same.

    Raises:
        FrontendError: spikes of several neurons are added up.
    """
    if signal.constant.any() or any(part.source.kind != "spikes" for part in parts):
        return None
    starts = [int(part.weights.indices.min()) for part in parts]
    cut = [parts[number] for number in np.argsort(starts)]
    if not all(map(_is_whole, cut)):
        return None
    if len({value for part in cut for value in part.weights.data.tolist()}) > 1:
        return None
    if (np.diff(signal.matrix.indptr) > 1).any():
        raise FrontendError(
            "an output of forward is a sum of spikes, not the output of neurons",
            where="output",
            fix="return the spikes of each, or end the module with a Linear layer or neurons",
        )
    if not np.array_equal(np.concatenate([part.weights.indices for part in cut]), np.arange(signal.size)):
        return None
    return tuple(part.source.name for part in cut)


def _is_whole(part: Part) -> bool:
    """Say whether a source's values stand in their order, each times one factor above 0."""
    weights = part.weights
    each = np.array_equal(weights.indptr, np.arange(weights.shape[0] + 1))
    return bool(each and (np.diff(weights.indices) > 0).all() and (weights.data > 0).all())

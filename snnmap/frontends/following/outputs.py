"""What forward returns, told apart: spikes or membranes of neurons, or currents; of several steps, the last stands for all."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.frontends.following.signal import Part, Signal
from snnmap.frontends.following.sums import are_alike, list_entries, list_sources, read_sum
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
        over_steps: what forward returns of the values of all steps; empty where it returns them one by one, or the last.
    """

    kind: Literal["spikes", "mem", "state", "currents"]
    names: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    constant: FloatArray = field(default_factory=lambda: np.zeros(0))
    path: str = ""
    over_steps: Literal["", "mean", "sum"] = ""


def read_outputs(trace: Trace) -> list[Output]:
    """Tell what forward returns.

    Raises:
        FrontendError: something that has no counterpart.
    """
    return [output for place in _list_places(trace) for output in _read(trace, place)]


def _list_places(trace: Trace) -> Iterator[int]:
    """Yield the places of what forward returns; of tensors of one step each that are alike, as in a list, the last alone."""
    keys = [_describe_one_step(trace, signal) for signal, _ in trace.outputs]
    lasts = {values for step, values in keys if step == trace.n_steps - 1}
    for place, (step, values) in enumerate(keys):
        if step in (-1, trace.n_steps - 1) or values not in lasts:
            yield place


def _describe_one_step(trace: Trace, signal: Signal | FrontendError) -> tuple[int, tuple[bytes, ...]]:
    """Return the step of values that are of one alone, else -1, and all else that they are."""
    if isinstance(signal, FrontendError):
        return -1, ()
    entries = list_entries(trace, signal)
    order = np.lexsort((entries.row, entries.source))
    values = (entries.row[order], entries.source[order], entries.data[order], signal.constant)
    steps = set(entries.step.tolist())
    return steps.pop() if len(steps) == 1 else -1, tuple(value.tobytes() for value in values)


def _read(trace: Trace, place: int) -> Iterator[Output]:
    signal, shape = trace.outputs[place]
    if isinstance(signal, FrontendError):
        last_path = [layer.path for layer in trace.layers.values()][-1:]
        raise signal.advising(f"or name the neurons that are read, such as outputs={last_path}") if last_path else signal
    last, is_sum = _take_last(trace, signal, shape)
    if not is_sum:
        yield from _name(list(trace.sources.split(last)), last)
        return
    summed = read_sum(trace, last, lambda other: _take_last(other, *other.outputs[place])[0])
    yield from (replace(one, over_steps=summed.over_steps) for one in _name(summed.parts, summed.step, is_sum=True))


def _name(parts: list[Part], signal: Signal, *, is_sum: bool = False) -> Iterator[Output]:
    """Tell what the values of a step are."""
    sources = {part.source.kind for part in parts}
    if sources <= {"input"}:
        if parts and signal.path:
            yield Output("currents", parts=tuple(parts), constant=signal.constant, path=signal.path)
        return
    if "state" in sources:
        yield _read_states(parts, is_sum=is_sum)
        return
    populations = _name_spikes(parts, signal)
    if populations is None:
        yield Output("currents", parts=tuple(parts), constant=signal.constant, path=signal.path)
    else:
        yield Output("spikes", populations)


def _take_last(trace: Trace, signal: Signal | FrontendError, shape: tuple[int, ...]) -> tuple[Signal, bool]:
    """Return the part of the last step of values of several that are stacked along a side; else whether they are added up.

    Raises:
        FrontendError: the values have no counterpart.
    """
    if isinstance(signal, FrontendError):
        raise signal
    steps = {source.step for source in list_sources(trace, signal) if source.step is not None and source.kind != "input"}
    if steps <= {trace.n_steps - 1}:
        return signal, False
    entries = list_entries(trace, signal)
    for axis in [axis for axis, side in enumerate(shape) if side and side % trace.n_steps == 0]:
        places = np.moveaxis(np.arange(signal.size).reshape(shape), axis, 0).reshape(trace.n_steps, -1)
        stack, place = np.divmod(np.argsort(places, axis=None)[entries.row], places.shape[1])
        last, constants = signal.pick(places[-1]), signal.constant[places]
        is_stack = bool(((entries.step == stack) | (entries.step < 0)).all() and (constants == constants[-1]).all())
        if is_stack and are_alike(stack, (place, entries.source, entries.data), trace.n_steps):
            return last, False
        if (entries.step <= stack).all():
            return last, True  # of all steps so far
    return signal, True


def _read_states(parts: list[Part], *, is_sum: bool) -> Output:
    scales = parts[0].scales
    if len(parts) > 1 or scales is None or (scales != (scales[0] if is_sum else 1)).any() or scales[0] <= 0:
        raise FrontendError(
            "an output mixes states with other values, or weighs them",
            where="output",
            fix="return membranes and spikes each by itself, as the neurons give them",
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

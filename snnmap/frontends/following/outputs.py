"""What forward returns, told apart: spikes or membranes of neurons, or currents; of several steps, the last stands for all."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from snnmap.core import FloatArray
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
    return [output for signal, shape in trace.outputs for output in _read(trace, signal, shape)]


def _read(trace: Trace, signal: Signal | FrontendError, shape: tuple[int, ...]) -> Iterator[Output]:
    if isinstance(signal, FrontendError):
        raise signal
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
    names = _name_spikes(parts, last)
    if names is None:
        yield Output("currents", parts=tuple(parts), constant=last.constant, path=last.path)
    else:
        yield Output("spikes", names)


def _take_last(trace: Trace, signal: Signal, shape: tuple[int, ...]) -> Signal:
    """Return the part of the last step of values of several, stacked along a side or added up."""
    steps = {source.step for source in _list_sources(trace, signal) if source.step is not None and source.kind != "input"}
    if len(steps) < 2:
        return signal
    for axis in [axis for axis, side in enumerate(shape) if side == trace.n_steps]:
        places = np.moveaxis(np.arange(signal.size).reshape(shape), axis, 0)
        found = signal.pick(places[-1].reshape(-1))
        if {source.step for source in _list_sources(trace, found) if source.kind != "input"} == {max(steps)}:
            return found
    return _take_of_sum(trace, signal, max(steps))


def _take_of_sum(trace: Trace, signal: Signal, step: int) -> Signal:
    """Return what the last step adds to a sum over all."""
    if any(source.kind != "spikes" for source in _list_sources(trace, signal)) or signal.constant.any() or signal.path:
        raise FrontendError(
            "an output adds up currents or membranes over the steps, which no readout of a chip does",
            where="output",
            fix="return those of each step: torch.stack(list)",
        )
    kept = np.zeros(signal.matrix.shape[1])
    for source in trace.sources.found:
        if source.step == step and source.kind == "spikes" and source.start < kept.size:
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
    """Return whose spikes the values are, one after the other; None where they are weighted.

    Raises:
        FrontendError: spikes of several neurons are added up.
    """
    if signal.constant.any() or any(part.source.kind != "spikes" for part in parts):
        return None
    cut = [part for part in parts if _is_whole(part)]
    if len(cut) < len(parts):
        return None
    if (np.diff(signal.matrix.indptr) > 1).any():
        raise FrontendError(
            "an output of forward is a sum of spikes, not the output of neurons",
            where="output",
            fix="return the spikes of each, or end the module with a Linear layer or neurons",
        )
    return tuple(part.source.name for part in parts)


def _is_whole(part: Part) -> bool:
    """Say whether a source's values stand in their order, each times one factor above 0."""
    weights = part.weights
    each = np.array_equal(weights.indptr, np.arange(weights.shape[0] + 1))
    return bool(each and (np.diff(weights.indices) > 0).all() and (weights.data > 0).all())

"""The steady state in closed form: when each word comes and goes, sample after sample, if no buffer is ever full.

A stage of K firings of c cycles starts firing k when it has ended the one before and the words that it needs are there, r[k]:

    start[k] = max over i <= k of (r[i] + (k - i) c),  and all firings of samples before, an interval T earlier each

With M = max(r[i] - i c), that is ``k c + max(max over i <= k of (r[i] - i c), M - (T - K c))``: a sample before the last adds
nothing, since K c <= T. So one pass over the layers gives the state that a run reaches, and the words that each buffer holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snnmap.core.record import IntArray
from snnmap.dataflow.allocate import Stage
from snnmap.dataflow.lower import Flow, StreamGraph, group_firings
from snnmap.dataflow.pipeline import Buffer

__all__ = ["SteadyState", "find_steady_state", "pace_input", "size_buffers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SteadyState:
    """Cycles within a sample, from the first word of its inputs on; all repeat after an interval.

    Attributes:
        interval: cycles.
        starts: of each stage by name, ``(n_firings,)`` cycles at which firings start.
        handed: of each stream by name, ``(n_words,)`` cycles at which words take their place in buffers.
        ready: of each stream by name, when they can be read.
        freed: of each buffer by reader and place, ``(n_words,)`` cycles at which words leave.
    """

    interval: int
    starts: dict[str, IntArray]
    handed: dict[str, IntArray]
    ready: dict[str, IntArray]
    freed: dict[tuple[str, int], IntArray]


def find_steady_state(network: StreamGraph, stages: Sequence[Stage], interval: int) -> SteadyState:
    """Return the state that a pipeline without full buffers reaches, its inputs paced evenly over the interval."""
    state = SteadyState(interval=interval, starts={}, handed={}, ready={}, freed={})
    for stream in network.inputs:
        state.handed[stream.name] = state.ready[stream.name] = pace_input(stream.n_words, interval)
    for stage in stages:
        _add_stage(state, stage, group_firings(stage.layer.flow, stage.layer.target.width, stage.parallelism.places))
    return state


def pace_input(n_words: int, interval: int) -> IntArray:
    """Return the cycles at which the words of an input come."""
    return np.arange(n_words) * interval // n_words


def size_buffers(network: StreamGraph, state: SteadyState) -> tuple[Buffer, ...]:
    """Return each buffer with as many words as it ever holds in the steady state."""
    streams = network.streams
    return tuple(
        Buffer(
            stream=name,
            reader=layer.name,
            place=place,
            depth=_count_held(state.handed[name], state.freed[layer.name, place], state.interval),
            word_bytes=streams[name].channels,
        )
        for layer in network.layers
        for place, name in enumerate(layer.sources)
    )


def _add_stage(state: SteadyState, stage: Stage, flow: Flow) -> None:
    layer, steps = stage.layer, stage.steps
    needed = [state.ready[name][need - 1] for name, need in zip(layer.sources, flow.needs, strict=True)]
    work = np.arange(flow.n_firings) * steps
    lead = np.max(needed, axis=0) - work
    behind = lead.max() - (state.interval - flow.n_firings * steps)
    starts = work + np.maximum(np.maximum.accumulate(lead), behind)
    ends = starts + steps
    handed = ends[np.searchsorted(flow.gives, np.arange(layer.target.n_words), side="right")]
    state.starts[layer.name], state.handed[layer.name] = starts, handed
    state.ready[layer.name] = handed + stage.template.count_latency(layer, stage.parallelism)
    for place, (name, free) in enumerate(zip(layer.sources, flow.frees, strict=True)):
        ready = state.ready[name]
        gone = ends[np.searchsorted(free, np.arange(len(ready)), side="right")]
        state.freed[layer.name, place] = np.maximum(gone, ready)


def _count_held(handed: IntArray, freed: IntArray, interval: int) -> int:
    """Return how many words are in a buffer at most; what leaves in a cycle makes room for what comes in it."""
    before, within = np.divmod(handed - freed[0], interval)
    gone = before * len(handed) + np.searchsorted(freed - freed[0], within, side="right")
    return int((np.arange(1, len(handed) + 1) - gone).max())

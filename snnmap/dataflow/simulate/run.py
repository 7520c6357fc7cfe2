"""Simulate a pipeline in time: samples one behind the other, until all repeats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from snnmap.core.errors import InputError, NetworkError
from snnmap.core.record import IntArray, is_count, record
from snnmap.dataflow.lower import group_firings
from snnmap.dataflow.pipeline import Buffer, Pipeline
from snnmap.dataflow.simulate.kernel import UNKNOWN, Log, Plan, follow

__all__ = ["DeadlockError", "Occupancy", "Simulation", "simulate_timing"]

_FIRST_SAMPLES, _MOST_SAMPLES = 3, 96


class DeadlockError(NetworkError):
    """Stages of a pipeline wait for each other, and nothing moves any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """How a stage spends the cycles of the last sample's interval.

    Attributes:
        busy: cycles in which it computes.
        stalled: in which it waits for room in a buffer.
        idle: in which it waits for words.
        first_word: cycles from the first word of the first sample's inputs to its own first word.
    """

    busy: int
    stalled: int
    idle: int
    first_word: int


@record
class Simulation:
    """What a run showed.

    Attributes:
        n_samples: that were run.
        intervals: cycles from the last word of each sample to that of the next, of the slowest output.
        latency: cycles from the first word of the first sample's inputs until its last output word can be read.
        steady_latency: the same of the last sample.
        is_steady: whether samples can only go on as the last: in as many as a buffer ever holds, every word came and left an
            interval behind that of the sample before. What a sample does depends on no others.
        stages: by name of the layer.
        spans: of each stream by name, ``(n_samples, 2)`` cycles at which its first and last words were handed over.
        held: most words in each buffer during the last two samples, by its name.
        blocked: cycles of the last sample in which a full buffer held a stage back, by its name; those that did.
        blocked_ever: the same of all samples.
    """

    n_samples: int
    intervals: tuple[int, ...]
    latency: int
    steady_latency: int
    is_steady: bool
    stages: Mapping[str, Occupancy]
    spans: Mapping[str, IntArray]
    held: Mapping[str, int]
    blocked: Mapping[str, int]
    blocked_ever: Mapping[str, int]

    @property
    def interval(self) -> int:
        """Cycles from the last sample but one to the last."""
        return self.intervals[-1]

    @property
    def stalls(self) -> int:
        """Cycles of the last sample in which stages waited for room."""
        return sum(stage.stalled for stage in self.stages.values())


def simulate_timing(pipeline: Pipeline, *, n_samples: int | None = None, depths: Mapping[str, int] | None = None) -> Simulation:
    """Run samples through a pipeline whose inputs come evenly paced, one sample an interval.

    Args:
        pipeline: to run.
        n_samples: how many, 2 or more; without, as many as it takes until all repeats, or some 100 show that it does not.
        depths: words of buffers by name, in place of the pipeline's own.

    Raises:
        DeadlockError: stages wait for each other; it names them and the full buffers.
        InputError: no buffer has such a name, a depth is no whole number, or fewer than 2 samples.
    """
    if n_samples is not None and not is_count(n_samples, 2):
        raise InputError("too few samples show no interval", measured=str(n_samples), limit="2 or more", fix="give more")
    _require_depths(pipeline, depths or {})
    buffers = [replace(buffer, depth=(depths or {}).get(buffer.name, buffer.depth)) for buffer in pipeline.buffers]
    most = max(_MOST_SAMPLES, 4 * _count_reach(pipeline, pipeline.buffers))
    count = n_samples or min(max(_FIRST_SAMPLES, 2 + _count_reach(pipeline, buffers)), most)
    while True:
        found = _Run(pipeline, buffers, count).read()
        if found.is_steady or n_samples is not None or count >= most:
            return found
        count *= 2


def _require_depths(pipeline: Pipeline, depths: Mapping[str, int]) -> None:
    known = {buffer.name for buffer in pipeline.buffers}
    for name, depth in depths.items():
        if name not in known:
            raise InputError("the pipeline has no such buffer", where=name, fix="name one of pipeline.buffers")
        if not is_count(depth, 0):
            raise InputError("a buffer holds whole words", where=name, measured=str(depth), limit="0 or more", fix="round it")


def _count_reach(pipeline: Pipeline, buffers: Sequence[Buffer]) -> int:
    """Return how many samples back the room in a buffer may depend on."""
    streams = pipeline.front.streams
    return max(-(-buffer.depth // streams[buffer.stream].n_words) for buffer in buffers)


class _Run:
    """A plan, and the log of its run."""

    def __init__(self, pipeline: Pipeline, buffers: list[Buffer], n_samples: int) -> None:
        self.pipeline, self.buffers, self.n_samples = pipeline, buffers, n_samples
        self.inputs = [stream.name for stream in pipeline.network.inputs]
        self.names = [*self.inputs, *(stage.layer.name for stage in pipeline.stages)]
        self.flows = [
            group_firings(stage.layer.flow, stage.layer.target.width, stage.parallelism.places) for stage in pipeline.stages
        ]
        self.plan = self._make_plan()
        self.log = self._make_log()
        follow(self.plan, self.log, n_samples)

    def read(self) -> Simulation:
        """Return what the log says."""
        self._require_done()
        ends = self._find_ends()
        return Simulation(
            n_samples=self.n_samples,
            intervals=tuple(np.diff(ends).tolist()),
            latency=int(ends[0]),
            steady_latency=int(ends[-1]) - (self.n_samples - 1) * self.pipeline.interval,
            is_steady=self._is_steady() and int(ends[-1] - ends[-2]) == self.pipeline.interval,
            stages={stage.layer.name: self._read_stage(number) for number, stage in enumerate(self.pipeline.stages)},
            spans={name: self._times(name)[:, [0, -1]] for name in self.names},
            held={buffer.name: self._count_held(number) for number, buffer in enumerate(self.buffers)},
            blocked=self._read_blocked(self.log.blocked[:, -1]),
            blocked_ever=self._read_blocked(self.log.blocked.sum(axis=1)),
        )

    def _find_ends(self) -> IntArray:
        """Return the cycle from which on the last word of each sample's outputs can be read, ``(n_samples,)``.

        A unit starts when all words of a sample are in its memory and it has ended the sample before. Of two samples' room one is
        free by then: no word of the next sample but one comes before the last of the next, an interval later.
        """
        ends = np.max([self._find_ready(name)[:, -1] for name in self.pipeline.front.outputs], axis=0)
        if self.pipeline.unit is None:
            return np.asarray(ends)
        work = (np.arange(len(ends)) + 1) * self.pipeline.unit.cycles
        return np.asarray(np.maximum.accumulate(ends + self.pipeline.unit.cycles - work) + work)

    def _make_plan(self) -> Plan:
        streams = self.pipeline.network.inputs
        gives = [np.arange(1, stream.n_words + 1) for stream in streams] + [flow.gives for flow in self.flows]
        stages, n_inputs = self.pipeline.stages, len(streams)
        readers = {stage.layer.name: flow for stage, flow in zip(stages, self.flows, strict=True)}
        needs = [readers[buffer.reader].needs[buffer.place] for buffer in self.buffers]
        frees = [readers[buffer.reader].frees[buffer.place] for buffer in self.buffers]
        latency = [stage.template.count_latency(stage.layer, stage.parallelism) for stage in stages]
        return Plan(
            firings=np.array([len(one) for one in gives]),
            steps=np.array([0] * n_inputs + [stage.steps for stage in stages]),
            latency=np.array([0] * n_inputs + latency),
            given=np.array([one[-1] for one in gives]),
            gives=np.concatenate(gives),
            gives_at=_find_starts(gives),
            pace=np.array([self.pipeline.interval] * n_inputs + [0] * len(stages)),
            ins=self._list_buffers([buffer.reader for buffer in self.buffers]),
            outs=self._list_buffers([buffer.stream for buffer in self.buffers]),
            source=np.array([self.names.index(buffer.stream) for buffer in self.buffers]),
            words=np.array([self.pipeline.front.streams[buffer.stream].n_words for buffer in self.buffers]),
            depth=np.array([buffer.depth for buffer in self.buffers]),
            needs=np.concatenate(needs),
            frees=np.concatenate(frees),
            flow_at=_find_starts(needs),
        )

    def _list_buffers(self, owners: list[str]) -> IntArray:
        """Return the numbers of each stage's buffers, ``(n_stages, most)``."""
        rows = [[number for number, owner in enumerate(owners) if owner == name] for name in self.names]
        most = max(map(len, rows))
        return np.array([row + [UNKNOWN] * (most - len(row)) for row in rows])

    def _make_log(self) -> Log:
        plan, n_samples = self.plan, self.n_samples
        n_stages, n_buffers = len(plan.firings), len(plan.source)
        return Log(
            handed=np.full(n_samples * plan.given.sum(), UNKNOWN),
            handed_at=n_samples * (np.cumsum(plan.given) - plan.given),
            freed=np.full(n_samples * plan.words.sum(), UNKNOWN),
            freed_at=n_samples * (np.cumsum(plan.words) - plan.words),
            **{name: np.zeros(n_stages, np.int64) for name in ("started", "given", "owed", "ended")},
            gone=np.zeros(n_buffers, np.int64),
            stalls=np.zeros((n_stages, n_samples), np.int64),
            blocked=np.zeros((n_buffers, n_samples), np.int64),
        )

    def _times(self, name: str) -> IntArray:
        """Return when a stream's words were handed over, ``(n_samples, n_words)``."""
        number = self.names.index(name)
        first, count = self.log.handed_at[number], self.plan.given[number]
        return np.asarray(self.log.handed[first : first + self.n_samples * count].reshape(self.n_samples, count))

    def _find_ready(self, name: str) -> IntArray:
        """Return when they can be read, ``(n_samples, n_words)``."""
        return np.asarray(self._times(name) + self.plan.latency[self.names.index(name)])

    def _find_freed(self, number: int) -> IntArray:
        """Return when the words of a buffer left, ``(n_samples, n_words)``."""
        count, first = self.plan.words[number], self.log.freed_at[number]
        return np.asarray(self.log.freed[first : first + self.n_samples * count].reshape(self.n_samples, count))

    def _is_steady(self) -> bool:
        """Say whether all later samples are the last, some intervals on.

        When words of a sample come and leave is a maximum of sums over those of ``reach`` samples before: if each of these was
        an interval behind its own, so are all that follow. The earliest was held back by as many buffers as they are.
        """
        reach = _count_reach(self.pipeline, self.buffers)
        logs = [*map(self._times, self.names), *map(self._find_freed, range(len(self.buffers)))]
        repeats = (bool((np.diff(log[-reach - 1 :], axis=0) == self.pipeline.interval).all()) for log in logs)
        return self.n_samples > reach and all(repeats)

    def _read_stage(self, number: int) -> Occupancy:
        stage = self.pipeline.stages[number]
        stalled = int(self.log.stalls[len(self.inputs) + number, -1])
        times = self._times(stage.layer.name)
        first = int(self._find_ready(stage.layer.name)[0, 0])
        between = int(times[-1, -1] - times[-2, -1])
        return Occupancy(busy=stage.cycles, stalled=stalled, idle=between - stage.cycles - stalled, first_word=first)

    def _count_held(self, number: int) -> int:
        """Count the words that a buffer holds at most in the last two samples; all samples before are there too."""
        count, freed = self.plan.words[number], self._find_freed(number).reshape(-1)
        handed = self._times(self.buffers[number].stream).reshape(-1)
        recent = handed[-2 * count :]
        gone = np.searchsorted(freed, recent, side="right")
        return int((np.arange(len(handed) - len(recent), len(handed)) + 1 - gone).max())

    def _read_blocked(self, cycles: IntArray) -> dict[str, int]:
        return {buffer.name: int(count) for buffer, count in zip(self.buffers, cycles, strict=True) if count}

    def _require_done(self) -> None:
        late = [
            name for number, name in enumerate(self.names) if self.log.given[number] < self.n_samples * self.plan.given[number]
        ]
        if not late:
            return
        full = [buffer for number, buffer in enumerate(self.buffers) if self._is_full(number)][::-1]
        raise DeadlockError(
            "stages wait for each other",
            where=", ".join(f"'{name}'" for name in late[:5]) + (f" and {len(late) - 5} more" if len(late) > 5 else ""),
            measured=", ".join(f"'{buffer.name}' is full with {buffer.depth} words" for buffer in full[:3]),
            fix=f"give the first of these more words: snnmap.dataflow.build_pipeline finds how many ({len(full)} are full)",
        )

    def _is_full(self, number: int) -> bool:
        """Say whether a stage has a word that a buffer has no room for."""
        source = self.plan.source[number]
        waits = self.log.given[source] < self.log.owed[source]
        return bool(waits and self.log.given[source] - self.plan.depth[number] >= self.log.gone[number])


def _find_starts(parts: list[IntArray]) -> IntArray:
    return np.array([0, *accumulate(len(part) for part in parts)][:-1])

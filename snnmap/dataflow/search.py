"""The search for a pipeline within budgets: parallelism first, then the buffers that it needs, and again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from snnmap.core.errors import InputError
from snnmap.core.near import suggest
from snnmap.core.record import IntArray
from snnmap.dataflow.allocate import (
    Choices,
    Stage,
    Unit,
    choose_cut,
    divide,
    fit_interval,
    list_intervals,
    raise_slowest,
    search_exact,
)
from snnmap.dataflow.device import Device
from snnmap.dataflow.lower import StreamGraph
from snnmap.dataflow.options import PipelineOptions
from snnmap.dataflow.pipeline import Pipeline
from snnmap.dataflow.simulate import find_steady_state, size_buffers

__all__ = ["Search"]

_MOST_ROUNDS = 6
_MOST_TRIED = 200
_MEMORY = 1
"""Place among the resources."""
_UNLIMITED = int(np.iinfo(np.int32).max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A network, and what it may take.

    Attributes:
        network: layers.
        device: with as much of each resource as the budgets say.
        options: target, and how is searched.
        choices: of each layer.
    """

    network: StreamGraph
    device: Device
    options: PipelineOptions
    choices: Sequence[Choices]

    @property
    def budget(self) -> IntArray:
        """Multipliers, memory blocks and bytes of the link a cycle of the device."""
        memory = self.device.memory
        return np.array([self.device.multipliers, memory.blocks, int(memory.external_bytes_per_cycle)])

    @property
    def target(self) -> int | None:
        """Cycles of a sample that are few enough."""
        return None if self.options.fps is None else int(self.device.clock_mhz * 1e6 / self.options.fps)

    @property
    def fastest(self) -> int:
        """The interval of most parallelism that one layer alone may have; inputs and the link allow no less."""
        return max(int(list_intervals(self.choices)[0]), self.floor)

    @property
    def cut(self) -> int | None:
        """Number of the first layer of the unit.

        Raises:
            InputError: no layers can share a unit from there on.
        """
        name, names = self.options.cut, [layer.name for layer in self.network.layers]
        if name is None:
            return None
        cut = choose_cut(self.network) if name == "auto" else names.index(name) if name in names else 0
        if not 0 < cut < len(names):
            raise InputError(
                "no layers can share a unit from there on",
                where=name,
                measured=names[cut] if cut < len(names) else "no layer",
                limit=", ".join(names[1:5]) + ", ...",
                fix=suggest(name, names[1:], "name the first layer of the unit, behind at least one other; or leave cut out"),
            )
        return cut

    def find(self) -> Pipeline | None:
        """Divide the budgets, size the buffers, and again with the memory and the link that these take, until all fits."""
        taken = np.zeros(3, np.int64)
        for _ in range(_MOST_ROUNDS):
            pipeline = self._allocate_all(np.maximum(self.budget - taken, 0))
            if pipeline is None:
                break
            beyond = self._count_costs(pipeline) > self.budget
            if not beyond.any():
                return pipeline
            taken = np.maximum(self._count_others(pipeline), taken + beyond)
        return self._squeeze() if taken.any() else None

    def find_least(self, place: int) -> int | None:
        """Return the least of a resource with which a pipeline is found, the others as they are; None where they alone do not do.

        Args:
            place: of the resource among :data:`~snnmap.dataflow.allocate.RESOURCES`.
        """
        if self.cut is not None:
            return self._halve_least(place)
        roomy, least = self._with(place, _UNLIMITED), None
        for interval in self._list_tried()[::-1] if place == _MEMORY else self._list_intervals()[-1:]:
            numbers = fit_interval(self.choices, roomy.budget, interval, resource=place)
            if numbers is None or (least is not None and self._add_costs(numbers)[place] >= least):
                break  # a shorter interval takes no less
            pipeline = self._make(numbers)
            if roomy._fits(pipeline):
                count = int(self._count_costs(pipeline)[place])
                least = count if least is None else min(count, least)
        return least

    def _halve_least(self, place: int) -> int | None:
        low, high = int(self.budget[place]), _UNLIMITED
        if self._with(place, high).find() is None:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._with(place, middle).find() is None else (low, middle)
        return high

    def _with(self, place: int, count: int) -> "Search":
        """Return the same search with another budget of one resource."""
        field = ("blocks", "external_bytes_per_cycle")[place - 1]
        more = {"multipliers": count} if place == 0 else {"memory": replace(self.device.memory, **{field: count})}
        return replace(self, device=replace(self.device, **more))

    def _squeeze(self) -> Pipeline | None:
        """Return the fastest pipeline whose weights and buffers fit together; of many intervals, some are looked at first.

        Which buffers an interval needs does not grow with its speed alone, so that intervals cannot be halved.
        """
        if self.options.cut is not None:
            return None
        intervals, tried = self._list_intervals(), self._list_tried()
        coarse = self._find_first(tried)
        if coarse is None or len(tried) == len(intervals):
            return coarse
        place = next((place for place, interval in enumerate(intervals) if interval >= coarse.interval), len(intervals))
        return self._find_first(intervals[max(place - len(intervals) // len(tried), 0) : place]) or coarse

    def _list_intervals(self) -> list[int]:
        return [int(one) for one in list_intervals(self.choices) if self.target is None or one <= self.target]

    def _list_tried(self) -> list[int]:
        """Return the intervals that are looked at first, the longest among them."""
        intervals = self._list_intervals()
        return intervals[::-1][:: ceil(len(intervals) / _MOST_TRIED) or 1][::-1]

    def _find_first(self, intervals: Sequence[int]) -> Pipeline | None:
        made = (self._make(numbers) for interval in intervals for numbers in self._list_fits(interval))
        return next((one for one in made if self._fits(one)), None)

    def _list_fits(self, interval: int) -> Iterator[list[int]]:
        for resource in (_MEMORY, 0):
            numbers = fit_interval(self.choices, self.budget, interval, resource=resource)
            if numbers is not None:
                yield numbers

    def _fits(self, pipeline: Pipeline) -> bool:
        return bool((self._count_costs(pipeline) <= self.budget).all())

    def _add_costs(self, numbers: Sequence[int]) -> IntArray:
        return np.asarray(np.sum([choice.costs[one] for choice, one in zip(self.choices, numbers, strict=True)], axis=0))

    def _count_costs(self, pipeline: Pipeline) -> IntArray:
        """Return what a pipeline takes of each resource; the ends have the link to themselves where no weights come over it."""
        costs = np.sum([stage.costs for stage in pipeline.stages], axis=0)
        costs[2] += 0 if pipeline.unit is None else int(pipeline.unit.link_bytes)
        others = self._count_others(pipeline)
        return np.asarray(costs + (others if costs[2] else others * [1, 1, 0]))

    def _count_others(self, pipeline: Pipeline) -> IntArray:
        """Return what buffers take of the memory, and inputs and outputs of the link."""
        return np.array([0, pipeline.buffer_blocks, ceil(self._ends_bytes / pipeline.interval)])

    def _allocate_all(self, budget: IntArray) -> Pipeline | None:
        """Divide a budget between all layers, or between the first ones and a unit for the others; None where it does not do."""
        if self.cut is None:
            numbers = self._allocate(budget)
            return None if numbers is None else self._make(numbers)
        least = max(self.floor, self.target or 0)
        divided = divide(self.network, self.choices, self.cut, self.device, budget, least) if budget[2] > 0 else None
        pipeline = None if divided is None else self._make(*divided)
        return None if pipeline is None or (self.target is not None and pipeline.interval > self.target) else pipeline

    @property
    def _ends_bytes(self) -> int:
        """Bytes of a sample's inputs and outputs."""
        ends = [*self.network.inputs, *(self.network.streams[name] for name in self.network.outputs)]
        return sum(stream.n_words * stream.channels for stream in ends)

    @property
    def floor(self) -> int:
        """The interval that the inputs and the link set: a word a cycle of each input, all bytes over the link."""
        words = max(stream.n_words for stream in self.network.inputs)
        return max(words, ceil(self._ends_bytes / self.device.memory.external_bytes_per_cycle))

    def _allocate(self, budget: IntArray) -> list[int] | None:
        """Return the number of each layer's choice; None where none fits."""
        if self.target is None:
            return (raise_slowest if self.options.search == "loop" else search_exact)(self.choices, budget)
        return fit_interval(self.choices, budget, self.target) if self.target >= self.floor else None

    def _make(self, numbers: Sequence[int], unit: Unit | None = None) -> Pipeline:
        """Return the pipeline of a choice of each layer; layers without multipliers take as few lanes as the interval allows."""
        picked = [choice.stages[number] for choice, number in zip(self.choices, numbers, strict=False)]
        interval = max(self.floor, *(stage.cycles for stage in picked), unit.cycles if unit is not None else 0)
        stages = tuple(
            stage if stage.layer.matrix is not None else _take_fewest(choice, interval)
            for choice, stage in zip(self.choices, picked, strict=False)
        )
        front = self.network.take_first(len(stages))
        buffers = size_buffers(front, find_steady_state(front, stages, interval))
        return Pipeline(network=self.network, device=self.device, stages=stages, interval=interval, buffers=buffers, unit=unit)


def _take_fewest(choice: Choices, interval: int) -> Stage:
    """Return the choice of fewest lanes that keeps an interval."""
    return min((choice.stages[int(one)] for one in choice.select(interval)), key=lambda stage: stage.parallelism.lanes)

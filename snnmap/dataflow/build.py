"""The whole way: a quantised layer graph to a pipeline within budgets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, isfinite
from typing import Literal, TypeAlias, get_args

import numpy as np

from snnmap.core.errors import InputError, NetworkError
from snnmap.core.near import suggest
from snnmap.core.record import IntArray, is_count
from snnmap.dataflow.allocate import (
    RESOURCES,
    Choices,
    Stage,
    Unit,
    choose_cut,
    divide,
    find_least,
    fit_interval,
    list_choices,
    list_intervals,
    raise_slowest,
    search_exact,
)
from snnmap.dataflow.device import Device, load_device
from snnmap.dataflow.lower import StreamGraph, lower_graph
from snnmap.dataflow.pipeline import Pipeline
from snnmap.dataflow.simulate import find_steady_state, size_buffers
from snnmap.dataflow.templates import Legal
from snnmap.graph import LayerGraph

__all__ = ["PipelineOptions", "build_pipeline"]

Search: TypeAlias = Literal["loop", "exact"]
_MOST_ROUNDS = 6
_MOST_TRIED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """Choices of a build.

    Attributes:
        multipliers: budget; the device's where left out.
        memory_blocks: budget of weights and buffers; the device's where left out.
        fps: samples (frames) a second that are enough; without, as many as the budgets allow.
        search: ``loop`` raises the slowest layer until a budget ends, ``exact`` finds the least interval.
        parallelism: ``any``, or ``divisors`` of the loops' lengths alone.
        stream_weights: whether weights may come over the link each time that they are used.
        cut: name of the first of the layers that share one unit; ``auto`` takes the first from which on weights need more
            bandwidth than activations; without, every layer has hardware of its own.

    Raises:
        InputError: a choice out of range.
    """

    multipliers: int | None = None
    memory_blocks: int | None = None
    fps: float | None = None
    search: Search = "loop"
    parallelism: Legal = "any"
    stream_weights: bool = False
    cut: str | None = None

    def __post_init__(self) -> None:
        for name in ("multipliers", "memory_blocks"):
            value = getattr(self, name)
            InputError.require_option(
                self, name, value is None or is_count(value), "a whole number, 1 or more", of="the pipeline"
            )
        is_rate = self.fps is None or (isfinite(self.fps) and self.fps > 0)
        InputError.require_option(self, "fps", is_rate, "more than 0, finite", of="the pipeline")
        for name, known in (("search", get_args(Search)), ("parallelism", get_args(Legal))):
            InputError.require_option(self, name, getattr(self, name) in known, ", ".join(known), of="the pipeline")


def build_pipeline(
    graph: LayerGraph,
    device: str | Device,
    *,
    options: PipelineOptions | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> Pipeline:
    """Give every layer of a quantised graph hardware of its own, within budgets, and buffers that never stall it.

    Args:
        graph: with activations in uint8.
        device: its name, the path of its TOML file, or itself.
        options: budgets, target, and how they are searched.
        on_stage: is told each stage.

    Raises:
        NoTemplateError: nodes have no template; it tells all of them.
        NetworkError: no parallelism meets the budgets; it tells the least that would do.
    """
    tell, chosen = on_stage or (lambda _: None), options or PipelineOptions()
    target = _set_budgets(load_device(device) if isinstance(device, str) else device, chosen)
    tell("lowering to integers")
    network = lower_graph(graph, target)
    tell("listing what each layer can be")
    legal, streams = chosen.parallelism, chosen.stream_weights and chosen.cut is None  # a unit has the link to itself
    choices = [list_choices(layer, target, legal=legal, streams=streams) for layer in network.layers]
    tell("dividing the budgets")
    return _Search(network=network, device=target, options=chosen, choices=choices).run()


def _set_budgets(device: Device, options: PipelineOptions) -> Device:
    """Return a device that has as much as the budgets say."""
    memory = replace(device.memory, blocks=options.memory_blocks or device.memory.blocks)
    return replace(device, multipliers=options.multipliers or device.multipliers, memory=memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    network: StreamGraph
    device: Device
    options: PipelineOptions
    choices: Sequence[Choices]

    def run(self) -> Pipeline:
        """Divide the budgets, size the buffers, and again with the memory and the link that these take, until all fits."""
        taken = np.zeros(3, np.int64)
        for _ in range(_MOST_ROUNDS):
            try:
                pipeline = self._allocate_all(np.maximum(self._budget - taken, 0))
            except NetworkError as error:
                squeezed = self._squeeze() if taken.any() else None
                if squeezed is None:
                    raise error from None
                return squeezed
            beyond = self._count_costs(pipeline) > self._budget
            if not beyond.any():
                return pipeline
            taken = np.maximum(self._count_others(pipeline), taken + beyond)
        squeezed = self._squeeze()
        if squeezed is None:
            raise self._refuse_memory(pipeline)
        return squeezed

    def _squeeze(self) -> Pipeline | None:
        """Return the fastest pipeline whose weights and buffers fit together; of many intervals, some are looked at first.

        Which buffers an interval needs does not grow with its speed alone, so that intervals cannot be halved.
        """
        if self.options.cut is not None:
            return None
        intervals = [int(one) for one in list_intervals(self.choices) if self._target is None or one <= self._target]
        step = ceil(len(intervals) / _MOST_TRIED) if intervals else 1
        coarse = self._find_first(intervals[::-1][::step][::-1])
        if coarse is None or step == 1:
            return coarse
        place = next((place for place, interval in enumerate(intervals) if interval >= coarse.interval), len(intervals))
        return self._find_first(intervals[max(place - step + 1, 0) : place]) or coarse

    def _find_first(self, intervals: Sequence[int]) -> Pipeline | None:
        made = (self._make(numbers) for interval in intervals for numbers in self._list_fits(interval))
        return next((one for one in made if self._fits(one)), None)

    def _list_fits(self, interval: int) -> list[list[int]]:
        found = [fit_interval(self.choices, self._budget, interval, resource=resource) for resource in (1, 0)]
        return [numbers for numbers in found if numbers is not None]

    def _fits(self, pipeline: Pipeline) -> bool:
        return bool((self._count_costs(pipeline) <= self._budget).all())

    def _count_costs(self, pipeline: Pipeline) -> IntArray:
        """Return what a pipeline takes of each resource; the ends have the link to themselves where no weights come over it."""
        costs = np.sum([stage.costs for stage in pipeline.stages], axis=0)
        costs[2] += 0 if pipeline.unit is None else int(pipeline.unit.link_bytes)
        others = self._count_others(pipeline)
        return np.asarray(costs + (others if costs[2] else others * [1, 1, 0]))

    def _count_others(self, pipeline: Pipeline) -> IntArray:
        """Return what buffers take of the memory, and inputs and outputs of the link."""
        return np.array([0, pipeline.buffer_blocks, ceil(self._ends_bytes / pipeline.interval)])

    def _allocate_all(self, budget: IntArray) -> Pipeline:
        """Divide a budget between all layers, or between the first ones and a unit for the others."""
        if self.options.cut is None:
            return self._make(self._allocate(budget))
        cut, least = self._find_cut(self.options.cut), max(self._floor, self._target or 0)
        divided = divide(self.network, self.choices, cut, self.device, budget, least) if budget[2] > 0 else None
        if divided is None:
            raise self._refuse_cut(cut)
        interval = max(
            divided[1].cycles, *(int(one.cycles[number]) for one, number in zip(self.choices, divided[0], strict=False))
        )
        if self._target is not None and interval > self._target:
            raise self._refuse_target(interval)
        return self._make(divided[0], divided[1])

    def _find_cut(self, name: str) -> int:
        names = [layer.name for layer in self.network.layers]
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

    @property
    def _budget(self) -> IntArray:
        """Multipliers, memory blocks and bytes of the link a cycle of the device."""
        memory = self.device.memory
        return np.array([self.device.multipliers, memory.blocks, int(memory.external_bytes_per_cycle)])

    @property
    def _target(self) -> int | None:
        """Cycles of a sample that are few enough."""
        return None if self.options.fps is None else int(self.device.clock_mhz * 1e6 / self.options.fps)

    @property
    def _ends_bytes(self) -> int:
        """Bytes of a sample's inputs and outputs."""
        ends = [*self.network.inputs, *(self.network.streams[name] for name in self.network.outputs)]
        return sum(stream.n_words * stream.channels for stream in ends)

    @property
    def _floor(self) -> int:
        """The interval that the inputs and the link set: a word a cycle of each input, all bytes over the link."""
        words = max(stream.n_words for stream in self.network.inputs)
        return max(words, ceil(self._ends_bytes / self.device.memory.external_bytes_per_cycle))

    def _allocate(self, budget: IntArray) -> list[int]:
        """Return the number of each layer's choice."""
        if self._target is None:
            found = (raise_slowest if self.options.search == "loop" else search_exact)(self.choices, budget)
        else:
            found = fit_interval(self.choices, budget, self._target) if self._target >= self._floor else None
        if found is None:
            raise self._refuse(budget)
        return found

    def _make(self, numbers: Sequence[int], unit: Unit | None = None) -> Pipeline:
        """Return the pipeline of a choice of each layer; layers without multipliers take as few lanes as the interval allows."""
        picked = [choice.stages[number] for choice, number in zip(self.choices, numbers, strict=False)]
        interval = max(self._floor, *(stage.cycles for stage in picked), unit.cycles if unit is not None else 0)
        stages = tuple(
            stage if stage.layer.matrix is not None else _take_fewest(choice, interval)
            for choice, stage in zip(self.choices, picked, strict=False)
        )
        front = self.network.take_first(len(stages))
        buffers = size_buffers(front, find_steady_state(front, stages, interval))
        return Pipeline(network=self.network, device=self.device, stages=stages, interval=interval, buffers=buffers, unit=unit)

    def _refuse(self, budget: IntArray) -> NetworkError:
        """Tell what is short, and the least of it that would do, buffers and the ends' share of the link included."""
        slowest = max(int(list_intervals(self.choices)[0]), self._floor)
        if self._target is not None and self._target < slowest:
            return self._refuse_target(slowest)
        interval, whole = self._target or int(list_intervals(self.choices)[-1]), self._budget
        told = [(place, find_least(self.choices, budget, interval, place)) for place in range(len(RESOURCES))]
        least = [
            f"{count + whole[place] - budget[place]} {RESOURCES[place]}"
            for place, count in told
            if count is not None and count > budget[place]
        ]
        return NetworkError(
            "no parallelism of the layers meets the budgets",
            where=self.network.name,
            measured=" or ".join(least) or "more of several at once",
            limit=", ".join(f"{count} {name}" for count, name in zip(whole, RESOURCES, strict=True)),
            fix="give that many with multipliers= or memory_blocks=, a device that has them, fewer fps, or stream_weights=True",
        )

    def _refuse_target(self, interval: int) -> NetworkError:
        return NetworkError(
            "no parallelism is as fast as the target",
            where=self.network.name,
            measured=f"{self._target} cycles a sample",
            limit=f"{interval} at least",
            fix=f"give fps={self.device.clock_mhz * 1e6 / interval:.6g} or less, or more multipliers",
        )

    def _refuse_cut(self, cut: int) -> NetworkError:
        """Tell what the first layers alone need."""
        budget = np.array([np.iinfo(np.int32).max] * 3)
        first = self.choices[:cut]
        least = [find_least(first, budget, int(list_intervals(first)[-1]), place) for place in range(2)]
        return NetworkError(
            "no division between the first layers and a unit meets the budgets",
            where=f"{self.network.name}, cut at '{self.network.layers[cut].name}'",
            measured=f"{least[0]} multipliers and {least[1]} memory blocks for the first layers alone",
            limit=f"{self.device.multipliers} multipliers, {self.device.memory.blocks} memory blocks, for the unit too",
            fix="cut elsewhere, or give more multipliers= or memory_blocks=",
        )

    def _refuse_memory(self, pipeline: Pipeline) -> NetworkError:
        needed = pipeline.weight_blocks + pipeline.buffer_blocks
        return NetworkError(
            "weights and buffers do not fit the memory together",
            where=self.network.name,
            measured=f"{pipeline.weight_blocks} + {pipeline.buffer_blocks} blocks",
            limit=f"{self.device.memory.blocks}",
            fix=f"give memory_blocks={needed}, a device that has them, or smaller inputs",
        )


def _take_fewest(choice: Choices, interval: int) -> Stage:
    """Return the choice of fewest lanes that keeps an interval."""
    return min((choice.stages[int(one)] for one in choice.select(interval)), key=lambda stage: stage.parallelism.lanes)

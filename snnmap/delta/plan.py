"""A layer graph as signals and what follows their changes, node by node."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, fx

from snnmap.delta.activation import ACTIVATIONS, Activation
from snnmap.delta.layers import (
    Follower,
    Tally,
    find_resizing,
    follow_by_concat,
    follow_by_map,
    follow_by_mean,
    follow_by_pool,
    follow_by_resize,
    follow_by_sum,
    follow_by_synapses,
    make_tally,
)
from snnmap.delta.signal import Intake, Signal
from snnmap.delta.trace import find_path, is_layer
from snnmap.frontends.torch.partial import read_partly
from snnmap.graph.graph import Node
from snnmap.graph.operations.arithmetic import Add
from snnmap.graph.operations.conv import Conv
from snnmap.graph.operations.conv_transpose import ConvTranspose
from snnmap.graph.operations.gemm import Gemm
from snnmap.graph.operations.movement import Concat, Flatten, Reshape
from snnmap.graph.operations.opaque import Opaque
from snnmap.graph.operations.pooling import AveragePool, GlobalAveragePool, MaxPool

__all__ = ["Plan"]

_FOLLOWED = (Conv, ConvTranspose, Gemm, MaxPool, AveragePool, GlobalAveragePool, Add, Concat, Flatten, Reshape, *ACTIVATIONS)

Make = Callable[[Activation, Signal], Follower]


class Plan:
    """What a stream keeps and does at every step.

    Args:
        module: the traced model, in evaluation, of the stream's dtype.
        results: what each of its nodes gives for an example frame ``(1, ...)``.

    Attributes:
        input: the frame's signal.
        tallies: the work of the layers of weights.
        dense: names of the calls that skip nothing.

    Raises:
        FrontendError: the output depends on no frame.
    """

    def __init__(self, module: fx.GraphModule, results: Mapping[fx.Node, Any]) -> None:
        self.tallies: list[Tally] = []
        self.dense: list[str] = []
        self._graph, self._calls = read_partly(module, results, _FOLLOWED)
        (self._input_name,), (self._output_name,) = self._graph.inputs, self._graph.outputs
        self._dtype = next(iter(results.values())).numpy().dtype
        self._signals: dict[str, Signal] = {}
        self._others: dict[str, Any] = {}  # results that are no frames
        self._followers: dict[str, Follower] = {}
        self._intakes: dict[str, Intake] = {}  # of signals that come from torch
        self._users: defaultdict[str, list[Node]] = defaultdict(list)
        for node in self._graph.nodes:
            for name in dict.fromkeys(node.inputs):
                self._users[name].append(node)
        self.input = self._add_intake(self._input_name, "the frame")
        absorbed: set[str] = set()
        for node in self._graph.nodes:
            if node.name not in absorbed:
                absorbed.update(self._add(node))

    def start(self, frame: Tensor) -> None:
        """Run a first frame densely and take over all states."""
        self._load_all(frame)
        for tally in self.tallies:
            tally.count_start()

    def refresh(self, frame: Tensor) -> None:
        """Run the frame of this step densely as well, and take over all states."""
        self._load_all(frame)
        for tally in self.tallies:
            tally.count_refresh()

    def take(self, frame: Tensor) -> bool:
        """Take over what changed in a step's frame; give False, with nothing changed, where a value is not finite."""
        return self._intakes[self._input_name].take(frame)

    def follow(self) -> None:
        """Run a step, whose frame was taken."""
        for follower in self._followers.values():
            follower.run()

    def give_output(self) -> Tensor:
        """Return a copy of the output of now, ``(1, ...)``."""
        output: Tensor = self._fetch(self._output_name)
        return output.clone() if self._output_name in self._others else output

    def _load_all(self, frame: Tensor) -> None:
        results: dict[str, Any] = {self._input_name: frame}

        def fetch(name: str) -> Any:
            return results[name].clone() if isinstance(results[name], Tensor) else results[name]  # what takes it may change it

        self._load(self._input_name, frame)
        for node in self._graph.nodes:
            results[node.name] = self._calls[node.name].run(fetch)
            self._load(node.name, results[node.name])

    def _load(self, name: str, result: Any) -> None:
        if name in self._signals:
            self._signals[name].load(result)
            if name in self._intakes:
                self._intakes[name].load(result)
        elif name in self._others:
            self._others[name] = result
        if name in self._followers:
            self._followers[name].load(result)

    def _fetch(self, name: str) -> Any:
        return self._signals[name].tensor() if name in self._signals else self._others[name]

    def _add(self, node: Node) -> list[str]:
        """Add a node; give the nodes after it that it takes up."""
        sources = [self._signals[name] for name in node.inputs if name in self._signals]
        shape = self._graph.types[node.name].shape
        if isinstance(node.operation, Flatten | Reshape) and len(shape) == 1:
            self._signals[node.name] = sources[0].view(shape)
            return []
        if isinstance(node.operation, Concat) and node.operation.axis == 1 and all(source.keeps_channels for source in sources):
            out = Signal.make(shape, self._dtype)
            self._signals[node.name] = out if self._users[node.name] else out.without_list()
            self._followers[node.name] = follow_by_concat(sources, self._signals[node.name])
            return []
        make = self._choose_follower(node, sources)
        if make is not None:
            out = Signal.make(shape, self._dtype)
            return self._add_follower(node, Activation(out.stored[0], True, self._dtype), make, out)
        if isinstance(node.operation, ACTIVATIONS):
            activation = Activation(sources[0].stored[0], sources[0].keeps_channels, self._dtype)
            if activation.take(node, self._graph):
                return self._add_follower(node, activation, partial(follow_by_map, sources[0]), sources[0].like())
        self._add_dense(node, sources)
        return []

    def _add_follower(self, node: Node, activation: Activation, make: Make, out: Signal) -> list[str]:
        """Let a node and the activations that alone use it follow together, into ``out``."""
        names = [node.name]
        while len(users := self._users[names[-1]]) == 1 and names[-1] != self._output_name:
            if not activation.take(users[0], self._graph):
                break
            names.append(users[0].name)
        if not users:
            out = out.without_list()
        self._signals[names[-1]] = out
        self._followers[node.name] = make(activation, out)
        return names[1:]

    def _choose_follower(self, node: Node, sources: list[Signal]) -> Make | None:
        if isinstance(node.operation, Add):
            is_sum = len(sources) == 2 and sources[0].shape == sources[1].shape
            is_sum = is_sum and sources[0].stored == sources[1].stored == self._graph.types[node.name].shape
            return partial(follow_by_sum, sources[0], sources[1]) if is_sum else None
        if not isinstance(node.operation, Gemm) and not (sources and all(source.keeps_channels for source in sources)):
            return None
        match node.operation:
            case Gemm() | Conv() | ConvTranspose() if is_layer(self._calls[node.name].module):
                return self._follow_layer(node, node.operation, sources[0])
            case MaxPool() | AveragePool() if len(node.operation.kernel_shape) <= 2:
                return partial(follow_by_pool, node.operation, sources[0])
            case GlobalAveragePool():
                return partial(follow_by_mean, sources[0])
            case Opaque(call="Upsample" | "UpsamplingNearest2d" | "UpsamplingBilinear2d" | "interpolate"):
                is_known = len(sources) == 1 and len(sources[0].shape) in (2, 3)
                weights = find_resizing(self._bind_dense(node), sources[0]) if is_known else None
                return None if weights is None else partial(follow_by_resize, weights, sources[0])
        return None

    def _follow_layer(self, node: Node, layer: Gemm | Conv | ConvTranspose, source: Signal) -> Make:
        weight = self._graph.constants[node.inputs[1]]
        return partial(follow_by_synapses, layer, weight, source, self._add_tally(node, source), self._bind_dense(node))

    def _bind_dense(self, node: Node) -> Callable[[Tensor], Any]:
        return lambda values: self._calls[node.name].run(lambda _: values)

    def _add_tally(self, node: Node, source: Signal) -> Tally:
        call: Any = self._calls[node.name]
        n_outputs = math.prod(self._graph.types[node.name].shape)
        self.tallies.append(make_tally(find_path(call.name), call.module, source, n_outputs))
        return self.tallies[-1]

    def _add_dense(self, node: Node, sources: list[Signal]) -> None:
        """Let torch run a node on its whole inputs at every step."""
        call = self._calls[node.name]
        tally = self._add_tally(node, sources[0]) if sources and is_layer(call.module) else None
        if self._graph.types[node.name].dtype == "object":
            self._others[node.name] = None
        else:
            self._add_intake(node.name, node.tensor)
        self.dense.append(call.name if call.module is None else find_path(call.name))
        self._followers[node.name] = Follower(partial(self._run_dense, node.name, tally))

    def _add_intake(self, name: str, shown: str) -> Signal:
        signal = self._signals[name] = Signal.make(self._graph.types[name].shape, self._dtype)
        self._intakes[name] = Intake(signal, shown)
        return signal

    def _run_dense(self, name: str, tally: Tally | None) -> None:
        result = self._calls[name].run(self._fetch)
        if name in self._intakes:
            self._intakes[name].follow(result)
        else:
            self._others[name] = result
        if tally is not None:
            tally.count_dense()

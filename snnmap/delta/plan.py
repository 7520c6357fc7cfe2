"""A traced forward as signals and what follows their changes, node by node."""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from snnmap.core.errors import FrontendError, InputError
from snnmap.delta.activation import QUANTISERS, Activation, is_kind, is_silent
from snnmap.delta.layers import (
    Follower,
    Tally,
    follow_by_map,
    follow_by_mean,
    follow_by_pool,
    follow_by_sum,
    follow_by_synapses,
    make_tally,
)
from snnmap.delta.signal import Intake, Signal
from snnmap.nn.delta.inference import SynapticLayer
from snnmap.nn.delta.masked import MaskedConv1d, MaskedConv2d, MaskedLinear

__all__ = ["LEAVES", "Plan"]

_LINEAR: tuple[type[nn.Module], ...] = (nn.Linear, MaskedLinear)
_CONVOLUTIONS: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d, MaskedConv1d, MaskedConv2d)
_LINES: tuple[type[nn.Module], ...] = (nn.Conv1d, MaskedConv1d, nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d)
_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d)
_MEANS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_SUMS: tuple[object, ...] = (operator.add, operator.iadd, torch.add, "add", "add_")
_FLATTENINGS: tuple[object, ...] = (torch.flatten, torch.reshape, "flatten", "view", "reshape")
_SHAPES: tuple[object, ...] = ("size", "dim", "numel", getattr)
LEAVES: tuple[type[nn.Module], ...] = (*QUANTISERS, *_LINEAR, *_CONVOLUTIONS)

Make = Callable[[Activation, Signal], Follower]


class Plan:
    """What a stream keeps and does at every step.

    Args:
        module: the traced model, in evaluation, of the stream's dtype.
        example: a frame ``(1, ...)``, run once for the shapes of all nodes.

    Attributes:
        input: the frame's signal.
        tallies: the work of the layers of weights.
        dense: names of the nodes that skip nothing.

    Raises:
        FrontendError: the model cannot run the example.
        InputError: the model does not take one tensor and give one.
    """

    def __init__(self, module: fx.GraphModule, example: Tensor) -> None:
        self.tallies: list[Tally] = []
        self.dense: list[str] = []
        self._module = module
        self._signals: dict[fx.Node, Signal] = {}
        self._others: dict[fx.Node, Any] = {}  # results that are no frames
        self._followers: dict[fx.Node, Follower] = {}
        self._results: dict[fx.Node, Any] = {}
        self._intakes: dict[fx.Node, Intake] = {}  # of signals that come from torch
        self._input_node, self._output = self._find_ends()
        self._record(example)
        self.input = self._add_intake(self._input_node, example, "the frame")
        absorbed: set[fx.Node] = set()
        for node in module.graph.nodes:
            if node not in absorbed and node.op not in ("placeholder", "output"):
                absorbed.update(self._add(node))
        self._results.clear()

    def _record(self, example: Tensor) -> None:
        try:
            _Recorder(self._module, self._results.__setitem__).run(example.clone())
        except RuntimeError as error:
            fix = "give a frame (1, ...) that model(frame) takes"
            raise FrontendError.from_failure("the model cannot run the example", error, where="DeltaStream", fix=fix) from error
        output = self._results[self._output]
        if not isinstance(output, Tensor):
            raise InputError(
                "a stream gives one tensor a frame",
                where="DeltaStream",
                measured=type(output).__name__,
                limit="a tensor",
                fix="wrap the model so that its forward gives one",
            )

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

    def follow(self, frame: Tensor) -> None:
        """Run a step."""
        self._intakes[self._input_node].follow(frame)
        for follower in self._followers.values():
            follower.run()

    def give_output(self) -> Tensor:
        """Return a copy of the output of now, ``(1, ...)``."""
        output: Tensor = self._fetch(self._output)
        return output.clone() if self._output in self._others else output

    def _find_ends(self) -> tuple[fx.Node, fx.Node]:
        nodes = self._module.graph.nodes
        inputs = [node for node in nodes if node.op == "placeholder"]
        (output,) = (node.args[0] for node in nodes if node.op == "output")
        if len(inputs) != 1 or not isinstance(output, fx.Node):
            raise InputError(
                "a stream has one input and one output a frame",
                where="DeltaStream",
                measured=f"{len(inputs)} inputs, output {output}",
                limit="one tensor each",
                fix="wrap the model so that its forward takes one tensor and gives one",
            )
        return inputs[0], output

    def _load_all(self, frame: Tensor) -> None:
        def load(node: fx.Node, result: Any) -> None:
            if node in self._signals:
                self._signals[node].load(result)
                if node in self._intakes:
                    self._intakes[node].load(result)
            elif node in self._others:
                self._others[node] = result
            if node in self._followers:
                self._followers[node].load(result)

        _Recorder(self._module, load).run(frame.clone())

    def _fetch(self, node: fx.Node) -> Any:
        return self._signals[node].tensor() if node in self._signals else self._others[node]

    def _add(self, node: fx.Node) -> list[fx.Node]:
        """Add a node; give the nodes after it that it takes up."""
        result = self._results[node]
        module = self._module.get_submodule(str(node.target)) if node.op == "call_module" else None
        sources = [self._signals[value] for value in node.args if isinstance(value, fx.Node) and value in self._signals]
        if sources and self._is_frame(result):
            if _keeps_values(node, module, result):
                self._signals[node] = sources[0].view(tuple(result.shape[1:]))
                return []
            stored = result.shape[1:] or (1,)
            activation = Activation(stored[0], True, sources[0].values.dtype)
            make = self._choose_follower(node, module, sources, result)
            if make is not None:
                return self._add_follower(node, activation, make, _make_signal(result))
            activation = Activation(sources[0].stored[0], sources[0].keeps_channels, sources[0].values.dtype)
            if len(node.all_input_nodes) == 1 and activation.take(node, self._module, result.ndim):
                return self._add_follower(node, activation, partial(follow_by_map, sources[0]), sources[0].like())
        self._add_dense(node, module, sources)
        return []

    def _add_follower(self, node: fx.Node, activation: Activation, make: Make, out: Signal) -> list[fx.Node]:
        """Let a node and the activations that alone use it follow together, into ``out``."""
        absorbed = []
        last = node
        while len(last.users) == 1:
            user = next(iter(last.users))
            if user.all_input_nodes != [last] or not activation.take(user, self._module, len(out.shape) + 1):
                break
            absorbed.append(user)
            last = user
        if all(user.op == "output" for user in last.users):
            out = out.without_list()
        self._signals[last] = out
        self._followers[node] = make(activation, out)
        return absorbed

    def _choose_follower(self, node: fx.Node, module: Any, sources: list[Signal], result: Tensor) -> Make | None:
        source = sources[0]
        is_linear = is_kind(module, *_LINEAR) and len(source.shape) == 1
        n_axes = 1 if is_kind(module, *_LINES) else 2
        is_plane = source.keeps_channels and len(source.shape) == n_axes + 1  # else torch takes (1, height, width) for one frame
        if is_linear or (is_plane and is_kind(module, *_CONVOLUTIONS) and module.padding_mode == "zeros"):
            return partial(follow_by_synapses, module, source, self._add_tally(node, module, source))
        if is_plane and is_kind(module, *_POOLS) and not getattr(module, "return_indices", False):
            return partial(follow_by_pool, module, source)
        if is_plane and is_kind(module, *_MEANS) and set(result.shape[2:]) == {1}:
            return partial(follow_by_mean, source)
        is_sum = node.op != "call_module" and node.target in _SUMS and len(sources) == len(node.args) == 2 and not node.kwargs
        if is_sum and source.shape == sources[1].shape and source.stored == sources[1].stored == tuple(result.shape[1:]):
            return partial(follow_by_sum, source, sources[1])
        return None

    def _add_tally(self, node: fx.Node, layer: SynapticLayer, source: Signal) -> Tally:
        path = str(node.target).partition(".")[2]
        self.tallies.append(make_tally(path, layer, source, self._results[node][0].numel()))
        return self.tallies[-1]

    def _add_dense(self, node: fx.Node, module: Any, sources: list[Signal]) -> None:
        """Let torch run a node on its whole inputs at every step; what depends on no frame stays as it is."""
        result = self._results[node]
        self._others[node] = result
        is_constant = all(value in self._others and value not in self._followers for value in node.all_input_nodes)
        if is_constant or (node.target in _SHAPES and not isinstance(result, Tensor)):
            return
        is_counted = sources and is_kind(module, *_LINEAR, *_CONVOLUTIONS)
        tally = self._add_tally(node, module, sources[0]) if is_counted else None
        if self._is_frame(result):
            del self._others[node]
            self._add_intake(node, result, node.name)
        self.dense.append(str(node.target).partition(".")[2] if module is not None else node.name)
        self._followers[node] = Follower(partial(self._run_dense, node, tally))

    def _add_intake(self, node: fx.Node, result: Tensor, name: str) -> Signal:
        signal = self._signals[node] = _make_signal(result)
        self._intakes[node] = Intake(signal, name)
        return signal

    def _run_dense(self, node: fx.Node, tally: Tally | None) -> None:
        args, kwargs = (fx.map_arg(values, self._fetch) for values in (node.args, node.kwargs))
        result = getattr(_Recorder(self._module), node.op)(node.target, args, kwargs)
        if node in self._intakes:
            self._intakes[node].follow(result)
        else:
            self._others[node] = result
        if tally is not None:
            tally.count_dense()

    def _is_frame(self, result: Any) -> bool:
        """Say whether a result is one frame's values, ``(1, ...)``, of the stream's dtype."""
        if not isinstance(result, Tensor) or not result.ndim or result.shape[0] != 1 or not result.numel():
            return False
        return torch.from_numpy(self.input.values).dtype == result.dtype


class _Recorder(fx.Interpreter):
    """Runs a graph and shows each node's result before the next node can change it in place."""

    def __init__(self, module: fx.GraphModule, show: Callable[[fx.Node, Any], None] | None = None) -> None:
        super().__init__(module)
        self._show = show

    def run_node(self, n: fx.Node) -> Any:
        """Run and show a node."""
        result = super().run_node(n)
        if self._show is not None:
            self._show(n, result)
        return result


def _make_signal(result: Tensor) -> Signal:
    return Signal.make(tuple(result.shape[1:]), cast(Any, result.detach().numpy().dtype))


def _keeps_values(node: fx.Node, module: nn.Module | None, result: Tensor) -> bool:
    """Say whether a node gives its first input's values, in torch's order, as they are or flattened."""
    if node.target is nn.functional.dropout:
        training = node.kwargs.get("training", node.args[2] if len(node.args) > 2 else True)
        return training is False
    flattens = is_kind(module, nn.Flatten) or (module is None and node.target in _FLATTENINGS)
    return is_silent(module) or (flattens and result.ndim == 2)

"""One window that moves over a stream, through a network that computes only what the steps that enter reach."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.delta.moving import WINDOWED, Moving, Way, find_way, sees_last
from snnmap.delta.trace import choose_dtype, find_path, is_layer, trace_copy
from snnmap.frontends.torch.partial import read_partly
from snnmap.graph.graph import Node

__all__ = ["WindowStream"]


@dataclass(slots=True)
class _Kept:
    """What a stream keeps of a signal: places of time from ``start`` to before ``stop``, or all where it does not move."""

    moving: Moving | None
    start: int = 0
    stop: int = 0
    values: Any = None

    def widen(self, start: int, stop: int) -> None:
        """Keep a range of places too."""
        if self.stop:
            start, stop = min(start, self.start), max(stop, self.stop)
        self.start, self.stop = start, stop

    def part(self, start: int, stop: int) -> Tensor:
        """Return a copy of places that are kept, which a call may change."""
        assert self.moving is not None
        found: Tensor = self.values.narrow(self.moving.axis, start - self.start, stop - start)
        return found.clone()

    def whole(self) -> Any:
        """Return a copy of the whole, with zeros where nothing is kept since nobody looks there."""
        if not isinstance(self.values, Tensor) or self.moving is None or self.stop - self.start == self.moving.size:
            return self.values.clone() if isinstance(self.values, Tensor) else self.values
        found = self.values.new_zeros(self.moving.shape)
        found.narrow(self.moving.axis, self.start, self.stop - self.start).copy_(self.values)
        return found

    def split(self) -> list[tuple[int, int]]:
        """Return the ranges that a step computes: all but what has only moved."""
        assert self.moving is not None
        low, high = max(self.start, self.moving.first), min(self.stop - self.moving.hop, self.moving.stop)
        if high <= low:
            return [(self.start, self.stop)]
        return [(start, stop) for start, stop in ((self.start, low), (high, self.stop)) if start < stop]


class WindowStream:
    """Run a network of a window of time that moves on over one stream; what has only moved is not computed again.

    A convolution's outputs of a window are, but for its edges, those of the window before, some places further on. So each
    layer keeps its outputs, moves them, and computes those that the entering steps reach, and those at the other edge where
    zeros around the window are seen. Where the output is of the last place alone, as a causal convolution's usually is, each
    layer keeps and computes no more than it sees. At every step the output is ``model(window)``, but for the order of sums.

    These move: Conv1d and 2d, maximum and average pooling, where ``hop`` is a multiple of the strides up to there; what does
    the same at each place, such as activations, normalisation, Linear of the last axis, sums, transpositions; cutting and padding
    along time. What a call does is found by rule and tried on random values, whole and in parts. Every other call, such as a
    Linear of the flattened window, runs on the whole window at every step: :attr:`dense_nodes`.

    Args:
        model: of one window ``(1, ...)``; copied, in evaluation, with its weights of now.
        example_window: ``(1, ...)``; quantisers without a step take it from this window.
        axis: of time in the window.
        hop: steps by which the window moves on.
        dtype: of states and arithmetic: float32 or float64; None takes the model's.

    Attributes:
        dense_nodes: names of the calls that run on the whole window.
        n_macs: multiply-accumulates of a step in layers of weights, their zeros and those of padding included.
        n_macs_dense: the same of ``model(window)``.

    Raises:
        FrontendError: the model's forward cannot be followed, or its output depends on no window.
        InputError: windows of a batch, a forward of several arguments or results, another dtype, no such axis, or a hop that is
            no number of steps of the window.

    Example:
        >>> model = nn.Sequential(nn.Conv1d(3, 4, 5), nn.ReLU(), nn.Conv1d(4, 2, 3), nn.AdaptiveAvgPool1d(1))
        >>> stream = WindowStream(model, torch.zeros(1, 3, 100))
        >>> stream.step(torch.ones(1, 3, 1)).shape, stream.n_macs, stream.n_macs_dense
        (torch.Size([1, 2, 1]), 84, 8016)
    """

    def __init__(
        self, model: nn.Module, example_window: Tensor, *, axis: int = -1, hop: int = 1, dtype: torch.dtype | None = None
    ) -> None:
        dtype = choose_dtype(model, example_window) if dtype is None else dtype
        _require_options(example_window, axis, hop, dtype)
        module, results = trace_copy(model, example_window.to(dtype), where="WindowStream")
        self._graph, self._calls = read_partly(module, results, WINDOWED)
        (self._input,), (self._output,) = self._graph.inputs, self._graph.outputs
        shape = tuple(example_window.shape)
        moving = Moving(shape, dtype, axis % len(shape), hop, 0, shape[axis] - hop)
        self._kept = {self._input: _Kept(moving)}
        self._ways: dict[str, Way | None] = {}
        with torch.inference_mode():
            for node in self._graph.nodes:
                self._add(node)
            self._find_ranges()
        names = [self._calls[name].name for name, way in self._ways.items() if way is None]
        self.dense_nodes = tuple(find_path(name) or name for name in names)
        self.n_macs, self.n_macs_dense = (
            sum(counts) for counts in zip((0, 0), *map(self._count, self._graph.nodes), strict=True)
        )
        self.reset()

    def reset(self, window: Tensor | None = None) -> None:
        """Begin another stream, with a window ``(1, ...)`` of what came before, or of zeros.

        Raises:
            InputError: another shape.
        """
        kept = self._kept[self._input]
        assert kept.moving is not None
        window = torch.zeros(kept.moving.shape) if window is None else window
        self._require_shape(window, kept.moving.shape, "reset")
        part = window.detach().to(kept.moving.dtype).narrow(kept.moving.axis, kept.start, kept.stop - kept.start)
        kept.values = part.clone()
        self._run(lambda one: [(one.start, one.stop)])

    def step(self, entering: Tensor) -> Tensor:
        """Move the window on and return its output.

        Args:
            entering: ``(1, ...)``, of ``hop`` places along time.

        Returns:
            ``(1, ...)``, in the stream's dtype; the caller's to keep.

        Raises:
            InputError: another shape.
        """
        kept = self._kept[self._input]
        assert kept.moving is not None
        axis, hop = kept.moving.axis, kept.moving.hop
        shape = (*kept.moving.shape[:axis], hop, *kept.moving.shape[axis + 1 :])
        self._require_shape(entering, shape, "step")
        joint = torch.cat([kept.values, entering.detach().to(kept.moving.dtype)], axis)
        kept.values = joint.narrow(axis, joint.shape[axis] - kept.stop + kept.start, kept.stop - kept.start)
        self._run(_Kept.split)
        return self._kept[self._output].whole()

    def _run(self, split: Callable[[_Kept], list[tuple[int, int]]]) -> None:
        with torch.inference_mode():
            for node in self._graph.nodes:
                way, kept = self._ways[node.name], self._kept[node.name]
                if way is None:
                    kept.values = self._calls[node.name].run(lambda name: self._kept[name].whole())
                else:
                    kept.values = self._move(node, way, kept, split(kept))

    def _move(self, node: Node, way: Way, kept: _Kept, ranges: list[tuple[int, int]]) -> Tensor:
        """Compute a signal's places of some ranges, and let those between have moved."""
        parts, at = [], kept.start
        for start, stop in ranges:
            if at < start:
                parts.append(kept.part(at + way.out.hop, start + way.out.hop))
            parts.append(self._compute(node, way, start, stop))
            at = stop
        if at < kept.stop:
            parts.append(kept.part(at + way.out.hop, kept.stop + way.out.hop))
        return parts[0] if len(parts) == 1 else torch.cat(parts, way.out.axis)

    def _compute(self, node: Node, way: Way, start: int, stop: int) -> Tensor:
        parts = {}
        for name in self._find_sources(node):
            kept = self._kept[name]
            assert kept.moving is not None
            parts[name] = kept.part(*way.reaches(kept.moving, start, stop))
        return way.run(parts, start, stop)

    def _find_sources(self, node: Node) -> list[str]:
        return [name for name in dict.fromkeys(node.inputs) if name in self._kept]

    def _find_moving(self, node: Node) -> dict[str, Moving]:
        """Return the inputs of a node, or nothing where one of them does not move."""
        found = {name: self._kept[name].moving for name in self._find_sources(node)}
        moving = {name: one for name, one in found.items() if one is not None}
        return moving if len(moving) == len(found) else {}

    def _add(self, node: Node) -> None:
        kind, sources = self._graph.types[node.name], self._find_moving(node)
        is_sample = bool(sources) and kind.dtype != "object"
        way = find_way(node.operation, self._calls[node.name], sources, (1, *kind.shape)) if is_sample else None
        self._ways[node.name] = way
        self._kept[node.name] = _Kept(None if way is None else way.out)

    def _find_ranges(self) -> None:
        """Find what of each signal is seen, from the output back."""
        whole = self._kept[self._output]
        if whole.moving is not None:
            whole.widen(0, whole.moving.size)
        for node in reversed(self._graph.nodes):
            way, kept, sources = self._ways[node.name], self._kept[node.name], self._find_moving(node)
            if way is not None and not kept.stop:
                kept.widen(0, 1)  # which nobody sees
            is_last = way is None and bool(sources) and sees_last(self._calls[node.name], sources)
            for name in self._find_sources(node):
                self._widen(self._kept[name], way, kept, is_last)
        window = self._kept[self._input]
        assert window.moving is not None
        window.widen(window.moving.size - 1, window.moving.size)

    @staticmethod
    def _widen(source: _Kept, way: Way | None, kept: _Kept, is_last: bool) -> None:
        if source.moving is None:
            return
        size = source.moving.size
        if way is not None:
            source.widen(*way.reaches(source.moving, kept.start, kept.stop))
        else:
            source.widen(size - 1 if is_last else 0, size)

    def _count(self, node: Node) -> tuple[float, int]:
        """Count a layer's multiply-accumulates of a step and of a window."""
        module: Any = self._calls[node.name].module
        if not is_layer(module):
            return 0, 0
        is_transposed = isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d)
        shape = self._graph.types[node.inputs[0] if is_transposed else node.name].shape
        n_channels = shape[0 if module.weight.ndim > 2 else -1]
        n_macs, kept = module.weight.numel() * math.prod(shape) // n_channels, self._kept[node.name]
        if kept.moving is None:
            return n_macs, n_macs
        return n_macs * sum(stop - start for start, stop in kept.split()) // kept.moving.size, n_macs

    @staticmethod
    def _require_shape(given: Tensor, shape: tuple[int, ...], call: str) -> None:
        if tuple(given.shape) != shape:
            raise InputError(
                "the stream cannot take these steps",
                where=f"WindowStream.{call}",
                measured=str(tuple(given.shape)),
                limit=str(shape),
                fix="give step() what enters the window, and reset() a whole one",
            )


def _require_options(example: Tensor, axis: int, hop: int, dtype: torch.dtype) -> None:
    is_window = example.ndim >= 2 and example.shape[0] == 1 and example.numel() > 0
    if not is_window or axis not in {*range(1, example.ndim), *range(1 - example.ndim, 0)}:
        raise InputError(
            "a stream has one window, and time along an axis of it",
            where="WindowStream",
            measured=f"{tuple(example.shape)}, axis={axis}",
            limit="(1, ...), an axis behind the first",
            fix="give a window with a batch of 1, and axis=-1 where time comes last",
        )
    if not 1 <= hop <= example.shape[axis] or dtype not in (torch.float32, torch.float64):
        raise InputError(
            "a window cannot be moved so",
            where="WindowStream",
            measured=f"hop={hop}, dtype={dtype}",
            limit=f"1 to {example.shape[axis]} steps; float32 or float64",
            fix="give hop=1, dtype=torch.float32",
        )

"""What of a call's result only moves on where its input does, found by rule and tried on random values."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from snnmap.frontends.torch.partial import TorchCall
from snnmap.graph.operation import Operation, Shape
from snnmap.graph.operations.conv import Conv
from snnmap.graph.operations.opaque import Opaque
from snnmap.graph.operations.pooling import AveragePool, MaxPool
from snnmap.graph.windows import Windows

__all__ = ["WINDOWED", "Moving", "Way", "find_way", "sees_last"]

WINDOWED = (Conv, MaxPool, AveragePool)
_CUTTING = frozenset({"ConstantPad1d", "ConstantPad2d", "ZeroPad1d", "ZeroPad2d", "getitem", "narrow", "pad"})

_CLOSE = 256.0
"""Rounding errors, of the largest value, by which sums in another order may differ."""

Sources = Mapping[str, "Moving"]
Values = Mapping[str, Tensor]
Run = Callable[[Values, int, int], Tensor]


@dataclass(frozen=True, slots=True)
class Moving:
    """A signal ``(1, ...)`` that moves on along an axis.

    Attributes:
        shape: of the whole, with the batch.
        dtype: of its values.
        axis: of time.
        hop: places by which a step moves it.
        first: place from which on ...
        stop: ... to before which the signal is that of the step before, ``hop`` places further on.
    """

    shape: Shape
    dtype: torch.dtype
    axis: int
    hop: int
    first: int
    stop: int

    @property
    def size(self) -> int:
        """Places along time."""
        return self.shape[self.axis]


@dataclass(frozen=True, slots=True)
class Way:
    """How a part of a call's result along time is computed from a part of its inputs.

    Attributes:
        out: the result.
        stride: place ``t`` of the result sees its inputs from ``stride * t + offset`` ...
        offset: ...
        reach: ... to ``stride * t + offset + reach``, both included.
        run: gives the result's places of a range, from the inputs' places that :meth:`reaches` names.
    """

    out: Moving
    stride: int
    offset: int
    reach: int
    run: Run

    def reaches(self, source: Moving, start: int, stop: int) -> tuple[int, int]:
        """Return the range of an input's places, from a multiple of the stride on, that a range of the result sees."""
        low = max(self.stride * start + self.offset, 0) // self.stride * self.stride
        high = self.stride * (stop - 1) + self.offset + self.reach + 1
        low = min(low, (source.size - 1) // self.stride * self.stride)
        return low, max(min(high, source.size), low + 1)


def find_way(operation: Operation, call: TorchCall, sources: Sources, shape: Shape) -> Way | None:
    """Find how the result ``shape`` of a call on signals that all move follows them; None where it does not move as they do."""
    if len({(source.size, source.hop) for source in sources.values()}) > 1:
        return None
    trial = _Trial(call, sources)
    if not isinstance(trial.outs[1], Tensor):
        return None
    if isinstance(operation, WINDOWED):
        ways = [_slide(operation, call, sources, shape)]
    elif isinstance(operation, Opaque) and operation.call in _CUTTING:
        ways = [_select(trial, shape), *_map(trial, shape)]
    else:
        ways = _map(trial, shape)
    return next((way for way in ways if way is not None and trial.passes(way)), None)


def sees_last(call: TorchCall, sources: Sources) -> bool:
    """Say whether a call sees nothing of its inputs but their last place of time."""
    one, other = _draw(sources, 0), _draw(sources, 1)
    for name, source in sources.items():
        other[name].select(source.axis, -1).copy_(one[name].select(source.axis, -1))
    found = [_run(call, values) for values in (one, other)]
    return all(isinstance(value, Tensor) for value in found) and _are_close(*found)


def _slide(operation: Any, call: TorchCall, sources: Sources, shape: Shape) -> Way | None:
    """Give the way of a kernel."""
    (source,) = sources.values()
    windows, axis = operation.windows(), source.axis - 2
    if axis < 0 or source.hop % windows.strides[axis]:
        return None
    stride, spread = windows.strides[axis], windows.dilations[axis]
    offset, reach = -windows.pads[axis][0], spread * (windows.kernel[axis] - 1)
    inner, once = (_strip(call.module, windows, axis, one) for one in (spread, 1))

    def run(values: Values, start: int, stop: int) -> Tensor:
        (seen,), (low, _) = values.values(), way.reaches(source, start, stop)
        first, n_seen = stride * start + offset, stride * (stop - start - 1) + reach + 1
        if inner is not None and once is not None and first >= 0 and first + n_seen <= source.size:
            within = seen.narrow(source.axis, first - low, n_seen)
            found: Tensor = inner(within) if stop - start > 1 else once(_take(within, source.axis, slice(0, None, spread)))
            return found
        padded: Tensor = call.run(values.__getitem__)
        return padded.narrow(source.axis, start - low // stride, stop - start)

    way = Way(_follow(source, shape, source.axis, stride, offset, reach), stride, offset, reach, run)
    return way


def _strip(module: Any, windows: Windows, axis: int, spread: int) -> Any:
    """Give a layer that sees no zeros around time, and has another dilation there; None where a function is called.

    A single place is computed with a dilation of 1, of every so many-th value: torch is several times as fast.
    """
    if module is None or any(before != after for before, after in windows.pads):
        return None
    inner = copy.copy(module)
    inner.padding = tuple(0 if one == axis else before for one, (before, _) in enumerate(windows.pads))
    if hasattr(module, "dilation"):
        inner.dilation = tuple(spread if one == axis else old for one, old in enumerate(windows.dilations))
    return inner


def _map(trial: "_Trial", shape: Shape) -> list[Way | None]:
    """Give the ways, one an axis, of what may do the same at each place: an activation, a sum, a transposition."""
    sources = list(trial.sources.values())
    first, stop = max(source.first for source in sources), min(source.stop for source in sources)
    joint = replace(sources[0], first=first, stop=stop)

    def run(values: Values, _start: int, _stop: int) -> Any:
        return trial.call.run(values.__getitem__)

    axes = dict.fromkeys(axis for axis in (joint.axis, *range(1, len(shape))) if shape[axis : axis + 1] == (joint.size,))
    return [Way(_follow(joint, shape, axis, 1, 0, 0), 1, 0, 0, run) for axis in axes]


def _select(trial: "_Trial", shape: Shape) -> Way | None:
    """Give the way of what cuts places of time off, or puts constant ones before or behind."""
    ((name, source), *others) = trial.sources.items()
    axis, whole = source.axis, trial.outs[0]
    if others or len(shape) != len(source.shape) or _without(shape, axis) != _without(source.shape, axis):
        return None
    middle = shape[axis] // 2
    found, before = trial.find_place(name, middle), trial.find_place(name, middle - 1) if middle else None
    if found is None or (middle and before is None):
        return None
    stride = 1 if before is None else found - before
    offset = found - stride * middle
    if stride < 1 or source.hop % stride:
        return None

    def run(values: Values, start: int, stop: int) -> Tensor:
        low = way.reaches(source, start, stop)[0]
        first = min(max(-(offset // stride), start), stop)
        last = max(min((source.size - 1 - offset) // stride + 1, stop), first)
        seen = slice(stride * first + offset - low, stride * (last - 1) + offset - low + 1, stride) if first < last else slice(0)
        parts = whole.narrow(axis, start, first - start), _take(values[name], axis, seen)
        return torch.cat([*parts, whole.narrow(axis, last, stop - last)], axis)

    way = Way(_follow(source, shape, axis, stride, offset, 0), stride, offset, 0, run)
    return way


def _follow(source: Moving, shape: Shape, axis: int, stride: int, offset: int, reach: int) -> Moving:
    first = max(math.ceil((source.first - offset) / stride), 0)
    stop = min((source.stop - 1 - offset - reach) // stride + 1, shape[axis])
    return Moving(shape, source.dtype, axis, source.hop // stride, first, max(stop, first))


class _Trial:
    """A call on random values of now and of a step later, whole."""

    def __init__(self, call: TorchCall, sources: Sources) -> None:
        self.call, self.sources = call, sources
        self.before, self.now = _draw(sources, 0), _draw(sources, 1)
        for name, source in sources.items():
            n_kept = max(min(source.stop, source.size - source.hop) - source.first, 0)
            kept = self.before[name].narrow(source.axis, min(source.first + source.hop, source.size), n_kept)
            self.now[name].narrow(source.axis, source.first, n_kept).copy_(kept)
        self.outs = [_run(call, values) for values in (self.before, self.now)]

    def find_place(self, name: str, place: int) -> int | None:
        """Return the place of an input that the result has at a place of its own."""
        axis = self.sources[name].axis
        seen = self.now[name].movedim(axis, 0)
        same = (seen == self.outs[1].select(axis, place)).flatten(1).all(1).nonzero()
        return int(same[0]) if len(same) == 1 else None

    def passes(self, way: Way) -> bool:
        """Say whether what should only have moved has, and parts computed alone are those of the whole."""
        before, now = self.outs
        out = way.out
        if now.shape != out.shape:
            return False
        n_kept = max(min(out.stop, out.size - out.hop) - out.first, 0)
        moved = before.narrow(out.axis, min(out.first + out.hop, out.size), n_kept)
        if not _are_close(moved, now.narrow(out.axis, min(out.first, out.size - n_kept), n_kept)):
            return False
        edges = sorted({0, min(out.first, out.size), max(out.size // 2, 1), max(out.first + n_kept, 1), out.size - 1, out.size})
        return all(self._is_part(way, start, stop) for start, stop in pairwise(edges))

    def _is_part(self, way: Way, start: int, stop: int) -> bool:
        parts = {}
        for name, source in self.sources.items():
            low, high = way.reaches(source, start, stop)
            parts[name] = self.now[name].narrow(source.axis, low, high - low).clone()
        try:
            part = way.run(parts, start, stop)
        except Exception:  # whatever a call says of fewer places
            return False
        return _are_close(part, self.outs[1].narrow(way.out.axis, start, stop - start))


def _draw(sources: Sources, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(source.shape, generator=generator, dtype=source.dtype) for name, source in sources.items()}


def _run(call: TorchCall, values: Values) -> Any:
    """Return what a call gives for drawn values; None where it takes none."""
    try:
        return call.run(lambda name: values[name].clone())
    except Exception:  # whatever it expects of them
        return None


def _are_close(one: Tensor, other: Tensor) -> bool:
    """Say whether values are the same but for the order of sums."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not other.is_floating_point():
        return torch.equal(one, other)
    finite = other[other.isfinite()].abs()
    largest = float(finite.max()) if finite.numel() else 0.0
    return torch.allclose(one, other, rtol=0.0, atol=_CLOSE * torch.finfo(other.dtype).eps * largest, equal_nan=True)


def _take(values: Tensor, axis: int, places: slice) -> Tensor:
    return values[(slice(None),) * axis + (places,)]


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]

"""Layers of a stream: the arrays that a kernel needs, their first values, and what has been counted."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import numpy as np
import torch
from torch import Tensor

from snnmap.delta.activation import Activation
from snnmap.delta.kernels import (
    NEAR_BYTES,
    follow_concat,
    follow_map,
    follow_mean,
    follow_pool,
    follow_resize,
    follow_sum,
    follow_synapses,
    settle_all,
)
from snnmap.delta.signal import Array, Signal, allocate, flatten_last
from snnmap.graph.operations.conv import Conv
from snnmap.graph.operations.conv_transpose import ConvTranspose
from snnmap.graph.operations.gemm import Gemm
from snnmap.graph.operations.pooling import AveragePool, MaxPool
from snnmap.graph.windows import Windows
from snnmap.nn.delta.counts import LayerCount, count_fan_out
from snnmap.nn.delta.inference import WeightedLayer, effective_weight

__all__ = [
    "Follower",
    "Tally",
    "find_resizing",
    "follow_by_concat",
    "follow_by_map",
    "follow_by_mean",
    "follow_by_pool",
    "follow_by_resize",
    "follow_by_sum",
    "follow_by_synapses",
    "make_tally",
]

Weighted = Gemm | Conv | ConvTranspose

MAX_SPARSE_DENSITY = 1 / 16  # below it, lists of weights are faster than whole rows
MAX_CHANGED = (
    0.4  # of the input of a convolution whose weights are not near: above it torch, with its blocks of positions, is faster
)


@dataclass(frozen=True, slots=True)
class Follower:
    """How a node follows the changes of its inputs.

    Attributes:
        run: one step.
        load: takes over the state from the node's dense output, ``(1, ...)``, once its inputs and output are loaded.
    """

    run: Callable[[], object]
    load: Callable[[Tensor], None] = lambda _output: None


@dataclass(slots=True)
class Tally:
    """The work of one layer of weights.

    Attributes:
        path: of the layer in the model.
        source: its input.
        fan_out: weights that are not 0 that each value of it meets, in its order of memory.
        n_dense: multiply-accumulates of one frame that skips nothing.
        n_outputs: pre-activations.
        n_frames: since the reset.
        totals: events, their multiply-accumulates, values that are not 0, theirs; and these two of the last frame.
        n_extra_macs: those of dense passes, to be added to the events'.
    """

    path: str
    source: Signal
    fan_out: Array
    n_dense: int
    n_outputs: int
    n_frames: int = 0
    totals: Array = field(default_factory=lambda: np.zeros(6, np.int64))
    n_extra_macs: int = 0

    def reset(self) -> None:
        """Begin a stream."""
        self.totals[:] = 0
        self.n_frames = self.n_extra_macs = 0

    def load(self) -> None:
        """Count what the input holds now as the last frame's values."""
        active = self.source.values != 0
        self.totals[4:] = active.sum(), self.fan_out[active].sum()

    def count_start(self) -> None:
        """Count a first frame: the change from nothing."""
        self.load()
        self.totals[:4] = np.tile(self.totals[4:], 2)

    def count_refresh(self) -> None:
        """Count a dense pass beside a step's events."""
        self.load()
        self.n_extra_macs += self.n_dense

    def count_dense(self) -> None:
        """Count a step of a layer that skips nothing."""
        self.load()
        self.totals[0] += self.source.count[0]
        self.totals[2:4] += self.totals[4:]
        self.n_extra_macs += self.n_dense

    def give(self) -> LayerCount:
        """Return the counts since the reset."""
        n_changed, n_macs, n_active, n_macs_static = (int(total) for total in self.totals[:4])
        return LayerCount(
            name=self.path,
            n_values=self.source.values.size * self.n_frames,
            n_active=n_active,
            n_changed=n_changed,
            n_macs=n_macs + self.n_extra_macs,
            n_macs_static=n_macs_static,
            n_macs_dense=self.n_dense * self.n_frames,
            n_state=self.source.values.size + self.n_outputs,
        )


def make_tally(path: str, layer: WeightedLayer, source: Signal, n_outputs: int) -> Tally:
    """Make the tally of a layer that takes ``source``."""
    frame = torch.zeros(1, *source.shape)
    mask = effective_weight(layer).detach() != 0
    fan_outs = [count_fan_out(layer, frame, kept).expand(source.shape) for kept in (mask, torch.ones_like(mask))]
    fan_out = flatten_last(fan_outs[0], source.stored).astype(np.int32)
    return Tally(path, source, fan_out, int(fan_outs[1].sum()), n_outputs)


def follow_by_synapses(
    layer: Weighted,
    weight: Array,
    source: Signal,
    tally: Tally,
    run_dense: Callable[[Tensor], Tensor],
    activation: Activation,
    out: Signal,
) -> Follower:
    """Make a layer of weights follow; ``out`` is what follows it, after the activation, and ``run_dense`` the layer in torch."""
    dtype, n_inputs = source.values.dtype, source.values.size
    n_channels, row_width = activation.n_channels, activation.tables.shape[1]
    n_positions = tally.n_outputs // n_channels
    if isinstance(layer, Gemm):
        geometry = _make_geometry((n_inputs,), (), Windows((1,), (), (), ()))
    else:
        windows = Windows(layer.kernel_shape, layer.strides, layer.dilations, layer.pads)
        geometry = _make_geometry(source.stored, out.stored[1:], windows)
    axes = [_Axis.of(geometry[first::2], is_transposed=isinstance(layer, ConvTranspose)) for first in (1, 2)]
    ways = (*axes[0].list_reach(), *axes[1].list_reach())
    weights = _arrange_weights(layer, _place_weights(layer, weight, source, axes), row_width)
    total = allocate(n_positions * row_width, dtype)
    counted = (source.changed, tally.fan_out, tally.totals)
    sums = (total, allocate(n_inputs, dtype), np.zeros(n_positions, np.bool_))
    settling = (sums, allocate(row_width, dtype), activation.constants, out.changed)
    is_near = isinstance(layer, Gemm) or weights[0].nbytes <= NEAR_BYTES
    max_events = n_inputs if is_near else MAX_CHANGED * n_inputs

    def load(output: Tensor) -> None:
        flat = flatten_last(output, (n_channels, *output.shape[2:]))
        total.reshape(n_positions, row_width)[:, :n_channels] = flat.reshape(n_positions, n_channels)

    def run() -> None:
        if source.count[0] <= max_events:
            follow_synapses(*counted, geometry, ways, weights, *settling)
        else:
            load(run_dense(source.borrow()))
            settle_all(*counted, *settling)

    return Follower(run, load)


def follow_by_map(source: Signal, activation: Activation, out: Signal) -> Follower:
    """Make an activation follow that could not be taken up by the layer before it."""
    return Follower(partial(follow_map, source.changed, activation.constants, out.changed))


def follow_by_sum(left: Signal, right: Signal, activation: Activation, out: Signal) -> Follower:
    """Make a sum of two signals of equal shapes follow."""
    return Follower(partial(follow_sum, left.changed, right.changed, activation.constants, out.changed))


def follow_by_concat(sources: list[Signal], out: Signal) -> Follower:
    """Make signals of equal positions follow, their channels side by side: two by two where there are more."""
    left, runs = sources[0], []
    for number, right in enumerate(sources[1:], 2):
        sizes = left.stored[0], right.stored[0]
        joined = out if number == len(sources) else Signal.make((sum(sizes), *out.stored[1:]), out.values.dtype)
        runs.append(partial(follow_concat, left.changed, sizes[0], right.changed, sizes[1], joined.changed))
        left = joined
    return Follower(lambda: [run() for run in runs])


def follow_by_resize(weights: tuple[Array, Array], source: Signal, activation: Activation, out: Signal) -> Follower:
    """Make an interpolation within each channel follow, of the weights of :func:`find_resizing`."""
    geometry = _make_geometry(source.stored, out.stored[1:], Windows((1,) * len(out.stored[1:]), (), (), ()))
    n_positions, width = math.prod(out.stored[1:]), activation.tables.shape[1]
    ways = tuple(part for matrix in weights for part in (_find_span(matrix.T), matrix, _find_span(matrix)))
    sums = (allocate(n_positions * width, source.values.dtype), np.zeros(n_positions, np.bool_))
    fresh = allocate(width, source.values.dtype)
    return Follower(partial(follow_resize, source.changed, geometry, ways, sums, fresh, activation.constants, out.changed))


def find_resizing(resize: Callable[[Tensor], Tensor], source: Signal) -> tuple[Array, Array] | None:
    """Find what an interpolation does along y and x, ``(output size, input size)`` each, by running it; None if it does more."""
    matrices = [_probe_axis(resize, source, axis) for axis in range(2, len(source.stored) + 1)]
    frame = torch.rand(1, *source.stored, generator=torch.Generator().manual_seed(0), dtype=matrices[0].dtype)
    expected = frame
    for axis, matrix in enumerate(matrices, 2):
        expected = (expected.movedim(axis, -1) @ matrix.T).movedim(-1, axis)
    found = resize(frame)
    if found.shape != expected.shape or not torch.allclose(found, expected, rtol=1e-4, atol=1e-4):
        return None
    along_y, along_x = [torch.ones(1, 1, dtype=frame.dtype)] * (2 - len(matrices)) + matrices
    return along_y.numpy(), along_x.numpy()


def _probe_axis(resize: Callable[[Tensor], Tensor], source: Signal, axis: int) -> Tensor:
    """Return the weights of each place of an axis, which are the same wherever it stands on another."""
    columns = []
    for place in range(source.stored[axis - 1]):
        frame = torch.zeros(1, *source.stored, dtype=torch.from_numpy(source.values).dtype)
        frame.select(axis, place).fill_(1.0)
        columns.append(resize(frame).movedim(axis, -1).flatten(0, -2)[0])
    return torch.stack(columns, 1).contiguous()


def _find_span(matrix: Array) -> Array:
    """Return the first and the last place in each row that is not 0; (0, -1) where all are."""
    is_used = matrix != 0
    last = np.where(is_used.any(axis=1), matrix.shape[1] - 1 - is_used[:, ::-1].argmax(axis=1), -1)
    return np.stack([is_used.argmax(axis=1), last]).astype(np.int64)


def follow_by_mean(source: Signal, activation: Activation, out: Signal) -> Follower:
    """Make the mean over all positions follow."""
    n_channels = source.stored[0]
    n_positions = source.values.size // n_channels
    total, means, fresh = (allocate(activation.tables.shape[1], source.values.dtype) for _ in range(3))

    def load(_output: Tensor) -> None:
        total[:n_channels] = source.values.reshape(n_positions, n_channels).sum(0)

    arguments = (source.changed, n_positions, total, means, np.zeros(1, np.bool_), fresh)
    return Follower(partial(follow_mean, *arguments, activation.constants, out.changed), load)


def follow_by_pool(pool: MaxPool | AveragePool, source: Signal, activation: Activation, out: Signal) -> Follower:
    """Make maximum or average pooling follow."""
    windows = pool.windows()
    geometry = _make_geometry(source.stored, out.stored[1:], windows)
    divisors = np.zeros(0)
    if isinstance(pool, AveragePool):
        divisors = windows.count_places(source.stored[1:], with_pads=bool(pool.count_include_pad)).flatten()
    arguments = (source.changed, geometry, divisors.astype(source.values.dtype), np.zeros(out.values.size, np.bool_))
    return Follower(partial(follow_pool, *arguments, activation.constants, out.changed))


def _place_weights(layer: Weighted, weight: Array, source: Signal, axes: list["_Axis"]) -> Array:
    """Return weights as ``(kernel rows, channels / groups, columns, outputs)``, rows and columns in the order of the reach."""
    if isinstance(layer, Gemm):
        return weight[:, flatten_last(torch.arange(weight.shape[1]), source.stored)].T[np.newaxis, :, np.newaxis]
    if isinstance(layer, ConvTranspose):
        by_group = weight.reshape(layer.group, -1, *weight.shape[1:])
        weight = by_group.swapaxes(1, 2).reshape(-1, *by_group.shape[1:2], *weight.shape[2:])
    by_place = weight.reshape(*weight.shape[:2], -1, weight.shape[-1])[:, :, axes[0].order][..., axes[1].order]
    return by_place.transpose(2, 1, 3, 0)


def _arrange_weights(layer: Weighted, by_place: Array, row_width: int) -> tuple[Array, ...]:
    """Return weights as the kernels expect them: as rows, as lists or as each channel's own, by what is faster."""
    n_groups = 1 if isinstance(layer, Gemm) else layer.group
    n_outputs = by_place.shape[-1]
    is_channelwise = n_groups == n_outputs and by_place.shape[1] == 1 < n_groups
    if not is_channelwise and (n_groups > 1 or np.count_nonzero(by_place) < MAX_SPARSE_DENSITY * by_place.size):
        return _list_weights(by_place, n_groups)
    rows = allocate(by_place.size // n_outputs * row_width, by_place.dtype)
    rows.reshape(-1, row_width)[:, :n_outputs] = by_place.reshape(-1, n_outputs)
    none, nothing = np.zeros(0, np.int64), np.zeros(0, by_place.dtype)
    return rows, none, none, nothing, allocate(row_width, by_place.dtype) if is_channelwise else nothing


def _list_weights(by_place: Array, n_groups: int) -> tuple[Array, ...]:
    """Return the weights that are not 0, a list for each row of the kernel, input channel and column."""
    n_rows, n_group_inputs, n_columns, n_outputs = by_place.shape
    place_y, channel, place_x, target = by_place.nonzero()
    channel_in = target // (n_outputs // n_groups) * n_group_inputs + channel
    lists = (n_rows, n_groups * n_group_inputs, n_columns)
    row = np.ravel_multi_index((place_y, channel_in, place_x), lists)
    order = np.argsort(row, kind="stable")
    starts = np.zeros(math.prod(lists) + 1, np.int64)
    starts[1:] = np.cumsum(np.bincount(row, minlength=starts.size - 1))
    nothing = np.zeros(0, by_place.dtype)
    return nothing, starts, target[order], by_place[place_y, channel, place_x, target][order], nothing


@dataclass(frozen=True, slots=True)
class _Axis:
    """How a kernel slides along an axis."""

    size: int
    out_size: int
    kernel: int
    stride: int
    padding: int
    dilation: int
    is_transposed: bool

    @classmethod
    def of(cls, numbers: Array, *, is_transposed: bool) -> Self:
        """Take an axis' numbers from a geometry."""
        size, out_size, kernel, stride, padding, dilation = (int(number) for number in numbers)
        return cls(size, out_size, kernel, stride, padding, dilation, is_transposed)

    @property
    def order(self) -> Array:
        """The kernel's offsets in the order of places: so that neighbours reach neighbours, where they can."""
        if self.is_transposed:
            return np.arange(self.kernel)
        step = self.stride // self.dilation if self.stride % self.dilation == 0 else self.kernel
        return np.concatenate([np.arange(start, self.kernel, step)[::-1] for start in range(min(step, self.kernel))])

    def list_reach(self) -> tuple[Array, Array]:
        """Return the starts and the runs of a reach."""
        starts: list[int] = [0]
        runs: list[list[int]] = []
        for place_in in range(self.size):
            for place, offset in enumerate(self.order):
                target = self._find_target(place_in, int(offset))
                if not 0 <= target < self.out_size:
                    continue
                follows = len(runs) > starts[-1] and [sum(runs[-1][::2]), sum(runs[-1][1:])] == [target, place]
                if follows:
                    runs[-1][2] += 1
                else:
                    runs.append([target, place, 1])
            starts.append(len(runs))
        return np.array(starts, np.int64), np.array(runs, np.int64).reshape(-1, 3)

    def _find_target(self, place: int, offset: int) -> int:
        """Return the output that an input reaches through an offset of the kernel, -1 where there is none."""
        if self.is_transposed:
            return place * self.stride + offset * self.dilation - self.padding
        target, rest = divmod(place + self.padding - offset * self.dilation, self.stride)
        return -1 if rest else target


def _make_geometry(stored: tuple[int, ...], out_positions: tuple[int, ...], windows: Windows) -> Array:
    """Return the numbers that the kernels expect, of two axes: those that are missing come first."""
    before = tuple(pad[0] for pad in windows.pads)
    numbers = [stored[0]]
    for values, missing in (
        (stored[1:], 1), (out_positions, 1), (windows.kernel, 1), (windows.strides, 1), (before, 0), (windows.dilations, 1)
    ):  # fmt: skip
        numbers += [missing] * (2 - len(values)) + list(values)
    return np.array(numbers, np.int64)

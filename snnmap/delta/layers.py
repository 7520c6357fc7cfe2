"""Layers of a stream: the arrays that a kernel needs, their first values, and what has been counted."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snnmap.delta.activation import Activation
from snnmap.delta.kernels import LANE_BYTES, follow_map, follow_mean, follow_pool, follow_sum, follow_synapses, settle_all
from snnmap.delta.signal import Array, Signal, allocate, flatten_last
from snnmap.graph.operations.conv import Conv
from snnmap.graph.operations.gemm import Gemm
from snnmap.graph.operations.pooling import AveragePool, MaxPool
from snnmap.graph.windows import Windows
from snnmap.nn.delta.counts import LayerCount, count_fan_out
from snnmap.nn.delta.inference import SynapticLayer, effective_weight

__all__ = ["Follower", "Tally", "follow_by_map", "follow_by_mean", "follow_by_pool", "follow_by_sum", "follow_by_synapses"]

MAX_SPARSE_DENSITY = 1 / 16  # below it, lists of weights are faster than whole rows
NEAR_BYTES = 48 * 1024  # of weights, a core's first cache: with fewer, following took no longer than a dense step and its upkeep
BLOCK_BYTES = 64 * 1024  # of the weights that are added together for all positions: much nearer than the whole of a large layer
MAX_CHANGED = 0.4  # of the input of a convolution with more: above it torch, with its blocks of positions, is faster


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


def make_tally(path: str, layer: SynapticLayer, source: Signal, n_outputs: int) -> Tally:
    """Make the tally of a layer that takes ``source``."""
    frame = torch.zeros(1, *source.shape)
    mask = effective_weight(layer).detach() != 0
    fan_outs = [count_fan_out(layer, frame, kept).expand(source.shape) for kept in (mask, torch.ones_like(mask))]
    fan_out = flatten_last(fan_outs[0], source.stored).astype(np.int32)
    return Tally(path, source, fan_out, int(fan_outs[1].sum()), n_outputs)


def follow_by_synapses(
    layer: Gemm | Conv,
    weight: Array,
    source: Signal,
    tally: Tally,
    run_dense: Callable[[Tensor], Tensor],
    activation: Activation,
    out: Signal,
) -> Follower:
    """Make a layer of weights follow; ``out`` is what follows it, after the activation, and ``run_dense`` the layer in torch."""
    dtype, n_inputs = source.values.dtype, source.values.size
    n_channels = activation.n_channels
    n_positions = tally.n_outputs // n_channels
    if isinstance(layer, Gemm):
        geometry = _make_geometry((n_inputs,), (), Windows((1,), (), (), ()))
    else:
        geometry = _make_geometry(source.stored, out.stored[1:], layer.windows())
    ways = (_list_rows(geometry[[1, 3, 5, 7, 9, 11]]), *_list_reach(geometry[[2, 4, 6, 8, 10, 12]]))
    weights, width = _arrange_weights(layer, weight, source, geometry, n_positions)
    n_blocks = math.ceil(n_channels / width)
    total = allocate(n_blocks * n_positions * width, dtype)
    counted = (source.changed, tally.fan_out, tally.totals)
    positions = np.zeros((3, n_inputs // int(geometry[0]) + 1), np.int64)
    sums = (total, allocate(n_inputs, dtype), np.zeros(n_positions, np.bool_), positions, width)
    settling = (sums, allocate(activation.tables.shape[1], dtype), activation.constants, out.changed)
    is_near = isinstance(layer, Gemm) or weights[0].nbytes <= NEAR_BYTES
    max_events = n_inputs if is_near else MAX_CHANGED * n_inputs

    def load(output: Tensor) -> None:
        flat = flatten_last(output, (n_channels, *output.shape[2:]))
        for block, start in enumerate(range(0, n_channels, width)):
            part = flat.reshape(n_positions, n_channels)[:, start : start + width]
            total.reshape(n_blocks, n_positions, width)[block, :, : part.shape[1]] = part

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


def _arrange_weights(
    layer: Gemm | Conv, weight: Array, source: Signal, geometry: Array, n_positions: int
) -> tuple[tuple[Array, ...], int]:
    """Return a layer's weights as the kernels expect them, by what is faster, and the width of their blocks of channels."""
    if isinstance(layer, Gemm):
        by_place = weight[:, flatten_last(torch.arange(weight.shape[1]), source.stored)][:, :, np.newaxis, np.newaxis]
    else:
        by_place = weight.reshape(*weight.shape[:2], -1, weight.shape[-1])
        by_place = by_place[..., _order_places(*geometry[[6, 8, 12]])]
    n_groups = 1 if isinstance(layer, Gemm) else layer.group
    if n_groups == 1 and np.count_nonzero(weight) >= MAX_SPARSE_DENSITY * weight.size:
        return _make_blocks(by_place, source.values.dtype, n_positions)
    n_lanes = LANE_BYTES // source.values.itemsize
    width = math.ceil(len(weight) / n_lanes) * n_lanes
    if n_groups == len(weight) == source.stored[0]:
        return _make_channelwise(by_place, source.values.dtype, width), width
    return _make_lists(by_place, source.values.dtype, n_groups), width


def _make_blocks(by_place: Array, dtype: np.dtype[Any], n_positions: int) -> tuple[tuple[Array, ...], int]:
    """Return dense rows of output channels, in blocks of which a row of the kernel fits a core's first cache."""
    n_outputs, n_inputs, n_rows, n_columns = by_place.shape
    n_lanes = LANE_BYTES // dtype.itemsize
    n_vectors = math.ceil(n_outputs / n_lanes)
    n_near = max(BLOCK_BYTES // (n_inputs * n_columns * LANE_BYTES), 1) if n_positions > 1 else n_vectors
    n_blocks = math.ceil(n_vectors / n_near)
    width = math.ceil(n_vectors / n_blocks) * n_lanes
    n_blocks = math.ceil(n_outputs / width)
    rows = allocate(n_blocks * n_rows * n_inputs * n_columns * width, dtype)
    blocks = rows.reshape(n_blocks, n_rows, n_inputs, n_columns, width)
    for block in range(n_blocks):
        part = by_place[block * width : (block + 1) * width]
        blocks[block, ..., : len(part)] = part.transpose(2, 1, 3, 0)
    return (rows, *_no_lists(dtype), np.zeros(0, dtype)), width


def _make_channelwise(by_place: Array, dtype: np.dtype[Any], width: int) -> tuple[Array, ...]:
    """Return rows of channels, ``(kernel rows, kernel columns)`` of them, of a convolution within each channel."""
    n_channels, _, n_rows, n_columns = by_place.shape
    rows = allocate(n_rows * n_columns * width, dtype)
    rows.reshape(n_rows, n_columns, width)[..., :n_channels] = by_place[:, 0].transpose(1, 2, 0)
    return rows, *_no_lists(dtype), allocate(width, dtype)


def _make_lists(by_place: Array, dtype: np.dtype[Any], n_groups: int) -> tuple[Array, ...]:
    """Return the weights that are not 0 as lists, one for each row of the kernel, input channel and column of the kernel."""
    n_outputs, n_group_inputs, n_rows, n_columns = by_place.shape
    place_y, channel, place_x, target = by_place.transpose(2, 1, 3, 0).nonzero()
    n_inputs = n_groups * n_group_inputs
    own = target // (n_outputs // n_groups) * n_group_inputs + channel
    row = (place_y * n_inputs + own) * n_columns + place_x
    order = np.argsort(row, kind="stable")
    starts = np.zeros(n_rows * n_inputs * n_columns + 1, np.int64)
    starts[1:] = np.cumsum(np.bincount(row, minlength=starts.size - 1))
    synapses = by_place[target, channel, place_y, place_x][order]
    nothing = np.zeros(0, dtype)
    return nothing, starts, target[order], synapses.astype(dtype), nothing


def _no_lists(dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, dtype)


def _order_places(n_places: int, stride: int, dilation: int) -> Array:
    """Return a kernel's offsets along an axis in the order of places: so that neighbours reach neighbours, where they can."""
    step = stride // dilation if stride % dilation == 0 else n_places
    return np.concatenate([np.arange(start, n_places, step)[::-1] for start in range(min(step, n_places))])


def _list_rows(axis: Array) -> Array:
    """Return the outputs ``(input size, kernel)`` that an input reaches by each offset, -1 where there is none."""
    size, out_size, kernel, stride, padding, dilation = (int(number) for number in axis)
    targets, rests = np.divmod(np.arange(size)[:, np.newaxis] + padding - np.arange(kernel) * dilation, stride)
    return np.where((rests == 0) & (targets >= 0) & (targets < out_size), targets, -1)


def _list_reach(axis: Array) -> tuple[Array, Array]:
    """Return the starts and the runs of a reach, of an axis' input and output size, kernel, stride, padding and dilation."""
    size, out_size, kernel, stride, padding, dilation = (int(number) for number in axis)
    places = list(enumerate(_order_places(kernel, stride, dilation)))
    starts: list[int] = [0]
    runs: list[list[int]] = []
    for place_in in range(size):
        for place, offset in places:
            target, rest = divmod(place_in + padding - int(offset) * dilation, stride)
            if rest or not 0 <= target < out_size:
                continue
            follows = len(runs) > starts[-1] and [sum(runs[-1][::2]), sum(runs[-1][1:])] == [target, place]
            if follows:
                runs[-1][2] += 1
            else:
                runs.append([target, place, 1])
        starts.append(len(runs))
    return np.array(starts, np.int64), np.array(runs, np.int64).reshape(-1, 3)


def _make_geometry(stored: tuple[int, ...], out_positions: tuple[int, ...], windows: Windows) -> Array:
    """Return the numbers that the kernels expect, of two axes: those that are missing come first."""
    before = tuple(pad[0] for pad in windows.pads)
    numbers = [stored[0]]
    for values, missing in (
        (stored[1:], 1), (out_positions, 1), (windows.kernel, 1), (windows.strides, 1), (before, 0), (windows.dilations, 1)
    ):  # fmt: skip
        numbers += [missing] * (2 - len(values)) + list(values)
    return np.array(numbers, np.int64)

"""The loops of :class:`snnmap.nn.DeltaStream`: each changed value's weights are added to the pre-activations that they reach.

A signal is one frame, flat, channels last: value ``position * n_channels + channel``, ``position`` a pixel, a sample of a
one-dimensional signal, or 0. It comes as ``(values, indices, olds, count)``: what changed in a step is a list, the first
``count[0]`` of ``indices``, ascending, and of ``olds``, the values of before. A block of memory lies behind the last value.

An activation is ``(rounds, n_channels, tables, limits)``: a factor and a shift a channel, then a lowest value, then, where it
rounds, levels. ``tables`` (3, channels in whole blocks) holds factors, shifts and steps, ``limits`` the lowest value, what is
added before rounding down, and the bottom and top level.

A geometry holds the input's channels, height and width, the output's height and width, the kernel's, its stride, padding and
dilation.
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from snnmap.nn.delta.stream_vectors import LANE_BYTES, add_rows, first_bit, settle_lanes, unequal_lanes

__all__ = [
    "find_changes",
    "follow_map",
    "follow_mean",
    "follow_pool",
    "follow_sum",
    "follow_synapses",
]

Array = npt.NDArray[Any]
_compile: Any = numba.njit(cache=True, nogil=True, error_model="numpy")


@_compile
def _record(index: int, new: Any, values: Array, indices: Array, olds: Array, count: Array) -> None:
    indices[count[0]], olds[count[0]] = index, values[index]
    values[index] = new
    count[0] += 1


@_compile
def _mark_changes(new: Array, given: Array, n_channels: int, marks: Array) -> bool:
    """Mark the positions where frames differ, channels first; give False, nothing marked, where a change is not finite."""
    n_lanes, n_positions = LANE_BYTES // given.itemsize, marks.size
    blocks_end = n_positions // n_lanes * n_lanes
    is_finite = True
    for channel in range(n_channels):
        start = channel * n_positions
        for block in range(0, blocks_end, n_lanes):
            bits = unequal_lanes(new, start + block, given, start + block)
            while bits != 0:
                position = block + first_bit(bits)
                marks[position] = True
                is_finite &= bool(np.isfinite(new[start + position]))
                bits &= bits - 1
        for position in range(blocks_end, n_positions):
            if new[start + position] != given[start + position]:
                marks[position] = True
                is_finite &= bool(np.isfinite(new[start + position]))
    if not is_finite:
        marks[:] = False
    return is_finite


@_compile
def find_changes(new: Array, given: Array, marks: Array, out: Any) -> bool:
    """Take over a frame that comes channels first and list where it differs from ``given``, the one of before, likewise.

    ``marks``, one a position, are False before and after. Gives False, with nothing changed, where a value is not finite.
    """
    values, indices, olds, count = out
    n_positions = marks.size
    n_channels = values.size // n_positions
    if not _mark_changes(new, given, n_channels, marks):
        return False
    count[0] = 0
    for position in range(n_positions):
        if marks[position]:
            marks[position] = False
            for channel in range(n_channels):
                place = channel * n_positions + position
                if new[place] != given[place]:
                    given[place] = new[place]
                    _record(position * n_channels + channel, new[place], values, indices, olds, count)
    return True


@_compile
def _settle(index: int, x: Any, activation: Any, out: Any) -> None:
    """Take over one value before its activation."""
    rounds, n_channels, tables, limits = activation
    values, indices, olds, count = out
    channel = index % n_channels
    x = x * tables[0, channel] + tables[1, channel]
    x = limits[0] if x < limits[0] else x
    if rounds:
        level = np.floor(x / tables[2, channel] + limits[1])
        level = limits[2] if level < limits[2] else level
        x = (limits[3] if level > limits[3] else level) * tables[2, channel]
    if x != values[index]:
        _record(index, x, values, indices, olds, count)


@_compile
def _settle_positions(touched: Array, n_touched: int, total: Array, fresh: Array, activation: Any, out: Any) -> None:
    """Take over whole positions before their activation: ``total`` has a row of the tables' width for each."""
    rounds, n_channels, tables, limits = activation
    values, indices, olds, count = out
    width, n_lanes = tables.shape[1], LANE_BYTES // values.itemsize
    found = count[0]
    for n in range(n_touched):
        at, first = touched[n] * width, touched[n] * n_channels
        for block in range(0, width, n_lanes):
            bits = settle_lanes(total, at + block, rounds, tables, width, block, limits, fresh, values, first + block)
            if block + n_lanes > n_channels:
                bits &= (1 << (n_channels - block)) - 1
            while bits != 0:
                channel = block + first_bit(bits)
                indices[found], olds[found] = first + channel, values[first + channel]
                values[first + channel] = fresh[channel]
                found += 1
                bits &= bits - 1
    count[0] = found


@_compile
def _index_positions(source: Any, n_channels: int, begins: Array) -> None:
    """Give at which event each position's begin, and after them their number."""
    indices, n_events = source[1], source[3][0]
    event = 0
    for position in range(begins.size):
        while event < n_events and indices[event] < position * n_channels:
            event += 1
        begins[position] = event


@_compile
def _tally(source: Any, fan_out: Array, changes: Array, tallies: Array) -> None:
    """Give the changes; count events and multiplications, and keep how many values are not 0 and what those would cost."""
    values, indices, olds, count = source
    n_macs = n_active = n_active_macs = 0
    for event in range(count[0]):
        index, old = indices[event], olds[event]
        new, n_weights = values[index], fan_out[index]
        changes[event] = new - old
        n_macs += n_weights
        appears = int(new != 0) - int(old != 0)
        n_active += appears
        n_active_macs += appears * n_weights
    tallies[0] += count[0]
    tallies[1] += n_macs
    tallies[4] += n_active
    tallies[5] += n_active_macs
    tallies[2] += tallies[4]
    tallies[3] += tallies[5]


@_compile
def _gather(indices: Array, changes: Array, begins: Array, geometry: Array, weights: Any, total: Array, touched: Array) -> int:
    """Add the products to ``total``, position by position; list the positions that got any, and give their number.

    Events are in the order of memory, so that those of a kernel's row are neighbours, and so are their rows of weights.
    """
    rows, starts, targets, synapses = weights
    n_inputs, height, width, out_height, out_width, kernel_height, kernel_width = geometry[:7]
    stride_y, stride_x, pad_y, pad_x, dilation_y, dilation_x = geometry[7:13]
    row_width = total.size // (out_height * out_width)
    n_pixels = kernel_width if dilation_x == 1 else 1
    is_dense = starts.size == 0
    n_touched = 0
    for target_y in range(out_height):
        top = target_y * stride_y - pad_y
        bottom = top + (kernel_height - 1) * dilation_y
        if begins[max(top, 0) * width] == begins[(min(bottom, height - 1) + 1) * width]:
            continue
        for target_x in range(out_width):
            left, target, n_found = target_x * stride_x - pad_x, target_y * out_width + target_x, 0
            for i in range(kernel_height):
                y = top + i * dilation_y
                if not 0 <= y < height:
                    continue
                for j in range(0, kernel_width, n_pixels):
                    x = left + j * dilation_x
                    first, last = y * width + max(x, 0), y * width + min(x + n_pixels, width)
                    if first >= last or begins[first] == begins[last]:
                        continue
                    start, stop = begins[first], begins[last]
                    row = (i * kernel_width + j - y * width - x) * n_inputs
                    n_found += stop - start
                    if is_dense:
                        add_rows(total, target * row_width, rows, row, row_width, indices, changes, start, stop)
                        continue
                    for event in range(start, stop):
                        own = row + indices[event]
                        for synapse in range(starts[own], starts[own + 1]):
                            total[target * row_width + targets[synapse]] += changes[event] * synapses[synapse]
            if n_found:
                touched[n_touched] = target
                n_touched += 1
    return n_touched


@_compile
def follow_synapses(
    source: Any,
    fan_out: Array,
    tallies: Array,
    geometry: Array,
    weights: Any,
    total: Array,
    changes: Array,
    begins: Array,
    touched: Array,
    fresh: Array,
    activation: Any,
    out: Any,
) -> None:
    """Follow the changes of a layer's input: ``total`` gets their products, ``out`` the activations that change.

    ``weights`` are rows of output channels, ``(kernel positions, input channels)`` of them: the dense rows, or, where they are
    lists, their starts, target channels and weights. ``fan_out`` and ``tallies`` are those of a ``Tally``.
    """
    _tally(source, fan_out, changes, tallies)
    out[3][0] = 0
    if source[3][0]:
        _index_positions(source, geometry[0], begins)
        n_touched = _gather(source[1], changes, begins, geometry, weights, total, touched)
        _settle_positions(touched, n_touched, total, fresh, activation, out)


@_compile
def follow_map(source: Any, activation: Any, out: Any) -> None:
    """Follow the changes of an activation's input."""
    out[3][0] = 0
    for event in range(source[3][0]):
        index = source[1][event]
        _settle(index, source[0][index], activation, out)


@_compile
def follow_sum(left: Any, right: Any, activation: Any, out: Any) -> None:
    """Follow the changes of either of two terms of a sum of equal shapes, in ascending order."""
    out[3][0] = 0
    n_left, n_right = left[3][0], right[3][0]
    i = j = 0
    while i < n_left or j < n_right:
        from_left = j == n_right or (i < n_left and left[1][i] <= right[1][j])
        index = left[1][i] if from_left else right[1][j]
        i += int(i < n_left and left[1][i] == index)
        j += int(j < n_right and right[1][j] == index)
        _settle(index, left[0][index] + right[0][index], activation, out)


@_compile
def follow_mean(
    source: Any, n_positions: int, total: Array, means: Array, nowhere: Array, fresh: Array, activation: Any, out: Any
) -> None:
    """Follow the mean over all positions; ``total`` holds the channels' sums, ``nowhere`` a 0: the one position."""
    values, indices, olds, count = source
    n_channels = activation[1]
    out[3][0] = 0
    if count[0] == 0:
        return
    for event in range(count[0]):
        index = indices[event]
        total[index % n_channels] += values[index] - olds[event]
    for channel in range(n_channels):
        means[channel] = total[channel] / values.dtype.type(n_positions)
    _settle_positions(nowhere, 1, means, fresh, activation, out)


@_compile
def _pool_window(values: Array, target: int, channel: int, geometry: Array, divisors: Array) -> Any:
    """Give the maximum of a window, or its sum divided where there are ``divisors``, one a position."""
    n_channels, height, width = geometry[0], geometry[1], geometry[2]
    to_y, to_x = target // geometry[4], target % geometry[4]
    total = values.dtype.type(0.0)
    highest = values.dtype.type(-np.inf)
    for i in range(geometry[5]):
        y = to_y * geometry[7] - geometry[9] + i * geometry[11]
        if not 0 <= y < height:
            continue
        for j in range(geometry[6]):
            x = to_x * geometry[8] - geometry[10] + j * geometry[12]
            if 0 <= x < width:
                value = values[(y * width + x) * n_channels + channel]
                total += value
                highest = value if value > highest else highest
    return total / divisors[target] if divisors.size else highest


@_compile
def _reach(place: int, pad: int, offset: int, stride: int, size: int) -> int:
    """Give the output position that an input position reaches through a kernel's offset; -1 where there is none."""
    shifted = place + pad - offset
    target = shifted // stride
    return target if 0 <= target < size and target * stride == shifted else -1


@_compile
def follow_pool(source: Any, geometry: Array, divisors: Array, marks: Array, activation: Any, out: Any) -> None:
    """Follow the changes of a pooling layer's input: each window with a changed value is computed again.

    ``marks``, one an output value, are False before and after.
    """
    values, indices, _olds, count = source
    out[3][0] = 0
    n_channels, width, out_width = geometry[0], geometry[2], geometry[4]
    lowest, highest = marks.size, -1
    for event in range(count[0]):
        position, channel = indices[event] // n_channels, indices[event] % n_channels
        for i in range(geometry[5]):
            to_y = _reach(position // width, geometry[9], i * geometry[11], geometry[7], geometry[3])
            for j in range(geometry[6]):
                to_x = _reach(position % width, geometry[10], j * geometry[12], geometry[8], out_width)
                if to_y >= 0 and to_x >= 0:
                    index = (to_y * out_width + to_x) * n_channels + channel
                    marks[index] = True
                    lowest, highest = min(lowest, index), max(highest, index)
    for index in range(lowest, highest + 1):
        if marks[index]:
            marks[index] = False
            _settle(index, _pool_window(values, index // n_channels, index % n_channels, geometry, divisors), activation, out)

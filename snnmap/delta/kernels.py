# ruff: noqa: ARG001 - numba gives every intrinsic the same arguments
"""The loops of :class:`snnmap.delta.DeltaStream`: each changed value's weights are added to the pre-activations that they reach.

A signal is one frame, flat, channels last: value ``position * n_channels + channel``, ``position`` a pixel, a sample of a
one-dimensional signal, or 0. It comes as ``(values, indices, olds, count)``: what changed in a step is a list, the first
``count[0]`` of ``indices``, ascending, and of ``olds``, the values of before. Where ``indices`` has no room, nobody reads the
list. A block of memory lies behind the last value.

An activation is ``(rounds, n_channels, tables, limits)``: a factor and a shift a channel, then a lowest and a highest value,
then, where it rounds, levels. ``tables`` (3, channels in whole blocks) holds factors, shifts and steps, ``limits`` the lowest
value, what is added before rounding down, the bottom and top level, and the highest value.

A geometry holds the input's channels, height and width, the output's height and width, the kernel's, its stride, padding and
dilation. A reach says where an axis' inputs go: ``reach[starts[i] : starts[i + 1]]`` are the runs of input ``i``, each the first
output, the first place of the kernel, and how many of both follow one another.

The intrinsics are vector instructions that numba does not find by itself, in blocks of :data:`LANE_BYTES`, whatever the
machine's vectors. They stand here since numba's cache looks at no other file than a function's own. llvmlite comes with numba.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic

__all__ = [
    "LANE_BYTES",
    "NEAR_BYTES",
    "find_changes",
    "follow_concat",
    "follow_map",
    "follow_mean",
    "follow_pool",
    "follow_resize",
    "follow_sum",
    "follow_synapses",
    "settle_all",
]

LANE_BYTES = 64
NEAR_BYTES = 48 * 1024  # of weights, about a core's first cache
Array = npt.NDArray[Any]
_compile: Any = numba.njit(cache=True, nogil=True, error_model="numpy")
_inline: Any = numba.njit(inline="always")
_intrinsic: Any = intrinsic
_emit: Any = cgutils
SPREAD_FROM = 8  # where a channel has its own weights: an eighth of a position's channels, from which on all are added at once
_WIDTHS = (12, 6, 4, 3, 2, 1)  # blocks held in registers at once: the widest first


@_intrinsic
def _add_rows(
    typing: Any,
    total: Any,
    at: Any,
    width: Any,
    rows: Any,
    row: Any,
    pitch: Any,
    columns: Any,
    factors: Any,
    start: Any,
    stop: Any,
) -> tuple[Any, Callable[..., Any]]:
    """Add ``factors[e] * rows[row + pitch * columns[e]:]`` to ``total[at : at + width]`` for ``start <= e < stop``, in order.

    All arrays are flat and contiguous; ``width`` is a multiple of the lanes of :data:`LANE_BYTES`. The sums stay in registers
    over all events; compiled loops write them to memory after each. They begin at 0, so that they need not wait for what the
    call before is still adding to the same places.
    """
    signature = types.void(total, at, width, rows, row, pitch, columns, factors, start, stop)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = {n: context.make_array(signature.args[n])(context, builder, arguments[n]).data for n in (0, 3, 6, 7)}
        at, width, row, pitch, start, stop = (arguments[n] for n in (1, 2, 4, 5, 8, 9))
        n_lanes = LANE_BYTES // (signature.args[0].dtype.bitwidth // 8)
        vector = ir.VectorType(data[0].type.pointee, n_lanes)
        done = _emit.alloca_once_value(builder, width.type(0))
        for n_vectors in _WIDTHS:
            size = width.type(n_vectors * n_lanes)
            test, body, after = (builder.append_basic_block() for _ in range(3))
            builder.branch(test)
            builder.position_at_end(test)
            end = builder.add(position := builder.load(done), size)
            builder.cbranch(builder.icmp_signed("<=", end, width), body, after)
            builder.position_at_end(body)
            target = builder.gep(data[0], [builder.add(at, position)])
            first = builder.add(row, position)
            sums = [_emit.alloca_once_value(builder, ir.Constant(vector, None)) for _ in range(n_vectors)]
            for held in sums:
                builder.store(ir.Constant(vector, None), held)
            with _emit.for_range_slice(builder, start, stop, start.type(1), inc=True) as (event, _):
                column = builder.load(builder.gep(data[6], [event]))
                source = builder.gep(data[3], [builder.add(first, builder.mul(column, pitch))])
                factor = _splat(builder, builder.load(builder.gep(data[7], [event])), vector)
                for n, held in enumerate(sums):
                    product = builder.fmul(factor, _load(builder, source, vector, n), flags=("contract",))
                    builder.store(builder.fadd(builder.load(held), product, flags=("contract",)), held)
            for n, held in enumerate(sums):
                _store(builder, builder.fadd(_load(builder, target, vector, n), builder.load(held)), target, n)
            builder.store(end, done)
            builder.branch(test)
            builder.position_at_end(after)
        return context.get_dummy_value()

    return signature, generate


@_intrinsic
def _settle_lanes(
    typing: Any,
    total: Any,
    at: Any,
    rounds: Any,
    tables: Any,
    channel: Any,
    limits: Any,
    values: Any,
    first: Any,
    n: Any,
    olds: Any,
) -> tuple[Any, Callable[..., Any]]:
    """Set ``n`` lanes of the block ``values[first:]`` to the activations of ``total[at:]``, of the channels from ``channel``.

    ``rounds``, ``tables`` (3, width) and ``limits`` are an activation. The block's old values go to ``olds[channel:]``. Gives a
    bit for each of the ``n`` lanes that changes.
    """
    signature = types.int64(total, at, rounds, tables, channel, limits, values, first, n, olds)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = {n: context.make_array(signature.args[n])(context, builder, arguments[n]) for n in (0, 3, 5, 6, 9)}
        data = {n: array.data for n, array in arrays.items()}
        at, rounds, channel, first, n_kept = (arguments[n] for n in (1, 2, 4, 7, 8))
        width = builder.extract_value(arrays[3].shape, 1)
        vector = ir.VectorType(data[0].type.pointee, LANE_BYTES // (signature.args[0].dtype.bitwidth // 8))

        def load(array: int, place: Any) -> Any:
            return _load(builder, builder.gep(data[array], [place]), vector, 0)

        def limit(number: int) -> Any:
            return _splat(builder, builder.load(builder.gep(data[5], [ir.IntType(64)(number)])), vector)

        def clamp(comparison: str, x: Any, bound: Any) -> Any:
            return builder.select(builder.fcmp_ordered(comparison, x, bound), bound, x)

        scaled = builder.fadd(builder.fmul(load(0, at), load(3, channel)), load(3, builder.add(channel, width)))
        result = _emit.alloca_once_value(builder, clamp(">", clamp("<", scaled, limit(0)), limit(4)))
        with builder.if_then(builder.icmp_signed("!=", rounds, rounds.type(0))):
            step = load(3, builder.add(channel, builder.mul(width, width.type(2))))
            level = builder.fadd(builder.fdiv(builder.load(result), step), limit(1))
            name = f"llvm.floor.v{vector.count}f{signature.args[0].dtype.bitwidth}"
            floor = _emit.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector]), name)
            level = clamp(">", clamp("<", builder.call(floor, [level]), limit(2)), limit(3))
            builder.store(builder.fmul(level, step), result)
        old = load(6, first)
        numbers = ir.VectorType(ir.IntType(64), vector.count)
        is_kept = builder.icmp_signed("<", ir.Constant(numbers, list(range(vector.count))), _splat(builder, n_kept, numbers))
        new = builder.select(is_kept, builder.load(result), old)
        _store(builder, old, builder.gep(data[9], [channel]), 0)
        _store(builder, new, builder.gep(data[6], [first]), 0)
        return _unequal(builder, new, old, is_kept)

    return signature, generate


@_intrinsic
def _unequal_lanes(typing: Any, left: Any, right: Any, at: Any) -> tuple[Any, Callable[..., Any]]:
    """Return a bit for each lane in which the blocks of ``left`` and ``right`` from ``at`` differ."""
    signature = types.uint64(left, right, at)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        n_lanes = LANE_BYTES // (signature.args[0].dtype.bitwidth // 8)
        blocks = []
        for n in (0, 1):
            data = context.make_array(signature.args[n])(context, builder, arguments[n]).data
            vector = ir.VectorType(data.type.pointee, n_lanes)
            blocks.append(_load(builder, builder.gep(data, [arguments[2]]), vector, 0))
        return _unequal(builder, *blocks)

    return signature, generate


@_intrinsic
def _append_lanes(
    typing: Any, bits: Any, start: Any, fresh: Any, block: Any, indices: Any, olds: Any, found: Any
) -> tuple[Any, Callable[..., Any]]:
    """List the lanes whose bit is 1, from place ``found``: ``start + lane`` and ``fresh[block + lane]``. Give the place behind.

    Without a branch, which would be taken at random: a lane is written either way, and the next one over it where its bit is 0.
    """
    signature = types.int64(bits, start, fresh, block, indices, olds, found)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits, start, _, block, _, _, found = arguments
        data = {n: context.make_array(signature.args[n])(context, builder, arguments[n]).data for n in (2, 4, 5)}
        fresh = builder.gep(data[2], [block])
        for lane in range(LANE_BYTES // (signature.args[2].dtype.bitwidth // 8)):
            number = bits.type(lane)
            builder.store(builder.add(start, number), builder.gep(data[4], [found]))
            builder.store(builder.load(builder.gep(fresh, [number])), builder.gep(data[5], [found]))
            found = builder.add(found, builder.and_(builder.lshr(bits, number), bits.type(1)))
        return found

    return signature, generate


@_intrinsic
def _first_bit(typing: Any, bits: Any) -> tuple[Any, Callable[..., Any]]:
    """Return the position of the lowest bit that is 1, of bits that are not all 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.int64(types.uint64), generate


def _load(builder: Any, start: Any, vector: Any, block: int) -> Any:
    place = builder.gep(start, [ir.IntType(64)(block * vector.count)])
    return builder.load(builder.bitcast(place, vector.as_pointer()), align=4)


def _store(builder: Any, value: Any, start: Any, block: int) -> None:
    place = builder.gep(start, [ir.IntType(64)(block * value.type.count)])
    builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=4)


def _unequal(builder: Any, left: Any, right: Any, among: Any = None) -> Any:
    """Return a bit for each lane that differs, of those ``among``."""
    unequal = builder.fcmp_unordered("!=", left, right)
    unequal = unequal if among is None else builder.and_(unequal, among)
    return builder.zext(builder.bitcast(unequal, ir.IntType(left.type.count)), ir.IntType(64))


def _splat(builder: Any, value: Any, vector: Any) -> Any:
    """Return a vector of one value in every lane."""
    nothing = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None))


@_compile
def _list_unequal(new: Array, given: Array, places: Array) -> int:
    """List where two arrays differ, and give the number; -1 where one of the new values there is not finite."""
    n_lanes, n_found = LANE_BYTES // given.itemsize, 0
    is_finite = True
    for start in range(0, new.size, 64):
        bits = np.uint64(0)
        if start + 64 <= new.size:
            for block in range(0, 64, n_lanes):
                bits |= _unequal_lanes(new, given, start + block) << np.uint64(block)
        else:
            for place in range(start, new.size):
                bits |= np.uint64(new[place] != given[place]) << np.uint64(place - start)
        while bits != np.uint64(0):
            place = start + _first_bit(bits)
            places[n_found] = place
            n_found += 1
            is_finite &= bool(np.isfinite(new[place]))
            bits &= bits - np.uint64(1)
    return n_found if is_finite else -1


@_compile
def find_changes(new: Array, given: Array, places: Array, starts: Array, out: Any) -> bool:
    """Take over a frame that comes channels first and list where it differs from ``given``, the one of before, likewise.

    ``places`` has room for every value; ``starts``, one a position and one more, are 0 before and after: they sort by position.
    Gives False, with nothing changed, where a value is not finite.
    """
    values, indices, olds, count = out
    n_positions = starts.size - 1
    n_channels = values.size // n_positions
    n_found = _list_unequal(new, given, places)
    if n_found < 0:
        return False
    first, lowest, highest = 0, n_positions, -1
    for n in range(n_found):
        while places[n] >= first + n_positions:
            first += n_positions
        given[places[n]] = new[places[n]]
        position = places[n] - first
        lowest, highest = min(lowest, position), max(highest, position)
        starts[position + 1] += 1
    for position in range(lowest, highest):
        starts[position + 1] += starts[position]
    first = channel = 0
    for n in range(n_found):
        while places[n] >= first + n_positions:
            first, channel = first + n_positions, channel + 1
        position = places[n] - first
        event = starts[position]
        starts[position] += 1
        indices[event], olds[event] = position * n_channels + channel, new[places[n]]
    for event in range(n_found):
        index = indices[event]
        values[index], olds[event] = olds[event], values[index]
    starts[lowest : highest + 2] = 0
    count[0] = n_found
    return True


@_compile
def _settle(index: int, x: Any, activation: Any, out: Any) -> None:
    """Take over one value before its activation."""
    rounds, n_channels, tables, limits = activation
    values, indices, olds, count = out
    channel = index % n_channels
    x = x * tables[0, channel] + tables[1, channel]
    x = limits[0] if x < limits[0] else x
    x = limits[4] if x > limits[4] else x
    if rounds:
        level = np.floor(x / tables[2, channel] + limits[1])
        level = limits[2] if level < limits[2] else level
        x = (limits[3] if level > limits[3] else level) * tables[2, channel]
    if x != values[index] and indices.size:
        indices[count[0]], olds[count[0]] = index, values[index]
        count[0] += 1
    values[index] = x


@_compile
def _settle_positions(marks: Array, total: Array, fresh: Array, activation: Any, out: Any) -> None:
    """Take over the marked positions before their activation, rows of ``total`` of the tables' width, and unmark them."""
    rounds, n_channels, tables, limits = activation
    values, indices, olds, count = out
    n_lanes, width, found = LANE_BYTES // values.itemsize, tables.shape[1], 0
    for first in range(0, marks.size, LANE_BYTES):
        behind = min(first + LANE_BYTES, marks.size)
        is_any = False
        for position in range(first, behind):
            is_any |= marks[position]
        if not is_any:
            continue
        for position in range(first, behind):
            if not marks[position]:
                continue
            marks[position] = False
            for block in range(0, n_channels, n_lanes):
                at, start = position * width + block, position * n_channels + block
                bits = _settle_lanes(total, at, rounds, tables, block, limits, values, start, n_channels - block, fresh)
                if bits != 0 and indices.size:
                    found = _append_lanes(bits, start, fresh, block, indices, olds, found)
    count[0] = found


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


@_inline
def _add_run(visit: Any, row_of: Any, indices: Array, geometry: Array, ways: Any, weights: Any, sums: Any) -> None:
    """Add what one position's changes give through one row of the kernel, and mark whom they reach.

    ``visit`` is the first event, the one behind the last, the position and its x; ``row_of`` the kernel's row and the output's.
    """
    start, stop, position, x = visit
    place_y, to_y = row_of
    _, _, starts_x, reach_x = ways
    rows, starts, targets, synapses, _ = weights
    total, changes, marks = sums
    n_inputs, out_width, kernel_width, width = geometry[0], geometry[4], geometry[6], total.size // marks.size
    for run_x in range(starts_x[x], starts_x[x + 1]):
        target, n_targets = to_y * out_width + reach_x[run_x, 0], reach_x[run_x, 2]
        for n in range(n_targets):
            marks[target + n] = True
        row, at = (place_y - position) * n_inputs * kernel_width + reach_x[run_x, 1], target * width
        if starts.size == 0:
            size, pitch = n_targets * width, kernel_width * width
            _add_rows(total, at, size, rows, row * width, pitch, indices, changes, start, stop)
        else:
            for one in range(start, stop):
                own = indices[one] * kernel_width + row
                for n in range(n_targets):
                    for synapse in range(starts[own + n], starts[own + n + 1]):
                        total[at + n * width + targets[synapse]] += changes[one] * synapses[synapse]


@_compile
def _add_products(indices: Array, n_events: int, geometry: Array, ways: Any, weights: Any, sums: Any) -> None:
    """Add the products of all changes to the pre-activations that they reach, position by position, and mark those."""
    starts_y, reach_y, _, _ = ways
    n_inputs, in_width = geometry[0], geometry[2]
    event = y = 0
    while event < n_events:
        start, position = event, indices[event] // n_inputs
        behind = (position + 1) * n_inputs
        while event < n_events and indices[event] < behind:
            event += 1
        while position >= (y + 1) * in_width:
            y += 1
        visit = start, event, position, position - y * in_width
        for run_y in range(starts_y[y], starts_y[y + 1]):
            for i in range(reach_y[run_y, 2]):
                row_of = reach_y[run_y, 1] + i, reach_y[run_y, 0] + i
                _add_run(visit, row_of, indices, geometry, ways, weights, sums)


@_compile
def _add_products_by_row(indices: Array, n_events: int, geometry: Array, ways: Any, weights: Any, sums: Any) -> None:
    """Do so one row of the kernel after another, each for all positions: its weights stay near."""
    starts_y, reach_y, _, _ = ways
    n_inputs, in_width = geometry[0], geometry[2]
    firsts = _list_firsts(indices, n_events, n_inputs)
    for place_y in range(geometry[5]):
        y = 0
        for n in range(firsts.size - 1):
            position = indices[firsts[n]] // n_inputs
            while position >= (y + 1) * in_width:
                y += 1
            visit = firsts[n], firsts[n + 1], position, position - y * in_width
            for run_y in range(starts_y[y], starts_y[y + 1]):
                i = place_y - reach_y[run_y, 1]
                if 0 <= i < reach_y[run_y, 2]:
                    _add_run(visit, (place_y, reach_y[run_y, 0] + i), indices, geometry, ways, weights, sums)


@_compile
def _list_firsts(indices: Array, n_events: int, n_inputs: int) -> Array:
    """Return the first event of each position with changes, and the number of events."""
    firsts = np.empty(n_events + 1, np.int64)
    n_firsts = behind = 0
    for event in range(n_events):
        if indices[event] >= behind:
            behind = (indices[event] // n_inputs + 1) * n_inputs
            firsts[n_firsts] = event
            n_firsts += 1
    firsts[n_firsts] = n_events
    return firsts[: n_firsts + 1]


@_compile
def _add_channelwise(indices: Array, n_events: int, geometry: Array, ways: Any, weights: Any, sums: Any) -> None:
    """Do so where each channel reaches itself alone: all channels of a position at once where many change, or one by one."""
    starts_y, reach_y, starts_x, reach_x = ways
    rows, _, _, _, spread = weights
    total, changes, marks = sums
    n_inputs, in_width, out_width, kernel_width = geometry[0], geometry[2], geometry[4], geometry[6]
    width = spread.size
    event = y = 0
    while event < n_events:
        start, position = event, indices[event] // n_inputs
        before = position * n_inputs
        while event < n_events and indices[event] < before + n_inputs:
            event += 1
        is_full = (event - start) * SPREAD_FROM >= n_inputs
        for one in range(start, event if is_full else start):
            spread[indices[one] - before] = changes[one]
        while position >= (y + 1) * in_width:
            y += 1
        x = position - y * in_width
        for run_y in range(starts_y[y], starts_y[y + 1]):
            for i in range(reach_y[run_y, 2]):
                for run_x in range(starts_x[x], starts_x[x + 1]):
                    for j in range(reach_x[run_x, 2]):
                        target = (reach_y[run_y, 0] + i) * out_width + reach_x[run_x, 0] + j
                        place = (reach_y[run_y, 1] + i) * kernel_width + reach_x[run_x, 1] + j
                        marks[target] = True
                        at, row = target * width, place * width
                        if is_full:
                            for channel in range(width):
                                total[at + channel] += spread[channel] * rows[row + channel]
                            continue
                        for one in range(start, event):
                            channel = indices[one] - before
                            total[at + channel] += changes[one] * rows[row + channel]
        if is_full:
            spread[:] = 0


@_compile
def follow_synapses(
    source: Any,
    fan_out: Array,
    tallies: Array,
    geometry: Array,
    ways: Any,
    weights: Any,
    sums: Any,
    fresh: Array,
    activation: Any,
    out: Any,
) -> None:
    """Follow the changes of a layer's input: the pre-activations get their products, ``out`` the activations that change.

    ``ways`` are the starts and reach of y, then those of x. ``weights`` are rows of output channels, ``(kernel rows, input
    channels, kernel columns)`` of them: the dense rows; or, where they are lists, their starts, target channels and weights; or,
    where each channel has its own, rows of ``kernel places`` and last room for the changes of a position, 0 before and after.
    ``sums`` are the pre-activations, rows of the tables' width; room for the changes; and marks, one a row, False before and
    after. ``fan_out`` and ``tallies`` are those of a ``Tally``.
    """
    total, changes, marks = sums
    _tally(source, fan_out, changes, tallies)
    out[3][0] = 0
    if source[3][0]:
        if weights[4].size:
            _add_channelwise(source[1], source[3][0], geometry, ways, weights, sums)
        elif weights[0].nbytes > NEAR_BYTES:
            _add_products_by_row(source[1], source[3][0], geometry, ways, weights, sums)
        else:
            _add_products(source[1], source[3][0], geometry, ways, weights, sums)
        _settle_positions(marks, total, fresh, activation, out)


@_compile
def settle_all(source: Any, fan_out: Array, tallies: Array, sums: Any, fresh: Array, activation: Any, out: Any) -> None:
    """Follow a layer's input whose pre-activations have been computed anew."""
    total, changes, marks = sums
    _tally(source, fan_out, changes, tallies)
    marks[:] = True
    _settle_positions(marks, total, fresh, activation, out)


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
def follow_concat(left: Any, n_left: int, right: Any, n_right: int, out: Any) -> None:
    """Follow the changes of two signals side by side, of ``n_left`` and ``n_right`` channels, position by position."""
    i = j = found = 0
    while i < left[3][0] or j < right[3][0]:
        position = left[1][i] // n_left if i < left[3][0] else right[1][j] // n_right
        if j < right[3][0]:
            position = min(position, right[1][j] // n_right)
        i, found = _copy_position(left, i, (position + 1) * n_left, position * n_right, found, out)
        j, found = _copy_position(right, j, (position + 1) * n_right, (position + 1) * n_left, found, out)
    out[3][0] = found


@_compile
def _copy_position(source: Any, event: int, behind: int, shift: int, found: int, out: Any) -> tuple[int, int]:
    """Take over the events before index ``behind``, their indices shifted; give the next event and the next place of the list."""
    while event < source[3][0] and source[1][event] < behind:
        index = source[1][event] + shift
        out[0][index] = source[0][source[1][event]]
        if out[1].size:
            out[1][found], out[2][found] = index, source[2][event]
            found += 1
        event += 1
    return event, found


@_compile
def follow_resize(source: Any, geometry: Array, ways: Any, sums: Any, fresh: Array, activation: Any, out: Any) -> None:
    """Follow the changes of a signal that is resized: each output position that one reaches is computed again.

    ``ways`` are, for y, the first and the last output of each input, ``(2, input size)``, and the weights ``(output size, input
    size)``; then the first and the last input of each output; then these for x. ``sums`` are the resized values, rows of the
    tables' width, and marks, one a row, False before and after.
    """
    reach_y, weights_y, inputs_y, reach_x, weights_x, inputs_x = ways
    total, marks = sums
    values, indices, _, count = source
    n_channels, in_width, out_width, width = geometry[0], geometry[2], geometry[4], activation[2].shape[1]
    out[3][0] = 0
    if count[0] == 0:
        return
    event = 0
    while event < count[0]:
        position = indices[event] // n_channels
        y, x = position // in_width, position % in_width
        for to_y in range(reach_y[0, y], reach_y[1, y] + 1):
            for to_x in range(reach_x[0, x], reach_x[1, x] + 1):
                marks[to_y * out_width + to_x] = True
        while event < count[0] and indices[event] < (position + 1) * n_channels:
            event += 1
    for target in range(marks.size):
        if not marks[target]:
            continue
        to_y, to_x, at = target // out_width, target % out_width, target * width
        total[at : at + n_channels] = 0
        for y in range(inputs_y[0, to_y], inputs_y[1, to_y] + 1):
            for x in range(inputs_x[0, to_x], inputs_x[1, to_x] + 1):
                weight, start = weights_y[to_y, y] * weights_x[to_x, x], (y * in_width + x) * n_channels
                for channel in range(n_channels):
                    total[at + channel] += weight * values[start + channel]
    _settle_positions(marks, total, fresh, activation, out)


@_compile
def follow_mean(
    source: Any, n_positions: int, total: Array, means: Array, mark: Array, fresh: Array, activation: Any, out: Any
) -> None:
    """Follow the mean over all positions; ``total`` holds the channels' sums, ``mark`` has room for one."""
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
    mark[0] = True
    _settle_positions(mark, means, fresh, activation, out)


@_compile
def _pool_window(values: Array, target: int, channel: int, geometry: Array, divisors: Array) -> Any:
    """Return the maximum of a window, or its sum divided where there are ``divisors``, one a position."""
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
    """Return the output position that an input position reaches through a kernel's offset; -1 where there is none."""
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

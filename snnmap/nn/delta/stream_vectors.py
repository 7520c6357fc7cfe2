# ruff: noqa: ARG001 - numba gives every intrinsic the same arguments
"""Vector instructions that numba does not find by itself, as intrinsics: blocks of 64 bytes, whatever the machine's vectors."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic

__all__ = ["LANE_BYTES", "add_rows", "first_bit", "settle_lanes", "unequal_lanes"]

LANE_BYTES = 64
_intrinsic: Any = intrinsic
_emit: Any = cgutils
_WIDTHS = (4, 2, 1)  # blocks held in registers at once: the widest first


@_intrinsic
def add_rows(
    typing: Any, total: Any, at: Any, rows: Any, row: Any, width: Any, columns: Any, factors: Any, start: Any, stop: Any
) -> tuple[Any, Callable[..., Any]]:
    """Add ``factors[e] * rows[row + columns[e]]`` to ``total[at : at + width]`` for the events ``start <= e < stop``, in order.

    All arrays are flat and contiguous; a row has ``width`` values, a multiple of the lanes of :data:`LANE_BYTES`. The sums stay
    in registers over all events; compiled loops write them to memory after each.
    """
    signature = types.void(total, at, rows, row, width, columns, factors, start, stop)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = (0, 2, 5, 6)
        data = {n: context.make_array(signature.args[n])(context, builder, arguments[n]).data for n in arrays}
        at, row, width, start, stop = (arguments[n] for n in (1, 3, 4, 7, 8))
        n_lanes = LANE_BYTES // (signature.args[0].dtype.bitwidth // 8)
        vector = ir.VectorType(data[0].type.pointee, n_lanes)
        done = _emit.alloca_once_value(builder, width.type(0))
        for n_vectors in _WIDTHS:
            size = width.type(n_vectors * n_lanes)
            with _emit.for_range(builder, builder.udiv(builder.sub(width, builder.load(done)), size)):
                position = builder.load(done)
                target = builder.gep(data[0], [builder.add(at, position)])
                sums = [_emit.alloca_once_value(builder, _load(builder, target, vector, n)) for n in range(n_vectors)]
                with _emit.for_range_slice(builder, start, stop, start.type(1), inc=True) as (event, _):
                    column = builder.load(builder.gep(data[5], [event]))
                    place = builder.add(builder.mul(builder.add(row, column), width), position)
                    source = builder.gep(data[2], [place])
                    factor = _splat(builder, builder.load(builder.gep(data[6], [event])), vector)
                    for n, held in enumerate(sums):
                        product = builder.fmul(factor, _load(builder, source, vector, n), flags=("contract",))
                        builder.store(builder.fadd(builder.load(held), product, flags=("contract",)), held)
                for n, held in enumerate(sums):
                    _store(builder, builder.load(held), target, n)
                builder.store(builder.add(position, size), done)
        return context.get_dummy_value()

    return signature, generate


@_intrinsic
def settle_lanes(
    typing: Any,
    total: Any,
    at: Any,
    rounds: Any,
    tables: Any,
    width: Any,
    channel: Any,
    limits: Any,
    fresh: Any,
    values: Any,
    first: Any,
) -> tuple[Any, Callable[..., Any]]:
    """Set the block of ``fresh`` from ``channel`` to the activations of ``total[at:]``; give bits: unequal to ``values[first:]``.

    ``tables`` (3, width), ``rounds`` and ``limits`` are an activation as :mod:`snnmap.nn.delta.stream_kernels` has it.
    """
    signature = types.int64(total, at, rounds, tables, width, channel, limits, fresh, values, first)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = (0, 3, 6, 7, 8)
        data = {n: context.make_array(signature.args[n])(context, builder, arguments[n]).data for n in arrays}
        at, rounds, width, channel, first = (arguments[n] for n in (1, 2, 4, 5, 9))
        vector = ir.VectorType(data[0].type.pointee, LANE_BYTES // (signature.args[0].dtype.bitwidth // 8))

        def load(array: int, place: Any) -> Any:
            return _load(builder, builder.gep(data[array], [place]), vector, 0)

        def limit(number: int) -> Any:
            return _splat(builder, builder.load(builder.gep(data[6], [ir.IntType(64)(number)])), vector)

        def clamp(comparison: str, x: Any, bound: Any) -> Any:
            return builder.select(builder.fcmp_ordered(comparison, x, bound), bound, x)

        shift = load(3, builder.add(channel, width))
        scaled = builder.fadd(builder.fmul(load(0, at), load(3, channel)), shift)
        result = _emit.alloca_once_value(builder, clamp("<", scaled, limit(0)))
        with builder.if_then(builder.icmp_signed("!=", rounds, rounds.type(0))):
            step = load(3, builder.add(channel, builder.mul(width, width.type(2))))
            level = builder.fadd(builder.fdiv(builder.load(result), step), limit(1))
            name = f"llvm.floor.v{vector.count}f{signature.args[0].dtype.bitwidth}"
            floor = _emit.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector]), name)
            level = clamp(">", clamp("<", builder.call(floor, [level]), limit(2)), limit(3))
            builder.store(builder.fmul(level, step), result)
        _store(builder, builder.load(result), builder.gep(data[7], [channel]), 0)
        return _unequal(builder, builder.load(result), load(8, first))

    return signature, generate


@_intrinsic
def unequal_lanes(typing: Any, left: Any, at: Any, right: Any, there: Any) -> tuple[Any, Callable[..., Any]]:
    """Give a bit for each lane in which the block of ``left`` from ``at`` and that of ``right`` from ``there`` differ."""
    signature = types.int64(left, at, right, there)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        n_lanes = LANE_BYTES // (signature.args[0].dtype.bitwidth // 8)
        blocks = []
        for n in (0, 2):
            data = context.make_array(signature.args[n])(context, builder, arguments[n]).data
            place = builder.gep(data, [arguments[n + 1]])
            blocks.append(_load(builder, place, ir.VectorType(data.type.pointee, n_lanes), 0))
        return _unequal(builder, *blocks)

    return signature, generate


@_intrinsic
def first_bit(typing: Any, bits: Any) -> tuple[Any, Callable[..., Any]]:
    """Give the position of the lowest bit that is 1, of bits that are not all 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.int64(types.int64), generate


def _load(builder: Any, start: Any, vector: Any, block: int) -> Any:
    place = builder.gep(start, [ir.IntType(64)(block * vector.count)])
    return builder.load(builder.bitcast(place, vector.as_pointer()), align=4)


def _store(builder: Any, value: Any, start: Any, block: int) -> None:
    place = builder.gep(start, [ir.IntType(64)(block * value.type.count)])
    builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=4)


def _unequal(builder: Any, left: Any, right: Any) -> Any:
    """Give a bit for each lane that differs."""
    unequal = builder.fcmp_unordered("!=", left, right)
    return builder.zext(builder.bitcast(unequal, ir.IntType(left.type.count)), ir.IntType(64))


def _splat(builder: Any, value: Any, vector: Any) -> Any:
    """Give a vector of one value in every lane."""
    nothing = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None))

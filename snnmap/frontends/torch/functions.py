"""What each function, operator and method of torch is in a layer graph."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from snnmap.frontends.torch.call import FIX, Call, Moved, Value, first_value, name_arguments
from snnmap.frontends.torch.choices import CHOICES, add_up, drop_batch
from snnmap.frontends.torch.functional import as_module, knows_function
from snnmap.frontends.torch.layers import add_pad, find_axis, find_layer, spread_sides
from snnmap.frontends.torch.probe import LINEAR, MOVING, add_probed
from snnmap.frontends.torch.shapes import Rows
from snnmap.graph import Operation, UnreadableError, plan_join, refuse_moved
from snnmap.graph.operations import activations, arithmetic, movement, pooling
from snnmap.graph.operations.conv import Conv
from snnmap.graph.operations.gemm import Gemm, MatMul
from snnmap.graph.operations.normalization import BatchNormalization

__all__ = ["TAKING_ROWS", "find_function"]

Reader = Callable[[Call, Any, Any], Any]


def find_function(name: str) -> Reader | None:
    """Return what reads a call of a function or method on an activation, or None where nothing does."""
    read = _FUNCTIONS.get(name)
    if name in MOVING or name in LINEAR:
        return add_probed if read is None else _or_probe(read)
    return _read_as_module if read is None and knows_function(name) else read


def _or_probe(read: Reader) -> Reader:
    """Return a reader that runs the call on known values where its arguments are none that the first one reads."""

    def read_either(call: Call, arguments: Any, keywords: Any) -> Any:
        try:
            return read(call, arguments, keywords)
        except UnreadableError as error:
            try:
                return add_probed(call, arguments, keywords)
            except UnreadableError:
                raise error from None

    return read_either


def _read_as_module(call: Call, arguments: Any, keywords: Any) -> Any:
    """Read a function that a layer of torch.nn does too; an exported one may give places beside the values."""
    module = as_module(call.operator, arguments[1:], keywords)
    read = find_layer(module)
    if read is None:
        raise UnreadableError("no operation of a layer graph does this", FIX, is_unknown=True)
    found = read(call, module, first_value(arguments, keywords))
    schema = getattr(call.node.target, "_schema", None)
    return found if schema is None or len(schema.returns) == 1 else _Several(found)


def _read_pair(make: Callable[[], Operation]) -> Reader:
    """Return a reader of an operation on two operands, of which one may be a number or constant tensor."""

    def read(call: Call, arguments: Any, keywords: Any) -> Value:
        given = name_arguments(arguments, keywords, "input", "other")
        given = {"other" if name == "exponent" else name: one for name, one in given.items()}
        operands = [given["input"], _scale(call, given["other"], given.pop("alpha", 1))]
        if set(given) - {"input", "other"}:
            raise UnreadableError(f"arguments {', '.join(sorted(given))}", "write it with activations, numbers and tensors alone")
        rank = max(len(one.shape) for one in operands if isinstance(one, Value))
        return call.add(make(), [drop_batch(call, one, rank) for one in operands])

    return read


def _read_one(make: Callable[[dict[str, Any]], Operation], *names: str) -> Reader:
    """Return a reader of an activation function; ``make`` takes its arguments by name."""

    def read(call: Call, arguments: Any, keywords: Any) -> Value:
        given = name_arguments(arguments, keywords, "input", *names)
        return call.add(make(given), [first_value(arguments, keywords)])

    return read


def _read_softmax(call: Call, arguments: Any, keywords: Any) -> Value:
    value = first_value(arguments, keywords)
    kind = activations.LogSoftmax if call.operator == "log_softmax" else activations.Softmax
    return call.add(kind(axis=find_axis(name_arguments(arguments, keywords, "input", "dim").get("dim"), value)), [value])


def _read_reversed(call: Call, arguments: Any, keywords: Any) -> Value:
    """Read ``other - input``."""
    given = name_arguments(arguments, keywords, "input", "other", "alpha")
    found: Value = _read_pair(arithmetic.Sub)(call, (given["other"], _scale(call, given["input"], given.get("alpha", 1))), {})
    return found


def _scale(call: Call, operand: Any, alpha: Any) -> Any:
    """Return an operand times ``alpha``."""
    if not isinstance(alpha, int | float):
        raise UnreadableError("alpha that is no number", "write a + alpha * b")
    if alpha == 1:
        return operand
    return call.add(arithmetic.Mul(), [operand, alpha], "scaled") if isinstance(operand, Value) else operand * alpha


def _read_prelu(call: Call, arguments: Any, keywords: Any) -> Value:
    value, slope = first_value(arguments, keywords), name_arguments(arguments, keywords, "input", "weight")["weight"]
    if isinstance(slope, Value):
        raise UnreadableError("slopes that depend on the input", "give constant slopes")
    return call.add(activations.PRelu(), [value, slope.reshape(-1, *(1,) * (len(value.shape) - 1))])


def _read_silu(call: Call, arguments: Any, keywords: Any) -> Value:
    value = first_value(arguments, keywords)
    return call.add(arithmetic.Mul(), [value, call.add(activations.Sigmoid(), [value], "sigmoid")])


def _read_concat(call: Call, arguments: Any, keywords: Any) -> Value:
    given = name_arguments(arguments, keywords, "tensors", "dim")
    parts, dim = list(given["tensors"]), given.get("dim", given.get("axis", 0))
    return _join(call, parts, int(dim) % (len(parts[0].shape) + 1))


def _join(call: Call, parts: list[Any], axis: int) -> Value:
    """Add activations side by side, with constants that are the same for each sample between them."""
    if all(isinstance(part, Value) for part in parts):
        return call.add(movement.Concat(axis=axis), parts)
    if not all(isinstance(part, Value | Rows) for part in parts) or not axis:
        raise UnreadableError("a constant beside activations", "pad, or add a buffer instead")
    values = [part for part in parts if isinstance(part, Value)]
    pads, fixed = plan_join([part.shape if isinstance(part, Value) else part.sample.numpy() for part in parts], axis)
    terms: list[Any] = [call.add(pad, [value], str(place)) for place, (pad, value) in enumerate(zip(pads, values, strict=True))]
    return add_up(call, [*terms, *([fixed] if fixed.any() else [])])


def _read_reshape(call: Call, arguments: Any, keywords: Any) -> Value:
    """Read whatever gives a sample's values in another shape, which the call itself tells."""
    value, sides = first_value(arguments, keywords), _find_shape(call, arguments, keywords)
    if int(np.prod(sides)) != int(np.prod(value.shape)):
        raise UnreadableError(f"samples of {value.shape} become {sides} and would mix", "keep the batch as the first dimension")
    return call.add(movement.Reshape(shape=sides), [value])


def _read_squeeze(call: Call, arguments: Any, keywords: Any) -> Value:
    value, sides = first_value(arguments, keywords), _find_shape(call, arguments, keywords)
    dim = name_arguments(arguments, keywords, "input", "dim").get("dim")
    dims = [axis for axis, side in enumerate(value.shape, 1) if side == 1] if dim is None else spread_sides(dim, 1)
    rank = len(value.shape) + 1
    axes = tuple(axis for axis in sorted(one % rank for one in dims) if axis == 0 or value.shape[axis - 1] == 1)
    found = call.add(movement.Squeeze(axes=axes), [value])
    return _require_shape(found, sides)


def _read_unsqueeze(call: Call, arguments: Any, keywords: Any) -> Value | Moved:
    value = first_value(arguments, keywords)
    dim = int(name_arguments(arguments, keywords, "input", "dim")["dim"])
    return call.follow(movement.Unsqueeze(axes=(dim % (len(value.shape) + 2),)), [value])


def _read_transpose(call: Call, arguments: Any, keywords: Any) -> Value | Moved:
    """Read whatever reorders axes, as it reorders one with a side of its own for each."""
    value = arguments[0] if arguments and isinstance(arguments[0], Moved) else first_value(arguments, keywords)
    shape = value.value.shape if isinstance(value, Moved) else value.shape
    sides = tuple(range(2, len(shape) + 3))
    found = call.run((Value("", sides[1:]), *arguments[1:]), keywords, batch=sides[0])
    return call.follow(movement.Transpose(perm=tuple(sides.index(side) for side in found.shape)), [value])


def _reduce(kind: type[pooling.Reduction]) -> Reader:
    """Return a reader of what values along axes become one of."""

    def read(call: Call, arguments: Any, keywords: Any) -> Value | Moved:
        value = arguments[0] if arguments and isinstance(arguments[0], Moved) else first_value(arguments, keywords)
        given = name_arguments(arguments, keywords, "input", "dim", "keepdim")
        dim, rank = given.get("dim", given.get("axis")), len((value.value if isinstance(value, Moved) else value).shape) + 1
        axes = range(rank) if dim is None else [int(axis) % rank for axis in spread_sides(dim, 1)]
        return call.follow(kind(axes=tuple(sorted(axes)), keepdims=int(given.get("keepdim", False))), [value])

    return read


class _Several(NamedTuple):
    """What torch gives beside other values that are not read, such as the greatest along an axis and where they are."""

    values: Value
    indices: None = None


def _read_extreme(pair: type[Operation], reduction: type[pooling.Reduction]) -> Reader:
    """Return a reader of the greatest or least of two operands, or along an axis, with the place."""

    def read(call: Call, arguments: Any, keywords: Any) -> Any:
        given = name_arguments(arguments, keywords, "input", "dim")
        other = given.get("other", given.get("dim"))
        if isinstance(other, int):
            return _Several(_reduce(reduction)(call, arguments, keywords))
        return _read_pair(pair)(call, arguments, keywords)

    return read


def _read_attribute(call: Call, arguments: Any, keywords: Any) -> Any:  # noqa: ARG001 what every reader takes
    """Read a field of a tuple that torch gives by names, or a transposed tensor."""
    if arguments[1] in ("mT", "mH") and isinstance(arguments[0], Value):
        last = len(arguments[0].shape)
        return call.add(movement.Transpose(perm=(*range(last - 1), last, last - 1)), [arguments[0]])
    found = getattr(arguments[0], arguments[1], None) if isinstance(arguments[0], _Several) else None
    if found is None:
        raise UnreadableError(f"an attribute {arguments[1]} of an activation", FIX, is_unknown=True)
    return found


def _read_parts(call: Call, arguments: Any, keywords: Any) -> tuple[Value, ...]:
    """Read chunk and split as a slice for each part, whose sizes the call itself tells."""
    value = first_value(arguments, keywords)
    given = name_arguments(arguments, keywords, "input", "size", "dim")
    axis = int(given.get("dim", 0)) % (len(value.shape) + 1)
    sizes = [part.shape[axis] for part in call.run(arguments, keywords)]
    ends = np.cumsum(sizes).tolist()
    slices = [movement.Slice(starts=(end - size,), ends=(end,), axes=(axis,)) for size, end in zip(sizes, ends, strict=True)]
    return tuple(call.add(one, [value], str(place)) for place, one in enumerate(slices))


def _read_unbound(call: Call, arguments: Any, keywords: Any) -> tuple[Value | Moved, ...]:
    """Read the places of an axis, each by itself."""
    axis = int(name_arguments(arguments, keywords, "input", "dim").get("dim", 0))
    if isinstance(arguments[0], Moved):
        n_axes = len(arguments[0].value.shape) + 1
        sides = list(arguments[0].value.shape)
        sides.insert(arguments[0].batch_axis, 0)
        before = (slice(None),) * (axis % n_axes)
        return tuple(_read_moved_item(call, arguments[0], (*before, place)) for place in range(sides[axis % n_axes]))
    value = first_value(arguments, keywords)
    axis %= len(value.shape) + 1
    slices = [movement.Slice(starts=(place,), ends=(place + 1,), axes=(axis,)) for place in range(value.shape[axis - 1])]
    parts = [call.add(one, [value], f"{place}.slice") for place, one in enumerate(slices)]
    return tuple(call.add(movement.Squeeze(axes=(axis,)), [part], str(place)) for place, part in enumerate(parts))


def _read_stack(call: Call, arguments: Any, keywords: Any) -> Value | Moved:
    given = name_arguments(arguments, keywords, "tensors", "dim")
    parts = list(given["tensors"])
    if not all(isinstance(part, Value | Rows) for part in parts):
        raise UnreadableError("a constant beside activations", "pad, or add a buffer instead")
    axis = int(given.get("dim", 0)) % (len(parts[0].shape) + 2)
    if axis == 0 and all(isinstance(part, Value) for part in parts):
        every = [call.follow(movement.Unsqueeze(axes=(0,)), [part], f"{place}.part") for place, part in enumerate(parts)]
        return call.follow(movement.Concat(axis=0), every)
    whole = [
        Rows(part.sample.unsqueeze(axis - 1))
        if isinstance(part, Rows)
        else call.add(movement.Unsqueeze(axes=(axis,)), [part], f"{place}.part")
        for place, part in enumerate(parts)
    ]
    return _join(call, whole, axis)


def _read_expand_as(call: Call, arguments: Any, keywords: Any) -> Value:
    given = name_arguments(arguments, keywords, "input", "other")
    return call.add(movement.Expand(shape=given["other"].shape), [given["input"]])


def _read_threshold(call: Call, arguments: Any, keywords: Any) -> Value:
    given = name_arguments(arguments, keywords, "input", "threshold", "value")
    if given["threshold"] or given["value"]:
        raise UnreadableError(
            f"a threshold of {given['threshold']} with {given['value']} below", "use a ReLU, of which both are 0"
        )
    return call.add(activations.Relu(), [first_value(arguments, keywords)])


def _read_item(call: Call, arguments: Any, keywords: Any) -> Any:  # noqa: ARG001 what every reader takes
    """Read an index: of a tuple, or slices and numbers of an activation's axes."""
    value, index = arguments
    if isinstance(value, Moved):
        return _read_moved_item(call, value, index)
    if not isinstance(value, Value):
        return value[index]
    places = list(index) if isinstance(index, tuple) else [index]
    if ... in places:
        middle = places.index(...)
        places[middle : middle + 1] = [slice(None)] * (len(value.shape) + 2 - len(places))
    if not all(isinstance(place, slice | int) for place in places) or places[:1] != [slice(None)]:
        raise UnreadableError(f"an index {index}", "take slices and numbers of axes behind the batch")
    bounds, numbers = [], []
    for axis, place in enumerate(places[1:], 1):
        start, stop, step = (slice(place, place + 1 or None) if isinstance(place, int) else place).indices(value.shape[axis - 1])
        if (start, stop, step) != (0, value.shape[axis - 1], 1):
            bounds.append((start, stop, axis, step))
        numbers += [axis] if isinstance(place, int) else []
    if bounds:
        starts, ends, axes, steps = zip(*bounds, strict=True)
        value = call.add(movement.Slice(starts=starts, ends=ends, axes=axes, steps=steps), [value], "slice" if numbers else "")
    return call.add(movement.Squeeze(axes=tuple(numbers)), [value]) if numbers else value


def _read_moved_item(call: Call, moved: Moved, index: Any) -> Value | Moved:
    """Read an index whose axes are counted as the batch stands among them."""
    places, axis = list(index) if isinstance(index, tuple) else [index], moved.batch_axis
    n_left = len(moved.value.shape) + 1 - len([place for place in places if place is not ...])
    middle = places.index(...) if ... in places else len(places)
    places[middle : middle + 1] = [slice(None)] * n_left
    if not isinstance(places[axis], slice) or places[axis] != slice(None):
        raise refuse_moved(axis)
    found = _read_item(call, (moved.value, (slice(None), *places[:axis], *places[axis + 1 :])), {})
    after = axis - sum(isinstance(place, int) for place in places[:axis])
    return Moved(found, after) if after else found


def _read_part(call: Call, arguments: Any, keywords: Any) -> Any:
    """Read a place or a span of an axis, as exported programs write an index."""
    given = name_arguments(
        arguments, keywords, "input", "dim", *(("index",) if call.operator == "select" else ("start", "end", "step"))
    )
    moved = given["input"]
    if not isinstance(moved, Moved):
        return add_probed(call, arguments, keywords)
    places: list[Any] = [slice(None)] * (len(moved.value.shape) + 1)
    span = slice(given.get("start"), given.get("end"), given.get("step"))
    places[given.get("dim", 0)] = given.get("index", span)
    return _read_moved_item(call, moved, tuple(places))


def _read_pad(call: Call, arguments: Any, keywords: Any) -> Value:
    given = name_arguments(arguments, keywords, "input", "pad", "mode", "value")
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    value = first_value(arguments, keywords)
    return add_pad(call, value, given["pad"], modes[given.get("mode", "constant")], float(given.get("value") or 0.0))


def _read_product(call: Call, arguments: Any, keywords: Any) -> Value:
    given = name_arguments(arguments, keywords, "input", "other")
    return call.add(MatMul(), [given["input"], given["other"]])


def _read_linear(call: Call, arguments: Any, keywords: Any) -> Value:
    given = name_arguments(arguments, keywords, "input", "weight", "bias")
    value, bias = first_value(arguments, keywords), given.get("bias")
    if len(value.shape) == 1:
        return call.add(Gemm(trans_b=1), [value, given["weight"], *([] if bias is None else [bias])])
    product = call.add(MatMul(), [value, given["weight"].T], "" if bias is None else "product")
    return product if bias is None else call.add(arithmetic.Add(), [product, bias])


def _read_addmm(call: Call, arguments: Any, keywords: Any) -> Value:
    """Read ``beta bias + alpha x W``."""
    given = name_arguments(arguments, keywords, "input", "mat1", "mat2")
    bias, value, weight = (given[name] for name in ("input", "mat1", "mat2"))
    if not isinstance(value, Value) or isinstance(bias, Value):
        raise UnreadableError("a sum and product of activations", "write x @ W + b with constant W and b")
    return call.add(Gemm(alpha=float(given.get("alpha", 1)), beta=float(given.get("beta", 1))), [value, weight, bias])


def _read_square(call: Call, arguments: Any, keywords: Any) -> Value:
    return call.add(arithmetic.Pow(), [first_value(arguments, keywords), 2.0])


def _read_conv(call: Call, arguments: Any, keywords: Any) -> Value:
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    given = name_arguments(arguments, keywords, *names)
    weight, bias, padding = given["weight"], given.get("bias"), given.get("padding", 0)
    rank = weight.ndim - 2
    if isinstance(padding, str):
        raise UnreadableError(f"padding '{padding}' of a function", "give numbers, or use the layer")
    operation = Conv(
        kernel_shape=tuple(weight.shape[2:]),
        strides=spread_sides(given.get("stride", 1), rank),
        dilations=spread_sides(given.get("dilation", 1), rank),
        pads=spread_sides(padding, rank) * 2,
        group=int(given.get("groups", 1)),
    )
    return call.add(operation, [first_value(arguments, keywords), weight, *([] if bias is None else [bias])])


def _read_convolution(call: Call, arguments: Any, keywords: Any) -> Value:
    """Read the operator that all convolutions are decomposed to."""
    value, weight, bias, stride, padding, dilation, is_transposed, _, groups = arguments
    if is_transposed:
        raise UnreadableError("a transposed convolution as a function", "use the layer")
    return _read_conv(call, (value, weight, bias, stride, padding, dilation, groups), keywords)


def _read_constant_pad(call: Call, arguments: Any, keywords: Any) -> Value:
    value, pad, *filled = arguments
    return _read_pad(call, (value, pad, "constant", *filled), keywords)


def _read_evaluated_norm(call: Call, arguments: Any, keywords: Any) -> Any:
    """Read the operator that normalisation in evaluation is decomposed to, which gives three values."""
    value, weight, bias, mean, variance, momentum, epsilon = arguments
    found = _read_norm(call, (value, mean, variance, weight, bias, False, momentum, epsilon), keywords)
    return _Several(found)


def _read_norm(call: Call, arguments: Any, keywords: Any) -> Value:
    statistics, affine_names = ("running_mean", "running_var"), ("weight", "bias")
    middle = (*affine_names, *statistics) if call.operator == "aten.batch_norm" else (*statistics, *affine_names)
    names = ("input", *middle, "training", "momentum", "eps")
    given = SimpleNamespace(**{**dict.fromkeys(names), **name_arguments(arguments, keywords, *names)})
    if given.training or given.running_mean is None:
        raise UnreadableError("a normalisation by the batch's own statistics", "give running statistics and training=False")
    ones, zeros = np.ones(len(given.running_mean), np.float32), np.zeros(len(given.running_mean), np.float32)
    affine = [ones if given.weight is None else given.weight, zeros if given.bias is None else given.bias]
    epsilon = 1e-5 if given.eps is None else float(given.eps)
    inputs = [first_value(arguments, keywords), *affine, given.running_mean, given.running_var]
    return call.add(BatchNormalization(epsilon=epsilon), inputs)


def _pass_over(call: Call, arguments: Any, keywords: Any) -> Value:
    """Read a change of type or place, but one that rounds."""
    import torch

    kinds = [one for one in (*arguments[1:], *keywords.values()) if isinstance(one, torch.dtype | str)]
    allowed = (torch.float32, torch.float64, "torch.float32", "torch.float64", "torch.FloatTensor", "torch.DoubleTensor")
    is_place = call.operator in ("to", "cuda")  # which a string names there
    wrong = [kind for kind in kinds if kind not in allowed and not (isinstance(kind, str) and is_place)]
    if wrong:
        raise UnreadableError(f"a cast that rounds activations, to {wrong[0]}", "cast to float32, or leave it out")
    return first_value(arguments, keywords)


def _find_shape(call: Call, arguments: Any, keywords: Any) -> tuple[int, ...]:
    """Return the shape of a sample that the call itself gives.

    Raises:
        UnreadableError: the call fails, or what it gives has another first dimension than the batch.
    """
    found = call.run(arguments, keywords)
    batch = call.reader.batch
    if found.ndim == 0 or found.shape[0] != batch:
        raise UnreadableError(
            f"(batch, ...) becomes {tuple(found.shape)} for a batch of {batch}", "keep the batch as the first dimension"
        )
    return tuple(found.shape[1:])


def _require_shape(value: Value, sides: tuple[int, ...]) -> Value:
    if value.shape != sides:
        raise UnreadableError(f"samples become {sides}, not {value.shape}", "keep the batch as the first dimension")
    return value


_FUNCTIONS: Mapping[str, Reader] = {
    **dict.fromkeys(("add", "add_", "iadd"), _read_pair(arithmetic.Add)),
    **dict.fromkeys(("sub", "sub_", "isub", "subtract"), _read_pair(arithmetic.Sub)),
    "rsub": _read_reversed,
    **dict.fromkeys(("mul", "mul_", "imul", "multiply"), _read_pair(arithmetic.Mul)),
    **dict.fromkeys(("div", "div_", "truediv", "itruediv", "divide", "true_divide"), _read_pair(arithmetic.Div)),
    **dict.fromkeys(("pow", "pow_"), _read_pair(arithmetic.Pow)),
    **dict.fromkeys(("square", "square_"), _read_square),
    **dict.fromkeys(("neg", "neg_", "negative"), _read_one(lambda _: activations.Neg())),
    "maximum": _read_pair(arithmetic.Max),
    "minimum": _read_pair(arithmetic.Min),
    "abs": _read_one(lambda _: activations.Abs()),
    **dict.fromkeys(("sigmoid", "sigmoid_"), _read_one(lambda _: activations.Sigmoid())),
    **dict.fromkeys(("tanh", "tanh_"), _read_one(lambda _: activations.Tanh())),
    "exp": _read_one(lambda _: activations.Exp()),
    "log": _read_one(lambda _: activations.Log()),
    "sqrt": _read_one(lambda _: activations.Sqrt()),
    "elu": _read_one(lambda given: activations.Elu(alpha=float(given.get("alpha", 1.0))), "alpha"),
    "hardswish": _read_one(lambda _: activations.HardSwish()),
    "prelu": _read_prelu,
    "silu": _read_silu,
    **dict.fromkeys(("softmax", "log_softmax"), _read_softmax),
    **dict.fromkeys(("cat", "concat", "concatenate"), _read_concat),
    **dict.fromkeys(("view", "reshape", "unflatten"), _read_reshape),
    "squeeze": _read_squeeze,
    "unsqueeze": _read_unsqueeze,
    **dict.fromkeys(("permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "t"), _read_transpose),
    "mean": _reduce(pooling.ReduceMean),
    "sum": _reduce(pooling.ReduceSum),
    "amax": _reduce(pooling.ReduceMax),
    "amin": _reduce(pooling.ReduceMin),
    "max": _read_extreme(arithmetic.Max, pooling.ReduceMax),
    "min": _read_extreme(arithmetic.Min, pooling.ReduceMin),
    **dict.fromkeys(("chunk", "split", "split_with_sizes", "tensor_split"), _read_parts),
    "unbind": _read_unbound,
    "stack": _read_stack,
    **dict.fromkeys(("threshold", "_threshold"), _read_threshold),
    "expand_as": _read_expand_as,
    **CHOICES,
    "getitem": _read_item,
    **dict.fromkeys(("select", "slice"), _read_part),
    "getattr": _read_attribute,
    "pad": _read_pad,
    "constant_pad_nd": _read_constant_pad,
    **dict.fromkeys(("matmul", "mm"), _read_product),
    "addmm": _read_addmm,
    "linear": _read_linear,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _read_conv),
    "convolution": _read_convolution,
    "_native_batch_norm_legit_no_training": _read_evaluated_norm,
    **dict.fromkeys(("batch_norm", "aten.batch_norm"), _read_norm),
    **dict.fromkeys(
        (
            "float",
            "double",
            "to",
            "type",
            "type_as",
            "clone",
            "detach",
            "alias",
            "lift_fresh_copy",
            "cpu",
            "cuda",
            "requires_grad_",
        ),
        _pass_over,
    ),
}
"""Reader by the name of a function, operator or method; the others have a layer that does the same."""

TAKING_ROWS = frozenset(
    {
        name
        for name in _FUNCTIONS
        if name.startswith(("add", "sub", "mul", "div", "rsub", "true", "iadd", "isub", "imul", "itrue", "max", "min"))
    }
    | {"cat", "concat", "concatenate", "masked_fill", "masked_fill_", "stack", "where"}
)
"""Functions that take constants of as many rows as the batch has, all alike."""

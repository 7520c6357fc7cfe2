"""What torch's linear operations do to signals: the counterpart of each, by the function's name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map

from snnmap.core import FloatArray, IntArray
from snnmap.core.spatial import Window, lower_convolution, lower_pooling
from snnmap.frontends.following.signal import Signal, join, make_constant
from snnmap.frontends.torch.modules import as_array

__all__ = [
    "CONSTANT",
    "LINEAR",
    "MOVING",
    "PICKING",
    "READING",
    "Call",
    "UnreadableError",
    "find_plane",
    "find_pool",
    "list_written",
    "move",
    "passes",
    "spread_over_batch",
    "run_with_batch_of_one",
]

MOVING = frozenset({
    "T", "__get__", "__getitem__", "__iter__", "__setitem__", "broadcast_to", "cat", "chunk", "clone", "concat", "contiguous",
    "copy_", "detach", "expand", "expand_as", "flatten", "flip", "hstack", "index_select", "movedim", "narrow", "pad", "permute",
    "repeat", "reshape", "reshape_as", "roll", "select", "split", "squeeze", "stack", "swapaxes", "t", "tile", "transpose",
    "unbind", "unflatten", "unsqueeze", "view", "view_as", "vstack", "zero_",
})  # fmt: skip
"""Functions whose results are their arguments' values in other places, or zeros."""

PICKING = frozenset({"__getitem__", "__setitem__", "index_select"})
"""Those of them that take places as arguments."""

PASSED = frozenset({
    "alpha_dropout", "cpu", "cuda", "detach_", "double", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout",
    "float", "half", "requires_grad_", "to", "type", "type_as",
})  # fmt: skip
"""Functions that give their first argument in evaluation; numbers stay in float64."""

CONSTANT = frozenset(
    {"empty_like", "full_like", "new_empty", "new_full", "new_ones", "new_tensor", "new_zeros", "ones_like", "zeros_like"}
)
"""Functions that take a shape alone from a tensor."""

READING = frozenset({
    "__array__", "__bool__", "__contains__", "__float__", "__index__", "__int__", "allclose", "equal", "is_nonzero", "item",
    "nonzero", "numpy", "tolist",
})  # fmt: skip
"""Functions by which the values themselves decide what forward does."""


class UnreadableError(Exception):
    """An operation that is not linear in spikes, or not known; ``fix`` says what to do."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a torch function on followed tensors.

    Attributes:
        name: of the function.
        args: positional arguments.
        kwargs: named ones.
        result: what torch gave.
        path: of the module in which it happened.
        find: gives the signal of a tensor; constants have one as well.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: Any
    path: str
    find: Callable[[Tensor], Signal]

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """Return an argument, positional or named."""
        return self.args[place] if place < len(self.args) else self.kwargs.get(name, default)

    def constant(self, place: int, name: str) -> FloatArray | None:
        """Return an argument that must not depend on spikes; None where it is left out.

        Raises:
            UnreadableError: it does.
        """
        value = self.argument(place, name)
        if value is None or not isinstance(value, Tensor):
            return None if value is None else np.asarray(value, np.float64)
        if self.find(value).matrix.nnz:
            raise UnreadableError("a product of spikes or states with each other", "use weights that are the same in each step")
        return as_array(value)

    def spread(self, value: Any) -> Signal:
        """Return the signal of an operand, broadcast to the shape of the result."""
        tensor = value if isinstance(value, Tensor) else torch.tensor(float(value), dtype=torch.float64)
        places = np.broadcast_to(np.arange(tensor.numel()).reshape(tuple(tensor.shape)), tuple(self.result.shape))
        return self.find(tensor).pick(places.reshape(-1))


def passes(func: Callable[..., Any], name: str, args: Any, kwargs: Any) -> bool:
    """Say whether a call gives its first argument: a dropout in evaluation, or another place or precision, not whole numbers."""
    if name not in PASSED or not args or not isinstance(args[0], Tensor) or not args[0].is_floating_point():
        return False
    if "dropout" in name:
        training = kwargs.get("training", args[2] if len(args) > 2 else True)
        return not training or kwargs.get("p", args[1] if len(args) > 1 else 0.5) == 0
    is_place = name in ("cpu", "cuda") or (name == "to" and not any(isinstance(part, torch.dtype | Tensor) for part in args[1:]))
    return (is_place and "dtype" not in kwargs) or bool(func(*args, **kwargs).is_floating_point())


def run_with_batch_of_one(func: Callable[..., Tensor], name: str, args: Any, kwargs: Any) -> Tensor | None:
    """Return what failed as forward names the batch of its training and has one of 1: a view, or a product behind it; or None."""
    if name == "linear" and args[0].ndim == 2 and args[0].numel() == args[1].shape[-1]:
        return func(args[0].reshape(1, -1), *args[1:], **kwargs)
    if name not in ("view", "reshape") or len(args) < 2 or not isinstance(args[0], Tensor):
        return None
    given = tuple(args[1]) if isinstance(args[1], tuple | list) else tuple(args[1:])
    return func(args[0], 1, *given[1:], **kwargs) if len(given) > 1 else None


def move(func: Callable[..., Any], args: Any, kwargs: Any, find: Callable[[Tensor], Signal]) -> list[Signal]:
    """Return the signals of all tensors that a function of :data:`MOVING` gives, found by running it on numbers of places.

    Of ``__setitem__``, that is the tensor written to.
    """
    leaves, _ = tree_flatten((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    numbers: dict[int, Tensor] = {}
    start = 1
    for tensor in tensors:
        if id(tensor) not in numbers:
            numbers[id(tensor)] = torch.arange(start, start + tensor.numel(), dtype=torch.float64).reshape(tensor.shape)
            start += tensor.numel()
    given, named = tree_map(lambda leaf: numbers.get(id(leaf), leaf) if isinstance(leaf, Tensor) else leaf, (args, kwargs))
    found = func(*given, **named)
    results = [given[0]] if found is None else tree_flatten(found)[0]
    whole = join([find(tensor) for tensor in {id(tensor): tensor for tensor in tensors}.values()])
    return [whole.pick(result.reshape(-1).numpy().astype(np.int64) - 1) for result in results]


def list_written(view: Tensor, base: Tensor) -> IntArray:
    """Return where each value of a tensor is after a write to a view of it: among its own, or behind them in the view's."""
    size = base.numel()
    stored = torch.zeros(base.untyped_storage().nbytes() // base.element_size(), dtype=torch.int64)
    at = [torch.as_strided(stored, part.size(), part.stride(), part.storage_offset()) for part in (base, view)]
    at[0].copy_(torch.arange(size).reshape(base.shape))
    at[1].copy_(size + torch.arange(view.numel()).reshape(view.shape))
    return at[0].reshape(-1).numpy().copy()


def _add(call: Call) -> Signal:
    other = call.spread(call.argument(1, "other"))
    factor = float(call.kwargs.get("alpha", 1))
    return call.spread(call.argument(0, "input")).plus(other if factor == 1 else other.scale(np.full(other.size, factor)))


def _subtract(call: Call) -> Signal:
    other = call.spread(call.argument(1, "other"))
    factor = -float(call.kwargs.get("alpha", 1))
    return call.spread(call.argument(0, "input")).plus(other.scale(np.full(other.size, factor)))


def _subtract_from(call: Call) -> Signal:
    first = call.spread(call.args[0])
    return call.spread(call.args[1]).plus(first.scale(np.full(first.size, -1.0)))


def _negate(call: Call) -> Signal:
    value = call.spread(call.args[0])
    return value.scale(np.full(value.size, -1.0))


def _multiply(call: Call) -> Signal:
    one, two = call.spread(call.argument(0, "input")), call.spread(call.argument(1, "other"))
    if one.matrix.nnz and two.matrix.nnz:
        raise UnreadableError("a product of spikes or states with each other", "multiply them with numbers alone")
    return one.scale(two.constant) if one.matrix.nnz else two.scale(one.constant)


def _divide(call: Call) -> Signal:
    one, two = call.spread(call.argument(0, "input")), call.spread(call.argument(1, "other"))
    if two.matrix.nnz or call.kwargs.get("rounding_mode"):
        raise UnreadableError("a quotient that is not linear", "divide by numbers alone")
    return one.scale(1.0 / two.constant)


def _linear(call: Call) -> Signal:
    value, weight, bias = call.args[0], call.constant(1, "weight"), call.constant(2, "bias")
    assert weight is not None
    return _weigh(call, value, np.atleast_2d(weight).T, bias)


def _matmul(call: Call) -> Signal:
    value, weights = call.args[0], call.constant(1, "other")
    if weights is None or weights.ndim != 2:
        raise UnreadableError("a product with something else than a matrix", "use nn.Linear, or x @ W with W of two dimensions")
    return _weigh(call, value, weights, None)


def _weigh(call: Call, value: Tensor, weights: FloatArray, bias: FloatArray | None) -> Signal:
    """Multiply the last dimension by ``(n, m)`` weights."""
    from scipy.sparse import csr_array

    return _slide(call, value, csr_array(weights), bias)


def _convolve(call: Call) -> Signal:
    weight, bias = call.constant(1, "weight"), call.constant(2, "bias")
    assert weight is not None
    value, flat = call.args[0], weight.ndim == 3
    stride, padding, dilation = (call.argument(3 + k, name, base) for k, (name, base) in enumerate(_SLIDES.items()))
    window = _find_window(weight.shape[2:], stride, padding, dilation)
    kernel = weight[:, :, np.newaxis, :] if flat else weight
    shape = find_plane(value, flat)
    matrix, out = lower_convolution(kernel, window, int(call.argument(6, "groups", 1)), shape, _where(call))
    return _slide(call, value, matrix, None if bias is None else np.repeat(bias, out[1] * out[2]))


_SLIDES = {"stride": 1, "padding": 0, "dilation": 1}


def _convolve_back(call: Call) -> Signal:
    """Transpose the matrix of the convolution that goes the other way."""
    weight, bias = call.constant(1, "weight"), call.constant(2, "bias")
    assert weight is not None
    value, flat = call.args[0], weight.ndim == 3
    stride, padding = call.argument(3, "stride", 1), call.argument(4, "padding", 0)
    groups, dilation = int(call.argument(6, "groups", 1)), call.argument(7, "dilation", 1)
    out = find_plane(call.result, flat)
    window = _cut(_find_window(weight.shape[2:], stride, padding, dilation), out, find_plane(value, flat))
    kernel = weight[:, :, np.newaxis, :] if flat else weight
    matrix, _ = lower_convolution(kernel, window, groups, out, _where(call))
    return _slide(call, value, matrix.T, None if bias is None else np.repeat(bias, out[1] * out[2]))


def _cut(window: Window, shape: tuple[int, int, int], wanted: tuple[int, int, int]) -> Window:
    """Pad less after the last place where output padding leaves room for another window."""
    padding = []
    for axis in (0, 1):
        before, after = window.padding[axis]
        spread = window.dilation[axis] * (window.kernel[axis] - 1) + 1
        needed = (wanted[1 + axis] - 1) * window.stride[axis] + spread - shape[1 + axis] - before
        padding.append((before, min(after, max(needed, 0))))
    return Window(kernel=window.kernel, stride=window.stride, dilation=window.dilation, padding=(padding[0], padding[1]))


def _average(call: Call) -> Signal:
    value, flat = call.args[0], "1d" in call.name
    window = find_pool(call, dilation=1)
    if call.argument(4, "ceil_mode", False) or call.argument(6, "divisor_override"):
        raise UnreadableError("an average over windows of several sizes", "use ceil_mode=False")
    if call.argument(5, "count_include_pad", True) is False and window.padding != ((0, 0), (0, 0)):
        raise UnreadableError("an average that leaves padding out", "use count_include_pad=True, or no padding")
    matrix, _ = lower_pooling(window, 1.0 / (window.kernel[0] * window.kernel[1]), find_plane(value, flat), _where(call))
    return _slide(call, value, matrix, None)


def _sum_windows(call: Call) -> Signal:
    """Sum over windows, as a pool of norm 1 does (Sinabs' SumPool2d)."""
    value, flat, kernel = call.args[0], "1d" in call.name, call.argument(2, "kernel_size")
    if call.argument(1, "norm_type") != 1 or call.argument(4, "ceil_mode", False):
        raise UnreadableError("a pool of a norm that is no sum", "use norm_type=1 and ceil_mode=False, or AvgPool2d")
    size = _pair(kernel, flat)
    window = _find_window(size[1:] if flat else size, call.argument(3, "stride") or kernel, 0, 1)
    matrix, _ = lower_pooling(window, 1.0, find_plane(value, flat), _where(call))
    return _slide(call, value, matrix, None)


def find_pool(call: Call, dilation: Any) -> Window:
    """Return how the windows of a pooling slide."""
    flat, kernel = "1d" in call.name, call.argument(1, "kernel_size")
    size = _pair(kernel, flat)
    return _find_window(
        size[1:] if flat else size, call.argument(2, "stride") or kernel, call.argument(3, "padding", 0), dilation
    )


def _average_to_size(call: Call) -> Signal:
    """Average over windows of one size, where the sides divide."""
    value, flat = call.args[0], "1d" in call.name
    shape, out = find_plane(value, flat), find_plane(call.result, flat)
    if shape[1] % out[1] or shape[2] % out[2]:
        raise UnreadableError("an average over windows of several sizes", "give sides that divide those of the input")
    kernel = (shape[1] // out[1], shape[2] // out[2])
    matrix, _ = lower_pooling(Window(kernel=kernel, stride=kernel), 1.0 / (kernel[0] * kernel[1]), shape, _where(call))
    return _slide(call, value, matrix, None)


def _normalise(call: Call) -> Signal:
    """Batch normalisation by running averages."""
    value = call.args[0]
    mean, variance, weight, bias = (call.constant(1 + k, name) for k, name in enumerate(_NORMS))
    if call.argument(5, "training", False) or mean is None or variance is None:
        raise UnreadableError("a batch normalisation by the batch's own statistics", "use track_running_stats=True")
    factor = (1.0 if weight is None else weight) / np.sqrt(variance + float(call.argument(7, "eps", 1e-5)))
    offset = (0.0 if bias is None else bias) - mean * factor
    one = [1, -1, *[1] * (value.ndim - 2)]
    spread = [np.broadcast_to(part.reshape(one), tuple(value.shape)).reshape(-1) for part in (factor, offset)]
    return call.find(value).scale(spread[0]).plus(make_constant(spread[1]))


_NORMS = ("running_mean", "running_var", "weight", "bias")


def _sum(call: Call) -> Signal:
    """Add up along dimensions: every value of the argument to the value of the result that it is a part of."""
    from scipy.sparse import csr_array

    value = call.args[0]
    dims = call.argument(1, "dim", call.kwargs.get("axis"))
    axes = range(value.ndim) if dims is None else [dims] if isinstance(dims, int) else dims
    sides = [1 if axis in {a % value.ndim for a in axes} else side for axis, side in enumerate(value.shape)]
    n_out = int(np.prod(sides))
    target = np.broadcast_to(np.arange(n_out).reshape(sides), tuple(value.shape)).reshape(-1)
    matrix = csr_array((np.ones(target.size), (np.arange(target.size), target)), shape=(target.size, n_out))
    return call.find(value).through(matrix)


def _mean(call: Call) -> Signal:
    total = _sum(call)
    return total.scale(np.full(total.size, call.result.numel() / call.args[0].numel()))


def _slide(call: Call, value: Tensor, matrix: Any, bias: FloatArray | None) -> Signal:
    """Apply what was lowered for one sample to each of the batch."""
    offset = None if bias is None else np.tile(bias, value.numel() // matrix.shape[0])
    return call.find(value).through(spread_over_batch(matrix, value), offset, path=call.path)


def spread_over_batch(matrix: Any, value: Tensor) -> Any:
    """Return what was lowered for one sample as a matrix for all samples of a batch."""
    from scipy.sparse import csr_array, kron

    rows = value.numel() // matrix.shape[0]
    return matrix if rows == 1 else kron(csr_array(np.eye(rows)), matrix, format="csr")


def _find_window(kernel: Any, stride: Any, padding: Any, dilation: Any) -> Window:
    """Return how a kernel, ``(width,)`` or ``(height, width)``, slides over a plane; ``same`` puts the odd zero after."""
    flat = len(kernel) == 1
    size, steps, spread = _pair(kernel, flat), _pair(stride, flat), _pair(dilation, flat)
    if isinstance(padding, str):
        whole = [0 if padding == "valid" else gap * (side - 1) for side, gap in zip(size, spread, strict=True)]
        pads = [(side // 2, side - side // 2) for side in whole]
    else:
        pads = [(side, side) for side in _pair(padding, flat, first=0)]
    return Window(kernel=size, stride=steps, dilation=spread, padding=(pads[0], pads[1]))


def _pair(value: Any, flat: bool, first: int = 1) -> tuple[int, int]:
    """Return height and width of one number or two; a one-dimensional layer has one row."""
    sides = [int(value)] if isinstance(value, int) else [int(side) for side in value]
    return (first, sides[-1]) if flat else (sides[0], sides[-1])


def find_plane(tensor: Tensor, flat: bool) -> tuple[int, int, int]:
    """Return channels, height and width of a batch; a one-dimensional layer has one row."""
    sides = tuple(tensor.shape)
    return (sides[-2], 1, sides[-1]) if flat else (sides[-3], sides[-2], sides[-1])


def _where(call: Call) -> str:
    return f"module '{call.path}'" if call.path else "forward"


LINEAR: Mapping[str, Callable[[Call], Signal]] = {
    **dict.fromkeys(("add", "add_", "__add__", "__radd__", "__iadd__"), _add),
    **dict.fromkeys(("sub", "sub_", "subtract", "__sub__", "__isub__"), _subtract),
    **dict.fromkeys(("rsub", "__rsub__"), _subtract_from),
    **dict.fromkeys(("neg", "negative", "__neg__"), _negate),
    **dict.fromkeys(("mul", "mul_", "multiply", "__mul__", "__rmul__", "__imul__"), _multiply),
    **dict.fromkeys(("div", "div_", "divide", "true_divide", "__truediv__", "__itruediv__"), _divide),
    **dict.fromkeys(("conv1d", "conv2d"), _convolve),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d"), _convolve_back),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d"), _average),
    **dict.fromkeys(("lp_pool1d", "lp_pool2d"), _sum_windows),
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d"), _average_to_size),
    **dict.fromkeys(("matmul", "mm", "__matmul__"), _matmul),
    "batch_norm": _normalise,
    "linear": _linear,
    "mean": _mean,
    "sum": _sum,
}
"""Functions that are linear in their followed arguments."""

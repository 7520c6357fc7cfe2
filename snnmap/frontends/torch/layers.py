"""What each layer of torch.nn is in a layer graph."""

from collections.abc import Callable
from typing import Any

import numpy as np

from snnmap.frontends.torch.call import FIXES, Call, Value
from snnmap.frontends.torch.functional import clip_bounds
from snnmap.frontends.torch.own_layers import list_quantisers, make_levels
from snnmap.frontends.torch.probe import add_probed_module
from snnmap.graph import UnreadableError
from snnmap.graph.operations import activations, movement, pooling
from snnmap.graph.operations.arithmetic import Add, Mul
from snnmap.graph.operations.conv import Conv
from snnmap.graph.operations.conv_transpose import ConvTranspose
from snnmap.graph.operations.gemm import Gemm, MatMul
from snnmap.graph.operations.normalization import LRN, BatchNormalization

__all__ = ["add_pad", "find_axis", "find_layer", "spread_sides"]

Reader = Callable[[Call, Any, Value], Any]


def find_layer(module: Any) -> Reader | None:
    """Return what reads a module as nodes, or None where nothing does."""
    from torch import nn

    from snnmap.nn.delta import DeltaSynapse

    if isinstance(module, DeltaSynapse):  # which at every step computes what its layer does, but for rounding
        within: Any = find_layer(module.layer)
        return lambda call, synapse, value: within(call, synapse.layer, value)
    if isinstance(module, list_quantisers()):
        return _read_levels
    for names, read in _LAYERS.items():
        if isinstance(module, tuple(getattr(nn, name) for name in names.split() if hasattr(nn, name))):
            return read
    return None


def _pass_over(call: Call, module: Any, value: Value) -> Value:  # noqa: ARG001 what every reader takes
    return value


def _read_levels(call: Call, module: Any, value: Value) -> Value:
    levels, steps = make_levels(module, value.shape)
    return call.add(levels, [value, (f"{call.source}.step", steps)])


def _read_linear(call: Call, module: Any, value: Value) -> Value:
    """Read a product with weights: Gemm of samples of one dimension, MatMul and Add of more."""
    weight, bias = call.weight(module), _find_bias(call, module)
    if len(value.shape) == 1:
        return call.add(Gemm(trans_b=1), [value, weight, *bias])
    flipped = (f"{weight[0]}.T", weight[1].T.copy())
    product = call.add(MatMul(), [value, flipped], "product" if bias else "")
    return call.add(Add(), [product, *bias]) if bias else product


def _read_conv(call: Call, module: Any, value: Value) -> Value:
    rank = len(module.kernel_size)
    before, after = _find_padding(module)
    if module.padding_mode != "zeros" and any(before + after):
        pads = (0, 0, *before, 0, 0, *after)
        value = call.add(movement.Pad(pads=pads, mode=_MODES[module.padding_mode]), [value], "pad")
        before = after = (0,) * rank
    operation = Conv(
        kernel_shape=tuple(module.kernel_size),
        strides=tuple(module.stride),
        dilations=tuple(module.dilation),
        pads=(*before, *after),
        group=module.groups,
    )
    return call.add(operation, [value, call.weight(module), *_find_bias(call, module)])


def _read_transposed(call: Call, module: Any, value: Value) -> Value:
    operation = ConvTranspose(
        kernel_shape=tuple(module.kernel_size),
        strides=tuple(module.stride),
        dilations=tuple(module.dilation),
        pads=tuple(module.padding) * 2,
        output_padding=tuple(module.output_padding),
        group=module.groups,
    )
    return call.add(operation, [value, call.parameter(module, "weight"), *_find_bias(call, module)])


def _read_response_norm(call: Call, module: Any, value: Value) -> Value:
    options = {"alpha": float(module.alpha), "beta": float(module.beta), "bias": float(module.k)}
    if module.size % 2 == 0:
        raise UnreadableError(f"{module.size} channels, of which torch takes one more before", "give an odd size")
    return call.add(LRN(size=int(module.size), **options), [value])


def _read_norm(call: Call, module: Any, value: Value) -> Value:
    if module.running_mean is None:
        raise UnreadableError("it has no running statistics, and samples would mix", "train it with track_running_stats=True")
    ones, zeros = np.ones(module.num_features, np.float32), np.zeros(module.num_features, np.float32)
    affine = [call.parameter(module, name) if module.affine else (f"{call.source}.{name}", array) for name, array in
              (("weight", ones), ("bias", zeros))]  # fmt: skip
    statistics = [call.parameter(module, name) for name in ("running_mean", "running_var")]
    return call.add(BatchNormalization(epsilon=float(module.eps)), [value, *affine, *statistics])


def _read_instance_norm(call: Call, module: Any, value: Value) -> Value:
    """Read one with running statistics, by which it normalises in evaluation as BatchNorm does."""
    if module.running_mean is None:
        raise UnreadableError("no operation of a layer graph does this", FIXES["InstanceNorm2d"], is_unknown=True)
    return _read_norm(call, module, value)


def _read_pool(call: Call, module: Any, value: Value) -> Value:
    if getattr(module, "return_indices", False):
        raise UnreadableError("a pool that gives indices", "pool with return_indices=False")
    rank = _find_rank(module, value)
    kernel, padding = spread_sides(module.kernel_size, rank), spread_sides(module.padding, rank)
    strides = spread_sides(module.stride if module.stride is not None else module.kernel_size, rank)
    common: Any = {"kernel_shape": kernel, "strides": strides, "pads": padding * 2, "ceil_mode": int(module.ceil_mode)}
    if type(module).__name__.startswith("Max"):
        return call.add(pooling.MaxPool(**common, dilations=spread_sides(module.dilation, rank)), [value])
    divisor = getattr(module, "divisor_override", None)
    if divisor is None:
        return call.add(pooling.AveragePool(**common, count_include_pad=int(module.count_include_pad)), [value])
    if module.ceil_mode:
        raise UnreadableError("windows of several sizes divided by one number", "pool with ceil_mode=False")
    mean = call.add(pooling.AveragePool(**common, count_include_pad=1), [value], "mean")
    return call.add(Mul(), [mean, np.float64(np.prod(kernel) / divisor)])


def _read_adaptive(call: Call, module: Any, value: Value) -> Value:
    sides = value.shape[1:]
    given = spread_sides(module.output_size, _find_rank(module, value))
    wanted = tuple(old if new is None else int(new) for old, new in zip(sides, given, strict=True))
    is_maximum = "Max" in type(module).__name__
    if set(wanted) == {1}:
        return call.add(pooling.GlobalMaxPool() if is_maximum else pooling.GlobalAveragePool(), [value])
    if any(old % new for old, new in zip(sides, wanted, strict=True)):
        return _add_uneven(call, value, wanted, is_maximum=is_maximum)
    kernel = tuple(old // new for old, new in zip(sides, wanted, strict=True))
    pool = pooling.MaxPool if is_maximum else pooling.AveragePool
    return call.add(pool(kernel_shape=kernel, strides=kernel), [value])


def _add_uneven(call: Call, value: Value, wanted: tuple[int, ...], *, is_maximum: bool) -> Value:
    """Add a pool whose windows have several sizes, axis by axis: greatest values of chosen places, or products with shares."""
    rank = len(value.shape)
    if rank > 3:
        raise UnreadableError(
            f"windows of several sizes, {value.shape[1:]} to {wanted}", "give an output size that divides the input's"
        )
    for axis, new in enumerate(wanted, 2):
        old = value.shape[axis - 1]
        starts, ends = np.arange(new) * old // new, -(-(np.arange(1, new + 1) * old) // new)
        places = starts[:, np.newaxis] + np.arange((ends - starts).max())
        suffix = "" if axis == rank else f"axis{axis}"
        if is_maximum:
            chosen = (f"{call.name}.places{axis}", np.minimum(places, ends[:, np.newaxis] - 1))
            value = call.add(movement.Gather(axis=axis), [value, chosen], f"windows{axis}")
            value = call.add(pooling.ReduceMax(axes=(axis + 1,), keepdims=0), [value], suffix)
            continue
        shares = np.zeros((old, new))
        window, place = np.nonzero(places < ends[:, np.newaxis])
        shares[places[window, place], window] = 1.0 / (ends - starts)[window]
        weight = (f"{call.name}.shares{axis}", shares if axis == rank else shares.T.copy())
        value = call.add(MatMul(), [value, weight] if axis == rank else [weight, value], suffix)
    return value


def _read_clip(call: Call, module: Any, value: Value) -> Value:
    low, high = clip_bounds(module)
    return call.add(activations.Clip(min=low, max=high), [value])


def _read_threshold(call: Call, module: Any, value: Value) -> Value:
    if module.threshold != 0 or module.value != 0:
        raise UnreadableError(
            "a jump at the threshold",
            "use ReLU, or Threshold(0, 0), which is one",
            measured=f"{module.value:g} below {module.threshold:g}",
            limit="0 below 0",
        )
    return call.add(activations.Relu(), [value])


def _read_prelu(call: Call, module: Any, value: Value) -> Value:
    name, slope = call.parameter(module, "weight")
    return call.add(activations.PRelu(), [value, (name, slope.reshape(-1, *(1,) * (len(value.shape) - 1)))])


def _read_silu(call: Call, _: Any, value: Value) -> Value:
    return call.add(Mul(), [value, call.add(activations.Sigmoid(), [value], "sigmoid")])


def _read_softmax(call: Call, module: Any, value: Value) -> Value:
    kind = activations.LogSoftmax if "Log" in type(module).__name__ else activations.Softmax
    return call.add(kind(axis=find_axis(module.dim, value)), [value])


def _read_flatten(call: Call, module: Any, value: Value) -> Value:
    rank = len(value.shape) + 1
    start, end = module.start_dim % rank, module.end_dim % rank
    if start == 1 and end == rank - 1:
        return call.add(movement.Flatten(), [value])
    if start == 0:
        what = f"it flattens dimensions {start} to {end}, and samples would mix"
        raise UnreadableError(what, "flatten from dimension 1; convert each sample by itself")
    middle = int(np.prod(value.shape[start - 1 : end]))
    return call.add(movement.Reshape(shape=(*value.shape[: start - 1], middle, *value.shape[end:])), [value])


def _read_pad(call: Call, module: Any, value: Value) -> Value:
    mode = next((mode for name, mode in _PADS.items() if type(module).__name__.startswith(name)), "constant")
    return add_pad(call, value, module.padding, mode, float(getattr(module, "value", 0.0)))


def add_pad(call: Call, value: Value, padding: Any, mode: str, filled: float = 0.0) -> Value:
    """Add padding as torch writes it: pairs before and after, from the last dimension."""
    rank = len(value.shape) + 1
    pairs = list(padding) if isinstance(padding, tuple | list) else [padding] * 2 * (rank - 2)
    before, after = pairs[0::2][::-1], pairs[1::2][::-1]
    left = (0,) * (rank - len(before))
    return call.add(movement.Pad(pads=(*left, *before, *left, *after), mode=mode, value=filled), [value])


def _find_bias(call: Call, module: Any) -> list[Any]:
    return [] if module.bias is None else [call.parameter(module, "bias")]


def _find_padding(module: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the padding before and after each side; 'same' puts the odd one after, as torch does."""
    if module.padding == "same":
        total = [spread * (side - 1) for side, spread in zip(module.kernel_size, module.dilation, strict=True)]
        return tuple(one // 2 for one in total), tuple(one - one // 2 for one in total)
    sides = (0,) * len(module.kernel_size) if module.padding == "valid" else tuple(module.padding)
    return sides, sides


def _find_rank(module: Any, value: Value) -> int:
    """Return how many dimensions a pool slides over; samples of one fewer, which torch takes as one sample, are refused."""
    rank = next(int(cls.__name__[-2]) for cls in type(module).__mro__ if cls.__module__.startswith("torch.nn."))
    if len(value.shape) != rank + 1:
        raise UnreadableError(
            "samples of other dimensions than the pool's",
            "check the shape of the input: channels first, then one a side of the kernel",
            measured=str(value.shape),
            limit=f"{rank + 1} dimensions",
        )
    return rank


def spread_sides(numbers: Any, rank: int) -> tuple[Any, ...]:
    """Return one number a dimension, of as many numbers or of one."""
    return tuple(numbers) if isinstance(numbers, tuple | list) else (numbers,) * rank


def find_axis(dim: Any, value: Value) -> int:
    """Return a dimension as a number from 0, the batch being 0.

    Raises:
        UnreadableError: none is given.
    """
    if dim is None:
        raise UnreadableError("it does not say over which dimension", "give dim=1")
    return int(dim) % (len(value.shape) + 1)


def _activate(make: Callable[[Any], Any]) -> Reader:
    """Return a reader of a layer that is one operation on one activation."""
    return lambda call, module, value: call.add(make(module), [value])


_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
_PADS = {"Reflection": "reflect", "Replication": "edge", "Circular": "wrap"}
_LAYERS: dict[str, Reader] = {
    "Identity Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout": _pass_over,
    "Linear": _read_linear,
    "Conv1d Conv2d Conv3d": _read_conv,
    "ConvTranspose1d ConvTranspose2d ConvTranspose3d": _read_transposed,
    "LocalResponseNorm": _read_response_norm,
    "BatchNorm1d BatchNorm2d BatchNorm3d": _read_norm,
    "InstanceNorm1d InstanceNorm2d InstanceNorm3d": _read_instance_norm,
    "MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d": _read_pool,
    "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d": _read_adaptive,
    "Hardtanh": _read_clip,  # ReLU6 is one
    "ReLU": _activate(lambda _: activations.Relu()),
    "Threshold": _read_threshold,
    "RReLU": _activate(lambda module: activations.LeakyRelu(alpha=(module.lower + module.upper) / 2)),  # as evaluated
    "LeakyReLU": _activate(lambda module: activations.LeakyRelu(alpha=float(module.negative_slope))),
    "PReLU": _read_prelu,
    "ELU": _activate(lambda module: activations.Elu(alpha=float(module.alpha))),
    "Sigmoid": _activate(lambda _: activations.Sigmoid()),
    "Tanh": _activate(lambda _: activations.Tanh()),
    "SiLU": _read_silu,
    "Hardsigmoid": _activate(lambda _: activations.HardSigmoid(alpha=1 / 6, beta=0.5)),
    "Hardswish": _activate(lambda _: activations.HardSwish()),
    "Softmax LogSoftmax": _read_softmax,
    "Flatten": _read_flatten,
    "Fold Unflatten Unfold PixelShuffle PixelUnshuffle ChannelShuffle Upsample": add_probed_module,
    "ZeroPad1d ZeroPad2d ConstantPad1d ConstantPad2d ReflectionPad1d ReflectionPad2d": _read_pad,
    "ReplicationPad1d ReplicationPad2d CircularPad1d CircularPad2d": _read_pad,
}
"""Reader by the classes of torch.nn, and their subclasses, that it reads."""

"""Torch's convolutions and poolings as sparse matrices: what their options mean, and which have no counterpart."""

from typing import Any

import numpy as np

from snnmap.convert.affine import to_array
from snnmap.core import FloatArray, IntArray
from snnmap.core.errors import FrontendError, NetworkError
from snnmap.core.spatial import Window, index_windows, lower_windows
from snnmap.core.spatial import lower_convolution as lower_kernel

__all__ = ["lower_adaptive_pool", "lower_average_pool", "lower_convolution", "pool_windows"]

Shape = tuple[int, ...]
Pair = tuple[int, int]


def lower_convolution(module: Any, shape: Shape, where: str) -> tuple[Any, FloatArray, Shape]:
    """Write a Conv1d or Conv2d as a matrix.

    Args:
        module: ``torch.nn.Conv1d`` or ``Conv2d``: any stride, dilation, groups, zero padding ('same' with even kernels too).
        shape: of one input sample, ``(channels, length)`` or ``(channels, height, width)``.
        where: module that errors name.

    Returns:
        ``(n_in, n_out)`` csr_array, bias ``(n_out,)``, shape of one output sample.

    Raises:
        FrontendError: other padding than by zeros, or an input that the convolution does not take.
    """
    from snnmap.nn.delta.inference import effective_weight

    if module.padding_mode != "zeros":
        raise _unsupported(module, where, f"padding_mode='{module.padding_mode}'", "pad with zeros")
    weight = to_array(effective_weight(module))
    flat = weight.ndim == 3
    _require_shape(module, shape, 2 if flat else 3, where, channels=module.in_channels)
    kernel, stride, dilation = (_two(values, flat) for values in (module.kernel_size, module.stride, module.dilation))
    window = Window(kernel=kernel, stride=stride, dilation=dilation, padding=_padding(module.padding, kernel, dilation, flat))
    if flat:
        weight = weight[:, :, np.newaxis]
    matrix, out_shape = _fit(lower_kernel, weight, window, module.groups, _with_height(shape, flat), where)
    bias = np.zeros(len(weight)) if module.bias is None else to_array(module.bias)
    return matrix, np.repeat(bias, int(np.prod(out_shape[1:]))), _without_height(out_shape, flat)


def lower_average_pool(module: Any, shape: Shape, where: str) -> tuple[Any, FloatArray, Shape]:
    """Write an AvgPool1d or AvgPool2d, padding counted or not, as a matrix; as :func:`lower_convolution`."""
    index, out_shape = pool_windows(module, shape, where)
    padded = index.shape[1] if getattr(module, "count_include_pad", True) else (index >= 0).sum(axis=1, keepdims=True)
    divisor = getattr(module, "divisor_override", None) or padded
    return lower_windows(index, 1.0 / np.asarray(divisor, np.float64), shape), *_zeros(out_shape)


def lower_adaptive_pool(module: Any, shape: Shape, where: str) -> tuple[Any, FloatArray, Shape]:
    """Write an AdaptiveAvgPool1d or 2d with windows of one size as a matrix; as :func:`lower_convolution`."""
    flat = "1d" in type(module).__name__
    _require_shape(module, shape, 2 if flat else 3, where)
    size = module.output_size if isinstance(module.output_size, tuple | list) else (module.output_size,) * (1 if flat else 2)
    wanted = tuple(old if new is None else int(new) for old, new in zip(shape[1:], size, strict=True))
    if any(old % new for old, new in zip(shape[1:], wanted, strict=True)):
        raise _unsupported(
            module, where, f"{shape[1:]} to {wanted}", "give an output size that divides the input's, or use AvgPool"
        )
    sides = [old // new for old, new in zip(shape[1:], wanted, strict=True)]
    kernel = (1, sides[0]) if flat else (sides[0], sides[1])
    index, out_shape = _fit(index_windows, Window(kernel=kernel, stride=kernel), _with_height(shape, flat), where)
    return lower_windows(index, 1.0 / index.shape[1], shape), *_zeros(_without_height(out_shape, flat))


def pool_windows(module: Any, shape: Shape, where: str) -> tuple[IntArray, Shape]:
    """Return the input index of every place of every window, ``(channels, places, windows)``, -1 for padding.

    Raises:
        FrontendError: ``ceil_mode``, whose last windows hang over the edge, or an input that the pool does not take.
    """
    flat = "1d" in type(module).__name__
    _require_shape(module, shape, 2 if flat else 3, where)
    if module.ceil_mode:
        raise _unsupported(module, where, "ceil_mode=True", "pool with ceil_mode=False, or pad the input")
    if getattr(module, "return_indices", False):
        raise _unsupported(module, where, "return_indices=True", "pool with return_indices=False")
    height, width = _two(module.padding, flat, 0)
    window = Window(
        kernel=_two(module.kernel_size, flat),
        stride=_two(module.stride if module.stride is not None else module.kernel_size, flat),
        dilation=_two(getattr(module, "dilation", 1), flat),
        padding=((height, height), (width, width)),
    )
    index, out_shape = _fit(index_windows, window, _with_height(shape, flat), where)
    return index, _without_height(out_shape, flat)


def _fit(lower: Any, *arguments: Any) -> Any:
    """Lower; what does not fit is the fault of the input's shape."""
    try:
        return lower(*arguments)
    except NetworkError as error:
        fix = "give calibration data of the shape that the model was trained with"
        raise FrontendError(error.what, where=error.where, measured=error.measured, limit=error.limit, fix=fix) from error


def _with_height(shape: Shape, flat: bool) -> Shape:
    return (shape[0], 1, shape[1]) if flat else shape


def _without_height(shape: Shape, flat: bool) -> Shape:
    return (shape[0], shape[2]) if flat else shape


def _zeros(shape: Shape) -> tuple[FloatArray, Shape]:
    return np.zeros(int(np.prod(shape))), shape


def _two(values: Any, flat: bool, flat_height: int = 1) -> Pair:
    """Return height and width; a one-dimensional layer has one row, and no padding above it."""
    numbers = (values,) if isinstance(values, int) else tuple(values)
    return (flat_height, numbers[-1]) if flat else (numbers[0], numbers[-1])


def _padding(padding: Any, kernel: Pair, dilation: Pair, flat: bool) -> tuple[Pair, Pair]:
    """Return zeros before and after, in height and width; 'same' puts the odd one after, as torch does."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        height, width = (spread * (side - 1) for side, spread in zip(kernel, dilation, strict=True))
        return (height // 2, height - height // 2), (width // 2, width - width // 2)
    height, width = _two(padding, flat, 0)
    return (height, height), (width, width)


def _require_shape(module: Any, shape: Shape, n_dimensions: int, where: str, *, channels: int = 0) -> None:
    if len(shape) != n_dimensions or (channels and shape[0] != channels):
        wanted = f"{n_dimensions} dimensions" + (f", {channels} channels first" if channels else "")
        raise FrontendError(
            f"the input of {type(module).__name__} has the wrong shape",
            where=where,
            measured=str(shape),
            limit=wanted,
            fix="give calibration data of the shape that the model was trained with",
        )


def _unsupported(module: Any, where: str, measured: str, fix: str) -> FrontendError:
    return FrontendError(f"{type(module).__name__} cannot be converted with this option", where=where, measured=measured, fix=fix)

"""Convolutions and poolings as sparse matrices: their cost is that of the stored weights."""

from typing import Any

import numpy as np

from snnmap.errors import FrontendError
from snnmap.ir import FloatArray, IntArray

__all__ = ["lower_adaptive_pool", "lower_average_pool", "lower_convolution", "pool_windows"]

Sides = tuple[tuple[int, int], tuple[int, int]]
"""Zeros before and after, in height and width."""


def lower_convolution(module: Any, shape: tuple[int, ...], where: str) -> tuple[Any, FloatArray, tuple[int, ...]]:
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
    if module.padding_mode != "zeros":
        raise _unsupported(module, where, f"padding_mode='{module.padding_mode}'", "pad with zeros")
    weight = module.weight.detach().double().cpu()
    flat = weight.ndim == 3
    _require_shape(module, shape, 2 if flat else 3, where, channels=module.in_channels)
    if flat:
        weight = weight.unsqueeze(2)
    kernel, stride, dilation = (_two(values, flat) for values in (module.kernel_size, module.stride, module.dilation))
    padding = _padding(module.padding, kernel, dilation, flat)
    index, out_shape = _gather(shape, kernel, stride, dilation, padding, flat, where)
    n_out, per_group = weight.shape[0], index.shape[0] // module.groups
    group = np.arange(n_out) // (n_out // module.groups)
    rows = index.reshape(module.groups, per_group, -1)[group]
    columns = np.arange(n_out * index.shape[1]).reshape(n_out, 1, -1)
    data = np.broadcast_to(weight.reshape(n_out, per_group, 1).numpy(), rows.shape)
    bias = np.zeros(n_out) if module.bias is None else module.bias.detach().double().cpu().numpy()
    matrix = _assemble(rows, np.broadcast_to(columns, rows.shape), data, (int(np.prod(shape)), n_out * index.shape[1]))
    return matrix, np.repeat(bias, index.shape[1]), (n_out, *out_shape)


def lower_average_pool(module: Any, shape: tuple[int, ...], where: str) -> tuple[Any, FloatArray, tuple[int, ...]]:
    """Write an AvgPool1d or AvgPool2d, padding counted or not, as a matrix; as :func:`lower_convolution`."""
    index, out_shape = pool_windows(module, shape, where)
    padded = index.shape[1] if getattr(module, "count_include_pad", True) else (index >= 0).sum(axis=1, keepdims=True)
    divisor = getattr(module, "divisor_override", None) or padded
    return _average(index, np.broadcast_to(1.0 / np.asarray(divisor, np.float64), index.shape), shape), *_zeros(out_shape)


def lower_adaptive_pool(module: Any, shape: tuple[int, ...], where: str) -> tuple[Any, FloatArray, tuple[int, ...]]:
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
    index, out_shape = _gather(shape, kernel, kernel, (1, 1), ((0, 0), (0, 0)), flat, where)
    index = index.reshape(shape[0], kernel[0] * kernel[1], -1)
    return _average(index, np.full(index.shape, 1.0 / index.shape[1]), shape), *_zeros((shape[0], *out_shape))


def pool_windows(module: Any, shape: tuple[int, ...], where: str) -> tuple[IntArray, tuple[int, ...]]:
    """Give the input index of every place of every window, ``(channels, places, windows)``, -1 for padding.

    Raises:
        FrontendError: ``ceil_mode``, whose last windows hang over the edge, or an input that the pool does not take.
    """
    flat = "1d" in type(module).__name__
    _require_shape(module, shape, 2 if flat else 3, where)
    if module.ceil_mode:
        raise _unsupported(module, where, "ceil_mode=True", "pool with ceil_mode=False, or pad the input")
    if getattr(module, "return_indices", False):
        raise _unsupported(module, where, "return_indices=True", "pool with return_indices=False")
    kernel = _two(module.kernel_size, flat)
    stride = _two(module.stride if module.stride is not None else module.kernel_size, flat)
    dilation = _two(getattr(module, "dilation", 1), flat)
    height, width = _two(module.padding, flat, 0)
    index, out_shape = _gather(shape, kernel, stride, dilation, ((height, height), (width, width)), flat, where)
    return index.reshape(shape[0], kernel[0] * kernel[1], -1), (shape[0], *out_shape)


def _average(index: IntArray, data: Any, shape: tuple[int, ...]) -> Any:
    """Give the matrix of windows ``index`` with weights ``data``, both ``(channels, places, windows)``."""
    n_out = index.shape[0] * index.shape[2]
    columns = np.broadcast_to(np.arange(n_out).reshape(index.shape[0], 1, -1), index.shape)
    return _assemble(index, columns, data, (int(np.prod(shape)), n_out))


def _zeros(shape: tuple[int, ...]) -> tuple[FloatArray, tuple[int, ...]]:
    return np.zeros(int(np.prod(shape))), shape


def _gather(
    shape: tuple[int, ...],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: Sides,
    flat: bool,
    where: str,
) -> tuple[IntArray, tuple[int, ...]]:
    """Give, for each place of the kernel and each output position, the index of the input, -1 for padding."""
    channels, height, width = (shape[0], 1, shape[1]) if flat else shape
    out_height, out_width = (
        (size + sum(pads) - spread * (side - 1) - 1) // step + 1
        for size, pads, spread, side, step in zip((height, width), padding, dilation, kernel, stride, strict=True)
    )
    if min(out_height, out_width) < 1:
        raise FrontendError(
            "the input is smaller than the kernel",
            where=where,
            measured=f"{height} x {width}",
            limit=f"{kernel[0]} x {kernel[1]}, dilation {dilation[0]} x {dilation[1]}",
            fix="give calibration data of the shape that the model was trained with",
        )
    y = np.arange(kernel[0])[:, np.newaxis] * dilation[0] + np.arange(out_height) * stride[0] - padding[0][0]
    x = np.arange(kernel[1])[:, np.newaxis] * dilation[1] + np.arange(out_width) * stride[1] - padding[1][0]
    y, x = y[:, np.newaxis, :, np.newaxis], x[np.newaxis, :, np.newaxis, :]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    plane = np.where(inside, y * width + x, -1).reshape(kernel[0] * kernel[1], -1)
    offset = (np.arange(channels) * height * width)[:, np.newaxis, np.newaxis]
    index = np.where(plane >= 0, plane + offset, -1).reshape(channels * kernel[0] * kernel[1], -1)
    return index, (out_width,) if flat else (out_height, out_width)


def _assemble(rows: Any, columns: Any, data: Any, shape: tuple[int, int]) -> Any:
    from scipy.sparse import coo_array

    kept = rows.ravel() >= 0
    return coo_array((data.ravel()[kept], (rows.ravel()[kept], columns.ravel()[kept])), shape=shape).tocsr()


def _two(values: Any, flat: bool, flat_height: int = 1) -> tuple[int, int]:
    """Give height and width; a one-dimensional layer has one row, and no padding above it."""
    numbers = (values,) if isinstance(values, int) else tuple(values)
    return (flat_height, numbers[-1]) if flat else (numbers[0], numbers[-1])


def _padding(padding: Any, kernel: tuple[int, int], dilation: tuple[int, int], flat: bool) -> Sides:
    """Give zeros before and after, in height and width; 'same' puts the odd one after, as torch does."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        height, width = (spread * (side - 1) for side, spread in zip(kernel, dilation, strict=True))
        return (height // 2, height - height // 2), (width // 2, width - width // 2)
    height, width = _two(padding, flat, 0)
    return (height, height), (width, width)


def _require_shape(module: Any, shape: tuple[int, ...], n_dimensions: int, where: str, *, channels: int = 0) -> None:
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

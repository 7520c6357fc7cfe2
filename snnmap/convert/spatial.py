"""Convolutions and poolings as sparse matrices: their cost is that of the stored weights."""

from typing import Any

import numpy as np

from snnmap.ir import FloatArray

__all__ = ["lower_average_pool", "lower_convolution", "pool_windows"]


def lower_convolution(module: Any, shape: tuple[int, ...]) -> tuple[Any, FloatArray, tuple[int, ...]]:
    """Write a Conv1d or Conv2d as a matrix.

    Args:
        module: ``torch.nn.Conv1d`` or ``Conv2d``: any stride, dilation, groups, symmetric or 'same' zero padding.
        shape: of one input sample, ``(channels, length)`` or ``(channels, height, width)``.

    Returns:
        ``(n_in, n_out)`` csr_array, bias ``(n_out,)``, shape of one output sample.
    """
    weight = module.weight.detach().double().cpu()
    flat = weight.ndim == 3
    if flat:
        weight = weight.unsqueeze(2)
    kernel, stride, dilation = (_two(values, flat) for values in (module.kernel_size, module.stride, module.dilation))
    padding = _padding(module.padding, kernel, dilation, flat)
    index, out_shape = _gather(shape, kernel, stride, dilation, padding, flat)
    n_out, per_group = weight.shape[0], index.shape[0] // module.groups
    group = np.arange(n_out) // (n_out // module.groups)
    rows = index.reshape(module.groups, per_group, -1)[group]
    columns = np.arange(n_out * index.shape[1]).reshape(n_out, 1, -1)
    data = np.broadcast_to(weight.reshape(n_out, per_group, 1).numpy(), rows.shape)
    bias = np.zeros(n_out) if module.bias is None else module.bias.detach().double().cpu().numpy()
    matrix = _assemble(rows, np.broadcast_to(columns, rows.shape), data, (int(np.prod(shape)), n_out * index.shape[1]))
    return matrix, np.repeat(bias, index.shape[1]), (n_out, *out_shape)


def lower_average_pool(module: Any, shape: tuple[int, ...]) -> tuple[Any, FloatArray, tuple[int, ...]]:
    """Write an AvgPool1d or AvgPool2d (padding counted, no ceil mode) as a matrix; as :func:`lower_convolution`."""
    index, out_shape = pool_windows(module, shape)
    columns = np.broadcast_to(np.arange(index.shape[0] * index.shape[2]).reshape(index.shape[0], 1, -1), index.shape)
    data = np.full(index.shape, 1.0 / index.shape[1])
    n_out = index.shape[0] * index.shape[2]
    return _assemble(index, columns, data, (int(np.prod(shape)), n_out)), np.zeros(n_out), out_shape


def pool_windows(module: Any, shape: tuple[int, ...]) -> tuple[np.ndarray[Any, Any], tuple[int, ...]]:
    """Give the input index of every place of every window, ``(channels, places, windows)``, -1 for padding."""
    flat = len(shape) == 2
    kernel = _two(module.kernel_size, flat)
    stride = _two(module.stride if module.stride is not None else module.kernel_size, flat)
    dilation = _two(getattr(module, "dilation", 1), flat)
    index, out_shape = _gather(shape, kernel, stride, dilation, _two(module.padding, flat, 0), flat)
    return index.reshape(shape[0], kernel[0] * kernel[1], -1), (shape[0], *out_shape)


def _gather(
    shape: tuple[int, ...],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: tuple[int, int],
    flat: bool,
) -> tuple[np.ndarray[Any, Any], tuple[int, ...]]:
    """Give, for each place of the kernel and each output position, the index of the input, -1 for padding."""
    channels, height, width = (shape[0], 1, shape[1]) if flat else shape
    out_height, out_width = (
        (size + 2 * pad - spread * (side - 1) - 1) // step + 1
        for size, pad, spread, side, step in zip((height, width), padding, dilation, kernel, stride, strict=True)
    )
    y = np.arange(kernel[0])[:, np.newaxis] * dilation[0] + np.arange(out_height) * stride[0] - padding[0]
    x = np.arange(kernel[1])[:, np.newaxis] * dilation[1] + np.arange(out_width) * stride[1] - padding[1]
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


def _padding(padding: Any, kernel: tuple[int, int], dilation: tuple[int, int], flat: bool) -> tuple[int, int]:
    if padding == "valid":
        return 0, 0
    if padding == "same":
        return dilation[0] * (kernel[0] - 1) // 2, dilation[1] * (kernel[1] - 1) // 2
    return _two(padding, flat, 0)

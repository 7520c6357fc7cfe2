"""Nengo's transforms and slices as sparse matrices."""

from typing import Any

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.core.spatial import Window, lower_convolution

__all__ = ["lower_transform", "select"]


def select(index: Any, size: int) -> Any:
    """Return the ``(size, n_selected)`` matrix that picks by a slice or by indices; its transpose puts values there."""
    from scipy.sparse import csr_array

    picked = np.atleast_1d(np.arange(size)[index])
    return csr_array((np.ones(picked.size), (picked, np.arange(picked.size))), shape=(size, picked.size))


def lower_transform(nengo: Any, connection: Any, weights: Any, where: str) -> Any:
    """Return a transform's ``(size_in, size_out)`` sparse weights.

    Args:
        nengo: the package.
        connection: with the transform.
        weights: as nengo built them, or as they were trained.
        where: the connection's place, for errors.

    Raises:
        FrontendError: the transform is none of nengo's own.
    """
    from scipy.sparse import csr_array, diags_array, eye_array

    transform = connection.transform
    if isinstance(transform, nengo.transforms.NoTransform):
        return eye_array(transform.size_in, format="csr")
    if isinstance(transform, nengo.Dense):
        dense = np.asarray(weights, np.float64)
        if dense.ndim == 2:
            return csr_array(dense.T)
        return diags_array(np.broadcast_to(dense, transform.size_in), format="csr")
    if isinstance(transform, nengo.Sparse):
        return _lower_sparse(transform, weights)
    if isinstance(transform, nengo.Convolution | nengo.ConvolutionTranspose):
        return _lower_convolution(transform, np.asarray(weights, np.float64))
    raise FrontendError(
        f"transform {type(transform).__name__} has no counterpart here",
        where=where,
        fix="use Dense, Sparse, Convolution or ConvolutionTranspose",
    )


def _lower_sparse(transform: Any, weights: Any) -> Any:
    """Write a sparse transform as a matrix; nengo-dl gives the values alone, at the places that the transform has them."""
    from scipy.sparse import csr_array

    if hasattr(weights, "allocate"):
        return csr_array(weights.allocate()).T.tocsr()
    if hasattr(weights, "nnz"):
        return csr_array(weights).T.tocsr()
    if hasattr(transform.init, "indices") and not hasattr(transform.init, "nnz"):
        to, of = np.asarray(transform.init.indices).T
    else:
        to, of = transform.init.tocoo().coords
    values = np.asarray(weights, np.float64).reshape(-1)
    return csr_array((values, (of, to)), shape=(transform.size_in, transform.size_out))


def _lower_convolution(transform: Any, kernel: FloatArray) -> Any:
    """Write a convolution as a matrix: of a line or a plane as every other, else by nengo's own operator."""
    if type(transform).__name__ == "Convolution" and len(transform.kernel_size) <= 2:
        return _lower_planar(transform, kernel)
    return _apply_convolution(transform, kernel)


def _lower_planar(transform: Any, kernel: FloatArray) -> Any:
    """Write a convolution of ``(*kernel, channels / groups, filters)``; "same" pads evenly, the odd one behind."""
    rank = len(transform.kernel_size)
    shape, n_out = (transform.input_shape.n_channels, *transform.input_shape.spatial_shape), transform.n_filters
    sides = zip(transform.input_shape.spatial_shape, transform.output_shape.spatial_shape, strict=True)
    pads = [
        max((after - 1) * stride + side - before, 0) if transform.padding == "same" else 0
        for (before, after), stride, side in zip(sides, transform.strides, transform.kernel_size, strict=True)
    ]
    flat = [(0, 0)] * (2 - rank) + [(pad // 2, pad - pad // 2) for pad in pads]
    ones = (1,) * (2 - rank)
    size, stride = (*ones, *transform.kernel_size), (*ones, *transform.strides)
    window = Window(kernel=(size[0], size[1]), stride=(stride[0], stride[1]), padding=(flat[0], flat[1]))
    weight = np.moveaxis(kernel, (-1, -2), (0, 1)).reshape(n_out, -1, *size)
    matrix, _ = lower_convolution(weight, window, transform.groups, (shape[0], *ones, *shape[1:]), "a convolution of nengo")
    if not transform.channels_last:
        return matrix
    rows, columns = (
        np.arange(one.size).reshape(one.n_channels, -1).T.reshape(-1) for one in (transform.input_shape, transform.output_shape)
    )
    return matrix[rows][:, columns]


def _apply_convolution(transform: Any, kernel: FloatArray) -> Any:
    """Write a convolution as a matrix by nengo's own operator, applied to one input after the other."""
    from nengo.builder.signal import Signal
    from nengo.builder.transforms import ConvInc, ConvTransposeInc
    from scipy.sparse import csr_array, vstack

    operator = ConvTransposeInc if type(transform).__name__ == "ConvolutionTranspose" else ConvInc
    values = [kernel, np.zeros(transform.size_in), np.zeros(transform.size_out)]
    signals = [Signal(value) for value in values]
    step = operator(*signals, transform).make_step(dict(zip(signals, values, strict=True)), 0.0, None)
    rows = []
    for place in range(transform.size_in):
        values[1][:], values[2][:] = 0.0, 0.0
        values[1][place] = 1.0
        step()
        rows.append(csr_array(values[2].reshape(1, -1)))
    return vstack(rows, format="csr")

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from snnmap.core.errors import NetworkError
from snnmap.core.spatial import Window, lower_convolution, lower_pooling

Pair = tuple[int, int]
sides = st.integers(1, 3)


@given(
    groups=st.integers(1, 3), kernel=st.tuples(sides, sides), stride=st.tuples(sides, sides), dilation=st.tuples(sides, sides),
    pads=st.tuples(*[st.integers(0, 2)] * 4), size=st.tuples(st.integers(7, 9), st.integers(7, 9)),
)  # fmt: skip
def test_convolutions_are_those_of_torch(
    groups: int, kernel: Pair, stride: Pair, dilation: Pair, pads: tuple[int, ...], size: Pair
) -> None:
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(2 * groups, 2, *kernel)), rng.normal(size=(2 * groups, *size))
    window = Window(kernel=kernel, stride=stride, dilation=dilation, padding=((pads[0], pads[1]), (pads[2], pads[3])))
    matrix, shape = lower_convolution(weight, window, groups, x.shape, "here")
    padded = functional.pad(torch.tensor(x), (pads[2], pads[3], pads[0], pads[1]))
    expected = functional.conv2d(padded, torch.tensor(weight), stride=stride, dilation=dilation, groups=groups).numpy()
    assert shape == expected.shape
    assert np.allclose(x.ravel() @ matrix, expected.ravel(), rtol=0, atol=1e-12)


def test_pools_keep_channels_apart() -> None:
    x = np.arange(2 * 4 * 4.0).reshape(2, 4, 4)
    matrix, shape = lower_pooling(Window(kernel=(2, 2), stride=(2, 2)), 0.25, x.shape, "here")
    assert shape == (2, 2, 2)
    assert matrix.nnz == 2 * 4 * 4
    assert np.array_equal((x.ravel() @ matrix).reshape(shape), functional.avg_pool2d(torch.tensor(x), 2).numpy())


def test_a_window_that_does_not_fit_is_located() -> None:
    with pytest.raises(NetworkError, match="smaller than the kernel") as caught:
        lower_pooling(Window(kernel=(2, 3)), 1.0, (1, 2, 2), "node 'p'")
    assert (caught.value.where, caught.value.measured) == ("node 'p'", "2 x 2")
    with pytest.raises(NetworkError, match="1 or more"):
        lower_pooling(Window(kernel=(2, 2), stride=(0, 1)), 1.0, (1, 2, 2), "node 'p'")
    with pytest.raises(NetworkError, match="the channels do not fit"):
        lower_convolution(np.ones((3, 1, 1, 1)), Window(kernel=(1, 1)), 2, (2, 4, 4), "node 'c'")

"""Input codings: the same value, at different times and costs."""

import numpy as np
import pytest
from torch import nn

from snnmap.convert import Coding, ConvertOptions, convert_ann, encode_values, run_ann, split_ports
from snnmap.core import IntArray
from snnmap.core.errors import InputError

VALUES = np.linspace(0, 1, 9)[np.newaxis].repeat(2, axis=0)
T = 8


def encode(coding: Coding, **options: float) -> IntArray:
    return encode_values(VALUES, 9, ConvertOptions(n_steps=T, coding=coding, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("coding", ["count", "latency"])
def test_totals_are_exact(coding: Coding) -> None:
    counts = encode(coding)
    assert counts.shape == (2, T, 9)
    assert np.array_equal(counts.sum(axis=1), np.rint(VALUES * 15 * T))
    assert counts.min() == 0
    assert counts.max() == 15


def test_direct_is_a_constant_current() -> None:
    counts = encode("direct")
    assert (np.ptp(counts, axis=1) == 0).all()
    assert np.array_equal(counts[:, 0], np.rint(15 * VALUES))


def test_latency_is_the_onset() -> None:
    counts = encode("latency")[0]
    onset = np.where(counts.any(axis=0), (counts > 0).argmax(axis=0), T)
    assert (np.diff(onset) <= 0).all()
    assert onset[0] == T
    assert onset[-1] == 0
    for channel, first in enumerate(onset):
        assert (counts[first + 1 :, channel] == 15).all()


def test_rate_is_drawn_with_the_seed() -> None:
    draws = encode_values(np.full((4000, 1), 0.3), 1, ConvertOptions(n_steps=T, coding="rate"))
    total = draws.sum(axis=1)
    assert total.mean() == pytest.approx(0.3 * 15 * T, rel=0.01)
    assert total.std() == pytest.approx(np.sqrt(0.3 * 0.7 * 15 * T), rel=0.05)
    assert np.array_equal(encode("rate"), encode("rate"))
    assert not np.array_equal(encode("rate"), encode("rate", seed=1))


def test_values_from_below_zero() -> None:
    """A shift of the input goes into the biases exactly, past zero padding too."""
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)).double()
    grid = np.random.default_rng(0).integers(0, 15 * T + 1, (50, 1, 4, 4)) / (15 * T)
    data = -2.0 + 5.0 * grid
    conversion = convert_ann(model, data, options=ConvertOptions(n_steps=T, input_min=-2.0, input_max=3.0))
    expected = run_ann(conversion.ann, data + 2.0)["output"]
    from torch import tensor

    assert np.allclose(model(tensor(data)).detach().numpy(), expected, atol=1e-10)
    assert np.array_equal(conversion.encode(data)[:, :T, :16].sum(axis=1), np.rint(grid.reshape(50, 16) * 15 * T))
    assert conversion.errors[0].relative_error < 0.03
    with pytest.raises(InputError, match="-2 to 3"):
        conversion.encode(data - 1.0)


@pytest.mark.parametrize(
    "values", [np.full((1, 9), np.nan), np.full((1, 9), -0.1), np.full((1, 9), 1.1), np.zeros((1, 8)), np.zeros((1, 9, 2))]
)
def test_bad_values(values: np.ndarray) -> None:
    with pytest.raises(InputError, match="9 values from 0 to 1"):
        encode_values(values, 9, ConvertOptions())


def test_one_clock_by_default() -> None:
    ports = split_ports(np.arange(24).reshape(1, 2, 12))
    assert {name: counts.shape for name, counts in ports.items()} == {"input": (1, 2, 11), "clock": (1, 2, 1)}


@pytest.mark.parametrize(
    "options",
    [
        {"seed": -1}, {"seed": 0.5},
        {"n_steps": 0}, {"input_rate": 16}, {"input_max": 0.0}, {"dash_syn": 0}, {"dash_mem": 16}, {"percentile": 0.0},
        {"coding": "phase"}, {"balance": "max"}, {"overshoot": "hald"}, {"max_rate": 0.0}, {"hold_steps": -1}, {"start": "full"},
    ],
)  # fmt: skip
def test_options_have_ranges(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"ConvertOptions.{next(iter(options))}"):
        ConvertOptions(**options)  # type: ignore[arg-type]

"""Products that leave out silent neurons: the dense product's values and gradients."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from snnmap.nn import EventLinear, event_linear
from snnmap.nn.event_linear import multiply_counts


def draw_counts(rate: float, *shape: int) -> Tensor:
    return torch.poisson(torch.full(shape, rate, dtype=torch.float64), generator=torch.Generator().manual_seed(0))


def run(product, counts: Tensor, weight: Tensor) -> list[Tensor]:  # type: ignore[no-untyped-def]
    counts, weight = counts.clone().requires_grad_(), weight.clone().requires_grad_()
    out = product(counts, weight)
    scale = torch.arange(out.numel(), dtype=out.dtype).view_as(out) % 7 - 3
    (out * scale).sum().backward()
    assert counts.grad is not None
    assert weight.grad is not None
    return [out.detach(), counts.grad, weight.grad]


@given(rate=st.sampled_from([0.0, 0.05, 0.2, 2.0]), shape=st.tuples(st.integers(1, 4), st.integers(1, 9)), size=st.integers(1, 8))
def test_values_and_gradients_are_the_dense_ones(rate: float, shape: tuple[int, int], size: int) -> None:
    counts = draw_counts(rate, *shape, 6)
    weight = torch.randn(size, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for ours, theirs in zip(run(multiply_counts, counts, weight), run(nn.functional.linear, counts, weight), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_integers_are_exact_in_any_order() -> None:
    counts, weight = draw_counts(0.1, 8, 20, 64).float(), torch.randint(-128, 128, (32, 64)).float() * 128
    assert torch.equal(multiply_counts(counts, weight), counts @ weight.t())


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, weight = draw_counts(0.1, 5, 7, 6), torch.randint(-9, 9, (3, 6)).double()
    alone = run(multiply_counts, counts, weight)
    monkeypatch.setattr(event_linear, "_WORTH_SHARING", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for one, other in zip(alone, run(multiply_counts, counts, weight), strict=True):
        assert torch.equal(one, other)


def test_silence_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few counts take the way over events, many do not."""
    taken = []
    gather = event_linear._Events.gather
    monkeypatch.setattr(event_linear._Events, "gather", lambda self, rows: taken.append(self.columns.size) or gather(self, rows))
    multiply_counts(draw_counts(0.05, 4, 9, 20), torch.ones(3, 20, dtype=torch.float64))
    multiply_counts(draw_counts(3.0, 4, 9, 20), torch.ones(3, 20, dtype=torch.float64))
    assert taken == [int((draw_counts(0.05, 4, 9, 20) != 0).sum())]


def test_it_is_a_linear_layer() -> None:
    layer = EventLinear(6, 4).double()
    counts = draw_counts(0.1, 3, 5, 6)
    torch.testing.assert_close(layer(counts), nn.functional.linear(counts, layer.weight, layer.bias))
    assert isinstance(layer, nn.Linear)


@pytest.mark.parametrize("width", [5, 40])
def test_another_width_is_refused(width: int) -> None:
    counts = torch.zeros(2, 3, width)
    counts[0, 0, -1] = 1
    with pytest.raises(RuntimeError):
        EventLinear(6, 4)(counts)

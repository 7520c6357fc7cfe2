"""Penalties on synaptic signals: equal to their unfolded definition, and unbiased when sampled."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn import DeltaCounter, EtaSchedule, MaskedConv2d, MaskedLinear, SynapticSignals, run_frames


def unfolded(x: Tensor, layer: MaskedConv2d, mask: Tensor) -> Tensor:
    """Sum |M (x_t - x_{t-1})| over every synapse of a convolution, each written out (eq. 11 and 12)."""
    total = torch.zeros(())
    for clip in x:
        for now, before in zip(clip[1:], clip[:-1], strict=True):
            columns = nn.functional.unfold((now - before)[None], layer.kernel_size, layer.dilation, layer.padding, layer.stride)
            for kernel in mask.flatten(1):
                total = total + (kernel[:, None] * columns[0]).abs().sum()
    return total


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.integers(1, 2), st.integers(0, 10**6))
def test_a_convolution_s_penalty_is_the_unfolded_one(kernel: int, padding: int, stride: int, dilation: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    layer = MaskedConv2d(2, 3, kernel, padding=padding, stride=stride, dilation=dilation)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * layer.threshold)
    x = torch.randn(2, 3, 2, 6, 5, generator=generator)
    with SynapticSignals(layer, n_steps=3) as signals:
        y = run_frames(layer, x)
    n_synapses = layer.weight.numel() * y[0, 0, 0].numel()
    expected = unfolded(x, layer, layer.mask().detach()) / (2 * 2 * n_synapses)
    torch.testing.assert_close(signals.tdss().detach(), expected)
    torch.testing.assert_close(signals.tdam().detach(), unfolded(x, layer, torch.ones_like(layer.weight)) / (2 * 2 * n_synapses))


def test_grouped_convolutions_count_their_own_inputs() -> None:
    layer = nn.Conv1d(4, 4, 1, groups=4)
    x = torch.zeros(1, 2, 4, 3)
    x[0, 1, 2, 0] = 5.0
    with SynapticSignals(layer, n_steps=2) as signals:
        run_frames(layer, x)
    assert float(signals.tdss().detach()) == pytest.approx(5.0 / (4 * 3))


def test_gradients_reach_masks_and_inputs() -> None:
    layer = MaskedLinear(2, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, 0.5], [-2.0, 2.0], [-0.5, 0.5]]) * layer.threshold)
    x = torch.tensor([[[0.0, 1.0], [3.0, 1.0]]], requires_grad=True)
    with SynapticSignals(layer, n_steps=2) as signals:
        run_frames(layer, x)
    by_weight, by_x = torch.autograd.grad(signals.tdss(), (layer.weight, x), retain_graph=True)
    torch.testing.assert_close(by_weight, torch.tensor([[3.0, 0.0], [-3.0, 0.0], [-3.0, 0.0]]) / 6.0)  # |dx| sign(w)
    torch.testing.assert_close(by_x, torch.tensor([[[-2.0, 0.0], [2.0, 0.0]]]) / 6.0)  # two synapses of the first are kept
    assert torch.autograd.grad(signals.tdam(), layer.weight, allow_unused=True) == (None,)


@pytest.mark.parametrize("n_sampled", [1, 2, 5])
def test_sampled_layers_give_the_whole_in_the_mean(n_sampled: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(MaskedLinear(6, 9), nn.ReLU(), MaskedLinear(9, 4), nn.ReLU(), MaskedLinear(4, 2))
    x = torch.randn(5, 3, 6)
    with SynapticSignals(model, n_steps=3) as whole:
        run_frames(model, x)
    generator = torch.Generator().manual_seed(0)
    with SynapticSignals(model, n_steps=3, n_sampled=n_sampled, generator=generator) as sampled:
        run_frames(model, x)
    draws = torch.stack([sampled.tdss().detach() for _ in range(2000)])
    error = float(draws.std()) / len(draws) ** 0.5
    assert float(draws.std()) > 0.0
    assert abs(float(draws.mean()) - float(whole.tdss().detach())) < 4.0 * error


def test_every_use_of_a_layer_counts() -> None:
    layer, x = nn.Linear(3, 3), torch.randn(2, 4, 3)
    with SynapticSignals(layer, n_steps=4) as once:
        run_frames(layer, x)
    with SynapticSignals(layer, n_steps=4) as twice:
        run_frames(layer, x)
        run_frames(layer, 0.0 * x)
    torch.testing.assert_close(twice.tdss(), once.tdss() / 2.0)


def test_half_precision_is_summed_in_single() -> None:
    layer, x = nn.Linear(64, 64).half(), torch.full((1, 2, 64), 30.0, dtype=torch.float16)
    x[:, 1] = -30.0
    with SynapticSignals(layer, n_steps=2) as signals:
        run_frames(layer, x)
    assert float(signals.tdss().detach()) == pytest.approx(60.0)


def test_the_block_leaves_no_hook_behind() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    with SynapticSignals(model, n_steps=2):
        pass
    assert not model[0]._forward_hooks


def test_eta_rises_while_errors_are_small_and_falls_slowly() -> None:
    schedule = EtaSchedule(start=1.0, step=2.0, limit=0.05, n_averaged=2)
    assert [schedule.update(error) for error in (0.01, 0.02, 0.01)] == pytest.approx([1.0, 3.0, 5.0])
    assert [schedule.update(error) for error in (0.2, 0.2)] == pytest.approx([4.8, 4.6])
    for _ in range(40):
        schedule.update(1.0)
    assert schedule.eta == 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SynapticSignals(nn.Linear(2, 2), n_steps=1), "needs two steps"),
        (lambda: SynapticSignals(nn.ReLU(), n_steps=2), "layer of weights"),
        (lambda: SynapticSignals(nn.Linear(2, 2), n_steps=2, n_sampled=0), "n_sampled"),
        (lambda: SynapticSignals(nn.Linear(2, 2), n_steps=2).tdss(), "no signal was kept"),
    ],
)
def test_what_has_no_difference_is_refused(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_sequences_of_another_number_of_steps_are_refused() -> None:
    """24 frames are six sequences of four steps too, whose differences would be between frames of different sequences."""
    model, clips = MaskedLinear(3, 2), torch.rand(4, 6, 3)
    with pytest.raises(InputError, match=r"(?s)another number of steps.*give n_steps=6"), SynapticSignals(model, n_steps=4):
        run_frames(model, clips)
    with pytest.raises(InputError, match=r"(?s)another number of steps.*give n_steps=6"), DeltaCounter(model, n_steps=4):
        run_frames(model, clips)
    with DeltaCounter(model, n_steps=4) as counter:
        model(clips[:, :4].flatten(0, 1))
    assert counter.total().n_macs > 0


@pytest.mark.parametrize("options", [{"start": -1.0}, {"step": 0.0}, {"limit": float("nan")}])
def test_a_schedule_that_cannot_rise_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"(?s)raises eta.*start=500.0"):
        EtaSchedule(**{"start": 1.0, "step": 2.0, "limit": 0.05} | options)


def test_no_error_counts_for_a_schedule() -> None:
    with pytest.raises(InputError, match=r"(?s)number of 0 or more.*nan.*learning rate"):
        EtaSchedule(start=1.0, step=2.0, limit=0.05).update(float("nan"))

"""Masked layers: one parameter for weight and mask, synapses that come back."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snnmap.core.errors import InputError
from snnmap.nn import DeltaNetwork, MaskedConv1d, MaskedConv2d, MaskedLinear, mask_layers


def draw_parameter(layer: Any, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * 2.0 * layer.threshold)


LAYERS: list[Any] = [
    (MaskedLinear(6, 5), (3, 6)),
    (MaskedConv1d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 9)),
    (MaskedConv2d(2, 4, (3, 2), padding=1, dilation=2, padding_mode="circular"), (2, 2, 6, 7)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_the_function_is_the_dense_one_with_shrunken_weights(layer: Any, shape: tuple[int, ...]) -> None:
    draw_parameter(layer)
    dense = type(layer).__mro__[2]
    assert dense in (nn.Linear, nn.Conv1d, nn.Conv2d)
    w, gamma = layer.weight.detach(), layer.threshold
    expected = torch.where(w.abs() > gamma, w - gamma * w.sign(), 0.0)
    assert torch.equal(layer.effective_weight(), expected)
    assert 0.2 < layer.mask().mean() < 0.8
    assert torch.equal(layer.mask(), (expected != 0).float())
    x = torch.randn(shape)
    output = layer(x)
    with torch.no_grad():
        layer.weight.copy_(expected)
    torch.testing.assert_close(output, dense.forward(layer, x))


def test_the_threshold_is_the_paper_s() -> None:
    assert MaskedLinear(3, 24).threshold == pytest.approx(0.1 * 0.5)
    assert MaskedConv2d(3, 6, 5).threshold == pytest.approx(0.1)


@given(st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4), st.lists(st.floats(-2.0, 2.0), min_size=4, max_size=4))
def test_gradients_are_the_written_ones(values: list[float], given_gradient: list[float]) -> None:
    layer = MaskedLinear(4, 1).double()
    w, g, gamma = torch.tensor([values]).double(), torch.tensor([given_gradient]).double(), layer.threshold
    with torch.no_grad():
        layer.weight.copy_(w)
    (by_weight,) = torch.autograd.grad(layer.effective_weight(), layer.weight, g)
    torch.testing.assert_close(by_weight, g * torch.where(w.abs() > gamma, torch.ones_like(w), w.abs() / gamma))
    (by_mask,) = torch.autograd.grad(layer.mask(), layer.weight, g)
    assert torch.equal(by_mask, g * w.sign())


def test_a_cut_synapse_comes_back_when_the_task_needs_it() -> None:
    layer = MaskedLinear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.3, 0.1]]) * layer.threshold)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.02)
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    for _ in range(200):
        optimiser.zero_grad()
        (layer(x) - x.sum(1, keepdim=True)).square().mean().backward()
        optimiser.step()
    torch.testing.assert_close(layer.effective_weight(), torch.ones(1, 2), atol=0.02, rtol=0.0)


def small_network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).double()


def test_masking_a_trained_model_keeps_its_function() -> None:
    model = small_network().eval()
    masked = mask_layers(model)
    x = torch.randn(5, 2, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(masked(x), model(x), rtol=0.0, atol=1e-12)
    assert [type(module).__name__ for module in masked] == ["MaskedConv2d", "BatchNorm2d", "ReLU", "Flatten", "MaskedLinear"]
    assert type(model[0]) is nn.Conv2d
    assert masked[0].bias is None
    assert not masked[0].training
    assert masked[4].weight.dtype == torch.float64


def test_a_weight_of_0_is_cut_at_once() -> None:
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.weight[0, 1] = 0.0
    masked = mask_layers(model)
    assert isinstance(masked, MaskedLinear)
    assert masked.mask().sum() == 5


def test_a_shared_layer_stays_shared_and_frozen_weights_frozen() -> None:
    layer = nn.Linear(3, 3).requires_grad_(False)
    masked = mask_layers(nn.Sequential(layer, nn.ReLU(), layer))
    assert masked[0] is masked[2]
    assert isinstance(masked[0], MaskedLinear)
    assert not any(parameter.requires_grad for parameter in masked.parameters())


def test_a_state_dict_keeps_the_threshold_and_a_dense_one_is_refused() -> None:
    layer, other = MaskedLinear(3, 2), MaskedLinear(3, 2)
    layer.threshold = 0.01
    other.load_state_dict(layer.state_dict())
    assert other.threshold == 0.01
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict(nn.Linear(3, 2).state_dict())


def test_what_the_mask_cuts_is_0_in_half_floats_too() -> None:
    layer = MaskedLinear(1, 1).to(torch.bfloat16)
    with torch.no_grad():
        layer.weight.fill_(layer.threshold)
    assert layer.mask().item() == (layer.effective_weight().item() != 0.0)


def test_where_chooses_layers() -> None:
    masked = mask_layers(small_network(), ["4"])
    assert isinstance(masked[4], MaskedLinear)
    assert type(masked[0]) is nn.Conv2d


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_delta_inference_runs_masked_layers(seed: int) -> None:
    torch.manual_seed(seed)
    model = mask_layers(small_network()).eval()
    for layer in (model[0], model[4]):
        draw_parameter(layer, seed)
    clips: Tensor = torch.randn(2, 4, 2, 6, 6, dtype=torch.float64)
    expected = torch.stack([model(frame) for frame in clips.unbind(1)], 1)
    torch.testing.assert_close(DeltaNetwork(model)(clips), expected, rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("where", [["conv"], ["2"]])
def test_what_cannot_be_masked_is_refused(where: list[str]) -> None:
    with pytest.raises(InputError, match="no layer to mask"):
        mask_layers(small_network(), where)
    with pytest.raises(InputError, match="no Linear, Conv1d or Conv2d"):
        mask_layers(nn.ReLU())

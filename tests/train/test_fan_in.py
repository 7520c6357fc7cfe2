"""The fan-in limit: the weights that contribute most stay, and the rest stays at 0 while training goes on."""

import pytest
import torch
from torch import nn

from snnmap.errors import InputError
from snnmap.train import limit_fan_in, settle_fan_in


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 3))


def test_the_largest_weights_stay() -> None:
    model = make_model()
    before = model[0].weight.detach().clone()
    (loss,) = limit_fan_in(model, 10)
    kept = model[0].weight.detach() != 0
    assert kept.sum(dim=1).tolist() == [10] * 8
    assert before.abs()[kept].min() >= 0
    for row in range(8):
        assert before[row].abs()[kept[row]].min() >= before[row].abs()[~kept[row]].max()
    assert (loss.layer, loss.n_removed, loss.n_weights) == ("0", 80, 160)
    assert loss.input_lost == pytest.approx(float((before[~kept] ** 2).sum() / (before**2).sum()))


def test_calibration_weighs_by_the_input() -> None:
    model = make_model()
    data = torch.rand(50, 20) * (torch.arange(20) < 5)
    limit_fan_in(model, 5, calibration=data)
    assert (model[0].weight.detach()[:, :5] != 0).all()


def test_masks_hold_in_training_and_settle_into_plain_weights() -> None:
    model = make_model()
    limit_fan_in(model, 4)
    mask = model[0].weight.detach() != 0
    optimiser = torch.optim.Adam(model.parameters(), 0.1)
    for _ in range(5):
        optimiser.zero_grad()
        model(torch.rand(16, 20)).square().sum().backward()
        optimiser.step()
    settle_fan_in(model)
    assert set(dict(model.named_parameters())) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert torch.equal(model[0].weight.detach() != 0, mask)


def test_nothing_to_do_and_nonsense() -> None:
    assert limit_fan_in(make_model(), 20) == ()
    with pytest.raises(InputError, match="limit: 1"):
        limit_fan_in(make_model(), 0)

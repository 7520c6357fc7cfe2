"""Calibration data: what arrives at weights, and least squares for those that stay."""

import pytest
import torch
from fan_in_models import draw_counts, linear, make_lif_model, make_redundant
from torch import nn

from snnmap.core.errors import InputError
from snnmap.nn import LIF, LeakyIntegrator
from snnmap.train import limit_fan_in
from snnmap.train.fan_in.calibration import record_inputs, refit_weights, run_calibration
from snnmap.train.fan_in.pools import Pool, Share

POOL = Pool(
    name="p",
    size=2,
    shares=(Share(path="a", parameter="weight", start=0, n_sources=6, words=(1, 0, 0)),),
    limits=(3, 3, 3),
)
KEYS = ("a", "weight")


def test_what_arrives_at_recurrent_weights_is_a_step_old() -> None:
    model, counts = nn.Sequential(LIF(3, recurrent=True), linear(3, 2), LeakyIntegrator(2)), draw_counts(3)
    seen = record_inputs(model, counts)
    forward = seen["1", "weight"].reshape(8, 30, 3)
    backward = seen["0", "recurrent_weight"].reshape(8, 30, 3)
    assert torch.equal(backward[:, 1:], forward[:, :-1])
    assert not backward[:, 0].any()


def test_a_model_is_run_in_evaluation_mode_and_stays_as_it_is() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    data = torch.rand(10, 4)
    limit_fan_in(model, 2, calibration=data)
    assert model.training
    assert torch.equal(model[0].running_mean, torch.zeros(4))
    assert torch.equal(record_inputs(model, data)["2", "weight"], model.eval()[0](data))


def test_several_outputs_are_joined() -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, 2 * x

    assert run_calibration(Two(), torch.ones(1, 2)).tolist() == [1.0, 1.0, 2.0, 2.0]


def test_a_refit_is_the_least_squares_solution() -> None:
    torch.manual_seed(0)
    x, y, weights = torch.rand(200, 6) + 1, torch.rand(200, 6), torch.randn(2, 6)
    kept = torch.tensor([[1, 1, 0, 0, 1, 0], [0, 1, 1, 1, 0, 0]], dtype=torch.bool)
    fit = refit_weights(POOL, weights, kept, {KEYS: x}, {KEYS: y}, ridge=1e-12, moves_bias=True)
    for neuron in range(2):
        design = torch.cat([y[:, kept[neuron]], torch.ones(200, 1)], dim=1).double()
        wanted = torch.linalg.lstsq(design, (x @ weights[neuron]).double()).solution
        torch.testing.assert_close(fit.weights[neuron, kept[neuron]], wanted[:-1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(fit.bias_change[neuron], wanted[-1], rtol=1e-4, atol=1e-5)
    assert (fit.weights[~kept] == 0).all()
    error = y.double() @ fit.weights.t() + fit.bias_change - x.double() @ weights.double().t()
    torch.testing.assert_close(fit.power[1], (error**2).mean(0).sum())


def test_a_refit_with_nothing_removed_changes_nothing() -> None:
    data, weights = make_redundant(50), torch.randn(2, 6)
    fit = refit_weights(
        POOL, weights, torch.ones(2, 6, dtype=torch.bool), {KEYS: data}, {KEYS: data}, ridge=1e-3, moves_bias=False
    )
    torch.testing.assert_close(fit.weights, weights.double())
    assert fit.power[:2].tolist() == pytest.approx([0.0, 0.0])


def test_silent_inputs_leave_weights_as_they_are() -> None:
    weights, kept = torch.randn(2, 6), torch.arange(6).expand(2, 6) < 3
    fit = refit_weights(POOL, weights, kept, {KEYS: torch.zeros(9, 6)}, {KEYS: torch.zeros(9, 6)}, ridge=1e-3, moves_bias=True)
    torch.testing.assert_close(fit.weights, (weights * kept).double())


@pytest.mark.parametrize(
    "data", [torch.zeros(0, 30, 12), torch.zeros(8, 0, 12), torch.rand(12), torch.full((2, 30, 12), torch.nan)]
)
def test_unusable_calibration_is_refused(data: torch.Tensor) -> None:
    with pytest.raises(InputError, match="empty, have no batch or are not finite"):
        limit_fan_in(make_lif_model(), 5, calibration=data)


def test_calibration_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"where: module '0'\n  measured: \(8, 30, 13\)   limit: \(..., 12\)"):
        limit_fan_in(make_lif_model(), 5, calibration=draw_counts(13))


def test_layers_that_are_used_twice_are_not_refitted() -> None:
    shares = tuple(Share(path=path, parameter="weight", start=0, n_sources=3, words=(1, 0, 0)) for path in "ab")
    pool = Pool(name="p", size=2, shares=shares, limits=(3, 3, 3))
    inputs = {("a", "weight"): torch.rand(4, 3), ("b", "weight"): torch.rand(8, 3)}
    with pytest.raises(InputError, match="used twice"):
        refit_weights(pool, torch.rand(2, 6), torch.ones(2, 6) > 0, inputs, inputs, ridge=1e-3, moves_bias=False)

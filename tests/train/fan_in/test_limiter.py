"""The fan-in limit: weights that contribute most stay, training holds and regrows them, and a refit mends what is lost."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from fan_in_models import SkipModel, draw_counts, make_chip_model, make_lif_model, make_redundant, make_small_chip
from torch import nn
from torch.nn.utils import parametrizations

from snnmap.chip import Chip
from snnmap.core.errors import ChipError, InputError
from snnmap.frontends.torch import load
from snnmap.lif.drc.capacity import memories_of
from snnmap.lif.mapping import fold_network
from snnmap.nn import LIF, LeakyIntegrator
from snnmap.pipeline import check_model, compile_model
from snnmap.train import (
    FanInLimiter,
    align_model,
    limit_fan_in,
    prune_fan_in,
    regrowth_fraction,
    settle_fan_in,
    verify_model,
)

SMALL = make_small_chip(10, 10, 10)


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 3))


def train_steps(model: nn.Module, limiter: FanInLimiter, data: torch.Tensor, n_steps: int = 4) -> int:
    """Train with regrowth in each step; give the weights that were grown."""
    optimiser, n_grown = torch.optim.Adam(model.parameters(), 1e-2), 0
    target = torch.rand(model(data).shape, generator=torch.Generator().manual_seed(0))
    for _ in range(n_steps):
        optimiser.zero_grad()
        nn.functional.mse_loss(model(data), target).backward()
        n_grown += limiter.regrow(0.3)
        optimiser.step()
    return n_grown


def largest_fan_in(model: nn.Module, chip: Chip) -> int:
    matrices = [matrix for _, _, matrices in memories_of(fold_network(load(model), chip)) for matrix in matrices]
    return max(int(matrix.column_lengths.max(initial=0)) for matrix in matrices)


def broken_rules(model: nn.Module, chip: Chip) -> set[str]:
    return {diagnostic.rule for diagnostic in check_model(model, chip).report.errors}


def test_the_largest_weights_stay() -> None:
    model = make_model()
    before = model[0].weight.detach().clone()
    (loss,) = limit_fan_in(model, 10)
    kept = model[0].weight.detach() != 0
    assert kept.sum(dim=1).tolist() == [10] * 8
    for row in range(8):
        assert before[row].abs()[kept[row]].min() >= before[row].abs()[~kept[row]].max()
    assert (loss.layer, loss.n_removed, loss.n_weights, loss.refit_lost) == ("0", 80, 160, None)
    assert loss.input_lost == pytest.approx(float((before[~kept] ** 2).sum() / (before**2).sum()))


def test_calibration_weighs_by_the_input() -> None:
    model = make_model()
    data = torch.rand(50, 20) * (torch.arange(20) < 5)
    limit_fan_in(model, 5, calibration=data)
    assert (model[0].weight.detach()[:, :5] != 0).all()


def test_calibration_weighs_recurrent_weights_by_the_counts() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(LIF(8, recurrent=True))
    with torch.no_grad():
        model[0].recurrent_weight.fill_(0.1)
    counts = draw_counts(8) * (torch.arange(8) >= 6)  # the others are silent
    limit_fan_in(nn.Sequential(model, nn.Linear(8, 2, bias=False), LeakyIntegrator(2)), 3, calibration=counts)
    assert (model[0].recurrent_weight[6:] != 0).all()


def test_masks_hold_in_training_and_settle_into_plain_weights() -> None:
    model = make_model()
    optimiser = torch.optim.Adam(model.parameters(), 0.1)  # made before: still valid
    limit_fan_in(model, 4)
    before = model[0].weight.detach().clone()
    for _ in range(5):
        optimiser.zero_grad()
        model(torch.rand(16, 20)).square().sum().backward()
        optimiser.step()
    settle_fan_in(model)
    after = model[0].weight.detach()
    assert set(dict(model.named_parameters())) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert torch.equal(after != 0, before != 0)
    assert not torch.equal(after, before)
    assert type(pickle.loads(pickle.dumps(model))[0]) is nn.Linear


def test_a_copy_settles_alone() -> None:
    model = make_lif_model()
    limit_fan_in(model, SMALL)
    best = copy.deepcopy(model)
    settle_fan_in(best)
    assert torch.equal(best[0].weight, model[0].weight)
    assert torch.equal(best[1].recurrent_weight, model[1].recurrent_weight)
    model(draw_counts(12))
    settle_fan_in(model)
    assert type(model[1]) is LIF


def test_a_copy_is_limited_alone() -> None:
    model = nn.Sequential(make_lif_model()[:2], nn.Linear(24, 2, bias=False), LeakyIntegrator(2))
    limit_fan_in(model, make_small_chip(10, 30, 30))  # the feed-forward weights alone have masks that are not full
    best = copy.deepcopy(model)
    limit_fan_in(best, make_small_chip(3, 3, 3))
    assert int((model[0][1].recurrent_weight != 0).sum(0).max()) == 24
    assert int((best[0][1].recurrent_weight != 0).sum(0).max()) == 3


def test_checkpoints_carry_the_masks() -> None:
    model = make_lif_model()
    limiter = FanInLimiter(model, SMALL, calibration=draw_counts(12))
    train_steps(model, limiter, draw_counts(12))
    other = make_lif_model()
    FanInLimiter(other, SMALL)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other[1].recurrent_weight, model[1].recurrent_weight)
    assert torch.equal(other(draw_counts(12, 1)), model(draw_counts(12, 1)))


@pytest.mark.parametrize("make", [make_lif_model, SkipModel])
def test_float_models_stay_within_the_fan_in_while_they_regrow(make: type[nn.Module]) -> None:
    model, chip = make(), make_small_chip(4, 8, 6)
    counts = draw_counts(12 if make is make_lif_model else 6)
    assert "SNN204" in broken_rules(model, chip)
    limiter = FanInLimiter(model, chip, calibration=counts)
    assert limiter.losses
    n_grown = 0
    for _ in range(3):
        assert largest_fan_in(model, chip) <= 8
        assert "SNN204" not in broken_rules(model, chip)
        n_grown += train_steps(model, limiter, counts, 1)
    assert n_grown > 0
    settle_fan_in(model)
    assert compile_model(model, chip, calibration=counts.numpy()).report.errors == ()


def test_chip_models_stay_within_the_fan_in_and_equal_their_bitstream() -> None:
    model, chip, counts = make_chip_model(), make_small_chip(9, 9, 9, "xylo-audio-3"), draw_counts(16)
    assert "SNN204" in broken_rules(model, chip)
    limiter = FanInLimiter(model, chip, calibration=counts)
    assert train_steps(model, limiter, counts) > 0
    assert (model[1].codes().weight[model[1].weight == 0] == 0).all()
    for _ in range(2):  # with masks, and settled
        assert broken_rules(model, chip) == set()
        seen = verify_model(model, compile_model(model, chip), counts.numpy().astype(np.int64))
        assert (seen.n_mismatches, min(seen.spikes.values()) > 0) == (0, True)
        settle_fan_in(model)


def test_models_that_lead_in_are_limited_within() -> None:
    model = align_model(make_chip_model(), "xylo-audio-3")
    losses = limit_fan_in(model, make_small_chip(9, 9, 9, "xylo-audio-3"), calibration=draw_counts(16))
    assert [loss.layer for loss in losses] == ["0", "1", "1.recurrent_weight", "2.body.0", "3"]


def test_chips_by_name_and_path(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "snnmap/chip/catalog/generic-4096.toml").read_text()
    (tmp_path / "small.toml").write_text(text.replace("max_fan_in = 256", "max_fan_in = 10"))
    assert limit_fan_in(make_lif_model(), str(tmp_path / "small.toml")) == limit_fan_in(make_lif_model(), SMALL)
    assert limit_fan_in(make_lif_model(), "generic-4096") == ()
    with pytest.raises(ChipError, match="no chip is called"):
        limit_fan_in(make_lif_model(), "generic")


def test_regrowth_drops_the_smallest_and_grows_the_steepest() -> None:
    model = nn.Sequential(nn.Linear(5, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.5, -0.1, 0.02, 0.01, 0.03]]))
    limiter = FanInLimiter(model, 2)
    data = torch.tensor([[1.0, 1.0, 3.0, 7.0, 5.0]])
    assert model(data).item() == pytest.approx(0.4)
    model(data).sum().backward()
    assert model[0].parametrizations.weight.original.grad.tolist() == [[1.0, 1.0, 0.0, 0.0, 0.0]]
    with torch.no_grad():
        model[0].parametrizations.weight.original[0, 2:] = 9.0  # as momentum may move what is behind the mask
    assert limiter.regrow(0.5) == 1
    assert model[0].weight.tolist() == [[0.5, 0.0, 0.0, 0.0, 0.0]]  # the fourth has the largest gradient and starts from 0
    assert not model[0].parametrizations.weight.original[0, 1:].any()
    with torch.no_grad():
        model[0].parametrizations.weight.original.fill_(1.0)
    assert model[0].weight.tolist() == [[1.0, 0.0, 0.0, 1.0, 0.0]]


def test_regrowth_keeps_what_is_best_kept() -> None:
    model = nn.Sequential(nn.Linear(4, 1, bias=False))
    limiter = FanInLimiter(model, 2)
    before = model[0].weight.detach().clone()
    model(torch.zeros(1, 4)).sum().backward()
    assert limiter.regrow(1.0) == 0  # no gradient calls for another
    assert torch.equal(model[0].weight, before)
    with pytest.raises(InputError, match="call regrow after backward"):
        limiter.regrow(0.5)
    with pytest.raises(InputError, match=r"measured: 1.5   limit: 0..1"):
        limiter.regrow(1.5)


def test_the_share_to_regrow_is_a_cosine() -> None:
    assert [regrowth_fraction(step, 100) for step in (0, 50, 100, 200)] == pytest.approx([0.3, 0.15, 0.0, 0.0])


def test_a_refit_restores_what_other_inputs_can_give() -> None:
    torch.manual_seed(0)
    model, data = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), make_redundant(100)
    with torch.no_grad():
        model[0].weight[:, :3] = torch.rand(4, 3) + 1  # so that the first three stay
    wanted = model(data).detach()
    cost = prune_fan_in(model, 3, data, ridge=1e-9)
    (first, second) = cost.layers
    assert (first.layer, first.n_removed, second.layer, second.n_removed) == ("0", 12, "2", 2)
    assert first.input_lost > 1e-3
    assert first.refit_lost == pytest.approx(0.0, abs=1e-9)
    assert second.refit_lost < second.input_lost
    assert cost.refit_output_error < cost.output_error
    assert cost.refit_output_error == pytest.approx(float((model(data).detach() - wanted).norm() / wanted.norm()), rel=1e-5)
    assert type(model[0]) is nn.Linear
    assert int((model[0].weight != 0).sum(1).max()) == 3


def test_a_refit_lets_the_bias_take_what_is_constant() -> None:
    model, data = nn.Sequential(nn.Linear(3, 2)), make_redundant(50)[:, :3]
    data[:, 1] = 0.7
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.1, 1.0], [1.0, -0.2, 2.0]]))
    cost = prune_fan_in(model, 2, data)
    assert cost.output_error > 0.01
    assert (cost.layers[0].refit_lost, cost.refit_output_error) == pytest.approx((0.0, 0.0), abs=1e-6)


def test_a_refit_takes_what_arrives_from_pruned_layers() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2, bias=False))
    cost = prune_fan_in(model, 4, torch.rand(100, 8))
    assert cost.layers[1].refit_lost == pytest.approx(cost.refit_output_error**2, rel=1e-4)


@pytest.mark.parametrize("make", [make_lif_model, make_chip_model])
def test_a_refit_mends_spiking_models(make: type[nn.Module]) -> None:
    model, chip, counts = make(), make_small_chip(10, 20, 20), draw_counts(12 if make is make_lif_model else 16)
    cost = prune_fan_in(model, chip, counts)
    assert {"1.recurrent_weight"} <= {loss.layer for loss in cost.layers}
    assert all(loss.refit_lost < loss.input_lost for loss in cost.layers)
    assert cost.refit_output_error < cost.output_error
    assert "SNN204" not in broken_rules(model, chip)


def test_nothing_to_do_and_nonsense() -> None:
    assert limit_fan_in(make_model(), 20) == ()
    assert prune_fan_in(make_model(), 20, torch.rand(9, 20)).layers == ()
    with pytest.raises(InputError, match="limit: 1"):
        limit_fan_in(make_model(), 0)
    with pytest.raises(InputError, match="above 0"):
        prune_fan_in(make_model(), 4, torch.rand(9, 20), ridge=0.0)
    normed = nn.Sequential(parametrizations.weight_norm(nn.Linear(20, 8)))
    with pytest.raises(InputError, match="parametrised already"):
        limit_fan_in(normed, 4)


@pytest.mark.parametrize("limit", [2.5, float("nan"), None])
def test_a_limit_that_is_no_number_of_words_is_refused(limit: object) -> None:
    with pytest.raises(InputError, match="neither a whole number nor a chip"):
        limit_fan_in(nn.Sequential(nn.Linear(9, 3)), limit)  # type: ignore[arg-type]


def test_a_limit_may_be_numpys() -> None:
    (loss,) = limit_fan_in(nn.Sequential(nn.Linear(9, 3)), np.int64(4))  # type: ignore[arg-type]
    assert loss.n_removed == 15

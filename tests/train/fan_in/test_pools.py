"""The words that weights share are those that the design rule counts after folding."""

import pytest
import torch
from fan_in_models import SkipModel, linear, make_chip_model, make_lif_model, make_small_chip
from torch import Tensor, nn

from snnmap.chip import Chip
from snnmap.convert import ConvertOptions, convert_ann
from snnmap.core.errors import InputError
from snnmap.frontends.torch import load
from snnmap.lif.drc.capacity import memories_of
from snnmap.lif.mapping import fold_network
from snnmap.nn import LIF, LeakyIntegrator, Residual
from snnmap.pipeline import check_model
from snnmap.train import limit_fan_in
from snnmap.train.fan_in.pools import Pool, Share, choose_weights, read_pools

CHIP = make_small_chip(5, 9, 7)


def describe(pools: tuple[Pool, ...]) -> list[str]:
    return [
        f"{pool.name} {pool.limits}: " + ", ".join(f"{share.path}.{share.parameter} {share.words}" for share in pool.shares)
        for pool in pools
    ]


def test_words_of_a_recurrent_residual_model() -> None:
    assert describe(read_pools(make_lif_model(), CHIP)) == [
        "1 (5, 9, 7): 0.weight (1, 0, 0), 1.recurrent_weight (0, 1, 0)",
        "2.body.1 (5, 9, 7): 2.body.0.weight (0, 1, 0), 2.body.1.recurrent_weight (0, 1, 0)",
        "3.body.1 (5, 9, 7): 3.body.0.weight (0, 2, 0)",
        "5 (5, 9, 7): 4.weight (0, 0, 3)",
    ]


def test_a_skip_from_the_input_arrives_from_relays() -> None:
    assert describe(read_pools(SkipModel(), CHIP)) == [
        "a (5, 9, 7): first.weight (1, 0, 0), a.recurrent_weight (0, 1, 0)",
        "b (5, 9, 7): second.weight (0, 1, 0), skip.weight (0, 1, 0), b.recurrent_weight (0, 1, 0)",
        "b (5, 9, 7): second.weight (0, 1, 0), skip.weight (0, 1, 0), b.recurrent_weight (0, 1, 0)",
        "out (5, 9, 7): last.weight (0, 0, 1)",
    ]


@pytest.mark.parametrize("make", [make_lif_model, SkipModel, make_chip_model])
@pytest.mark.parametrize("chip", [CHIP, make_small_chip(3, 4, 3), make_small_chip(0, 30, 0, "xylo-audio-3")])
def test_what_masks_leave_is_what_the_rule_counts(make: type[nn.Module], chip: Chip) -> None:
    model = make()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2 and min(parameter.shape) > 2:
                parameter.copy_(torch.rand_like(parameter) + 0.1)  # none is 0 on the chip
    pools = read_pools(model, chip)
    limit_fan_in(model, chip)
    mapped = fold_network(load(model), chip)
    memories, modules, seen = memories_of(mapped), dict(model.named_modules()), 0
    for pool in pools:
        weights = torch.cat([share.rows(getattr(modules[share.path], share.parameter), pool.size) for share in pool.shares], 1)
        words = (weights != 0).long() @ pool.words
        synapse = pool.shares[0].start // pool.size
        for memory, (_, _, matrices) in enumerate(memories):
            outputs = memory == 2
            if synapse >= len(matrices) or outputs != (pool.name in load(model).output_populations):
                continue
            slots = mapped.table.output_slots(pool.name) if outputs else mapped.table.hidden_slots(pool.name)
            assert words[:, memory].tolist() == matrices[synapse].column_lengths[slots].tolist()
            seen += 1
    assert seen >= len(pools)


def test_weights_of_zero_leave_room_to_grow() -> None:
    model = nn.Sequential(linear(4, 6), LIF(6, recurrent=True), linear(6, 2), LeakyIntegrator(2))
    with torch.no_grad():
        model[1].recurrent_weight.zero_()
    assert describe(read_pools(model, 5))[0] == "1 (5, 5, 5): 0.weight (1, 0, 0), 1.recurrent_weight (0, 1, 0)"


def test_counts_without_weights_take_a_word() -> None:
    model = nn.Sequential(linear(4, 6), LIF(6), LIF(6, recurrent=True), linear(6, 2), LeakyIntegrator(2))
    assert describe(read_pools(model, 5))[1] == "2 (5, 4, 5): 2.recurrent_weight (0, 1, 0)"


def test_neurons_that_the_build_gives_a_synapse_onto_themselves_keep_a_word() -> None:
    model = nn.Sequential(linear(4, 6), LIF(6), linear(6, 12), LIF(12, tau_mem_s=0.0234), linear(12, 2), LeakyIntegrator(2))
    assert describe(read_pools(model, CHIP))[1] == "3 (5, 8, 7): 2.weight (0, 1, 0)"
    chip = make_small_chip(5, 5, 5)
    limit_fan_in(model, chip)
    checked = check_model(model, chip)
    assert not checked.report.errors
    assert [match.population for match in checked.matches] == ["3"]  # matched, and not given up for want of words


class ResidualAnn(nn.Module):
    """A ReLU network: a sum of activations behind a layer, and one of pre-activations and activations."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.a, self.b, self.c, self.d = nn.Linear(12, 20), nn.Linear(20, 20), nn.Linear(20, 20), nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        first = torch.relu(self.a(x))
        second = torch.relu(self.b(first))
        third = torch.relu(self.c(first + second) + first)
        return self.d(third)


def test_a_network_to_convert_leaves_room_for_clock_and_skips() -> None:
    model, data, chip = ResidualAnn(), torch.rand(40, 12), make_small_chip(8, 8, 8)
    assert [line.replace(str(2**31), "-") for line in describe(read_pools(model, chip))] == [
        "relu (-, 7, -): a.weight (0, 1, 0)",
        "relu_1 (-, 7, -): b.weight (0, 1, 0)",
        "relu_2 (-, 6, -): c.weight (0, 2, 0)",
        "output (-, 7, -): d.weight (0, 1, 0)",
    ]
    limit_fan_in(model, chip, calibration=data)
    report = check_model(convert_ann(model, data.numpy(), options=ConvertOptions(overshoot="allow")).network, chip).report
    assert [diagnostic for diagnostic in report.errors if diagnostic.rule == "SNN204"] == []
    limit_fan_in(model, make_small_chip(6, 6, 6), calibration=data)  # again, masks and all
    assert int((model.c.weight != 0).sum(1).max()) == 2


@pytest.mark.filterwarnings("ignore::snnmap.core.errors.ConversionWarning")  # of a random network
def test_convolutions_stay_and_take_their_words() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 3))
    data, chip = torch.rand(20, 1, 6, 6), make_small_chip(12, 12, 12)
    losses = limit_fan_in(model, chip, calibration=data)
    assert [(loss.layer, loss.n_removed) for loss in losses] == [("3", 8 * 21)]
    report = check_model(convert_ann(model, data.numpy(), options=ConvertOptions(overshoot="allow")).network, chip).report
    assert [diagnostic for diagnostic in report.errors if diagnostic.rule == "SNN204"] == []


def test_the_best_for_a_word_are_chosen() -> None:
    shares = tuple(
        Share(path=path, parameter="weight", start=0, n_sources=2, words=words)
        for path, words in [("a", (0, 1, 0)), ("b", (1, 2, 0))]
    )
    pool = Pool(name="p", size=2, shares=shares, limits=(1, 3, 0))
    kept = choose_weights(pool, torch.tensor([[1.0, 2.0, 9.0, 12.0], [5.0, 6.0, 9.0, 12.0]]))
    assert kept.tolist() == [[False, True, False, True], [True, True, False, False]]


def test_limits_that_cannot_be_kept_are_named() -> None:
    with pytest.raises(InputError, match=r"measured: 0   limit: 1"):
        read_pools(make_lif_model(), 0)
    deep = nn.Sequential(
        linear(3, 4), LIF(4), *(Residual(linear(4, 4), LIF(4)) for _ in range(3)), linear(4, 2), LeakyIntegrator(2)
    )
    with pytest.raises(InputError) as caught:
        read_pools(deep, make_small_chip(3, 3, 3))
    assert str(caught.value) == (
        "the limit leaves no room for a single weight of a layer: it needs a word for each summand of its input\n"
        "  where: module '5' onto '6', output_weights\n"
        "  measured: 4 words a weight   limit: 3 free\n"
        "  fix: take fewer residual blocks in one sum, or a chip with more fan-in"
    )


def test_relays_need_room_as_well() -> None:
    with pytest.raises(InputError, match=r"where: recurrent_weights\n  measured: 2 words a relay   limit: 1"):
        read_pools(SkipModel(), make_small_chip(3, 1, 3))

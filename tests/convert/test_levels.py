"""Delta layers as neurons: a spike is a level, a sign is a second neuron, and a cut synapse is none."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from level_counts import share_of_levels
from torch import Tensor, nn

from snnmap.chip import load_chip
from snnmap.convert import ConvertOptions, build, convert_ann, read_ann, run_ann, score_conversion
from snnmap.core.errors import FrontendError, InputError
from snnmap.nn import QuantisedReLU
from snnmap.nn.delta import (
    DeltaActivation,
    DeltaNetwork,
    DeltaSynapse,
    FixedPoint,
    MaskedConv1d,
    MaskedConv2d,
    MaskedLinear,
    SigmaDeltaQuantiser,
    StepQuantiser,
    insert_delta,
)
from snnmap.pipeline import check_model, compile_model

pytestmark = pytest.mark.filterwarnings("ignore::snnmap.core.errors.ConversionWarning")  # of random networks

T = 8
EIGHTHS = np.random.default_rng(0).integers(0, 9, (400, 20)) / 8
"""Inputs that are coded exactly, and that hit ties between levels often."""


def steps(*values: float) -> StepQuantiser:
    quantiser = StepQuantiser(3, n_channels=len(values), step=1.0)
    quantiser.step.data = torch.tensor(values)
    return quantiser


def ready(quantiser: nn.Module) -> nn.Module:
    quantiser.calibrate(torch.tensor([0.9]))  # type: ignore[operator]
    return quantiser


def negative(quantiser: StepQuantiser) -> StepQuantiser:
    quantiser.signed = True
    return quantiser


class Shared(nn.Module):
    """A ReLU whose value is taken both before and behind a quantiser."""

    def __init__(self) -> None:
        super().__init__()
        self.relu, self.quantiser = nn.ReLU(), StepQuantiser(4, step=0.25)

    def forward(self, x: Tensor) -> Tensor:
        rectified = self.relu(x)
        result: Tensor = self.quantiser(rectified) - 0.5 * rectified
        return result


def relu_and(*behind: nn.Module) -> nn.Module:
    return nn.Sequential(nn.ReLU(), *behind)


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "LSQ": (lambda: relu_and(DeltaActivation(StepQuantiser(3, step=0.25))), (6,), 2),
    "modified LSQ": (lambda: relu_and(DeltaActivation(StepQuantiser(3, clip=False, step=0.25))), (6,), 1),
    "fixed point": (lambda: relu_and(DeltaActivation(ready(FixedPoint(3)))), (6,), 2),
    "macro-grad": (lambda: relu_and(SigmaDeltaQuantiser(step=0.25)), (6,), 1),
    "no quantiser": (lambda: relu_and(DeltaActivation()), (6,), 1),
    "twice": (lambda: relu_and(DeltaActivation(QuantisedReLU(5, step=0.25, rounding="floor"))), (6,), 2),
    "a step a channel": (lambda: relu_and(steps(0.25, 0.5)), (2, 3, 4), 2),
    "a step a feature": (lambda: relu_and(nn.Flatten(), steps(0.25, 0.5, 1.0, 2.0, 0.125, 0.25)), (6,), 2),
    "clipped before": (lambda: nn.Sequential(nn.Hardtanh(0.0, 1.125), StepQuantiser(4, step=0.25)), (6,), 2),
    "clipped before, by channel": (lambda: nn.Sequential(nn.ReLU6(), steps(0.5, 1.0)), (2, 3), 2),
    "no activation": (lambda: StepQuantiser(3, step=0.25), (6,), 2),
    "of a pool": (lambda: relu_and(nn.MaxPool2d(2), StepQuantiser(3, step=0.25)), (2, 4, 4), 5),
    "of a pool, flat": (lambda: relu_and(nn.MaxPool1d(2), nn.Flatten(), StepQuantiser(3, step=0.25)), (2, 4), 3),
    "pooled": (lambda: relu_and(StepQuantiser(3, clip=False, step=0.25), nn.MaxPool2d(2)), (2, 4, 4), 4),
    "pooled by channel": (lambda: relu_and(steps(0.25, 0.5), nn.MaxPool2d(2)), (2, 4, 4), 5),
    "a mean quantised again": (
        lambda: relu_and(StepQuantiser(3, step=0.25), nn.AvgPool2d(2), StepQuantiser(4, clip=False, step=0.125)), (2, 4, 4), 3,
    ),
    "relu used twice": (Shared, (6,), 3),
    "signed behind a ReLU": (lambda: relu_and(StepQuantiser(3, step=0.25, signed=True)), (6,), 2),
    "pairs": (lambda: StepQuantiser(3, step=0.25, signed=True), (6,), 4),
    "pairs without clip": (lambda: StepQuantiser(3, step=0.25, signed=True, clip=False), (6,), 2),
    "pairs, not rectified": (lambda: SigmaDeltaQuantiser(step=0.25), (6,), 2),
    "pairs by channel": (lambda: negative(steps(0.25, 0.5)), (2, 3), 4),
    "pairs of fixed point": (lambda: ready(FixedPoint(4, signed=True)), (6,), 4),
    "delta synapse": (lambda: nn.Sequential(nn.ReLU(), DeltaSynapse(nn.Linear(6, 4)), nn.ReLU()), (6,), 2),
}  # fmt: skip


def use_eighths(model: nn.Module) -> nn.Module:
    """Give weights on a grid on which sums are exact and ties are frequent."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            for parameter in module.parameters():
                parameter.data = torch.randint(-12, 13, parameter.shape) / 8
    return model.double().eval()


@pytest.mark.parametrize("name", MODELS)
def test_the_ann_is_the_module_ties_included(name: str) -> None:
    make, shape, n_layers = MODELS[name]
    model = use_eighths(nn.Sequential(make()))
    inputs = torch.randint(-24, 25, (200, *shape), dtype=torch.float64) / 16
    with torch.no_grad():
        expected = model(inputs).reshape(200, -1).numpy()
    ann = read_ann(model, shape, signed="pairs")
    assert np.array_equal(run_ann(ann, inputs.numpy())["output"], expected)
    assert len(ann.layers) == n_layers


@pytest.mark.parametrize(
    "layer",
    [MaskedLinear(12, 5), MaskedConv1d(2, 3, 3, padding=1), MaskedConv2d(2, 3, 2, stride=2), MaskedLinear(12, 5, bias=False)],
)
def test_a_masked_layer_has_the_synapses_that_are_left(layer: nn.Module) -> None:
    shape = {MaskedLinear: (12,), MaskedConv1d: (2, 6), MaskedConv2d: (2, 4, 4)}[type(layer)]  # type: ignore[index]
    layer.threshold = 0.3  # type: ignore[assignment]
    model = nn.Sequential(layer, nn.ReLU()).double().eval()
    inputs = torch.rand(9, *shape, dtype=torch.float64)
    ann = read_ann(model, shape)
    with torch.no_grad():
        np.testing.assert_allclose(run_ann(ann, inputs.numpy())["output"], model(inputs).reshape(9, -1), atol=1e-12)
    network = convert_ann(model, inputs.numpy()).network
    stored = {p.name: p.weights.nnz for p in network.projections}["input->1"]
    kept, dense = int(layer.mask().sum()), layer.weight.numel()  # type: ignore[operator]
    assert 0 < kept < dense
    repeats = stored / kept
    assert repeats == 1 if isinstance(layer, MaskedLinear) else repeats <= (6 if isinstance(layer, MaskedConv1d) else 4)


def test_a_mask_keeps_within_the_fan_in() -> None:
    torch.manual_seed(0)
    data, chip = np.random.default_rng(0).uniform(0, 1, (20, 600)), load_chip("generic-4096")
    found = {}
    for threshold in (0.0, 0.1):
        layer = MaskedLinear(600, 20)
        layer.threshold = threshold
        network = convert_ann(nn.Sequential(layer, nn.ReLU(), nn.Linear(20, 4)), data).network
        found[threshold] = {diagnostic.rule for diagnostic in check_model(network, chip).report.errors}
        kept = (layer.effective_weight() != 0).sum(1)
        if threshold:
            assert 128 < kept.max() <= 255  # one for the clock
    assert found == {0.0: {"SNN204"}, 0.1: set()}


def test_a_delta_network_is_its_frames() -> None:
    model = use_eighths(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), StepQuantiser(4, step=0.25), nn.Linear(8, 3)))
    delta = DeltaNetwork(model)
    sequences = torch.randint(0, 9, (5, 7, 6), dtype=torch.float64) / 8
    with torch.no_grad():
        expected = delta(sequences).reshape(35, 3).numpy()
    ann = read_ann(delta, (6,))
    assert [layer.name for layer in ann.layers] == ["2", "2.excess"]
    assert np.array_equal(run_ann(ann, sequences.reshape(35, 6).numpy())["output"], expected)
    assert all(synapse.n_steps == 0 for synapse in delta.synapses())


@pytest.mark.parametrize(
    ("model", "shape", "said"),
    [
        (StepQuantiser(4, step=0.1, signed=True), (4,), r"module '0'.*levels -8 to 7.*signed='pairs'"),
        (StepQuantiser(4, step=0.1, clip=False), (4,), r"levels -inf to inf of values that may have both signs"),
        (nn.Sequential(nn.ELU(), StepQuantiser(4, step=0.1)), (4,), "ELU has no LIF counterpart"),
        (nn.Sequential(nn.Tanh(), StepQuantiser(4, step=0.1, signed=True)), (4,), "Tanh has no LIF counterpart"),
        (nn.Sequential(nn.ReLU(), DeltaActivation(StepQuantiser(4))), (4,), r"module '0.1.quantiser'.*step="),
        (nn.Sequential(nn.ReLU(), FixedPoint(4)), (4,), r"no step yet.*module '0.1'"),
        (nn.Sequential(nn.ReLU(), StepQuantiser(4, step=0.1, n_channels=3)), (4,), "limit: 3 channels on axis 1"),
        (nn.Sequential(nn.ReLU(), StepQuantiser(4, step=0.1, n_channels=4, channel_axis=0)), (4,), "4 channels on axis 0"),
        (DeltaNetwork(nn.Linear(4, 4)), (4,), "convert the DeltaNetwork itself"),
    ],
)
def test_what_has_no_counterpart_is_explained(model: nn.Module, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(FrontendError, match=f"(?s){said}"):
        convert_ann(nn.Sequential(model), np.ones((4, *shape)))


def quantised_net(make: Callable[[int], nn.Module], *, grid: bool) -> nn.Module:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(20, 48), make(48), nn.Linear(48, 40), make(40), nn.Linear(40, 5)).double().eval()
    for module in model:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=1.5 / module.in_features**0.5)
            for parameter in module.parameters():
                parameter.data = (parameter.data * 8).round() / 8 if grid else parameter.data
    return model


def by_channel(n_channels: int) -> nn.Module:
    quantiser = StepQuantiser(4, n_channels=n_channels, step=0.12)
    quantiser.step.data = 0.12 * torch.linspace(0.5, 2.0, n_channels)
    return quantiser


NETS: dict[str, tuple[Callable[[int], nn.Module], bool]] = {
    "LSQ": (lambda _n: nn.Sequential(nn.ReLU(), StepQuantiser(4, step=0.12)), False),
    "a step a channel": (lambda n: nn.Sequential(nn.ReLU(), by_channel(n)), False),
    "LSQ, ties": (lambda _n: nn.Sequential(nn.ReLU(), StepQuantiser(4, step=0.125)), True),
    "pairs": (lambda _n: StepQuantiser(4, step=0.12, signed=True), False),
    "pairs without clip": (lambda _n: StepQuantiser(4, step=0.12, signed=True, clip=False), False),
    "pairs, ties": (lambda _n: StepQuantiser(4, step=0.125, signed=True), True),
}


@pytest.mark.parametrize("name", NETS)
def test_counts_are_the_levels(name: str) -> None:
    make, grid = NETS[name]
    for dash_mem, least in ((None, 0.999), (15, 0.997)):
        options = ConvertOptions(n_steps=T, overshoot="hold", dash_mem=dash_mem, signed="pairs")
        assert (
            share_of_levels(convert_ann(quantised_net(make, grid=grid), EIGHTHS[:200], options=options), EIGHTHS[200:]) >= least
        )


@pytest.mark.parametrize("name", ["LSQ, ties", "pairs, ties"])
def test_the_start_charge_decides_ties(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = quantised_net(*[NETS[name][0]], grid=True)
    options = ConvertOptions(n_steps=T, overshoot="hold", dash_mem=None, signed="pairs")
    charges = {c.layer: c.start_charge for c in convert_ann(model, EIGHTHS, options=options).compensations}
    assert charges["3.1" if "LSQ" in name else "3.up"] == 0.5 + 1 / 16  # multiples of an eighth of a threshold
    assert charges.get("3.down", 0.5 - 1 / 16) == 0.5 - 1 / 16
    monkeypatch.setattr(build, "_MOST_PARTS", 0)
    assert share_of_levels(convert_ann(model, EIGHTHS[:200], options=options), EIGHTHS[200:]) < 0.97


def test_a_mean_of_levels_is_a_level_again() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), StepQuantiser(4, step=0.0625), nn.AvgPool2d(2), StepQuantiser(4, clip=False, step=0.0625),
        nn.Flatten(), nn.Linear(36, 3),
    ).double()  # fmt: skip
    data = np.random.default_rng(0).integers(0, 121, (300, 1, 8, 8)) / 120
    conversion = convert_ann(model, data[:200], options=ConvertOptions(n_steps=T, overshoot="hold"))
    assert conversion.compensations[-1].start_charge == 0.5 + 1 / 8  # of fourths: two halves of four round up
    assert share_of_levels(conversion, data[200:]) >= 0.999


def test_a_maximum_of_levels_is_whole_whatever_the_channel_s_step() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), steps(0.03, 0.1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 3)
    ).double()
    data = np.random.default_rng(0).uniform(0, 1, (40, 1, 8, 8))
    conversion = convert_ann(model, data)
    assert {c.layer: c.source for c in conversion.compensations}["3.max1.0"] == "inherited"
    assert conversion.units["3.max1.0"] == conversion.units["2"] == 1.0


def test_levels_must_fit_the_time() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), StepQuantiser(4, clip=False, step=1e-2)).double()
    nn.init.ones_(model[0].weight)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"(?s)layer '2'.*level \d+ on calibration data.*31 spikes a step x 7 steps.*n_steps"):
        convert_ann(model, np.ones((3, 4)), options=ConvertOptions(n_steps=2))


def test_a_bitstream_decides_as_the_delta_network_does() -> None:
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    digits = load_digits()
    inputs, labels = torch.tensor(digits.data / 16.0, dtype=torch.float32), torch.tensor(digits.target)
    model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10))
    model = insert_delta(model, make=lambda _path: DeltaActivation(StepQuantiser(4), n_steps=1)).train()
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(80):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimiser.step()
    classes = model.eval()(inputs).argmax(1).numpy()
    assert (classes == digits.target).mean() > 0.96
    inputs, classes = inputs[-400:], classes[-400:]
    conversion = convert_ann(model, inputs[:200].numpy(), options=ConvertOptions(n_steps=T, overshoot="hold"))
    artifacts = compile_model(conversion, "generic-4096")
    found = conversion.read(artifacts.run(conversion.encode(inputs.numpy()))["output"])
    assert (found == classes).mean() >= 0.99
    assert score_conversion(conversion, inputs.numpy()).agreement >= 0.99

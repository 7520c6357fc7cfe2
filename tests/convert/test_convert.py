"""ReLU networks: read exactly as torch computes them, and as LIF networks whose counts are the activations."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnmap.chip import load_chip
from snnmap.convert import ConvertOptions, convert_ann, read_ann, run_ann, split_ports
from snnmap.core.errors import FrontendError, InputError
from snnmap.lif.drc import check_network
from snnmap.lif.quantise import QuantiseOptions
from snnmap.lif.simulator import simulate_image
from snnmap.pipeline import CompileOptions, compile_model

pytestmark = pytest.mark.filterwarnings("ignore::snnmap.core.errors.ConversionWarning")  # of random networks


class ResidualNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        x = torch.relu(self.second(x) + x) + x
        return self.last(x)


def conv_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 6, 3, padding="same", groups=2, bias=False), nn.BatchNorm2d(6, affine=False), nn.ReLU(), nn.Dropout(0.5),
        nn.MaxPool2d((2, 3), stride=2), nn.AvgPool2d(2, stride=1), nn.Flatten(), nn.LazyLinear(5),
    )  # fmt: skip


torch.manual_seed(0)
MODELS = {
    "mlp": (nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 4)), (6,)),
    "batch norm": (nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Identity(), nn.Linear(9, 4)), (6,)),
    "residual": (ResidualNet(), (6,)),
    "conv2d": (conv_net(), (2, 11, 13)),
    "conv1d": (
        nn.Sequential(
            nn.Conv1d(2, 3, 5, stride=2, padding=2), nn.ReLU(), nn.AvgPool1d(3), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(6, 4)
        ),
        (2, 26),
    ),
}


def settle(model: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Give batch normalisations statistics that matter, and lazy layers their size."""
    torch.manual_seed(0)
    model.train()
    for _ in range(3):
        model(torch.rand(32, *shape))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.affine:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return model.double().eval()


@pytest.mark.parametrize("name", MODELS)
def test_the_ann_is_the_module(name: str) -> None:
    model, shape = MODELS[name]
    settle(model, shape)
    inputs = torch.rand(7, *shape, dtype=torch.float64)
    with torch.no_grad():
        expected = model(inputs).numpy()
    found = run_ann(read_ann(model, shape), inputs.numpy())["output"]
    assert np.allclose(found, expected, atol=1e-10)
    model.float()


@pytest.mark.parametrize(
    ("name", "limit"),
    # a maximum of nearly equal rates is a small difference of large counts, and spikes that come early cannot be taken back
    [("mlp", 0.05), ("residual", 0.05), ("conv1d", 0.05), ("conv2d", 0.2)],
)
def test_counts_are_the_activations(name: str, limit: float) -> None:
    model, shape = MODELS[name]
    settle(model, shape)
    calibration = np.random.default_rng(0).uniform(0, 1, (100, *shape))
    coarse, fine = (convert_ann(model, calibration, options=ConvertOptions(n_steps=n, overshoot="allow")) for n in (4, 16))
    assert max(error.relative_error for error in fine.errors) < limit
    for one, other in zip(coarse.errors, fine.errors, strict=True):
        assert other.relative_error < 0.8 * one.relative_error
        assert abs(other.mean_error) < 0.5 * limit
    model.float()


def test_calibration_mends_the_mean() -> None:
    model, shape = MODELS["mlp"]
    settle(model, shape)
    data = np.random.default_rng(0).uniform(0, 1, (200, *shape))
    coarse = ConvertOptions(n_steps=4, max_rate=2.0, overshoot="allow")
    plain, half, both = (
        convert_ann(model, data, options=replace(coarse, start=start, calibrate=calibrate)).errors[0]
        for start, calibrate in (("zero", False), ("half", False), ("half", True))
    )
    assert abs(both.mean_error) < abs(half.mean_error) < abs(plain.mean_error)
    model.float()


def test_a_bitstream_reads_digits_as_the_ann_does() -> None:
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    digits = load_digits()
    inputs, labels = torch.tensor(digits.data / 16.0, dtype=torch.float32), torch.tensor(digits.target)
    model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10))
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(80):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimiser.step()
    conversion = convert_ann(model, inputs[:300].numpy())
    calibration = split_ports(conversion.encode(inputs[:200].numpy()))
    options = CompileOptions(quantise=QuantiseOptions(depth=16.0))
    artifacts = compile_model(conversion.network, "generic-4096", calibration=calibration, options=options)
    counts = np.pad(conversion.encode(inputs.numpy()), ((0, 0), (0, artifacts.mapped.latency_steps), (0, 0)))
    run = simulate_image(artifacts.image, counts, states_of=("outputs",))
    ann = model(inputs).argmax(1).numpy()
    assert (ann == digits.target).mean() > 0.97
    assert (conversion.read(run.potentials["outputs"]) == ann).mean() > 0.99


def test_the_network_breaks_no_rule_but_capacity() -> None:
    model, shape = MODELS["mlp"]
    settle(model, shape)
    conversion = convert_ann(model, np.random.default_rng(0).uniform(0, 1, (50, *shape)))
    assert check_network(conversion.network, load_chip("generic-4096")).errors == ()
    model.float()


def test_input_codes_are_even_and_exact() -> None:
    model, shape = MODELS["mlp"]
    conversion = convert_ann(model, np.random.default_rng(0).uniform(0, 1, (50, *shape)), options=ConvertOptions(n_steps=8))
    values = np.linspace(0, 1, 6)[np.newaxis]
    counts = conversion.encode(values)
    assert counts.shape == (1, 8 + 5, 7)
    assert np.array_equal(counts[0, :, :6].sum(axis=0), np.rint(values[0] * 15 * 8))
    assert (np.ptp(counts[0, :8, :6], axis=0) <= 1).all()
    assert counts[0, :, 6].tolist() == [15] * 8 + [0] * 5
    assert counts.max() <= 15


@pytest.mark.parametrize(
    ("model", "shape", "said"),
    [
        (nn.Sequential(nn.Linear(6, 4), nn.Sigmoid(), nn.Linear(4, 2)), (6,), "module '1'"),
        (nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, track_running_stats=False)), (6,), "running statistics"),
        (nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(5)), (6,), "limit: 5"),
        (nn.Sequential(nn.Linear(5, 4), nn.ReLU()), (6,), "module '0'"),
    ],
)
def test_what_has_no_counterpart_is_named(model: nn.Module, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(FrontendError, match=said.replace("(", r"\(")):
        convert_ann(model, np.ones((4, *shape)))


@pytest.mark.parametrize(
    "data", [np.zeros((0, 6)), np.zeros(6), np.full((3, 6), -1.0), np.full((3, 6), np.nan), np.full((3, 6), 2.0)]
)
def test_bad_calibration_data(data: np.ndarray) -> None:
    with pytest.raises(InputError):
        convert_ann(MODELS["mlp"][0].float(), data)


@pytest.mark.parametrize("dash_syn", [2, 3, 4])
def test_slower_synapses_get_the_time_they_need(dash_syn: int) -> None:
    model, shape = MODELS["mlp"]
    settle(model, shape)
    data = np.random.default_rng(0).uniform(0, 1, (100, *shape))
    for overshoot in ("allow", "hold"):
        conversion = convert_ann(model, data, options=ConvertOptions(dash_syn=dash_syn, overshoot=overshoot))
        assert max(error.relative_error for error in conversion.errors) < 0.05
    model.float()


def test_a_conversion_brings_its_calibration_to_the_build() -> None:
    model, shape = MODELS["mlp"]
    settle(model, shape)
    data = np.random.default_rng(0).uniform(0, 1, (100, *shape))
    conversion = convert_ann(model, data)
    found = compile_model(conversion, "generic-4096")
    options = CompileOptions(quantise=QuantiseOptions(depth=16.0))
    wanted = compile_model(
        conversion.network, "generic-4096", calibration=conversion.split(conversion.encode(data)), options=options
    )
    assert found.bitstream == wanted.bitstream
    logits = conversion.read_logits(found.run(conversion.encode(data))["output"])
    ann = run_ann(read_ann(model, shape), data)["output"]
    assert np.sqrt(np.mean((logits - ann) ** 2)) < 0.1 * np.sqrt(np.mean(ann**2))
    model.float()


def test_inputs_out_of_range_are_clipped_when_asked() -> None:
    model, shape = MODELS["mlp"]
    conversion = convert_ann(model, np.full((4, *shape), 2.0), options=ConvertOptions(clip_inputs=True))
    assert np.array_equal(conversion.encode(np.full((1, *shape), 9.0)), conversion.encode(np.ones((1, *shape))))

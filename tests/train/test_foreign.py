"""Models of other frameworks: trained on in the chip's integers, compared with their bitstream, or refused by name."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from snnmap.convert import convert_ann
from snnmap.core.errors import FrontendError, InputError
from snnmap.lif.quantise import QuantiseOptions
from snnmap.loading import load
from snnmap.network import Network
from snnmap.nn import LIF, ChipNetwork, Readout, Surrogate
from snnmap.pipeline import CompileOptions, compile_model
from snnmap.train import (
    ActivityRecorder,
    FanInLimiter,
    TrainOptions,
    align_model,
    prune_fan_in,
    to_chip_exact,
    train_model,
    verify_model,
)

CHIP = "xylo-audio-3"
ALLOW = CompileOptions(allow=("SNN6",), quantise=QuantiseOptions(readout_margin=16.0))


def draw_counts(seed: int, n_samples: int = 6, n_inputs: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).poisson(0.7, (n_samples, 40, n_inputs))


def make_snntorch() -> nn.Module:
    snn = pytest.importorskip("snntorch")
    torch.manual_seed(0)
    kind: dict[str, Any] = {"alpha": 0.6, "beta": 0.8, "init_hidden": True}
    model = nn.Sequential(
        nn.Linear(8, 20, bias=False), snn.RSynaptic(linear_features=20, **kind), nn.Linear(20, 4, bias=False),
        snn.Synaptic(output=True, reset_delay=False, **kind),
    )  # fmt: skip
    nn.init.normal_(model[0].weight, 0.03, 0.1)
    nn.init.normal_(model[2].weight, 0.05, 0.2)
    model[1].recurrent.weight.data.mul_(0.2)
    return model


def make_rockpool() -> Any:
    pytest.importorskip("rockpool")
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import LIFTorch, LinearTorch

    torch.manual_seed(0)
    model = Sequential(
        LinearTorch((8, 20)), LIFTorch(20, dt=1e-3, tau_mem=5e-3, tau_syn=3e-3, max_spikes_per_dt=31),
        LinearTorch((20, 4)), LIFTorch(4, dt=1e-3, max_spikes_per_dt=1),
    )  # fmt: skip
    model.parameters()["0_LinearTorch"]["weight"].data.mul_(2.0).add_(0.1)
    return model


def make_nir() -> Any:
    nir = pytest.importorskip("nir")
    rng = np.random.default_rng(0)

    def neurons(size: int) -> Any:
        ones = np.ones(size)
        return nir.CubaLIF(
            tau_syn=2e-3 * ones, tau_mem=4e-3 * ones, r=ones, v_leak=0.0 * ones, v_threshold=0.05 * ones, v_reset=0.0 * ones
        )

    nodes = {
        "input": nir.Input(input_type={"input": np.array([8])}),
        "in": nir.Linear(weight=rng.normal(0.05, 0.1, (12, 8))),
        "first": neurons(12),
        "between": nir.Linear(weight=rng.normal(0.05, 0.1, (3, 12))),
        "last": neurons(3),
        "output": nir.Output(output_type={"output": np.array([3])}),
    }
    names = list(nodes)
    return nir.NIRGraph(nodes=nodes, edges=list(itertools.pairwise(names)))


def read(make: Callable[[], Any]) -> Network:
    model = make()
    if make is make_snntorch:
        return load(model, overshoot="ignore")
    if make is make_nir:
        return load(model, dt_s=1e-3, time_unit="s", integrator="euler", reset="subtract")
    return load(model)


@pytest.mark.parametrize("make", [make_snntorch, make_rockpool, make_nir])
def test_it_starts_as_the_bitstream_and_its_own_does_what_was_trained(make: Callable[[], Any]) -> None:
    network, rasters = read(make), draw_counts(1)
    given = make() if make is make_rockpool else network
    exact = to_chip_exact(given, CHIP, calibration=rasters, surrogate=Surrogate(window=0.5))
    assert isinstance(exact, ChipNetwork)
    assert exact.surrogate.window == 0.5
    built = compile_model(network, CHIP, calibration=rasters, options=ALLOW)
    first = verify_model(exact, built, draw_counts(2))
    assert (first.n_mismatches, first.silent) == (0, ())
    labels = torch.arange(24) % 3
    rasters = draw_counts(3, 24)
    for sample, label in zip(rasters, labels, strict=True):
        sample[:, 2 * int(label) : 2 * int(label) + 2] += 1
    batches = DataLoader(TensorDataset(torch.tensor(rasters), labels), 8)
    options = TrainOptions(n_epochs=12, learning_rate=1e-2, clip_norm=1.0)
    history = train_model(exact, batches, readout=Readout("mean"), options=options, progress=False)
    assert history[-1].loss < history[0].loss
    again = compile_model(exact, CHIP)
    assert again.quantised.errors == ()
    assert [(p.name, p.size) for p in again.network.populations] == [(p.name, p.size) for p in network.populations]
    seen = verify_model(exact, again, draw_counts(4))
    assert seen.n_mismatches == 0
    assert verify_model(load(exact), again, draw_counts(4)).n_mismatches == 0
    assert verify_model(exact, built, draw_counts(4)).n_mismatches > 0


@pytest.mark.parametrize("make", [make_snntorch, make_rockpool, make_nir])
def test_a_float_network_is_compared_population_by_population(make: Callable[[], Any]) -> None:
    network = read(make)
    built = compile_model(network, CHIP, calibration=draw_counts(1), options=ALLOW)
    seen = verify_model(network, built, torch.tensor(draw_counts(2)))
    assert set(seen.mismatches) == {population.name for population in network.populations}
    assert seen.n_compared == sum(population.size for population in network.populations) * 6 * 40
    assert sum(seen.spikes.values()) > 0
    assert seen.n_mismatches < 0.5 * seen.n_compared
    by_port = {network.inputs[0].name: draw_counts(2)}
    assert verify_model(network, built, by_port) == seen


def test_a_model_that_needs_no_options_is_verified_itself() -> None:
    model = make_rockpool()
    built = compile_model(model, CHIP, calibration=draw_counts(1), options=ALLOW)
    assert verify_model(model, built, draw_counts(2)) == verify_model(load(model), built, draw_counts(2))


def test_a_conversion_can_be_trained_on_and_verified() -> None:
    torch.manual_seed(0)
    ann = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3))
    data = np.random.default_rng(0).random((40, 6))
    conversion = convert_ann(ann, data)
    exact = to_chip_exact(conversion, CHIP)
    built = compile_model(conversion, CHIP, options=ALLOW)
    rasters = conversion.split(conversion.encode(data[:8]))
    assert verify_model(exact, built, rasters).n_mismatches == 0
    seen = verify_model(conversion, built, rasters)
    assert "output" not in seen.silent
    assert sum(seen.spikes.values()) > 0


def test_a_torch_model_that_layers_cannot_hold_is_trained_as_a_network() -> None:
    class TwoCurrents(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other, self.neurons = nn.Linear(8, 6, bias=False), nn.Linear(8, 6, bias=False), LIF(6)
            self.last, self.out = nn.Linear(6, 2, bias=False), LIF(2, max_count=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.last(self.neurons(self.one(x) + self.other(x))))

    torch.manual_seed(1)
    model = TwoCurrents()
    with pytest.raises(FrontendError, match=r"to_chip_exact\(snnmap\.load\(model\)"):
        to_chip_exact(model, CHIP)
    exact = to_chip_exact(load(model), CHIP, calibration=draw_counts(1))
    built = compile_model(model, CHIP, calibration=draw_counts(1), options=ALLOW)
    assert verify_model(exact, built, draw_counts(2)).n_mismatches == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda model: FanInLimiter(model, CHIP),
        lambda model: prune_fan_in(model, CHIP, draw_counts(0)),
        lambda model: align_model(model, CHIP),
        lambda model: ActivityRecorder(model),
    ],
)
@pytest.mark.parametrize(
    ("make", "said"), [(make_snntorch, "snntorch's "), (lambda: read(make_nir), "Network"), (make_rockpool, "rockpool's ")]
)
def test_tools_that_need_layers_of_ours_name_what_they_got(
    make: Callable[[], Any], said: str, call: Callable[[Any], object]
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        call(make())
    assert "to_chip_exact" in str(caught.value)


def test_a_chip_network_is_within_the_fan_in_already() -> None:
    exact = to_chip_exact(read(make_nir), CHIP)
    with pytest.raises(InputError, match="ChipNetwork"):
        prune_fan_in(exact, CHIP, draw_counts(0))
    with pytest.raises(FrontendError, match="integers already"):
        to_chip_exact(exact, CHIP)


def test_train_model_names_what_it_cannot_train() -> None:
    batches = DataLoader(TensorDataset(torch.tensor(draw_counts(0), dtype=torch.float32), torch.arange(6) % 3), 3)
    with pytest.raises(InputError, match="snnmap's Network"):
        train_model(read(make_nir), batches)
    with pytest.raises(InputError, match=r"model\.to_torch\(\) is one"):
        train_model(make_rockpool(), batches)

    class Two(nn.Linear):
        def forward(self, input: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]  # noqa: A002
            return super().forward(input), input

    with pytest.raises(InputError, match="tuple of 2"):
        train_model(Two(8, 3), batches)


def test_other_models_and_nonsense_are_named() -> None:
    built = compile_model(read(make_nir), CHIP, options=ALLOW)
    with pytest.raises(InputError, match="another model"):
        verify_model(make_rockpool(), built, draw_counts(0))
    with pytest.raises(FrontendError, match="int"):
        verify_model(3, built, draw_counts(0))
    own = nn.Sequential(nn.Linear(8, 4, bias=False), LIF(4))
    with pytest.raises(InputError, match="another model"):
        verify_model(own, built, draw_counts(0))


def test_calibration_of_pruning_takes_numpy_counts() -> None:
    torch.manual_seed(0)
    own = nn.Sequential(nn.Linear(8, 30, bias=False), LIF(30), nn.Linear(30, 4, bias=False), LIF(4))
    assert prune_fan_in(own, 6, draw_counts(0)).layers

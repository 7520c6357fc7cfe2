"""Input values that an output takes: neurons repeat their spikes, and what is converted reaches a chip."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from snnmap.convert import ConvertOptions, convert_ann
from snnmap.convert.ann import REPEAT
from snnmap.network import simulate_network
from snnmap.pipeline import compile_model

DATA = np.random.default_rng(0).uniform(0, 1, (60, 6))


class Skip(nn.Module):
    """Three of the inputs beside a hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.last(torch.relu(self.first(x))) + x[:, 1:4]
        return result


def fit() -> Any:
    return LogisticRegression().fit(DATA, DATA[:, :3].argmax(axis=1))


@pytest.mark.parametrize("make", [lambda: nn.Linear(6, 3), Skip, fit])
@pytest.mark.parametrize("options", [{}, {"overshoot": "hold"}, {"overshoot": "hold", "balance_by": "channel"}])
def test_it_reaches_a_chip_and_decides_as_the_model(make: Any, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    conversion = convert_ann(make(), DATA, options=ConvertOptions(n_steps=16, **options))
    artifacts = compile_model(conversion, "xylo-audio-3")
    found = conversion.read(artifacts.run(conversion.encode(DATA))["output"])
    assert (found == conversion.expected.argmax(axis=1)).mean() >= 0.95


def test_only_the_inputs_that_are_seen_are_repeated_spike_for_spike() -> None:
    torch.manual_seed(0)
    conversion = convert_ann(Skip(), DATA)
    network, given = conversion.network, conversion.split(conversion.encode(DATA))
    counts = simulate_network(network, given, counts_of=[REPEAT]).counts[REPEAT]
    assert np.array_equal(counts.sum(axis=1), given["input"][:, :, 1:4].sum(axis=1))
    assert "input->output" not in [projection.name for projection in network.projections]


def test_inputs_below_0_are_repeated_from_their_lowest_value_on() -> None:
    torch.manual_seed(0)
    data, model = 2 * DATA - 1, nn.Linear(6, 3)
    conversion = convert_ann(model, data, options=ConvertOptions(n_steps=32, input_min=-1.0))
    found = conversion.read_logits(compile_model(conversion, "generic-4096").run(conversion.encode(data))["output"])
    with torch.no_grad():
        wanted = model(torch.tensor(data, dtype=torch.float32)).numpy()
    assert np.abs(found - wanted).max() < 0.05 * np.ptp(wanted)


def test_what_sees_no_input_at_its_output_is_as_it_was() -> None:
    torch.manual_seed(0)
    conversion = convert_ann(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), DATA)
    assert [layer.name for layer in conversion.ann.layers] == ["1"]


@pytest.mark.parametrize("overshoot", ["auto", "allow", "hold"])
def test_an_output_that_sees_no_input_is_its_bias(overshoot: Any) -> None:
    model = nn.Linear(6, 3)
    with torch.no_grad():
        model.weight.zero_()
    conversion = convert_ann(model, DATA, options=ConvertOptions(overshoot=overshoot))
    assert REPEAT not in [population.name for population in conversion.network.populations]
    found = conversion.read_logits(compile_model(conversion, "xylo-audio-3").run(conversion.encode(DATA))["output"])
    assert np.allclose(found, model.bias.detach().numpy(), atol=0.02)

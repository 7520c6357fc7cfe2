"""MaxPool of currents, put behind the neurons at the user's word: the network of the module so written, and what that changes."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from snnmap.core.errors import ConversionWarning, FrontendError, InputError
from snnmap.frontends.snntorch import load
from snnmap.loading import open_model
from snnmap.network import simulate_network
from snnmap.pipeline import check_model

snn = pytest.importorskip("snntorch")
from snntorch import utils  # noqa: E402 (needs snnTorch)
from snntorch_tutorials import TUTORIALS  # noqa: E402

torch.set_num_threads(1)
SHAPE = (1, 8, 8)


def step(membrane: Tensor) -> Tensor:
    """snnTorch's own step returns float32, which float64 layers refuse."""
    return (membrane > 0).double()


def make(order: str, *, reset: str = "subtract", **options: Any) -> nn.Module:
    """Convolution, neurons and a pool in an order, such as ``cpn``, twice, then a linear layer with neurons."""
    torch.manual_seed(0)

    def neurons(**more: Any) -> nn.Module:
        return snn.Leaky(init_hidden=True, reset_mechanism=reset, spike_grad=step, **{"beta": 0.8, **more})

    parts: list[nn.Module] = []
    for n_in, n_out in ((1, 3), (3, 4)):
        known = {
            "c": nn.Conv2d(n_in, n_out, 3, padding=1), "p": nn.MaxPool2d(2), "n": neurons(**options), "r": nn.ReLU(),
        }  # fmt: skip
        nn.init.uniform_(known["c"].weight, -0.2, 0.6)  # type: ignore[arg-type]
        parts += [known[letter] for letter in order]
    last = nn.Linear(16, 5)
    nn.init.normal_(last.weight, 0.0, 0.6)
    return nn.Sequential(*parts, nn.Flatten(), last, neurons(output=True)).eval()


def draw(n_samples: int = 12) -> np.ndarray:
    return np.random.default_rng(0).poisson(0.7, (n_samples, 15, 64))


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_it_is_the_network_of_the_module_with_its_pools_behind_the_neurons(reset: str) -> None:
    with pytest.warns(ConversionWarning, match="MaxPool of currents was put behind the neurons: '1', '4'"):
        moved = load(make("cpn", reset=reset), input_sizes=[SHAPE], pools="after")
    written = load(make("cnp", reset=reset), input_sizes=[SHAPE], pools="after")
    assert "max pools" not in written.provenance
    counts = [simulate_network(one, draw(), counts_of=[pool]).counts[pool] for one, pool in ((moved, "4"), (written, "5"))]
    assert counts[0].sum() > 100
    assert np.array_equal(*counts)


def decide(module: nn.Module, raster: np.ndarray) -> np.ndarray:
    """Return the spikes of a module's outputs, ``(n_samples, n_out)``."""
    utils.reset(module)
    x = torch.tensor(raster, dtype=torch.float64).transpose(0, 1).unflatten(2, SHAPE)
    with torch.no_grad():
        return torch.stack([module.double()(frame)[0] for frame in x]).sum(dim=0).numpy()


def test_what_it_changes_is_measured_on_the_calibration_data() -> None:
    module, raster = make("cpn", threshold=3.0), draw(40)
    with pytest.warns(ConversionWarning, match="train on with the MaxPool behind the neurons"):
        network = open_model(module, calibration=raster, input_sizes=[SHAPE], pools="after").network
    wanted, found = decide(module, raster), simulate_network(network, raster, counts_of=["8"]).counts["8"].sum(axis=1)
    fires = wanted.any(axis=1)
    same = int((wanted.argmax(axis=1) == found.argmax(axis=1))[fires].sum())
    told = network.provenance["max pools"]
    assert f"in {same} of {fires.sum()} in which the module's fires, on 40 calibration samples" in told
    assert 0 < same < fires.sum()
    share = re.search(r"; ([\d.]+)% of their active counts differ", told)
    assert share is not None
    assert 1 < float(share[1]) < 100


@pytest.mark.filterwarnings("ignore")
def test_a_check_reports_what_it_changes() -> None:
    checked = check_model(make("cpn"), "generic-4096", read={"input_sizes": [SHAPE], "pools": "after"})
    (found,) = [one for one in checked.report.diagnostics if one.rule == "SNN613"]
    assert re.search(r"'1', '4'; [\d.]+% of their active counts differ, on 20 drawn samples", found.message)
    assert (found.measured_value, found.limit_value) == (2, 0)


@pytest.mark.filterwarnings("ignore")
def test_neurons_that_are_asked_for_are_those_behind_the_pool() -> None:
    network = load(make("cpn"), input_sizes=[SHAPE], pools="after", outputs=["5"])
    assert [network.population(name).size for port in network.outputs for name in port.populations] == [16]


@pytest.mark.parametrize(
    ("order", "options", "message"),
    [
        ("cprn", {}, "module ReLU has no counterpart"),
        ("cprn", {"pools": "exact"}, "module ReLU has no counterpart"),
        ("cpn", {"pools": "exact"}, "pools='after' in snnmap.load"),
        ("cpn", {"pools": "behind"}, "unknown choice of pools"),
    ],
)
def test_what_is_not_moved_is_refused(order: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(FrontendError, match=message):
        load(make(order), input_sizes=[SHAPE], **{"pools": "after", **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"graded_spikes_factor": torch.tensor(-1.0)}, "whose spikes are not all worth the same"),
        ({"reset": "none", "output": True}, "that are read by their membrane"),
        ({"beta": torch.full((3, 4, 4), 0.8)}, "(?s)parameters of their own.*measured: 'beta' of 48 values"),
    ],
)
def test_neurons_behind_which_no_pool_can_be_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(FrontendError, match=message):
        load(make("cpn", **options), input_sizes=[SHAPE], pools="after")


class Loop(nn.Module):
    """A loop of fixed length over x, or over the same x, that names the batch of its training."""

    def __init__(self, n_steps: int, *, is_static: bool) -> None:
        super().__init__()
        self.n_steps, self.is_static = n_steps, is_static
        self.layers = make("cpn")

    def forward(self, x: Tensor) -> Tensor:
        utils.reset(self.layers)
        spikes = []
        for step in range(self.n_steps):
            pooled = self.layers[:6](x if self.is_static else x[step])
            spikes.append(self.layers[7:](pooled.view(8, -1))[0])
        return torch.stack(spikes)


@pytest.mark.filterwarnings("ignore")
def test_samples_have_the_steps_of_the_loop() -> None:
    told = [
        load(Loop(9, is_static=is_static), input_sizes=[SHAPE], pools="after", calibration=raster).provenance["max pools"]
        for is_static, raster in ((True, draw(3)[:, :1]), (True, draw(3)), (False, draw(3)))
    ]
    assert told[0] == told[1] != told[2]
    with pytest.raises(InputError, match="forward has more steps than the samples"):
        load(Loop(9, is_static=False), input_sizes=[SHAPE], pools="after", calibration=draw()[:, :8])
    with pytest.raises(InputError, match="no samples"):
        load(Loop(9, is_static=False), input_sizes=[SHAPE], pools="after", calibration=draw()[:0])
    with pytest.raises(InputError):
        load(Loop(9, is_static=False), input_sizes=[SHAPE], pools="after", calibration=draw()[..., :5])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "n_neurons"),
    [
        ("7 camera events", 12 * 30 * 30),
        ("quickstart", 8 * 24 * 24),
        pytest.param("6 convolutional", 12 * 24 * 24, marks=pytest.mark.nightly),
    ],
)
def test_networks_of_the_tutorials_load(name: str, n_neurons: int) -> None:
    tutorial = TUTORIALS[name]
    torch.manual_seed(0)
    network = load(tutorial.make(), input_sizes=[tutorial.shape], pools="after")
    assert (network.populations[0].size, network.outputs[0].readout) == (n_neurons, "spikes")


def test_one_step_for_a_whole_curve_is_refused_for_its_states() -> None:
    tutorial = TUTORIALS["exoplanets"]
    with pytest.raises(FrontendError, match="the state 'mem' is made or taken from elsewhere inside forward"):
        load(tutorial.make(), input_sizes=[tutorial.shape], pools="after")

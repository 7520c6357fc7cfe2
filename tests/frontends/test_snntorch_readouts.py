"""What snnTorch models give out besides spikes is read by potential, step by step as snnTorch gives it."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from snnmap.chip import load_chip
from snnmap.core.errors import FrontendError
from snnmap.frontends.snntorch import load
from snnmap.lif.drc import check_network
from snnmap.network import Network, simulate_network

snn = pytest.importorskip("snntorch")
torch.set_num_threads(1)

N_IN, N = 6, 8


def hidden() -> list[nn.Module]:
    torch.manual_seed(0)
    linear = nn.Linear(N_IN, N)
    nn.init.uniform_(linear.weight, -0.3, 0.8)
    return [linear, snn.Synaptic(alpha=0.5, beta=0.75, init_hidden=True)]


def last(kind: str, **options: Any) -> nn.Module:
    given = {"beta": 0.875, "init_hidden": True, "output": True, **({"alpha": 0.75} if kind != "Leaky" else {}), **options}
    return getattr(snn, kind)(**given)


def run(model: nn.Module, raster: np.ndarray, pick: int) -> np.ndarray:
    from snntorch import utils

    utils.reset(model)
    with torch.no_grad():
        outputs = [model(frame) for frame in torch.tensor(raster).float().unbind(1)]
    return np.stack([(out[pick] if isinstance(out, tuple) else out).numpy() for out in outputs], axis=1)


def assert_same_potentials(model: nn.Module, pick: int = -1, **options: Any) -> Network:
    network = load(model, input_sizes=[N_IN], **options)
    raster = np.random.default_rng(0).poisson(0.6, (3, 70, N_IN))
    (port,) = network.outputs
    assert port.readout == "potential"
    wanted = run(model, raster, pick)
    found = simulate_network(network, raster, states_of=port.populations).potentials[port.populations[0]]
    assert np.abs(wanted).max() > 0.5
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()
    return network


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic"])
def test_neurons_that_never_reset_are_read_by_their_membrane(kind: str) -> None:
    model = nn.Sequential(*hidden(), nn.Linear(N, 3), last(kind, reset_mechanism="none"))
    network = assert_same_potentials(model)
    assert np.isinf(network.population("3").threshold).all()
    assert not [q for q in network.projections if q.pre == "3"]
    assert network.provenance["readout"] == "potential of 3"
    by_spikes = load(model, readout="spikes")
    assert by_spikes.outputs[0].readout == "spikes"
    raster = np.random.default_rng(0).poisson(0.6, (2, 50, N_IN))
    assert np.array_equal(simulate_network(by_spikes, raster).counts["3"], run(model, raster, 0))


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("delay", [True, False])
def test_neurons_whose_threshold_is_never_reached_are_read_by_their_membrane(reset: str, delay: bool) -> None:
    options = {"reset_mechanism": reset, "reset_delay": delay, "threshold": 40000.0}
    network = assert_same_potentials(nn.Sequential(*hidden(), nn.Linear(N, 3), last("Leaky", **options)))
    assert [p.name for p in network.populations] == ["1", "1.constant", "3"]
    assert not [q for q in network.projections if q.pre == "3"]


@pytest.mark.parametrize("bias", [False, True])
def test_a_model_that_ends_in_linear_is_read_by_neurons_without_memory(bias: bool) -> None:
    network = assert_same_potentials(nn.Sequential(*hidden(), nn.Linear(N, 3, bias=bias)))
    readout = network.population(network.outputs[0].populations[0])
    assert (readout.source, bool(readout.bias.any())) == ("2", bias)
    assert not readout.alpha.any()
    report = check_network(network, load_chip("xylo-audio-3"))
    assert "SNN502" in {d.rule for d in report.errors}  # a synapse that forgets at once, which no output neuron of Xylo has


class TwoEnds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = hidden()
        self.fc2, self.fc3 = nn.Linear(N, 3), nn.Linear(N, 2)
        self.lif2 = snn.Synaptic(alpha=0.5, beta=0.75, init_hidden=True)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        spikes = self.lif1(self.fc1(x))
        return self.fc3(spikes), self.lif2(self.fc2(spikes)), spikes


def test_currents_and_spikes_are_read_side_by_side() -> None:
    network = load(TwoEnds())
    assert [(p.name, p.populations, p.readout) for p in network.outputs] == [
        ("output0", ("fc3",), "potential"),
        ("output1", ("lif2",), "spikes"),
    ]


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda: last("Leaky"), {"readout": "potential"}, "membrane of neurons is read that reset"),
        (lambda: snn.RLeaky(beta=0.5, linear_features=3, reset_mechanism="none"), {"readout": "potential"}, "is read that reset"),
        (lambda: last("Leaky"), {"readout": "current"}, "unknown choice of readout"),
    ],
)
def test_membranes_that_no_readout_has_are_refused(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(FrontendError, match=message):
        load(nn.Sequential(*hidden(), nn.Linear(N, 3), make()), **options)


@pytest.mark.parametrize(
    ("make", "rule", "words"),
    [
        (lambda: last("Synaptic"), "SNN109", "the reset of module '3' comes a step late: build it with reset_delay=False"),
        (lambda: last("Synaptic", reset_delay=False), "SNN109", "overshoot='ignore'"),
        (lambda: snn.RSynaptic(alpha=0.5, beta=0.5, linear_features=3, output=True), "SNN109", "module '3' is recurrent"),
        (lambda: last("Leaky"), "SNN502", "use snntorch.Synaptic with an alpha of 0.5 or more"),
    ],
)
def test_what_the_chip_cannot_do_is_told_in_snntorchs_words(make: Any, rule: str, words: str) -> None:
    network = load(nn.Sequential(*hidden(), nn.Linear(N, 3, bias=False), make()))
    fixes = {d.fix for d in check_network(network, load_chip("xylo-audio-3")).errors if d.rule == rule}
    assert any(words in fix for fix in fixes)


def test_a_convolution_needs_the_shape_of_its_input() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), snn.Leaky(beta=0.5, init_hidden=True))
    with pytest.raises(FrontendError) as caught:
        load(model)
    assert "input_sizes=[(1, height, width)]" in caught.value.fix


def test_a_readout_that_is_named_is_read_by_its_membrane() -> None:
    model = nn.Sequential(*hidden(), nn.Linear(N, 3), last("Leaky", reset_mechanism="none"))
    assert_same_potentials(model, outputs=["3"])
    assert load(model, outputs=["3"], readout="spikes").outputs[0].readout == "spikes"


def test_a_readout_beside_recorded_spikes_is_the_output() -> None:
    class Recorded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = hidden()
            self.head, self.li = nn.Linear(N, 3), last("Leaky", reset_mechanism="none")
            self.other, self.lif2 = nn.Linear(N, 2), last("Leaky", output=False)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            spikes = self.lif(self.fc(x))
            return spikes, self.li(self.head(spikes))[1], self.lif2(self.other(spikes))

    ports = [(port.populations, port.readout) for port in load(Recorded()).outputs]
    assert ports == [(("lif2",), "spikes"), (("li",), "potential")]

"""Rockpool models whose outputs are no spikes are read by potential, and give what Rockpool gives."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from snnmap.core.errors import FrontendError
from snnmap.frontends.rockpool import load
from snnmap.network import Network, simulate_network

pytest.importorskip("rockpool")
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules import ExpSyn, ExpSynTorch, LIFTorch, Linear, LinearTorch

with warnings.catch_warnings():  # of parts that Rockpool 3 has not ported
    warnings.simplefilter("ignore")
    from rockpool.nn.networks import SynNet

pytestmark = pytest.mark.filterwarnings("ignore:::rockpool", "ignore:::nirtorch")
torch.set_num_threads(1)


def assert_same_potentials(model: Any, n_in: int, seed: int = 0) -> Network:
    network = load(model)
    raster = np.random.default_rng(seed).poisson(0.5, (3, 90, n_in))
    if isinstance(model, torch.nn.Module):
        with torch.no_grad():
            wanted = model(torch.tensor(raster).float())[0].numpy()
    else:
        wanted = model(raster.astype(float))[0]
    (port,) = network.outputs
    assert port.readout == "potential"
    run = simulate_network(network, raster, states_of=port.populations)
    found = np.concatenate([run.potentials[name] for name in port.populations], axis=2)
    assert np.abs(wanted).max() > 0
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()
    return network


def loud(model: Any) -> Any:
    for name, weight in torch.nn.Module.named_parameters(model):
        if name.endswith("weight"):
            weight.data *= 9
    return model


def spotter(**options: Any) -> Any:
    torch.manual_seed(1)
    return loud(SynNet(n_channels=6, n_classes=3, size_hidden_layers=[8, 8], time_constants_per_layer=[2, 3], **options))


def layers(*last: Any) -> Any:
    torch.manual_seed(2)
    return loud(Sequential(LinearTorch((6, 8)), LIFTorch(8, tau_syn=0.004, tau_mem=0.008, max_spikes_per_dt=31), *last))


def test_a_synnet_that_gives_membranes_is_read_by_potential() -> None:
    network = assert_same_potentials(spotter(output="vmem"), 6)
    readout = network.population(network.outputs[0].populations[0])
    assert np.isinf(readout.threshold).all()
    assert readout.max_count.tolist() == [1] * 3
    assert network.provenance["readout"] == "potential of seq.out_neurons"


def test_a_synnet_that_gives_spikes_is_read_by_spikes() -> None:
    network = load(spotter())
    assert [(port.readout, port.populations) for port in network.outputs] == [("spikes", ("seq.out_neurons",))]


def test_neurons_that_never_fire_are_a_readout() -> None:
    last = LIFTorch(4, threshold=torch.full((4,), 40000.0), has_rec=True, tau_mem=0.03)
    network = load(layers(LinearTorch((8, 4)), last))
    name = network.outputs[0].populations[0]
    assert network.outputs[0].readout == "potential"
    assert not [q for q in network.projections if q.pre == name]
    mixed = LIFTorch(2, threshold=torch.tensor([40000.0, 1.0]))
    assert load(layers(LinearTorch((8, 2)), mixed)).outputs[0].readout == "spikes"


def test_exponential_synapses_are_a_readout() -> None:
    network = assert_same_potentials(layers(LinearTorch((8, 4)), ExpSynTorch(4, tau=torch.rand(4) * 0.02 + 0.002)), 6)
    readout = network.population(network.outputs[0].populations[0])
    assert (readout.beta == 0).all()
    assert ((readout.alpha > 0.5) & (readout.alpha < 1)).all()
    numpy_net = Sequential(Linear((6, 4), weight=np.random.default_rng(0).normal(size=(6, 4))), ExpSyn(4, tau=0.01))
    assert_same_potentials(numpy_net, 6)


@pytest.mark.parametrize("bias", [False, True])
def test_a_model_that_ends_in_weights_is_read_by_neurons_without_memory(bias: bool) -> None:
    network = assert_same_potentials(layers(LinearTorch((8, 5), has_bias=bias)), 6)
    readout = network.population("2_LinearTorch")
    assert not readout.alpha.any()
    assert not readout.beta.any()
    assert bool(readout.bias.any()) == bias
    assert_same_potentials(layers(LinearTorch((8, 7)), LinearTorch((7, 3), has_bias=bias)), 6)


def without_threshold(net: Any) -> Any:
    net.seq.out_neurons.threshold = torch.tensor(1.0)
    return net


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sequential(spotter(output="vmem"), LinearTorch((3, 2)), LIFTorch(2)), "potentials of a layer go on"),
        (lambda: Sequential(LinearTorch((4, 4)), ExpSynTorch(4), LIFTorch(4)), "potentials of a layer go on"),
        (lambda: without_threshold(spotter(output="vmem")), "fire and reset"),
        (lambda: Sequential(LinearTorch((4, 4)), ExpSynTorch(4, noise_std=0.1)), "noisy"),
    ],
)
def test_potentials_that_no_chip_gives_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(FrontendError, match=message):
        load(make())


def test_reading_leaves_the_model_as_it_was() -> None:
    model = layers(LinearTorch((8, 4)), ExpSynTorch(4))
    load(model)
    assert "as_graph" not in vars(model[3])
    with pytest.raises(NotImplementedError):
        model[3].as_graph()

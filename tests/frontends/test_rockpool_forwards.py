"""What a Rockpool model runs is what is read, whoever wrote its forward; else it is refused."""

import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from snnmap.chip import load_chip
from snnmap.core.errors import FrontendError
from snnmap.lif.drc import check_network
from snnmap.loading import load
from snnmap.network import Network, simulate_network

pytest.importorskip("rockpool")
import rockpool.transform.torch_transform as transform
from rockpool.graph import LinearWeights
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules import ExpSynTorch, LIFTorch, LinearTorch, TorchModule, from_nir, to_nir

with warnings.catch_warnings():  # of parts that Rockpool 3 has not ported
    warnings.simplefilter("ignore")
    from rockpool.nn.networks import SynNet, WaveSenseNet

pytestmark = pytest.mark.filterwarnings("ignore:::rockpool", "ignore:::nirtorch")
torch.set_num_threads(1)


def layers(*, last: Any = None, weights: type = LinearTorch) -> Any:
    torch.manual_seed(3)
    net = Sequential(
        weights((5, 9)), LIFTorch(9, max_spikes_per_dt=31), LinearTorch((9, 3)), LIFTorch(3) if last is None else last
    )
    net[0].weight.data *= 2
    return net


def run(model: Any, raster: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        out = model(torch.tensor(raster).float())
    return (out[0] if isinstance(out, tuple) else out).numpy()


def assert_same_spikes(model: Any, n_in: int = 5) -> Network:
    network = load(model)
    raster = np.random.default_rng(0).poisson(0.7, (2, 60, n_in))
    found = simulate_network(network, raster).counts[network.outputs[0].populations[0]]
    assert found.sum() > 0
    assert np.array_equal(found, run(model, raster))
    return network


@pytest.mark.parametrize("convert", [lambda net: net.to_torch(), lambda net: from_nir(to_nir(net))])
def test_other_interfaces_of_a_model_are_read(convert: Callable[[Any], Any]) -> None:
    network = assert_same_spikes(convert(layers()))
    assert {p.name for p in network.populations} >= {"1_LIFTorch", "3_LIFTorch"}


def test_the_graph_of_a_torch_interface_is_read() -> None:
    model = layers().to_torch()
    assert load(model.as_graph()) == load(model)


def test_weights_changed_in_training_are_refused_until_they_are_burnt_in() -> None:
    net = layers()
    rounded = transform.make_param_T_network(
        net, transform.make_param_T_config(net, lambda w: transform.deterministic_rounding(w, num_levels=8), "weights")
    )
    with pytest.raises(FrontendError, match="apply_T"):
        load(rounded)
    with pytest.raises(FrontendError, match="apply_T"):
        load(rounded.as_graph())
    assert_same_spikes(transform.remove_T_net(transform.apply_T(rounded)))


def test_activations_changed_in_training_are_refused() -> None:
    net = layers()
    config = transform.make_act_T_config(net, torch.round, LinearTorch)
    with pytest.raises(FrontendError, match="remove_T_net"):
        load(transform.make_act_T_network(net, config))


class Doubled(LinearTorch):
    def forward(self, data: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(data)


class Quantised(LinearTorch):
    """Rounds its weights in forward, and says so in its graph unless it forgets."""

    honest = True

    def rounded(self) -> torch.Tensor:
        return torch.round(self.weight * 8) / 8

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        return self._auto_batch(data)[0] @ self.rounded()

    def as_graph(self) -> Any:
        weight = self.rounded() if self.honest else self.weight
        return LinearWeights._factory(self.size_in, self.size_out, "rounded", self, weight)


class Forgetful(Quantised):
    honest = False


def test_a_layer_with_its_own_forward_and_graph_is_read_where_they_agree() -> None:
    network = assert_same_spikes(layers(weights=Quantised))
    (projection,) = (q for q in network.projections if q.pre == "input")
    alpha = network.population("1_LIFTorch").alpha[0]
    steps = projection.weights.to_dense() / alpha * 8
    assert np.allclose(steps, np.rint(steps))
    with pytest.raises(FrontendError, match="other outputs than the graph"):
        load(layers(weights=Forgetful))


def twice(module: Any, name: str) -> None:
    old = getattr(module, name)

    def forward(_: Any, data: torch.Tensor) -> torch.Tensor:
        return 2 * old(data)

    def evolve(_: Any, *given: Any, **options: Any) -> Any:
        out, *rest = old(*given, **options)
        return 2 * out, *rest

    object.__setattr__(module, name, types.MethodType({"forward": forward, "evolve": evolve}[name], module))


def changed_on_the_instance(index: int, name: str) -> Any:
    net = layers()
    twice(net[index], name)
    return net


def with_hook() -> Any:
    net = layers()
    net[0].register_forward_hook(lambda *given: given[-1].round())
    return net


def filtered() -> Any:
    net = layers(last=ExpSynTorch(3))
    twice(net[3], "forward")
    return net


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers(weights=Doubled), "computes otherwise than LinearTorch"),
        (lambda: changed_on_the_instance(0, "forward"), "computes otherwise than LinearTorch"),
        (lambda: changed_on_the_instance(1, "forward"), "computes otherwise than LIFTorch"),
        (lambda: changed_on_the_instance(1, "evolve"), "computes otherwise than LIFTorch"),
        (with_hook, "a hook"),
        (filtered, "computes otherwise than ExpSynTorch"),
    ],
)
def test_a_layer_with_another_forward_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(FrontendError, match=message):
        load(make())
    with pytest.raises(FrontendError, match=message):
        load(Sequential(LinearTorch((4, 5)), LIFTorch(5), make()))


class Own(TorchModule):
    """A user's module in the usual form: layers inside, forward and graph by hand."""

    def __init__(self, inner: Any, scale: float = 1.0, every: int = 1) -> None:
        super().__init__(shape=inner.shape, spiking_input=True, spiking_output=True)
        self.inner, self.scale, self.every = inner, scale, every

    def forward(self, data: torch.Tensor) -> torch.Tensor:
        return self.inner(self.scale * data)[0][:, :: self.every]

    def as_graph(self) -> Any:
        return self.inner.as_graph()


def test_a_holder_with_its_own_forward_is_read_where_it_does_what_its_graph_says() -> None:
    assert_same_spikes(Own(layers()))
    net = Own(SynNet(n_channels=5, n_classes=2, size_hidden_layers=[6], time_constants_per_layer=[2], output="vmem"))
    for part in (net.inner.seq[0], net.inner.seq[2]):
        part.weight.data *= 12
    torch.sum(net(torch.ones(1, 9, 5))[0]).backward()  # leaves records of the training step behind
    assert load(net).outputs[0].readout == "potential"


def silent() -> Any:
    net = layers()
    net[0].weight.data *= -1
    net[0].weight.data.clamp_(max=0)
    return Own(net)


def changed_sequence() -> Any:
    net = layers()
    twice(net, "evolve")
    return net


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Own(layers(), scale=1.05), "other outputs than the graph"),
        (lambda: Own(layers(), every=2), "other outputs than the graph"),
        (changed_sequence, "other outputs than the graph"),
        (silent, "no output on drawn inputs"),
        (lambda: Own(layers(), scale=torch.ones(7)), "cannot be run"),
    ],
)
def test_a_holder_that_does_something_else_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(FrontendError, match=message):
        load(make())


def test_wavesense_is_read() -> None:
    torch.manual_seed(0)
    net = WaveSenseNet(dilations=[2, 4], n_classes=2, n_channels_in=5, n_channels_res=4, n_channels_skip=5, n_hidden=6)
    for name, weight in torch.nn.Module.named_parameters(net):
        if name.endswith("weight"):
            weight.data *= 40
    assert_same_spikes(net)


def test_a_weight_that_is_not_finite_is_told_once() -> None:
    net = Sequential(LinearTorch((5, 4), has_bias=False), LIFTorch(4), LinearTorch((4, 2), has_bias=False), LIFTorch(2))
    net[0].weight.data[1, 2] = float("nan")
    told = [d for d in check_network(load(net, max_count=31), load_chip("xylo-audio-3")).errors if d.rule == "SNN501"]
    assert len(told) == 1

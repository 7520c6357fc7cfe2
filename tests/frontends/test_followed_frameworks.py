"""Modules of Sinabs, SpikingJelly and Norse read directly: spike for spike what the framework itself gives, in float64."""

import importlib
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snnmap
from snnmap.core.errors import FrontendError
from snnmap.network import Network, simulate_network

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore")

SHAPE, N_STEPS = (2, 6, 6), 50


def need(name: str) -> Any:
    """Import a package that CI may not have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(name.partition(".")[0])
        return importlib.import_module(name)


def draw_layers(rng: np.random.Generator, neurons: Callable[[], nn.Module], wrap: Any = nn) -> list[nn.Module]:
    """Draw a convolution, perhaps a norm and a pool, and Linear layers, with neurons behind each."""
    n_mid, kernel = int(rng.integers(2, 4)), int(rng.integers(2, 4))
    layers: list[nn.Module] = [wrap.Conv2d(2, n_mid, kernel, padding=int(rng.integers(0, 2)))]
    if rng.random() < 0.5:
        norm = wrap.BatchNorm2d(n_mid)
        norm.running_mean.uniform_(-0.2, 0.2)
        layers.append(norm)
    layers.append(neurons())
    layers += [wrap.AvgPool2d(2)] if rng.random() < 0.5 else []
    plain = nn.Sequential(*[part for part in layers if not is_neuron(part)])
    n_flat = plain.eval()(torch.zeros(1, *SHAPE)).numel()
    layers += [wrap.Flatten(), wrap.Linear(n_flat, 7), neurons(), wrap.Linear(7, 4, bias=False), neurons()]
    for layer in layers:
        if getattr(layer, "weight", None) is not None and layer.weight.ndim > 1:
            nn.init.uniform_(layer.weight, -0.4, 0.9)
    return layers


def is_neuron(module: nn.Module) -> bool:
    return not type(module).__name__.startswith(("Conv", "Batch", "Avg", "Flatten", "Linear"))


def in_doubles(model: nn.Module) -> nn.Module:
    """Let a model run in float64, though its neurons give their spikes in float32."""

    def cast(_: object, __: object, given: Any) -> Any:
        return (given[0].double(), *given[1:]) if isinstance(given, tuple) else given.double()

    for part in model.children():
        if is_neuron(part):
            part.register_forward_hook(cast)
    return model.double().eval()


def make_input(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).poisson(0.8, (N_STEPS, int(np.prod(SHAPE))))


def run(network: Network, raster: np.ndarray) -> np.ndarray:
    (port,) = network.outputs
    return simulate_network(network, raster).counts[port.populations[0]][0]


def assert_same(network: Network, raster: np.ndarray, wanted: Tensor) -> None:
    found = run(network, raster)
    assert np.array_equal(found, wanted.reshape(found.shape).double().numpy())


def sinabs_neurons(rng: np.random.Generator, squeezed: bool) -> Callable[[], nn.Module]:
    layers, activation = need("sinabs.layers"), need("sinabs.activation")

    def make() -> nn.Module:
        options: dict[str, Any] = {"spike_threshold": torch.tensor(float(rng.uniform(0.5, 2.0)))}
        options |= {"batch_size": 1} if squeezed else {}
        options |= {"spike_fn": activation.SingleSpike} if rng.random() < 0.4 else {}
        options |= {"reset_fn": activation.MembraneReset()} if rng.random() < 0.3 else {}
        options |= {"tau_syn": float(rng.uniform(2, 9))} if rng.random() < 0.4 else {}
        form = "Squeeze" if squeezed else ""
        if rng.random() < 0.4:
            return getattr(layers, f"IAF{form}")(**options)
        tau = float(rng.uniform(3, 20))
        return getattr(layers, f"LIF{form}")(tau_mem=tau, norm_input=bool(rng.random() < 0.5), **options)

    return make


@pytest.mark.parametrize("seed", range(40))
def test_sinabs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    model = nn.Sequential(*draw_layers(rng, sinabs_neurons(rng, squeezed=True)))
    network = snnmap.load(model, input_sizes=[SHAPE])
    raster = make_input(seed)
    with torch.no_grad():
        wanted = in_doubles(model)(torch.tensor(raster).double().reshape(N_STEPS, *SHAPE))
    assert_same(network, raster, wanted)


def test_sinabs_sum_pool_is_a_sum() -> None:
    layers = need("sinabs.layers")
    torch.manual_seed(0)
    neurons = [layers.IAFSqueeze(batch_size=1) for _ in range(2)]
    model = nn.Sequential(nn.Conv2d(2, 3, 3), neurons[0], layers.SumPool2d(2), nn.Flatten(), nn.Linear(12, 4), neurons[1])
    raster = make_input(0)
    network = snnmap.load(model, input_sizes=[SHAPE])
    with torch.no_grad():
        wanted = in_doubles(model)(torch.tensor(raster).double().reshape(N_STEPS, *SHAPE))
    assert wanted.any()
    assert_same(network, raster, wanted)
    for other in (nn.LPPool2d(2, 2), nn.LPPool2d(1, 2, ceil_mode=True)):
        with pytest.raises(FrontendError, match="norm that is no sum"):
            snnmap.load(nn.Sequential(*model[:2], other, *model[3:]), input_sizes=[SHAPE])


def test_sinabs_with_batch_and_time() -> None:
    layers = need("sinabs.layers")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), layers.LIF(tau_mem=8.0), nn.Linear(6, 3), layers.ExpLeak(tau_mem=8.0))
    nn.init.uniform_(model[0].weight, 0.0, 2.0)
    network = snnmap.load(model)
    raster = np.random.default_rng(0).poisson(1.0, (N_STEPS, 5))
    with torch.no_grad():
        wanted = in_doubles(model)(torch.tensor(raster).double()[None])[0].numpy()
    (port,) = network.outputs
    found = simulate_network(network, raster, states_of=port.populations).potentials[port.populations[0]][0]
    assert port.readout == "potential"
    assert np.abs(wanted).max() > 0.1
    assert np.allclose(found, wanted, rtol=1e-9, atol=1e-12)


def spikingjelly_neurons(rng: np.random.Generator, mode: str) -> Callable[[], nn.Module]:
    neuron = need("spikingjelly.activation_based.neuron")

    def make() -> nn.Module:
        hard = bool(rng.random() < 0.7)
        v_reset = float(rng.uniform(-0.4, 0.3)) if hard else None
        options: dict[str, Any] = {"v_threshold": float(rng.uniform(0.5, 1.5)), "v_reset": v_reset, "step_mode": mode}
        if rng.random() < 0.3:
            return neuron.IFNode(**options)
        decay = bool(rng.random() < 0.5)
        if rng.random() < 0.4:
            return neuron.ParametricLIFNode(init_tau=float(rng.uniform(1.5, 5)), decay_input=decay, **options)
        return neuron.LIFNode(tau=float(rng.uniform(1.5, 5)), decay_input=decay, **options)

    return make


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("seed", range(20))
def test_spikingjelly(seed: int, mode: str) -> None:
    base = need("spikingjelly.activation_based")
    functional, layer = need(f"{base.__name__}.functional"), need(f"{base.__name__}.layer")
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    model = nn.Sequential(*draw_layers(rng, spikingjelly_neurons(rng, "s"), layer))
    functional.set_step_mode(model, mode)
    network = snnmap.load(model, input_sizes=[SHAPE])
    raster = make_input(seed)
    x = torch.tensor(raster).double().reshape(N_STEPS, 1, *SHAPE)
    functional.reset_net(in_doubles(model))
    with torch.no_grad():
        wanted = model(x) if mode == "m" else torch.stack([model(frame) for frame in x])
    assert_same(network, raster, wanted)


@pytest.mark.parametrize("package", ["sinabs", "spikingjelly"])
def test_a_max_pool_that_takes_all_steps_in_one_call(package: str) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 3, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 4)]
    if package == "sinabs":
        options = {"batch_size": 1, "tau_mem": 2.0, "norm_input": False, "spike_fn": need("sinabs.activation").SingleSpike}
        neurons = [need("sinabs.layers").LIFSqueeze(**options) for _ in range(2)]
    else:
        base = "spikingjelly.activation_based"
        neuron, functional, layer = (need(f"{base}.{name}") for name in ("neuron", "functional", "layer"))
        layers[:] = [layer.Conv2d(2, 3, 3, padding=1), layer.MaxPool2d(2), layer.Flatten(), layer.Linear(27, 4)]
        neurons = [neuron.LIFNode() for _ in range(2)]
    for part in (layers[0], layers[3]):
        nn.init.uniform_(part.weight, -0.5, 0.6)
    model = nn.Sequential(layers[0], neurons[0], *layers[1:], neurons[1])
    if package == "spikingjelly":
        functional.set_step_mode(model, "m")
    network = snnmap.load(model, input_sizes=[SHAPE])
    raster = make_input(0)
    x = torch.tensor(raster).double().reshape(N_STEPS, *SHAPE)
    with torch.no_grad():
        wanted = in_doubles(model)(x[:, None] if package == "spikingjelly" else x)
    assert 0.1 < float(wanted.double().mean()) < 0.9
    assert_same(network, raster, wanted)


def test_states_of_a_training_step_are_no_part_of_spikingjellys_modules() -> None:
    neuron = need("spikingjelly.activation_based.neuron")
    model = nn.Sequential(nn.Linear(3, 2), neuron.LIFNode())
    before = snnmap.load(model)
    model(torch.ones(1, 3))
    assert snnmap.load(model) == before


def norse_neurons(rng: np.random.Generator) -> Callable[[], nn.Module]:
    norse = need("norse.torch")

    def make() -> nn.Module:
        kind = str(rng.choice(["LIFBoxCell", "LIFCell", "IAFCell"]))
        given = {"v_th": torch.tensor(rng.uniform(0.3, 0.8))}
        if kind != "IAFCell":
            given |= {"tau_mem_inv": torch.tensor(rng.uniform(50, 600)), "v_leak": torch.tensor(rng.uniform(-0.2, 0.1))}
        if kind == "LIFCell":
            given |= {"tau_syn_inv": torch.tensor(rng.uniform(50, 900))}
        return getattr(norse, kind)(getattr(norse, kind.replace("Cell", "Parameters"))(**given), dt=1e-3)

    return make


@pytest.mark.parametrize("seed", range(40))
def test_norse(seed: int) -> None:
    norse = need("norse.torch")
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    model = norse.SequentialState(*draw_layers(rng, norse_neurons(rng)))
    network = snnmap.load(model, input_sizes=[SHAPE])
    raster = make_input(seed)
    state, out = None, []
    in_doubles(model)
    with torch.no_grad():
        for frame in torch.tensor(raster).double().reshape(N_STEPS, 1, *SHAPE):
            spikes, state = model(frame, state)
            out.append(spikes)
    assert_same(network, raster, torch.stack(out))


def test_norses_potentials_behind_a_synapse_are_read_with_its_own_defaults() -> None:
    norse = need("norse.torch")
    torch.manual_seed(0)
    model = norse.SequentialState(nn.Linear(72, 5), norse.LIFCell(), nn.Linear(5, 3), norse.LICell())
    assert snnmap.load(model).outputs[0].readout == "potential"


def test_norses_neurons_within_a_forward_that_takes_no_states_are_refused() -> None:
    norse = need("norse.torch")
    refused(lambda: norse.LIFBoxCell(), "(?s)states that it does not take.*SequentialState")


def refused(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(FrontendError, match=message):
        snnmap.load(nn.Sequential(nn.Linear(3, 2), make()))


def test_what_no_network_does_is_refused_in_the_frameworks_words() -> None:
    layers, activation = need("sinabs.layers"), need("sinabs.activation")
    refused(lambda: layers.IAF(min_v_mem=-1.0), "lower limit")
    refused(lambda: layers.IAF(reset_fn=activation.MembraneReset(0.5)), "the reset has no counterpart")
    refused(lambda: layers.IAFRecurrent(rec_connect=nn.Linear(2, 2)), "module IAFRecurrent has no counterpart")
    neuron = need("spikingjelly.activation_based.neuron")
    refused(lambda: neuron.EIFNode(), "module EIFNode has no counterpart")
    refused(lambda: neuron.IFNode(v_reset=2.0), "starts where no network's does")
    norse = need("norse.torch")
    refused(lambda: norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=torch.tensor(2000.0))), "shorter than a step")


@pytest.mark.parametrize("package", ["norse", "sinabs", "snntorch", "spikingjelly"])
def test_the_version_that_was_tried_is_the_one_that_is_tested(package: str) -> None:
    """And that the page of the frontends tells."""
    root = Path(__file__).parents[2]
    tried = re.search(r'tried="([\d.]+)"', (root / "snnmap" / "frontends" / package / "__init__.py").read_text())
    assert tried is not None
    assert f"\n{package}=={tried[1]}\n" in (root / "constraints.txt").read_text()
    assert f"Tried with {tried[1]}" in (root / "docs" / "frontends.md").read_text()


def test_readouts_of_models_in_float64_whose_samples_are_multiplied_in_another_order_when_they_are_two() -> None:
    norse = need("norse.torch")
    torch.set_default_dtype(torch.float64)
    try:
        for seed in range(8):
            torch.manual_seed(seed)
            model = norse.SequentialState(nn.Linear(3 + seed, 2 + seed % 5, bias=False), norse.LICell())
            assert snnmap.load(model).outputs[0].readout == "potential"
    finally:
        torch.set_default_dtype(torch.float32)

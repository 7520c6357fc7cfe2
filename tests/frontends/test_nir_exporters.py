"""Graphs as the exporters of frameworks write them, by ``NirOptions.like``: what the framework's own modules do."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from snnmap.core.errors import ConversionWarning, FrontendError
from snnmap.frontends.nir import NirOptions, load
from snnmap.network import Network, simulate_network

nir = pytest.importorskip("nir")
pytestmark = pytest.mark.filterwarnings("ignore")
torch.set_num_threads(1)

N_IN, N = 7, 9


def raster(seed: int = 0, n_steps: int = 80) -> np.ndarray:
    return np.random.default_rng(seed).binomial(1, 0.4, (3, n_steps, N_IN))


def weights(seed: int = 0, scale: float = 0.5) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.15, scale, (N, N_IN))


def graph(node: Any, weight: np.ndarray, n_in: tuple[int, ...] = (N_IN,), n_out: tuple[int, ...] = (N,)) -> Any:
    nodes = {"in": nir.Input(np.array(n_in)), "w": nir.Linear(weight), "n": node, "out": nir.Output(np.array(n_out))}
    return nir.NIRGraph(nodes, [("in", "w"), ("w", "n"), ("n", "out")], type_check=False)


def full(value: float) -> np.ndarray:
    return np.full(N, float(value))


def assert_same(network: Network, wanted: np.ndarray, given: np.ndarray) -> None:
    (port,) = network.outputs
    (name,) = port.populations
    run = simulate_network(network, given, states_of=[name])
    assert np.abs(wanted).sum() > 20
    if port.readout == "spikes":
        assert np.array_equal(run.counts[name], wanted)
    else:
        assert np.abs(run.potentials[name] - wanted).max() < 1e-4 * np.abs(wanted).max()


def step_by_step(module: Any, given: np.ndarray) -> np.ndarray:
    out, state = [], None
    with torch.no_grad():
        for frame in torch.tensor(given).float().unbind(1):
            spikes, state = module(frame, state)
            out.append(spikes.numpy().copy())
    return np.stack(out, axis=1)


# snnTorch


def snntorch_net(kind: str, **options: Any) -> Any:
    snn = pytest.importorskip("snntorch")
    torch.manual_seed(0)
    given = {"beta": torch.full((N,), 0.8125), "threshold": torch.ones(N), "init_hidden": True, **options}
    given |= {"alpha": torch.full((N,), 0.625)} if "Synaptic" in kind else {}
    given |= {"linear_features": N} if kind.startswith("R") else {}
    neurons = [getattr(snn, kind)(**given, **last) for last in ({}, {"output": True})]
    net = torch.nn.Sequential(torch.nn.Linear(N_IN, N), neurons[0], torch.nn.Linear(N, N, bias=False), neurons[1])
    for layer in (net[0], net[2]):
        torch.nn.init.uniform_(layer.weight, -0.3, 0.8)
    return net


def run_snntorch(net: Any, given: np.ndarray) -> np.ndarray:
    utils = pytest.importorskip("snntorch.utils")
    utils.reset(net)
    with torch.no_grad():
        return np.stack([net(frame)[0].numpy() for frame in torch.tensor(given).float().unbind(1)], axis=1)


def exported(net: Any) -> Any:
    exporter = pytest.importorskip("snntorch.export_nir")
    return exporter.export_to_nir(net, torch.zeros(1, N_IN), ignore_dims=[0])


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic", "RLeaky", "RSynaptic"])
def test_snntorchs_default_neurons_reset_a_step_late(kind: str) -> None:
    net = snntorch_net(kind)
    for choices in ({}, {"reset": "subtract"}):
        assert_same(load(exported(net), NirOptions.like("snntorch", dt_s=1e-4, **choices)), run_snntorch(net, raster()), raster())


@pytest.mark.parametrize(
    ("kind", "reset_delay"), [("Leaky", True), ("Leaky", False), ("Synaptic", False)], ids=["late", "leaky", "synaptic"]
)
def test_snntorchs_reset_to_zero(kind: str, reset_delay: bool) -> None:
    net = snntorch_net(kind, reset_mechanism="zero", reset_delay=reset_delay)
    options = NirOptions.like("snntorch", dt_s=1e-4, reset="zero", reset_delay_steps=int(reset_delay))
    assert_same(load(exported(net), options), run_snntorch(net, raster()), raster())


def test_a_late_reset_to_zero_behind_a_synapse_is_refused() -> None:
    options = NirOptions.like("snntorch", dt_s=1e-4, reset="zero")
    with pytest.raises(FrontendError, match="drops the input"):
        load(exported(snntorch_net("Synaptic")), options)
    node = nir.LIF(tau=full(5e-4), r=full(5), v_leak=full(0), v_threshold=full(1), v_reset=full(0))
    own = graph(node, weights())
    own.nodes["back"] = nir.Linear(np.eye(N))
    own.edges += [("n", "back"), ("back", "n")]
    with pytest.raises(FrontendError, match="drops the input"):
        load(own, options)


# Rockpool


def rockpool_net(*, tau_syn: float = 0.004, last: Any = None) -> Any:
    pytest.importorskip("rockpool")
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import LIFTorch, LinearTorch

    torch.manual_seed(0)
    net = Sequential(
        LinearTorch((N_IN, N)), LIFTorch(N, tau_mem=torch.rand(N) * 0.01 + 0.003, tau_syn=torch.tensor(tau_syn)),
        LinearTorch((N, N), has_bias=False), LIFTorch(N, threshold=torch.rand(N) + 0.5) if last is None else last,
    )  # fmt: skip
    net[0].weight.data *= 1.5
    return net


@pytest.mark.parametrize("last", ["LIFTorch", "LIFNeuronTorch", "ExpSynTorch"])
def test_rockpools_export_is_read_as_rockpool_runs_it(last: str) -> None:
    net = rockpool_net()
    modules = pytest.importorskip("rockpool.nn.modules")
    if last != "LIFTorch":
        net = rockpool_net(
            last=getattr(modules, last)(N, **{"tau" if last == "ExpSynTorch" else "tau_mem": torch.full((N,), 0.006)})
        )
    written = modules.to_nir(net)
    assert tuple(written.nodes["output"].output_type["output"]) == (1, 1, N)
    with torch.no_grad():
        wanted = net(torch.tensor(raster()).float())[0].numpy()
    assert_same(load(written, NirOptions.like("rockpool", dt_s=1e-3)), wanted, raster())
    with pytest.raises(FrontendError, match="neither 1 nor what Rockpool's to_nir writes"):
        load(written, NirOptions.like("rockpool", dt_s=5e-4))


# Norse


def norse_cell(**options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lif = pytest.importorskip("norse.torch.module.lif")
    given = {"tau_mem_inv": torch.tensor(200.0), "tau_syn_inv": torch.tensor(300.0), "v_th": torch.tensor(0.6), **options}
    return lif.LIFCell(lif.LIFParameters(**given), dt=1e-3)


def norse_graph(cell: Any, weight: np.ndarray, *, dt: float, n_in: tuple[int, ...] = (N_IN,)) -> Any:
    """The node as Norse's own exporter makes it."""
    export = pytest.importorskip("norse.torch.utils.export_nir")
    node = export._extract_norse_module(cell, dt=dt)
    for name in vars(node):
        if torch.is_tensor(getattr(node, name)):
            setattr(node, name, getattr(node, name).numpy())
    return graph(node, weight, n_in=n_in)


@pytest.mark.parametrize("v_leak", [0.0, 0.25, -0.3])
def test_norses_current_based_neurons_count_as_in_norse(v_leak: float) -> None:
    cell, weight = norse_cell(v_leak=torch.tensor(v_leak)), weights(scale=1.5)
    wanted = step_by_step(lambda frame, state: cell(frame @ torch.tensor(weight.T).float(), state), raster())
    written = norse_graph(cell, weight, dt=1.0, n_in=(1, N_IN))
    with pytest.raises(FrontendError, match="meaning of w_in"):
        load(written, NirOptions.like("norse", dt_s=1e-3))
    assert_same(load(written, NirOptions.like("norse", dt_s=1e-3, w_in="left_out")), wanted, raster())
    with pytest.raises(FrontendError, match="shorter than a step") as caught:
        load(norse_graph(cell, weight, dt=1e-3), NirOptions.like("norse", dt_s=1e-3))
    assert "dt=1" in caught.value.fix


def test_norses_neurons_start_at_their_leak_potential() -> None:
    box = pytest.importorskip("norse.torch.module.lif_box")
    cell = box.LIFBoxCell(box.LIFBoxParameters(tau_mem_inv=torch.tensor(200.0), v_leak=torch.tensor(0.4)), dt=1e-3)
    weight = weights(scale=2.0)
    wanted = step_by_step(lambda frame, state: cell(frame @ torch.tensor(weight.T).float(), state), raster())
    written = norse_graph(cell, weight, dt=1.0)
    assert_same(load(written, NirOptions.like("norse", dt_s=1e-3)), wanted, raster())
    from_zero = load(written, NirOptions.like("norse", dt_s=1e-3, initial_potential="zero"))
    assert not np.array_equal(simulate_network(from_zero, raster()).counts["n"], wanted)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (lambda: nir.LIF(full(0.01), full(1), full(1.5), full(1), full(0)), "start above their threshold"),
        (lambda: nir.LI(full(0.01), full(1), full(0.5)), "does not start at 0"),
    ],
)
def test_a_start_that_no_network_has_is_refused(node: Callable[[], Any], message: str) -> None:
    with pytest.raises(FrontendError, match=message):
        load(graph(node(), weights()), NirOptions.like("norse", dt_s=1e-3))


# Sinabs and SpikingJelly: by their published equations


def sinabs_spikes(currents: np.ndarray, decay: float, gain: float, floor: float = -np.inf) -> np.ndarray:
    v, out = np.zeros(currents[:, 0].shape), []
    for frame in currents.swapaxes(0, 1):
        v = decay * v + gain * frame
        out.append(np.floor(np.maximum(v, 0.0)))
        v = np.maximum(v - out[-1], floor)
    return np.stack(out, axis=1)


def test_sinabs_divides_the_input_of_a_lif_and_counts_time_in_steps() -> None:
    node = nir.LIF(tau=full(12), r=full(1), v_leak=full(0), v_threshold=full(1))
    decay, currents = np.exp(-1 / 12), raster() @ weights(scale=3.0).T
    options = NirOptions.like("sinabs", floor="none")
    assert_same(load(graph(node, weights(scale=3.0)), options), sinabs_spikes(currents, decay, 1 - decay), raster())
    options = NirOptions.like("sinabs", floor="none", integrator="exp_jump")  # norm_input=False
    assert_same(load(graph(node, weights(scale=3.0)), options), sinabs_spikes(currents, decay, 1.0), raster())


def test_sinabs_leaky_integrator_takes_its_input_whole() -> None:
    node = nir.LI(tau=full(12), r=full(1), v_leak=full(0))
    v, wanted = 0.0, []
    for frame in (raster() @ weights().T).swapaxes(0, 1):
        v = np.exp(-1 / 12) * v + frame
        wanted.append(v)
    assert_same(load(graph(node, weights()), NirOptions.like("sinabs", floor="none")), np.stack(wanted, axis=1), raster())


def test_sinabs_floor_is_asked_for_since_no_file_says_it() -> None:
    node = nir.IF(r=full(1), v_threshold=full(1))
    with pytest.raises(FrontendError, match="min_v_mem") as refused:
        load(graph(node, weights()), NirOptions.like("sinabs"))
    assert refused.value.fix == "give floor='none'"  # which no framework's rules say
    currents = raster() @ weights().T
    free, limited = (sinabs_spikes(currents, 1.0, 1.0, floor) for floor in (-np.inf, -1.0))
    assert (free != limited).any()
    assert_same(load(graph(node, weights()), NirOptions.like("sinabs", floor="none")), free, raster())


def spikingjelly_spikes(currents: np.ndarray, decay: float, gain: float, v_reset: float = 0.0) -> np.ndarray:
    """``v`` starts at ``v_reset``, decays to it, and fires when it reaches 1."""
    v, out = np.full(currents[:, 0].shape, v_reset), []
    for frame in currents.swapaxes(0, 1):
        v = v_reset + decay * (v - v_reset) + gain * frame
        out.append((v >= 1).astype(int))
        v = np.where(v >= 1, v_reset, v)
    return np.stack(out, axis=1)


@pytest.mark.parametrize("v_reset", [0.0, 0.3, -0.5])
def test_spikingjellys_neurons(v_reset: float) -> None:
    weight = np.rint(8 * weights()) / 8  # on a grid, so that thresholds are reached exactly
    currents, options = raster() @ weight.T, NirOptions.like("spikingjelly", dt_s=1e-4)
    node = nir.IF(r=full(1e4), v_threshold=full(1), v_reset=full(v_reset))
    assert_same(load(graph(node, weight), options), spikingjelly_spikes(currents, 1.0, 1.0, v_reset), raster())
    for r in (1.0, 2.0):  # decay_input or not
        node = nir.LIF(tau=full(2e-4), r=full(r), v_leak=full(v_reset), v_threshold=full(1), v_reset=full(v_reset))
        assert_same(load(graph(node, 2 * weight), options), spikingjelly_spikes(2 * currents, 0.5, r / 2, v_reset), raster())


# spyx, by its published equations: a spike leaves a step after its potential was reached


def spyx_spikes(currents: np.ndarray, alpha: float, beta: float, *, has_synapse: bool) -> np.ndarray:
    synapse, v, out = np.zeros(currents[:, 0].shape), np.zeros(currents[:, 0].shape), []
    for frame in currents.swapaxes(0, 1):
        out.append((v > 1).astype(int))
        synapse = alpha * synapse + frame
        v = beta * (v - out[-1]) + synapse if has_synapse else beta * v - out[-1] + synapse
    return np.stack(out, axis=1)


@pytest.mark.parametrize(
    ("node", "alpha", "beta"),
    [
        (lambda: nir.IF(full(1), full(1)), 0.0, 1.0),
        (lambda: nir.LIF(full(4), full(0.75), full(0), full(1)), 0.0, 0.75),
        (lambda: nir.CubaLIF(full(2), full(4), full(0.75), full(0), full(1)), 0.5, 0.75),
    ],
)
def test_spyxs_neurons_fire_a_step_late_and_take_their_input_whole(node: Callable[[], Any], alpha: float, beta: float) -> None:
    first = np.rint(8 * weights()) / 8
    both = graph(node(), first)
    both.nodes |= {"w2": nir.Linear(np.eye(N) + np.eye(N, k=1) / 2), "n2": node()}
    both.edges = [("in", "w"), ("w", "n"), ("n", "w2"), ("w2", "n2"), ("n2", "out")]
    network = load(both, NirOptions.like("spyx", dt_s=1.0))
    wanted = raster() @ first.T
    for weight in (None, both.nodes["w2"].weight):
        currents = wanted if weight is None else wanted @ weight.T
        wanted = spyx_spikes(currents, alpha, beta, has_synapse=alpha > 0)
    assert wanted.sum() > 20
    found = simulate_network(network, raster()).counts["n2"]
    assert np.array_equal(found[:, :-1], wanted[:, 1:])
    if beta < 1:
        with pytest.raises(FrontendError, match="not the decay of the membrane"):
            load(both, NirOptions.like("spyx", dt_s=0.5))


def test_spyxs_recurrent_layers_are_refused() -> None:
    own = graph(nir.LIF(full(4), full(0.75), full(0), full(1)), weights())
    own.nodes["back"] = nir.Linear(np.eye(N))
    own.edges += [("n", "back"), ("back", "n")]
    with pytest.raises(FrontendError, match="goes through its recurrent weights"):
        load(own, NirOptions.like("spyx", dt_s=1.0))


@pytest.mark.parametrize("framework", ["norse", "snntorch", "rockpool"])
@pytest.mark.parametrize("dt_s", [1e-4, 1e-3])
def test_spikingjellys_gain_is_no_other_frameworks(framework: str, dt_s: float) -> None:
    node = nir.IF(r=full(1e4), v_threshold=full(1), v_reset=full(0))
    with pytest.raises(FrontendError, match="would multiply its input"):
        load(graph(node, weights()), NirOptions.like(framework, dt_s=dt_s))


# the batch of the exporters' sample


def test_leading_sides_of_one_are_no_part_of_the_data() -> None:
    rng = np.random.default_rng(0)
    kernel, weight = rng.normal(size=(2, 1, 3, 3)), rng.normal(size=(N, 18))

    def images(batch: tuple[int, ...], declared: tuple[int, ...], start: int) -> Any:
        nodes = {
            "in": nir.Input(np.array((*batch, 1, 5, 5))),
            "c": nir.Conv2d(None, kernel, 1, 0, 1, 1, np.zeros(2)),
            "f": nir.Flatten(np.array(declared), start, -1),
            "w": nir.Linear(weight),
            "n": nir.LIF(full(0.01), full(1), full(0), full(1), full(0)),
            "out": nir.Output(np.array((*batch, N))),
        }
        return nir.NIRGraph(nodes, list(zip(nodes, list(nodes)[1:], strict=False)), type_check=False)

    options = NirOptions.like("norse", dt_s=1e-3)
    plain = load(images((), (2, 3, 3), 0), options)
    assert load(images((1,), (1, 2, 3, 3), 1), options) == plain
    assert load(images((1, 1), (2, 3, 3), 0), options) == plain
    node = nir.LIF(full(0.01), full(1), full(0), full(1), full(0))
    assert load(graph(node, weights(), n_in=(1, N_IN), n_out=(1, 1, N)), options) == load(graph(node, weights()), options)
    with pytest.raises(FrontendError, match="does not fit the weights") as caught:
        load(graph(node, weights(), n_in=(4, N_IN)), options)
    assert "ignore_dims" in caught.value.fix


# What a file cannot hold


def lif(r: float = 1.0, tau: float = 0.01) -> Any:
    return nir.LIF(tau=full(tau), r=full(r), v_leak=full(0), v_threshold=full(1), v_reset=full(0))


@pytest.mark.parametrize(
    ("framework", "node", "choices", "told"),
    [
        ("snntorch", lif(), {"dt_s": 1e-3}, "snnTorch's export_to_nir does not write when neurons reset"),
        ("rockpool", lif(10 * np.exp(-0.1)), {"dt_s": 1e-3}, "Rockpool's to_nir writes no w_in, no biases"),
        ("sinabs", lif(tau=10), {"dt_s": 1e-3, "floor": "none"}, "Sinabs' to_nir writes no tau_syn"),
    ],
)
def test_what_an_exporter_cannot_write_is_a_warning_with_its_name(framework: str, node: Any, choices: Any, told: str) -> None:
    with pytest.warns(ConversionWarning, match=f"^{told}.*\n  fix: ") as warned:
        network = load(graph(node, weights()), NirOptions.like(framework, **choices))
    assert network.provenance["not in the file"].startswith(told)
    assert warned[0].filename == __file__


@pytest.mark.parametrize(
    "options",
    [
        NirOptions.like("snntorch", dt_s=1e-3, reset_delay_steps=0),
        NirOptions.like("spikingjelly", dt_s=1e-3),
        NirOptions.like("norse", dt_s=1e-3),
        NirOptions.like("nengo", dt_s=1e-3),
    ],
)
def test_nothing_is_told_where_nothing_is_lost(options: NirOptions) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "not in the file" not in load(graph(lif(), weights()), options).provenance

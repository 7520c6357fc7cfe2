import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from snnmap.core.errors import FrontendError
from snnmap.frontends.nir import NirOptions, load
from snnmap.network import Network, simulate_network

nir = pytest.importorskip("nir")
torch.set_num_threads(1)

DT, TAU, TAU_SYN = 1e-3, 4e-3, 2e-3


def graph_of(nodes: dict[str, Any], edges: list[tuple[str, str]]) -> Any:
    return nir.NIRGraph(nodes=nodes, edges=edges, type_check=False)


def chain(*nodes: Any, n_in: Any = (2,), n_out: Any = (2,)) -> Any:
    """Input, the nodes named n0, n1, ..., Output."""
    named = {
        "in": nir.Input(np.array(n_in)),
        **{f"n{k}": node for k, node in enumerate(nodes)},
        "out": nir.Output(np.array(n_out)),
    }
    return graph_of(named, list(zip(list(named), list(named)[1:], strict=False)))


def neuron(kind: str, **changes: Any) -> Any:
    ones = np.ones(2)
    values = {
        "tau": TAU * ones,
        "tau_mem": TAU * ones,
        "tau_syn": TAU_SYN * ones,
        "r": np.array([1.5, 3.0]),
        "v_leak": np.array([0.1, -0.2]),
        "w_in": np.array([2.0, 1.0]),
        "v_threshold": np.array([0.6, 0.8]),
        "v_reset": np.array([0.0, -0.1]),
        "threshold": np.array([0.6, 0.8]),
    }
    fields = [name for name in getattr(nir, kind).__dataclass_fields__ if name in values]
    return getattr(nir, kind)(**{name: changes.get(name, values[name]) for name in fields})


def raster(seed: int = 0, n_steps: int = 60, size: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).binomial(1, 0.4, (1, n_steps, size))


def factors(integrator: str, tau: float) -> tuple[float, float, float]:
    if integrator == "euler":
        return 1 - DT / tau, DT / tau, DT / tau
    decay = np.exp(-DT / tau)
    return decay, (1 - decay) if integrator == "zoh" else DT / tau, 1 - decay


def run_equations(kind: str, node: Any, signal: np.ndarray, integrator: str, reset: str) -> tuple[np.ndarray, np.ndarray]:
    """NIR's equations step by step, as the design writes them down; signal ``(n_steps, 2)``."""
    v, current, spikes, potentials = np.zeros(2), np.zeros(2), [], []
    for s in signal:
        if kind.startswith("Cuba"):
            keep, gain, _ = factors(integrator, TAU_SYN)
            current = keep * current + gain * node.w_in * s
            s = current
        if kind in ("I", "IF"):
            v = v + DT * node.r * s
        else:
            keep, gain, leak = factors(integrator, TAU)
            v = keep * v + leak * node.v_leak + gain * node.r * s
        z = v > node.v_threshold if kind.endswith("F") else np.zeros(2, bool)
        v = np.where(z, node.v_reset if reset == "value" else v - node.v_threshold, v) if kind.endswith("F") else v
        spikes.append(z)
        potentials.append(v)
    return np.array(spikes), np.array(potentials)


@pytest.mark.parametrize("kind", ["I", "IF", "LI", "LIF", "CubaLI", "CubaLIF"])
@pytest.mark.parametrize("integrator", ["euler", "zoh", "exp_euler"])
@pytest.mark.parametrize("reset", ["value", "subtract"])
def test_every_neuron_follows_its_equation(kind: str, integrator: str, reset: str) -> None:
    changes = {} if reset == "value" else {"v_reset": np.zeros(2)}
    changes |= {"r": np.array([311.7, 507.3])} if kind in ("I", "IF") else {}
    node = neuron(kind, **changes)
    weight, bias = np.array([[0.9, 0.2], [-0.3, 1.1]]), np.array([0.05, 0.1])
    network = load(
        chain(nir.Affine(weight, bias), node), dt_s=DT, time_unit="s", integrator=integrator, reset=reset, if_gain="dt"
    )
    spikes = raster()
    expected, potentials = run_equations(kind, node, spikes[0] @ weight.T + bias, integrator, reset)
    run = simulate_network(network, spikes, counts_of=["n1"], states_of=["n1"])
    assert np.allclose(run.potentials["n1"][0], potentials, rtol=0, atol=1e-12)
    assert np.array_equal(run.counts["n1"][0], expected)
    assert expected.any() == kind.endswith("F")
    assert network.outputs[0].readout == ("spikes" if kind.endswith("F") else "potential")


def test_threshold_is_stateless_and_strict() -> None:
    graph = chain(nir.Linear(np.array([[1.0, 0.5], [1.0, 1.0]])), nir.Threshold(np.array([0.5, 1.0])))
    network = load(graph, NirOptions.like("sinabs"))
    spikes = np.array([[[0, 1], [1, 0], [1, 1], [0, 0]]])
    assert simulate_network(network, spikes).counts["n1"][0].tolist() == [[0, 0], [1, 0], [1, 1], [0, 0]]


def test_frameworks_that_send_several_spikes_and_fire_at_the_threshold() -> None:
    node = nir.IF(r=np.ones(1), v_threshold=np.ones(1))
    graph = chain(nir.Linear(np.array([[1.0]])), node, n_in=(1,), n_out=(1,))
    spikes = np.array([[[1], [3], [0]]])
    many = simulate_network(load(graph, NirOptions.like("sinabs", floor="none")), spikes).counts["n1"]
    assert many[0, :, 0].tolist() == [1, 3, 0]
    one = simulate_network(load(graph, NirOptions.like("norse")), spikes).counts["n1"]
    assert one[0, :, 0].tolist() == [0, 1, 0]


def test_a_constant_current_behind_a_synapse() -> None:
    """Exact with a neuron that carries it; its steady state as a bias of the membrane."""
    node = neuron("CubaLI")
    graph = chain(nir.Affine(np.eye(2), np.array([0.3, -0.2])), node)
    options = NirOptions.like("norse", dt_s=DT, initial_potential="zero")
    exact, settled = load(graph, options), load(graph, options, constant_current="membrane")
    assert [p.name for p in exact.populations] == ["n1", "bias"] or [p.name for p in exact.populations] == ["bias", "n1"]
    assert len(settled.populations) == 1
    silent = np.zeros((1, 400, 2), np.int64)
    runs = [simulate_network(network, silent, states_of=["n1"]).potentials["n1"][0] for network in (exact, settled)]
    expected = node.v_leak + node.r * node.w_in * np.array([0.3, -0.2])
    assert np.allclose(runs[0][-1], expected, atol=1e-9)
    assert np.allclose(runs[1][-1], expected, atol=1e-9)
    assert np.abs(runs[0][2] - runs[1][2]).max() > 0.01


CONVOLUTIONS = [
    {"weight": (4, 3, 2, 3), "stride": (1, 2), "padding": (1, 0), "dilation": (2, 1), "groups": 1},
    {"weight": (4, 1, 3, 2), "stride": (2, 1), "padding": (0, 2), "dilation": (1, 1), "groups": 3},
    {"weight": (6, 1, 3, 2), "stride": 1, "padding": "same", "dilation": 1, "groups": 3},
    {"weight": (6, 3, 1, 4), "stride": 1, "padding": "valid", "dilation": 1, "groups": 1},
    {"weight": (2, 3, 2, 2), "stride": np.int64(2), "padding": np.int64(1), "dilation": 1, "groups": np.int64(1)},
]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("options", CONVOLUTIONS, ids=lambda options: str(options["weight"]))
def test_convolutions_are_those_of_torch(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    n_out = options["weight"][0] - options["weight"][0] % int(options["groups"])
    weight = rng.normal(size=(n_out, *options["weight"][1:]))
    bias, spikes = rng.normal(size=n_out), rng.poisson(1.0, (1, 5, 3 * 5 * 7))
    plain = {k: v if isinstance(v, str | tuple) else int(v) for k, v in options.items() if k != "weight"}
    expected = functional.conv2d(
        torch.tensor(spikes.reshape(5, 3, 5, 7)).double(), torch.tensor(weight), torch.tensor(bias), **plain
    )
    node = nir.Conv2d(None, weight, **{k: v for k, v in options.items() if k != "weight"}, bias=bias)
    network = load(chain(node, n_in=(3, 5, 7), n_out=tuple(expected.shape[1:])))
    found = simulate_network(network, spikes, states_of=["out"]).potentials["out"][0]
    assert np.allclose(found, expected.flatten(1).numpy(), atol=1e-12)
    assert network.projections[0].weights.nnz < 3 * 5 * 7 * found.shape[1] / 2


def test_conv1d_flatten_scale_and_pools_are_fused() -> None:
    rng = np.random.default_rng(1)
    weight, bias, scale, spikes = (
        rng.normal(size=(4, 2, 3)),
        rng.normal(size=4),
        rng.normal(size=(4, 5)),
        rng.poisson(1.0, (1, 6, 18)),
    )
    x = torch.tensor(spikes.reshape(6, 2, 9)).double()
    expected = functional.conv1d(x, torch.tensor(weight), torch.tensor(bias), stride=2, padding=1, dilation=1) * torch.tensor(
        scale
    )
    matrix = rng.normal(size=(3, 20))
    expected = expected.flatten(1) @ torch.tensor(matrix).T
    graph = chain(
        nir.Conv1d(9, weight, 2, 1, 1, 1, bias), nir.Scale(scale), nir.Flatten(None, 0, -1), nir.Linear(matrix),
        n_in=(2, 9), n_out=(3,),
    )  # fmt: skip
    network = load(graph)
    assert len(network.projections) == 1
    assert network.projections[0].source == "n0+n1+n3"
    found = simulate_network(network, spikes, states_of=["out"]).potentials["out"][0]
    assert np.allclose(found, expected.numpy(), atol=1e-12)


@pytest.mark.parametrize("kind", ["SumPool2d", "AvgPool2d"])
def test_pools_are_those_of_torch(kind: str) -> None:
    spikes = np.random.default_rng(2).poisson(1.0, (1, 4, 2 * 6 * 5))
    x = torch.tensor(spikes.reshape(4, 2, 6, 5)).double()
    expected = functional.avg_pool2d(x, (2, 3), (2, 1), (1, 1)) * (6 if kind == "SumPool2d" else 1)
    node = getattr(nir, kind)(np.array([2, 3]), np.array([2, 1]), np.array([1, 1]))
    network = load(chain(node, n_in=(2, 6, 5), n_out=tuple(expected.shape[1:])))
    found = simulate_network(network, spikes, states_of=["out"]).potentials["out"][0]
    assert np.allclose(found, expected.flatten(1).numpy(), atol=1e-12)


def test_delays_by_neuron() -> None:
    graph = chain(nir.Delay(np.array([2.0, 0.0])), nir.Linear(np.eye(2)), nir.Delay(np.array([1.0, 3.0])))
    network = load(graph, dt_s=1e-3, time_unit="ms")
    spikes = np.zeros((1, 6, 2), np.int64)
    spikes[0, 0] = 1
    found = simulate_network(network, spikes, states_of=["out"]).potentials["out"][0]
    assert [np.flatnonzero(found[:, k]).tolist() for k in range(2)] == [[3], [3]]
    with pytest.raises(FrontendError, match="not a whole number of steps"):
        load(graph, dt_s=1.5e-3, time_unit="ms")


def test_latencies_and_spike_scale() -> None:
    lif = {"tau": np.full(1, TAU), "r": np.ones(1), "v_leak": np.zeros(1), "v_threshold": np.full(1, 0.2)}
    graph = chain(nir.Linear(np.ones((1, 1))), nir.LIF(**lif), nir.Linear(np.ones((1, 1))), nir.LIF(**lif), n_in=(1,), n_out=(1,))
    spikes = np.array([[[1], [0], [0], [0]]])
    for framework, expected in (("norse", [1, 0, 0, 0]), ("lava", [0, 0, 1, 0])):
        counts = simulate_network(load(graph, NirOptions.like(framework, dt_s=DT)), spikes).counts["n3"]
        assert counts[0, :, 0].tolist() == expected
    impulse = load(graph, NirOptions.like("norse", dt_s=DT, spike_scale=1 / DT))
    assert impulse.projections[0].weights.data.tolist() == [1 / DT * (DT / TAU)]


def recurrent(*edges: tuple[str, str], sizes: int = 1) -> Any:
    """Neurons a, b, c, ... with an identity Linear on every edge between two of them; x -> a or b, b -> y."""
    one = np.ones(sizes)
    nodes: dict[str, Any] = {"x": nir.Input(np.array([sizes])), "y": nir.Output(np.array([sizes]))}
    wired = []
    for pre, post in edges:
        for name in (pre, post):
            if name not in nodes:
                nodes[name] = nir.IF(r=one, v_threshold=0.5 * one)
        if post == "y":
            wired.append((pre, post))
        else:
            nodes[f"{pre}{post}"] = nir.Linear(np.eye(sizes))
            wired += [(pre, f"{pre}{post}"), (f"{pre}{post}", post)]
    return graph_of(nodes, wired)


def delays(network: Network) -> dict[str, int]:
    return {projection.name: projection.delay_steps for projection in network.projections}


def test_loops_without_delay_come_round_one_step_later() -> None:
    options = NirOptions.like("norse")
    own = load(recurrent(("x", "a"), ("a", "a"), ("a", "y")), options)
    assert delays(own) == {"x->a": 0, "a->a": 1}
    assert own.provenance["loops without Delay"] == "one step late: a->a"
    two = load(recurrent(("x", "a"), ("a", "b"), ("b", "a"), ("b", "y")), options)
    assert delays(two) == {"x->a": 0, "a->b": 0, "b->a": 1}
    with pytest.raises(FrontendError, match="which edge of this loop is late") as caught:
        load(recurrent(("x", "a"), ("x", "b"), ("a", "b"), ("b", "a"), ("b", "y")), options)
    assert "a -> b -> a" in caught.value.where or "b -> a -> b" in caught.value.where


@pytest.mark.parametrize("constant_current", ["neuron", "membrane"])
def test_a_constant_current_leads_no_other_way_into_a_loop(constant_current: str) -> None:
    """The neuron that carries a bias is no input, by which the loop could be entered elsewhere."""
    graph = recurrent(("x", "a"), ("a", "b"), ("b", "a"), ("b", "y"), sizes=2)
    graph.nodes |= {"a": neuron("CubaLIF"), "b": neuron("CubaLIF"), "ab": nir.Affine(np.eye(2), np.ones(2))}
    network = load(graph, NirOptions.like("norse", dt_s=DT, initial_potential="zero"), constant_current=constant_current)
    found = delays(network)
    assert (found["a->b"], found["b->a"]) == (0, 1)


def test_a_threshold_has_no_reset_that_could_be_late() -> None:
    graph = recurrent(("x", "a"), ("a", "a"), ("a", "y"))
    graph.nodes["a"] = nir.Threshold(np.array([0.5]))
    assert load(graph, NirOptions.like("snntorch", dt_s=DT)).population("a").max_count.tolist() == [1]


def test_the_same_spikes_by_two_ways_count_twice() -> None:
    graph = chain(nir.Flatten(None, 0, -1), neuron("IF"))
    graph.edges.append(("in", "n1"))
    network = load(graph, if_gain="step", reset="value")
    assert np.array_equal(network.projections[0].weights.to_dense(), np.diag(2 * neuron("IF").r))


def test_a_delay_in_a_loop_is_the_whole_delay() -> None:
    graph = recurrent(("x", "a"), ("a", "b"), ("b", "a"), ("b", "y"))
    graph.nodes["late"] = nir.Delay(np.array([2e-3]))
    graph.edges = [edge for edge in graph.edges if edge != ("a", "ab")] + [("a", "late"), ("late", "ab")]
    network = load(graph, NirOptions.like("norse", dt_s=1e-3))
    assert delays(network) == {"x->a": 0, "a->b": 2, "b->a": 0}
    assert network.provenance["loops without Delay"] == "none"


def nested() -> Any:
    inner = recurrent(("x", "a"), ("a", "a"), ("a", "y"), sizes=2)
    middle = graph_of({"i": nir.Input(np.array([2])), "g": inner, "o": nir.Output(np.array([2]))}, [("i", "g"), ("g", "o")])
    nodes = {"in": nir.Input(np.array([2])), "m": middle, "w": nir.Linear(np.ones((2, 2))), "n": neuron("LIF")}
    nodes["out"] = nir.Output(np.array([2]))
    return graph_of(nodes, [("in", "m"), ("m", "w"), ("w", "n"), ("n", "out")])


def test_nested_graphs_are_written_out(tmp_path: Path) -> None:
    options = NirOptions.like("norse", dt_s=DT)
    network = load(nested(), options, name="n")
    assert [p.name for p in network.populations] == ["m.g.a", "n"]
    assert delays(network) == {"in->m.g.a": 0, "m.g.a->m.g.a": 1, "m.g.a->n": 0}
    assert network.projections[0].source == "m.g.xa"
    nir.write(tmp_path / "n.nir", nested())
    read = load(tmp_path / "n.nir", options)
    spikes = raster()
    assert np.array_equal(simulate_network(read, spikes).counts["n"], simulate_network(network, spikes).counts["n"])


def test_several_inputs_and_outputs() -> None:
    two = graph_of(
        {
            "p": nir.Input(np.array([2])), "q": nir.Input(np.array([3])), "w": nir.Linear(np.ones((2, 2))),
            "u": nir.Linear(np.full((2, 3), 0.5)), "n": neuron("LIF"), "r": neuron("LI"), "k": nir.Linear(np.eye(2)),
            "spikes": nir.Output(np.array([2])), "volts": nir.Output(np.array([2])),
        },
        [("p", "w"), ("q", "u"), ("w", "n"), ("u", "n"), ("n", "k"), ("k", "r"), ("p", "k"), ("n", "spikes"), ("r", "volts")],
    )  # fmt: skip
    network = load(two, NirOptions.like("norse", dt_s=DT, initial_potential="zero"))
    assert [(port.name, port.size) for port in network.inputs] == [("p", 2), ("q", 3)]
    assert [(port.name, port.populations, port.readout) for port in network.outputs] == [
        ("spikes", ("n",), "spikes"),
        ("volts", ("r",), "potential"),
    ]
    assert sorted(delays(network)) == ["n->r", "p->n", "p->r", "q->n"]
    outer = graph_of(
        {"x": nir.Input(np.array([2])), "y": nir.Input(np.array([3])), "g": two, "z": nir.Output(np.array([2]))},
        [("x", "g.p"), ("y", "g.q"), ("g.spikes", "z")],
    )
    assert [
        population.name for population in load(outer, NirOptions.like("norse", dt_s=DT, initial_potential="zero")).populations
    ] == ["g.n", "g.r"]


def test_parallel_ways_add_up() -> None:
    nodes = {
        "in": nir.Input(np.array([2])), "a": nir.Linear(np.array([[1.0, 2.0], [0.0, 1.0]])), "b": nir.Scale(np.array([3.0, 1.0])),
        "out": nir.Output(np.array([2])),
    }  # fmt: skip
    network = load(graph_of(nodes, [("in", "a"), ("in", "b"), ("a", "out"), ("b", "out")]))
    assert len(network.projections) == 1
    assert network.projections[0].weights.to_dense().tolist() == [[4.0, 0.0], [2.0, 2.0]]


@pytest.mark.parametrize(
    ("missing", "names"),
    [
        ("integrator", "euler (norse, snntorch, spikingjelly, spyx, lava), zoh (nengo, sinabs), exp_euler (rockpool), exp_jump"),
        ("time_unit", "s (norse, snntorch, nengo, rockpool, spikingjelly, spyx, lava), ms, us, step (sinabs)"),
        ("reset", "value (norse, spikingjelly), zero (nengo, lava), subtract (snntorch, rockpool, sinabs, spyx)"),
        ("dt_s", "seconds; the NIR paper's files use 1e-4"),
    ],
)
def test_a_choice_that_is_missing_is_listed(missing: str, names: str) -> None:
    choices = {"dt_s": DT, "time_unit": "s", "integrator": "euler", "reset": "value", missing: None}
    with pytest.raises(FrontendError, match=f"option '{missing}' is not given") as caught:
        load(chain(nir.Linear(np.eye(2)), neuron("LIF")), **choices)
    assert caught.value.limit == names
    assert caught.value.where == "node 'n1' (LIF)"


def test_integrators_need_their_gain_and_no_time() -> None:
    graph = chain(nir.Linear(np.eye(2)), neuron("IF"))
    with pytest.raises(FrontendError, match="gain of integrators"):
        load(graph, reset="value")
    assert load(graph, reset="value", if_gain="step").dt_s == 0
    with pytest.raises(FrontendError, match="option 'time_unit' is not given"):
        load(graph, reset="value", if_gain="dt")
    with pytest.raises(FrontendError, match="option 'dt_s' is not given"):
        load(graph, reset="value", if_gain="dt", time_unit="s")


@pytest.mark.parametrize(("time_unit", "gain"), [("s", 1e-3), ("ms", 1.0), ("us", 1e3), ("step", 1.0)])
def test_an_integrator_counts_time_in_the_unit_of_the_graph(time_unit: str, gain: float) -> None:
    graph = chain(nir.Linear(np.eye(2)), nir.IF(np.full(2, 0.5), np.ones(2)))
    network = load(graph, dt_s=1e-3, time_unit=time_unit, if_gain="dt", reset="zero")
    assert np.allclose(network.projections[0].weights.data, 0.5 * gain, rtol=1e-12)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"dt": 1.0}, "no option is called 'dt'"),
        ({"dt_s": 0.0}, "'dt_s' has a value"),
        ({"dt_s": float("nan")}, "'dt_s' has a value"),
        ({"dt_s": True}, "'dt_s' has a value"),
        ({"integrator": "rk4"}, "'integrator' has a value"),
        ({"max_count": 0}, "'max_count' has a value"),
        ({"input_latency_steps": 0.5}, "'input_latency_steps' has a value"),
    ],
)
def test_options_check_themselves(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(FrontendError, match=message):
        load(chain(nir.Linear(np.eye(2)), neuron("LIF")), **choices)
    with pytest.raises(FrontendError, match="'framework' has a value"):
        NirOptions.like("brian")


def test_provenance_says_every_choice() -> None:
    network = load(chain(nir.Linear(np.eye(2)), neuron("LIF")), NirOptions.like("norse", dt_s=DT), name="mine")
    assert network.name == "mine"
    assert network.dt_s == DT
    assert network.provenance == {
        "framework": f"nir {nir.version}",
        "dt": "0.001 s",
        "time unit": "s",
        "integrator": "euler",
        "integrator gain": "step",
        "reset": "value",
        "reset delay": "0 steps",
        "fires": "above the threshold",
        "max count": "1",
        "input latency": "0 steps",
        "layer latency": "0 steps",
        "spike scale": "1",
        "constant current": "neuron",
        "initial potential": "leak",
        "written by": "norse",
        "loops without Delay": "none",
    }
    assert network.populations[0].source == "n1"
    assert network.projections[0].source == "n0"


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(FrontendError, match="nir is not installed") as caught:
        load("x.nir")
    assert caught.value.fix == "pip install 'snnmap[nir]'"

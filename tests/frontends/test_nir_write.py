from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import random_network

from snnmap.core import CsrMatrix
from snnmap.core.errors import DesignRuleError, FrontendError
from snnmap.frontends.nir import load, save, to_nir
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, SpikeSum, simulate_network

nir = pytest.importorskip("nir")


def same_but_for_provenance(found: Network, expected: Network) -> bool:
    return replace(found, provenance={}) == replace(expected, provenance={})


def varied(network: Network, seed: int) -> Network:
    """Give other decays, thresholds and resets to a random network: any floats, also 0 and 1, infinite thresholds."""
    rng = np.random.default_rng(seed)

    def vary(population: Population) -> Population:
        size = population.size
        return Population.create(
            population.name,
            size,
            alpha=rng.choice([0.0, 1.0, *rng.random(3)], (1, size)) if rng.random() < 0.7 else 0.0,
            beta=rng.choice([0.0, 1.0, *rng.random(3)], size),
            threshold=rng.choice([np.inf, *rng.uniform(0.1, 9.0, 3)], size),
            bias=rng.choice([0.0, 0.3, -0.1], size),
            reset=rng.choice(["subtract", "value"]),
            v_reset=rng.choice([0.0, -0.3], size),
            max_count=rng.integers(1, 32, size),
            source=population.source,
        )

    dt_s = float(rng.choice([0.0, 1e-3, 1e-4, 0.3]))
    return replace(network, populations=tuple(map(vary, network.populations)), dt_s=dt_s)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), vary=st.booleans(), integrator=st.sampled_from(["euler", "zoh", "exp_euler"]))
def test_a_network_comes_back_as_it_was(seed: int, vary: bool, integrator: str) -> None:
    network = random_network(seed, n_synapses=1)
    network = varied(network, seed) if vary else network
    assert same_but_for_provenance(load(to_nir(network, integrator=integrator)), network)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), precision=st.sampled_from(["float64", "float32"]))
def test_a_network_comes_back_from_a_file(tmp_path_factory: pytest.TempPathFactory, seed: int, precision: str) -> None:
    path = tmp_path_factory.mktemp("nir") / "network.nir"
    network = varied(random_network(seed, n_synapses=1), seed)
    if precision == "float32":
        rounded = [replace(p, weights=p.weights.with_data(p.weights.data.astype(np.float32))) for p in network.projections]
        network = replace(network, projections=tuple(rounded))
    save(network, path, precision=precision)
    found = load(path)
    assert same_but_for_provenance(found, network)
    assert found.provenance["before NIR: framework"] == "test"


def without_metadata(graph: object) -> object:
    for node in graph.nodes.values():
        node.metadata = {}
    graph.metadata = {}
    return graph


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("integrator", ["euler", "zoh", "exp_euler"])
def test_nodes_alone_say_the_same_spikes(seed: int, integrator: str) -> None:
    """Without snnmap's metadata, NIR's own fields give the network, reset and counts told by options."""
    network = random_network(seed, n_synapses=1)
    network = replace(
        network, populations=tuple(replace(p, max_count=np.full(p.size, 31)) for p in network.populations)
    )  # NIR holds one number for all
    graph = without_metadata(to_nir(network, integrator=integrator))
    choices = {"dt_s": 1e-3, "time_unit": "s", "integrator": integrator, "reset": "subtract", "max_count": 31}
    found = load(graph, **choices)
    rng = np.random.default_rng(seed)
    raster = {port.name: rng.poisson(2.0, (2, 20, port.size)) for port in network.inputs}
    names = [population.name for population in network.populations]
    runs = [simulate_network(one, raster, counts_of=names) for one in (network, found)]
    assert sum(int(runs[0].counts[name].sum()) for name in names) > 0
    for name in names:
        assert np.array_equal(runs[0].counts[name], runs[1].counts[name]), name


def small_network(**population: object) -> Network:
    defaults = {"alpha": 0.5, "beta": 0.75, "reset": "value", "max_count": 1}
    return Network(
        name="small",
        inputs=(InputPort(name="in/1", size=2),),
        populations=(Population.create("a", 2, **{**defaults, **population}),),
        projections=(Projection(name="w", pre="in/1", post="a", weights=CsrMatrix.from_dense(np.eye(2))),),
        outputs=(OutputPort(name="a", populations=("a",)),),
        dt_s=1e-3,
    )


def test_names_that_hdf5_does_not_take_and_a_port_named_as_its_population(tmp_path: Path) -> None:
    save(small_network(), tmp_path / "x.nir")
    assert same_but_for_provenance(load(tmp_path / "x.nir"), small_network())


def test_other_readers_find_a_sound_graph(tmp_path: Path) -> None:
    save(small_network(), tmp_path / "x.nir")
    graph = nir.read(tmp_path / "x.nir")
    assert graph.check_types()
    assert {type(node).__name__ for node in graph.nodes.values()} == {"Input", "Linear", "CubaLIF", "Output"}
    assert graph.nodes["a"].tau_mem.tolist() == [4e-3, 4e-3]
    assert graph.metadata["snnmap_beyond"] == ""
    beyond = to_nir(small_network(reset="subtract", max_count=3)).metadata["snnmap_beyond"]
    assert beyond == "reset by subtraction: a; several spikes in a step: a"


def test_a_bias_without_a_synapse_is_an_affine() -> None:
    network = small_network(alpha=0.0, bias=[0.25, -0.5])
    graph = to_nir(network)
    assert graph.nodes["w"].bias.tolist() == [0.25, -0.5]
    assert not graph.nodes["a"].v_leak.any()
    assert same_but_for_provenance(load(graph), network)


def test_a_graph_changed_by_others_is_not_read_by_its_metadata() -> None:
    graph = to_nir(small_network())
    graph.nodes["a"].tau_mem = graph.nodes["a"].tau_mem * 1.01
    with pytest.raises(FrontendError, match="'beta' that snnmap stored with them disagree") as caught:
        load(graph)
    assert caught.value.where == "node 'a' (CubaLIF)"
    with pytest.raises(FrontendError, match="option 'dt_s' contradicts"):
        load(to_nir(small_network()), dt_s=2e-3)


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nir", "b.nir"):
        save(random_network(3, n_synapses=1), tmp_path / name)
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()


@pytest.mark.parametrize(
    ("change", "message", "where"),
    [
        ({"alpha": [[0.5], [0.5]]}, "one synapse", "population 'a'"),
        ({"beta": np.nan}, "'beta' is out of range", "population 'a'"),
        ({"threshold": 0.0}, "'threshold' is out of range", "population 'a'"),
        ({"bias": np.inf}, "'bias' is not finite", "population 'a'"),
    ],
)
def test_what_nir_cannot_carry_is_refused(change: dict[str, object], message: str, where: str) -> None:
    with pytest.raises(FrontendError, match=message) as caught:
        to_nir(small_network(**change))
    assert caught.value.where == where


def test_other_networks_that_nir_cannot_carry() -> None:
    network = small_network()
    bad = replace(network.projections[0], weights=CsrMatrix.from_dense(np.full((2, 2), np.nan)))
    with pytest.raises(FrontendError, match="'weights' is not finite"):
        to_nir(replace(network, projections=(bad,)))
    twice = SpikeSum(name="twice", terms=("a", "a"))
    with pytest.raises(FrontendError, match="adds a source twice"):
        to_nir(replace(network, sums=(twice,)))
    with pytest.raises(FrontendError, match="empty node"):
        to_nir(replace(network, inputs=(InputPort(name="none", size=0), *network.inputs)))
    with pytest.raises(DesignRuleError, match="unknown-name"):
        to_nir(replace(network, projections=(replace(network.projections[0], pre="nobody"),)))


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_potential_exactly_at_the_threshold_fires_for_other_readers_too(precision: str) -> None:
    """Ours fires at u = threshold, NIR's above v_threshold."""
    network = replace(small_network(alpha=0.0, beta=1.0, threshold=[3.0, 0.7]), dt_s=2.0**-10)  # whose gains are exact
    graph = without_metadata(to_nir(network, precision=precision))
    threshold = graph.nodes["a"].v_threshold
    assert threshold.dtype == precision
    assert (threshold < [3.0, 0.7]).all()
    assert np.nextafter(threshold[0], threshold.dtype.type(9)) == 3.0
    found = load(graph, dt_s=2.0**-10, time_unit="s", integrator="euler", reset="value")
    counts = simulate_network(found, np.ones((1, 6, 2), np.int64)).counts["a"]
    assert counts[0].T.tolist() == [[0, 0, 1, 0, 0, 1], [1, 1, 1, 1, 1, 1]]


def test_what_is_no_network_is_told_to_be_loaded_first(tmp_path: Path) -> None:
    model: Any = nir.NIRGraph(nodes={}, edges=[])
    with pytest.raises(FrontendError, match=r"(?s)only a network.*save\(snnmap.load\(model\), path\)"):
        save(model, tmp_path / "net.nir")
    assert not list(tmp_path.iterdir())

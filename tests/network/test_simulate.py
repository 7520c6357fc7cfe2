import numpy as np
import pytest
from random_networks import random_network

from snnmap.core import CsrMatrix
from snnmap.core.errors import DesignRuleError, InputError
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, expand_terms, simulate_network


def chain(**parameters: object) -> Network:
    """One channel onto one neuron, read out."""
    return Network(
        name="chain",
        inputs=(InputPort(name="in", size=1),),
        populations=(Population.create("n", 1, **parameters),),
        projections=(Projection(name="w", pre="in", post="n", weights=CsrMatrix.from_dense([[1.0]])),),
        outputs=(OutputPort(name="out", populations=("n",)),),
    )


def run(network: Network, counts: list[int]) -> tuple[list[int], list[float]]:
    recording = simulate_network(network, np.array(counts)[:, None], states_of=["n"])
    return recording.counts["n"][0, :, 0].tolist(), recording.potentials["n"][0, :, 0].tolist()


def test_equations_by_hand() -> None:
    counts, potentials = run(chain(alpha=0.5, beta=0.5, threshold=1.5, bias=0.25), [1, 0, 2])
    # u: 0 + 1 + .25 = 1.25; .625 + .5 + .25 = 1.375; .6875 + 2.25 + .25 = 3.1875 -> 2 spikes
    assert counts == [0, 0, 2]
    assert potentials == [1.25, 1.375, 3.1875 - 3.0]


def test_a_spike_needs_only_to_reach_the_threshold() -> None:
    assert run(chain(threshold=1.0), [1, 0])[0] == [1, 0]
    assert run(chain(threshold=np.nextafter(1.0, 2.0)), [1, 0])[0] == [0, 0]


def test_reset_to_a_value_keeps_the_count_but_not_the_rest() -> None:
    counts, potentials = run(chain(threshold=1.0, beta=1.0, reset="value", v_reset=-0.5), [3, 0])
    assert counts == [3, 0]
    assert potentials == [-0.5, -0.5]


def test_counts_stop_at_the_limit_and_an_infinite_threshold_never_fires() -> None:
    counts, potentials = run(chain(threshold=1.0, max_count=2, beta=1.0), [5, 0])
    assert counts == [2, 2]
    assert potentials == [3.0, 1.0]
    assert run(chain(threshold=np.inf, beta=1.0), [5, 1]) == ([0, 0], [5.0, 6.0])


@pytest.mark.parametrize("seed", range(25))
def test_networks_equal_a_plain_python_run(seed: int) -> None:
    """The same equations with dense matrices, one sample, no histories kept in rings."""
    network = random_network(seed)
    rng = np.random.default_rng(seed)
    inputs = {port.name: rng.integers(0, 4, (20, port.size)) for port in network.inputs}
    names = [population.name for population in network.populations]
    recording = simulate_network(network, inputs, counts_of=names)
    expected = plain_run(network, inputs, 20)
    assert sum(counts.sum() for counts in expected.values()) > 0
    for name in names:
        assert np.array_equal(recording.counts[name][0], expected[name])


def plain_run(network: Network, inputs: dict[str, np.ndarray], n_steps: int) -> dict[str, np.ndarray]:
    counts = {p.name: np.zeros((n_steps, p.size)) for p in network.populations} | inputs
    current = {p.name: np.zeros(p.alpha.shape) for p in network.populations}
    potential = {p.name: np.zeros(p.size) for p in network.populations}
    for t in range(n_steps):
        for p in network.populations:  # random_network lists them in order
            x = np.zeros(p.alpha.shape)
            for q in network.projections:
                if q.post == p.name and t >= q.delay_steps:
                    n = sum(counts[leaf][t - q.delay_steps] for leaf in expand_terms(network, q.pre))
                    x[q.synapse] += n @ q.weights.to_dense()
            current[p.name] = p.alpha * current[p.name] + x
            u = p.beta * potential[p.name] + current[p.name].sum(axis=0) + p.bias
            n = np.where(u < p.threshold, 0, np.minimum(np.floor(u / p.threshold), p.max_count))
            counts[p.name][t], potential[p.name] = n, u - n * p.threshold
    return counts


def test_silent_warm_up_is_a_shift_in_time() -> None:
    network = chain(threshold=1.0, bias=0.3, beta=1.0)
    long = simulate_network(network, np.zeros((1, 12, 1), int)).counts["n"]
    warm = simulate_network(network, np.zeros((1, 7, 1), int), warmup_steps={"n": 5}).counts["n"]
    assert np.array_equal(long[:, 5:], warm)
    assert warm.any()


@pytest.mark.parametrize(
    ("raster", "message"),
    [
        (np.zeros((1, 5, 2)), "wrong shape"),
        (np.zeros(5), "wrong shape"),
        (-np.ones((5, 1)), "non-negative"),
        (np.full((5, 1), 0.5), "non-negative integers"),
        (np.full((5, 1), np.nan), "non-negative integers"),
        ({"other": np.zeros((5, 1))}, "do not match"),
    ],
)
def test_wrong_rasters_are_refused(raster: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate_network(chain(), raster)


def test_a_network_without_meaning_does_not_run() -> None:
    loop = Projection(name="loop", pre="n", post="n", weights=CsrMatrix.from_dense([[1.0]]))
    network = chain()
    broken = Network(
        name="b",
        inputs=network.inputs,
        populations=network.populations,
        projections=(*network.projections, loop),
        outputs=network.outputs,
    )
    with pytest.raises(DesignRuleError, match="SNN103"):
        simulate_network(broken, np.zeros((5, 1)))

"""Order, loops and structure of networks, against brute force where there is one."""

from itertools import permutations

import networkx as nx
import numpy as np
import pytest
from random_networks import random_network

from snnmap.core import CsrMatrix
from snnmap.core.errors import DesignRuleError, NetworkError
from snnmap.network import (
    InputPort,
    Network,
    OutputPort,
    Population,
    Projection,
    SpikeSum,
    expand_terms,
    find_short_loops,
    find_structure_problems,
    find_zero_delay_loops,
    order_populations,
    require_structure,
)


def make_network(edges: list[tuple[str, str, int]], *, names: str = "abcd", sums: tuple[SpikeSum, ...] = ()) -> Network:
    """One neuron a population; edges are (pre, post, delay)."""
    return Network(
        name="loops",
        inputs=(InputPort(name="in", size=1),),
        populations=tuple(Population.create(name, 1, alpha=0.5, beta=0.5, threshold=1.0) for name in names),
        projections=tuple(
            Projection(
                name=f"{pre}->{post}#{k}", pre=pre, post=post, weights=CsrMatrix.from_dense(np.ones((1, 1))), delay_steps=delay
            )
            for k, (pre, post, delay) in enumerate(edges)
        ),
        outputs=(OutputPort(name="out", populations=(names[-1],)),),
        sums=sums,
        dt_s=1e-3,
    )


def shortest_slack(edges: list[tuple[str, str, int]], hop_steps: int) -> int:
    """Least sum of (delay - hop) over all simple cycles, by trying them all."""
    least = 1
    delays: dict[tuple[str, str], int] = {}
    for pre, post, delay in edges:
        delays[pre, post] = min(delay, delays.get((pre, post), delay))
    for length in range(1, 5):
        for cycle in permutations("abcd", length):
            steps = list(zip(cycle, (*cycle[1:], cycle[0]), strict=True))
            if all(step in delays for step in steps):
                least = min(least, sum(delays[step] - hop_steps for step in steps))
    return least


@pytest.mark.parametrize("seed", range(40))
def test_short_loops_agree_with_trying_every_cycle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = [(a, b) for a in "abcd" for b in "abcd" if rng.random() < 0.35]
    edges = [(a, b, int(rng.integers(0, 3))) for a, b in pairs]
    found = find_short_loops(make_network(edges), 1)
    assert bool(found) == (shortest_slack(edges, 1) < 0)
    for loop in found:
        assert loop.delay_steps < loop.needed_steps == len(loop.populations)


def test_parallel_edges_count_with_their_shortest_delay() -> None:
    loops = find_short_loops(make_network([("a", "b", 3), ("a", "b", 0), ("b", "a", 1)]), 1)
    assert [(set(loop.populations), loop.delay_steps, loop.needed_steps) for loop in loops] == [({"a", "b"}, 1, 2)]


@pytest.mark.parametrize("seed", range(20))
def test_order_puts_sources_first(seed: int) -> None:
    network = random_network(seed)
    position = {name: index for index, name in enumerate(order_populations(network))}
    assert set(position) == {population.name for population in network.populations}
    for projection in network.projections:
        for leaf in expand_terms(network, projection.pre):
            if projection.delay_steps == 0 and leaf in position:
                assert position[leaf] < position[projection.post]


@pytest.mark.parametrize("seed", range(40))
def test_order_is_that_of_networkx(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = "".join(rng.permutation(list("abcdefg")))
    forward = rng.permutation(list(names)).tolist()
    edges = [(a, b, 0) for k, a in enumerate(forward) for b in forward[k + 1 :] if rng.random() < 0.2]
    graph = nx.DiGraph([edge[:2] for edge in edges])
    graph.add_nodes_from(names)
    order = order_populations(make_network(edges, names=names))
    assert order == list(nx.lexicographical_topological_sort(graph, key=names.index))


def test_zero_delay_loops_are_found_through_sums() -> None:
    sums = (SpikeSum(name="s", terms=("b", "in")),)
    network = make_network([("in", "a", 0), ("a", "b", 0), ("s", "a", 0), ("c", "d", 1), ("d", "c", 1)], sums=sums)
    assert find_zero_delay_loops(network) == [["a", "b"]]
    with pytest.raises(DesignRuleError, match="SNN103"):
        require_structure(network)


def test_sums_of_sums_keep_every_summand() -> None:
    sums = (SpikeSum(name="s", terms=("a", "b")), SpikeSum(name="t", terms=("s", "a")))
    assert expand_terms(make_network([], sums=sums), "t") == ("a", "b", "a")


def test_sums_may_be_nested_deeply() -> None:
    sums = tuple(SpikeSum(name=f"s{k}", terms=(f"s{k - 1}" if k else "a", "b")) for k in range(2000))
    assert expand_terms(make_network([], sums=sums), "s1999") == ("a", *["b"] * 2000)


def test_zero_delay_loops_are_told_in_their_order() -> None:
    edges = [("a", "c", 0), ("c", "b", 0), ("b", "a", 0), ("c", "d", 0), ("d", "c", 0)]
    assert find_zero_delay_loops(make_network(edges)) == [["a", "c", "b"]]
    assert find_zero_delay_loops(make_network(edges[::-1])) == [["a", "c", "b"]]
    assert find_zero_delay_loops(make_network([("b", "b", 0)])) == [["b"]]


def test_circular_sums_are_reported_and_nothing_hangs() -> None:
    sums = (SpikeSum(name="s", terms=("t",)), SpikeSum(name="t", terms=("s",)))
    problems = list(find_structure_problems(make_network([("s", "a", 0)], sums=sums)))
    assert [problem.rule for problem in problems] == ["SNN104"]


def test_a_port_cannot_have_fewer_than_no_channels() -> None:
    with pytest.raises(NetworkError, match="negative number of channels"):
        InputPort(name="in", size=-1)

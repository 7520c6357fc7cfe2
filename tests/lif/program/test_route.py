"""Which memory, which relay and which slots a projection uses: told by name, then held against the folded weights themselves."""

from dataclasses import replace

import numpy as np
import pytest
from random_networks import random_network

from snnmap.chip import Chip, MemoryKind, load_chip
from snnmap.lif.mapping import fold_network
from snnmap.lif.program import MappedNetwork, Route, count_words, delay_on_chip, find_route, rebuild_projections
from snnmap.network import Network, Projection


def delayed_inputs() -> Chip:
    """A chip on which an input takes a step to the hidden neurons."""
    chip = load_chip("generic-4096")
    return replace(chip, name="delayed", input_weights=replace(chip.input_weights, delay_steps=1))


CHIPS = {"xylo-audio-3": load_chip("xylo-audio-3"), "delayed": delayed_inputs()}


@pytest.fixture(scope="module", params=[(name, seed) for name in CHIPS for seed in range(4)], ids=str)
def mapped(request: pytest.FixtureRequest) -> MappedNetwork:
    name, seed = request.param
    return fold_network(random_network(seed), CHIPS[name])


def read_block(mapped: MappedNetwork, projection: Projection) -> np.ndarray:
    """Read a projection's weights where its route says that they are."""
    route = mapped.route(projection.pre, projection.post, projection.delay_steps)
    targets = route.memory.target(
        hidden=mapped.table.hidden_slots(projection.post), outputs=mapped.table.output_slots(projection.post)
    )
    dense = mapped.weights(route.memory)[projection.synapse].to_dense()
    return np.asarray(dense[mapped.source_slots(projection.pre, route)][:, targets])


def test_each_projection_is_where_its_route_says(mapped: MappedNetwork) -> None:
    projections = list(rebuild_projections(mapped))
    routes = [mapped.route(p.pre, p.post, p.delay_steps) for p in projections]
    assert {route.memory for route in routes} == set(MemoryKind)
    assert max(route.hop for route in routes) > 0
    for projection in projections:
        assert np.array_equal(read_block(mapped, projection), projection.weights.to_dense())


def test_a_route_gives_the_delay_back(mapped: MappedNetwork) -> None:
    for projection in rebuild_projections(mapped):
        route = mapped.route(projection.pre, projection.post, projection.delay_steps)
        assert mapped.delay_of(projection.pre, projection.post, route.hop) == projection.delay_steps


def test_relays_of_inputs_and_of_neurons_run_behind(mapped: MappedNetwork) -> None:
    first = mapped.chip.memory(MemoryKind.INPUT).delay_steps
    port, name = mapped.inputs[0].name, "h0"
    assert [mapped.relay_lag(port, hop) for hop in range(3)] == [0, first, first + 1]
    assert [mapped.relay_lag(name, hop) - mapped.lags[name] for hop in range(3)] == [0, 1, 2]


def small_network() -> Network:
    network = random_network(0)
    assert {port.name for port in network.inputs} >= {"in0"}
    assert network.output_populations[0] == "o0"
    return network


@pytest.mark.parametrize(
    ("pre", "post", "hop", "memory"),
    [
        ("in0", "h0", 0, MemoryKind.INPUT),
        ("in0", "h0", 2, MemoryKind.RECURRENT),
        ("in0", "o0", 1, MemoryKind.OUTPUT),
        ("h0", "h1", 0, MemoryKind.RECURRENT),
        ("h0", "h1", 3, MemoryKind.RECURRENT),
        ("h0", "o0", 0, MemoryKind.OUTPUT),
        ("h0", "o0", 1, MemoryKind.OUTPUT),
    ],
)
def test_ends_and_hop_choose_the_memory(pre: str, post: str, hop: int, memory: MemoryKind) -> None:
    route = find_route(small_network(), pre, post, hop)
    assert route == Route(memory=memory, hop=hop)
    assert route.is_from_channels == (memory is MemoryKind.INPUT)


def test_relays_count_from_the_memory_at_the_source() -> None:
    network = small_network()
    delays = [delay_on_chip(network, delayed_inputs(), *ends) for ends in (("in0", "h0"), ("h0", "h1"), ("h0", "o0"))]
    assert delays == [1, 1, 1]
    assert delay_on_chip(network, load_chip("xylo-audio-3"), "in0", "h0") == 0


def test_a_weight_takes_a_word_for_each_source_and_relay() -> None:
    direct, relayed = Route(memory=MemoryKind.INPUT, hop=0), Route(memory=MemoryKind.RECURRENT, hop=1)
    arriving = [("a", direct), ("a", relayed), ("b", relayed), ("b", relayed)]
    assert dict(count_words(arriving)) == {MemoryKind.INPUT: 1, MemoryKind.RECURRENT: 2}

"""What is derived from a network once is seen by nobody else."""

import copy
import pickle
from dataclasses import asdict, replace

import pytest
from rule_cases import feedback, loop_of_sums, residual

from snnmap.core.cached import cached, hand_on
from snnmap.network import Network, expand_terms, find_zero_delay_loops, graph, is_sound, order_populations, require_structure


def ask(network: Network) -> None:
    require_structure(network)
    assert order_populations(network)
    assert find_zero_delay_loops(network) == []
    assert is_sound(network)
    assert network.source_sizes["h1"] == network.population("h1").size
    assert expand_terms(network, "in") == ("in",)


def test_a_structure_is_searched_once_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    sorts, whole = [], graph.heapify
    monkeypatch.setattr(graph, "heapify", lambda ready: sorts.append(1) or whole(ready))
    network = residual()
    for _ in range(5):
        ask(network)
    assert sum(sorts) == 1
    ask(replace(network, name="other"))
    assert sum(sorts) == 2


def test_it_is_invisible() -> None:
    network, asked = residual(), residual()
    text, plain, stored = repr(asked), asdict(asked), pickle.dumps(asked)
    ask(asked)
    assert asked == network
    assert (repr(asked), pickle.dumps(asked)) == (text, stored)
    assert asdict(asked).keys() == plain.keys()
    for copied in (pickle.loads(stored), copy.copy(asked), copy.deepcopy(asked), replace(asked)):
        assert copied == network
        assert not hasattr(copied, "_derived")


def test_what_is_given_can_be_changed_without_harm() -> None:
    network = feedback(0)
    order_populations(residual()).clear()
    find_zero_delay_loops(network)[0].clear()
    assert find_zero_delay_loops(network) == [["h1", "h2"]]
    with pytest.raises(TypeError):
        network.source_sizes["h1"] = 3


def test_an_error_is_no_result() -> None:
    calls = []

    @cached
    def fail(network: Network) -> None:
        calls.append(network.name)
        raise ValueError("no meaning")

    network = loop_of_sums()
    for _ in range(2):
        with pytest.raises(ValueError, match="no meaning"):
            fail(network)
    assert len(calls) == 2


def test_what_was_computed_is_handed_on_and_nothing_else() -> None:
    calls = []

    @cached
    def count(network: Network) -> int:
        calls.append(network.name)
        return len(calls)

    one, other = residual(), replace(residual(), name="other")
    assert not hasattr(hand_on(count, one, replace(one)), "_derived")
    assert (count(one), count(hand_on(count, one, other)), count(one)) == (1, 1, 1)
    assert order_populations(other) == order_populations(one)

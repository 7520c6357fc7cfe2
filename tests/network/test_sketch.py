"""A network in a line: what is in it, what is told."""

from typing import Any

import numpy as np
import pytest

from snnmap.core.errors import NetworkError
from snnmap.network import require_structure, sketch_network


def test_layers_in_a_row_are_joined_and_the_last_is_read() -> None:
    network = sketch_network({"in": 2, "a": 3, "b": 4, "out": 1})
    assert [(p.pre, p.post, p.weights.shape) for p in network.projections] == [
        ("in", "a", (2, 3)), ("a", "b", (3, 4)), ("b", "out", (4, 1)),
    ]  # fmt: skip
    assert network.output_populations == ("out",)
    assert [p.max_count[0] for p in network.populations] == [31, 31, 1]
    require_structure(network)
    assert network == sketch_network({"in": 2, "a": 3, "b": 4, "out": 1})


def test_weights_delays_and_parameters_are_given_by_name() -> None:
    network = sketch_network(
        {"in": 2, "h": 2, "out": 1},
        weights={"h->out": [[1.0], [2.0]], "h->h": 0.5},
        delay_steps={"h->h": 3, "in->h": 1},
        bias={"h": [0.25, 0.5]},
        readout="potential",
    )
    first, second, third = network.projections
    assert (first.delay_steps, second.delay_steps, third.delay_steps) == (1, 0, 3)
    assert second.weights.to_dense().tolist() == [[1.0], [2.0]]
    assert third.weights.to_dense().tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert network.population("h").bias.tolist() == [0.25, 0.5]
    assert np.all(network.population("out").bias == 0)
    assert network.outputs[0].readout == "potential"


@pytest.mark.parametrize(
    ("sizes", "options", "told"),
    [
        ({"in": 2, "h": 2}, {"bias": {"hh": 1}}, "no 'hh'"),
        ({"in": 2, "h": 2}, {"bias": {"in": 1}}, "no 'in'"),
        ({"in": 2, "h": 2}, {"delay_steps": {"h->h": 1}}, "no 'h->h'"),
        ({"in": 2}, {}, "no layer"),
        ({"in": 2, "h": 2}, {"bias": {"h": [1, 2, 3]}}, "does not fit"),
    ],
)
def test_what_is_of_nothing_is_told(sizes: dict[str, int], options: dict[str, Any], told: str) -> None:
    with pytest.raises(NetworkError, match=told):
        sketch_network(sizes, **options)

"""The order of cores: what it saves is what the instructions send less, no two more can change places, values stay."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from crossbar_variants import GRID, ODD, resize
from quantised_networks import Quantised, make_mobilenet, make_resnet, make_small

from snnmap.crossbar import Architecture, MappingOptions, compile_graph, find_differences
from snnmap.crossbar.mapping.order import count_hop_bytes
from snnmap.crossbar.report import measure_costs
from snnmap.frontends.onnx import read_layer_graph

MESH = replace(resize(GRID, 16, 4, 2, 4), cores=9, noc=replace(GRID.noc, columns=3))
ARCHITECTURES: dict[str, Architecture] = {"grid": GRID, "mesh": MESH, **ODD}
NETWORKS = {"small": make_small, "mobilenet": lambda: make_mobilenet(32, 8, 10), "resnet": lambda: make_resnet(18, 32, 8, 10)}


def make_wide() -> Any:
    """A layer of five row parts on as many cores of a mesh, and one beside it: all in one cycle."""
    net = Quantised((16, 6, 6))
    return net.model(net.conv(net.conv("q", 16), 4, (1, 1)))


@pytest.mark.parametrize("copies", [1, 4])
@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("network", NETWORKS)
def test_it_saves_what_it_says_and_changes_no_value(network: str, name: str, copies: int) -> None:
    graph = read_layer_graph(NETWORKS[network]())
    rule, moved = (
        compile_graph(graph, ARCHITECTURES[name], options=MappingOptions(copies=copies, order=order))
        for order in ("rule", "traffic")
    )
    before, after = (measure_costs(built.image).traffic_hop_bytes for built in (rule, moved))
    assert before - after == moved.mapped.saved_hop_bytes >= 0
    assert (f", {before} with cores in the order of the rule" in moved.summary) == (before > after)
    inputs = np.random.default_rng(0).normal(0, 1, (1, *graph.inputs["x"].shape)).astype(np.float32)
    assert not any(find_differences(moved, inputs).values())


def test_it_saves_much_on_published_networks() -> None:
    graph = read_layer_graph(make_mobilenet(32))
    built = compile_graph(graph, GRID, options=MappingOptions(order="traffic"))
    assert built.mapped.saved_hop_bytes > 0.2 * measure_costs(built.image).traffic_hop_bytes


def test_no_two_cores_can_change_places_to_any_use() -> None:
    graph = read_layer_graph(make_wide())
    assert compile_graph(graph, MESH).mapped.n_cycles == 1
    mapped = compile_graph(graph, MESH, options=MappingOptions(order="traffic")).mapped
    assert mapped.saved_hop_bytes > 0
    for one, other in combinations(range(MESH.cores), 2):
        places = {one: other, other: one}
        tiles = tuple(replace(tile, core=places.get(tile.core, tile.core)) for tile in mapped.tiles)
        assert count_hop_bytes(replace(mapped, tiles=tiles)) >= count_hop_bytes(mapped)

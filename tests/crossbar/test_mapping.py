"""The mission's rule, splits by rows, blocks of groups, copies: counted without the mapper's own words."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from crossbar_variants import GRID, ODD, change, resize
from quantised_networks import Quantised, make_mobilenet, make_small, run_onnxruntime

from snnmap.core.errors import InputError
from snnmap.crossbar import Architecture, Built, MappingOptions, compile_graph, find_differences, load_architecture
from snnmap.crossbar.report import measure_costs, measure_utilisation
from snnmap.frontends.onnx import read_layer_graph

ARCHITECTURES: dict[str, Architecture] = {"grid": GRID, "fixed": load_architecture("fixed-128"), **ODD}


def count_cells(built: Built) -> Counter[tuple[int, int, int, int]]:
    """How often each weight is placed: layer, block, row, filter."""
    found: Counter[tuple[int, int, int, int]] = Counter()
    for tile in built.mapped.tiles:
        layer = built.mapped.strips[tile.strip].layer
        for block in range(tile.first_block, tile.first_block + tile.n_blocks):
            rows, filters = range(tile.n_rows), range(tile.n_filters)
            found.update((layer, block, tile.first_row + row, tile.first_filter + one) for row in rows for one in filters)
    return found


@pytest.mark.parametrize("fill", ["present", "first"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_weight_is_placed_once_and_no_element_twice(name: str, fill: Any) -> None:
    built = compile_graph(read_layer_graph(make_small()), ARCHITECTURES[name], options=MappingOptions(fill=fill))
    wanted = {
        (number, block, row, one)
        for number, layer in built.program.matrices
        for block, row, one in np.ndindex(layer.n_blocks, layer.n_rows, layer.n_filters)
    }
    found = count_cells(built)
    assert set(found) == wanted
    assert set(found.values()) == {1}
    taken = Counter(
        (tile.cycle, tile.core, row + down, column + right)
        for tile in built.mapped.tiles
        for row, column in tile.corners
        for down in range(tile.height)
        for right in range(tile.width)
    )
    assert set(taken.values()) == {1}


def test_the_rule_goes_from_core_to_core_and_from_cycle_to_cycle() -> None:
    """A layer of 300 filters of 128 rows: 32 columns of 4 filters on each core, the rest on the next."""
    net = Quantised((128,))
    built = compile_graph(read_layer_graph(net.model(net.dense("q", 300))), GRID)
    assert [(tile.cycle, tile.core, tile.first_filter, tile.n_filters) for tile in built.mapped.tiles] == [
        (0, 0, 0, 128), (0, 1, 128, 128), (0, 2, 256, 44),
    ]  # fmt: skip
    wide = Quantised((128,))
    built = compile_graph(read_layer_graph(wide.model(wide.dense("q", 2100))), GRID)
    assert [(tile.cycle, tile.core) for tile in built.mapped.tiles] == [*((0, core) for core in range(16)), (1, 0)]


def test_rows_beyond_a_chain_are_split_and_summed_up() -> None:
    net = Quantised((300,))
    model = net.model(net.dense("q", 8))
    built = compile_graph(read_layer_graph(model), GRID)
    assert [(tile.first_row, tile.n_rows, tile.height) for tile in built.mapped.tiles] == [
        (0, 128, 8),
        (128, 128, 8),
        (256, 44, 3),
    ]
    inputs = np.random.default_rng(0).normal(0, 1, (5, 300)).astype(np.float32)
    (levels,) = built.run(inputs).values()
    assert np.array_equal(levels.reshape(5, 8), run_onnxruntime(model, inputs)["dense1"])


def test_groups_share_an_element_where_it_has_room() -> None:
    """Depthwise filters of 9 weights: one an element of 16 x 4, 14 along the diagonal of a crossbar of 128 x 128."""
    net = Quantised((28, 6, 6))
    graph = read_layer_graph(net.model(net.conv("q", 28, group=28)))
    counts = [sum(tile.n_elements for tile in compile_graph(graph, name).mapped.tiles) for name in ("grid-128", "fixed-128")]
    assert counts == [28, 2]


@pytest.mark.parametrize(
    ("columns", "joined", "unit"), [(10, 1, (3, 1)), (10, 2, (3, 1)), (5, 2, (3, 2)), (4, 2, (1, 1)), (9, 2, (3, 1))]
)
def test_columns_that_fill_no_weight_stay_idle(columns: int, joined: int, unit: tuple[int, int]) -> None:
    """Weights of three cells, where switches join too few elements to fill all columns."""
    architecture = change(resize(GRID, 16, columns, 4, 4), "weights", cell_bits=3)
    architecture = change(architecture, "switches", horizontal=joined)
    assert architecture.unit == unit
    graph = read_layer_graph(make_small())
    built = compile_graph(graph, architecture)
    use = measure_utilisation(built.mapped)
    assert use.bound <= use.cycles
    assert all(tile.width <= joined for tile in built.mapped.tiles)
    assert set(count_cells(built).values()) == {1}
    inputs = np.random.default_rng(0).normal(0, 1, (2, 3, 12, 12)).astype(np.float32)
    assert not any(find_differences(built, inputs).values())


@pytest.mark.parametrize("make", [make_small, lambda: make_mobilenet(32, 8, 10)], ids=["small", "mobilenet"])
def test_copies_share_the_windows_of_the_slowest_layers(make: Any) -> None:
    model = make()
    graph = read_layer_graph(model)
    cycles, inputs = [], np.random.default_rng(0).normal(0, 1, (2, *graph.inputs["x"].shape)).astype(np.float32)
    for most in (1, 2, 4, 16):
        built = compile_graph(graph, GRID, options=MappingOptions(copies=most))
        assert built.mapped.n_cycles == measure_utilisation(built.mapped).bound
        assert 1 <= min(built.mapped.copies.values()) <= max(built.mapped.copies.values()) <= most
        counts = count_cells(built)
        assert {(key[0], count) for key, count in counts.items()} == set(built.mapped.copies.items())
        found, wanted = built.run(inputs, keep="all"), run_onnxruntime(model, inputs)
        tensors = {node.name: node.tensor for node in graph.nodes if graph.types[node.name].dtype == "uint8"}
        assert all(np.array_equal(found[name].reshape(wanted[one].shape), wanted[one]) for name, one in tensors.items())
        cycles.append(measure_costs(built.image).compute_cycles)
    assert cycles[0] > 1.5 * max(cycles[1:])


def test_copies_share_their_constants() -> None:
    net = Quantised((4, 8, 8))
    graph = read_layer_graph(net.model(net.conv("q", 6)))
    once, twice = (compile_graph(graph, GRID, options=MappingOptions(copies=count)) for count in (1, 2))
    assert len(twice.mapped.strips) == 2 * len(once.mapped.strips)
    assert twice.image.constants == once.image.constants


def test_copies_never_cost_a_computation_cycle() -> None:
    model = make_mobilenet(32)
    once, more = (compile_graph(read_layer_graph(model), GRID, options=MappingOptions(copies=count)) for count in (1, 4))
    assert once.mapped.n_cycles == more.mapped.n_cycles == 18


def test_options_out_of_range() -> None:
    with pytest.raises(InputError, match=r"(?s)out of range.*MappingOptions.copies.*measured: 0"):
        MappingOptions(copies=0)

"""The loop of returns against exact searches, one of them written for the test."""

import numpy as np
import pytest
from pipeline_cases import LARGE, add_costs, build, draw_budget, find_interval, list_all, make_device, solve_by_merging
from quantised_networks import make_mobilenet, make_resnet, make_small
from random_quantised import make_random
from random_wide import make_wide

from snnmap.core.errors import NetworkError
from snnmap.dataflow.allocate import list_choices, raise_slowest, search_exact
from snnmap.dataflow.lower import lower_graph
from snnmap.frontends.onnx import read_layer_graph


@pytest.mark.parametrize(("multipliers", "limit"), [(256, 1.09), (830, 1.05)])
def test_mobilenet_is_near_the_ideal_and_the_loop_is_exact(multipliers: int, limit: float) -> None:
    network = lower_graph(read_layer_graph(make_mobilenet()), LARGE)
    choices = [list_choices(layer, LARGE) for layer in network.layers]
    budget = np.array([multipliers, 10**6, 0])
    found = find_interval(choices, raise_slowest(choices, budget))
    assert found == find_interval(choices, search_exact(choices, budget))
    assert found is not None
    assert found * multipliers / network.n_macs <= limit


@pytest.mark.parametrize("seed", range(50))
def test_two_budgets_on_small_graphs(seed: int) -> None:
    """Within 2% of the exact optimum, and a solution wherever there is one."""
    choices, budget = draw_budget(seed)
    wanted = solve_by_merging(choices, budget)
    exact, loop = search_exact(choices, budget), raise_slowest(choices, budget)
    assert find_interval(choices, exact) == wanted
    found = find_interval(choices, loop)
    assert (found is None) == (wanted is None)
    for numbers in (one for one in (exact, loop) if one is not None):
        assert (add_costs(choices, numbers) <= budget).all()
    if found is not None and wanted is not None:
        assert wanted <= found <= 1.02 * wanted


def test_no_choice_is_beaten_by_another() -> None:
    for choice in list_all(make_small(), make_device(30)):
        points = np.column_stack([choice.cycles, choice.costs])
        if choice.stages[0].layer.matrix is not None:
            for one in points:
                assert ((points <= one).all(axis=1)).sum() == 1


def test_several_templates_fit_and_the_best_return_is_taken() -> None:
    names = {stage.template.name for choice in list_all(make_small(), make_device(60)) for stage in choice.stages}
    assert {"convolution", "convolution-n", "depthwise", "depthwise-n", "pointwise", "pointwise-n", "dense"} <= names
    taken = {stage.template.name for stage in build(make_mobilenet(64), LARGE, multipliers=200).stages}
    assert {"pointwise", "pointwise-n", "depthwise"} <= taken


def test_a_target_is_met_with_the_fewest_multipliers() -> None:
    full = build(make_resnet(18, 32, 8, 10))
    aimed = build(make_resnet(18, 32, 8, 10), fps=full.samples_per_second / 3)
    assert aimed.samples_per_second >= full.samples_per_second / 3
    assert aimed.multipliers < full.multipliers / 2


def test_weights_are_streamed_where_memory_is_short() -> None:
    roomy = build(make_mobilenet(32, 8, 100), make_device(60), memory_blocks=100_000)
    short = (roomy.weight_blocks + roomy.buffer_blocks) * 3 // 4
    with pytest.raises(NetworkError):
        build(make_mobilenet(32, 8, 100), make_device(60), memory_blocks=short)
    streamed = build(make_mobilenet(32, 8, 100), make_device(60), memory_blocks=short, stream_weights=True)
    assert any(stage.is_streamed for stage in streamed.stages)
    assert streamed.weight_blocks + streamed.buffer_blocks <= short
    assert sum(stage.costs[2] for stage in streamed.stages) <= streamed.device.memory.external_bytes_per_cycle


def test_memory_that_some_pipeline_needs_is_enough() -> None:
    """With buffers: what fewer multipliers need is enough for more, and no slower."""
    for seed in range(20):
        model = (make_random, make_wide)[seed % 2](seed)
        small = build(model, make_device(20))
        tight = build(model, make_device(60, blocks=small.weight_blocks + small.buffer_blocks))
        assert tight.weight_blocks + tight.buffer_blocks <= small.weight_blocks + small.buffer_blocks
        assert tight.interval <= small.interval


@pytest.mark.parametrize("search", ["loop", "exact"])
def test_budgets_are_kept(search: str) -> None:
    for multipliers in (12, 40, 200):
        pipeline = build(make_small(), make_device(multipliers), search=search)
        assert pipeline.multipliers <= multipliers
        assert pipeline.interval >= pipeline.bound


def test_divisors_alone() -> None:
    for stage in build(make_small(), parallelism="divisors").stages:
        loops, factors = stage.layer.loops, stage.parallelism
        assert [loops.outputs % factors.outputs, loops.channels % factors.channels, loops.kernel % factors.kernel] == [0, 0, 0]

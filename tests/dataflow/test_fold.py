"""Mixed architectures: the first layers with hardware of their own, the rest on one unit."""

import numpy as np
import pytest
from pipeline_cases import LARGE, SMALL, build, draw_inputs, make_device, make_skip
from quantised_networks import make_mobilenet, make_small

from snnmap.core.errors import InputError, NetworkError
from snnmap.dataflow import find_differences, format_html, format_pipeline, simulate_timing
from snnmap.dataflow.allocate import choose_cut
from snnmap.dataflow.lower import lower_graph
from snnmap.dataflow.report import measure_pipeline
from snnmap.frontends.onnx import read_layer_graph


def test_the_cut_is_where_weights_need_more_bandwidth_than_activations() -> None:
    """Of MobileNet V1 the first layers of large pictures stay apart; within them is the highest bandwidth."""
    network = lower_graph(read_layer_graph(make_mobilenet()), LARGE)
    cut = choose_cut(network)
    weights = np.array([layer.n_weights for layer in network.layers])
    streams = network.streams
    values = np.array(
        [sum(streams[name].n_words * streams[name].channels for name in (*layer.sources, layer.name)) for layer in network.layers]
    )
    assert weights[cut:].sum() > values[cut:].sum()
    assert weights[cut - 1 :].sum() <= values[cut - 1 :].sum()
    assert network.layers[cut].name == "conv9"
    assert values.argmax() < cut


def test_a_mixed_architecture_needs_less_memory_and_computes_the_same() -> None:
    spatial, mixed = (build(make_mobilenet(32, 8, 10), LARGE, multipliers=60, cut=cut) for cut in (None, "auto"))
    found = simulate_timing(mixed)
    assert (found.interval, found.is_steady, found.stalls) == (mixed.interval, True, 0)
    assert mixed.unit is not None
    assert mixed.multipliers <= 60
    assert mixed.weight_blocks < spatial.weight_blocks
    assert not any(find_differences(mixed, draw_inputs(mixed)).values())
    assert "layers share a unit of" in format_pipeline(mixed, found)
    assert "one unit of" in format_html(mixed, found)
    shared = [layer for layer in measure_pipeline(mixed, found).layers if layer.is_shared]
    assert [layer.stage.layer.name for layer in shared] == [stage.layer.name for stage in mixed.unit.stages]


@pytest.mark.parametrize("cut", ["conv3", "add5", "conv6", "dense10"])
def test_every_cut_across_a_skip(cut: str) -> None:
    mixed = build(make_small(), SMALL, multipliers=60, cut=cut)
    assert mixed.unit is not None
    assert mixed.unit.stages[0].layer.name == cut
    assert simulate_timing(mixed).interval == mixed.interval >= mixed.unit.cycles
    assert not any(find_differences(mixed, draw_inputs(mixed)).values())


def test_the_unit_waits_for_weights_that_come_slowly() -> None:
    unit = build(make_small(), SMALL, multipliers=60, cut="conv6").unit
    assert unit is not None
    slow = type(unit)(stages=unit.stages, multipliers=unit.multipliers, link_bytes=0.1, memory_bytes=unit.memory_bytes)
    assert slow.cycles >= unit.weight_bytes / 0.1 > unit.cycles


def test_a_target_is_met_by_a_mixed_architecture_too() -> None:
    fast = build(make_small(), SMALL, multipliers=60, cut="conv6")
    slow = build(make_small(), SMALL, multipliers=60, cut="conv6", fps=fast.samples_per_second / 4)
    assert slow.samples_per_second >= fast.samples_per_second / 4
    assert slow.multipliers < fast.multipliers
    with pytest.raises(NetworkError, match="as fast as the target"):
        build(make_small(), SMALL, multipliers=60, cut="conv6", fps=fast.samples_per_second * 1.2)


def test_cuts_that_leave_nothing() -> None:
    with pytest.raises(InputError, match="did you mean 'conv3'"):
        build(make_small(), SMALL, cut="conv33")
    with pytest.raises(InputError, match="share a unit"):
        build(make_small(), SMALL, cut="conv1")
    with pytest.raises(NetworkError, match="first layers and a unit"):
        build(make_skip(), make_device(4), cut="conv6")

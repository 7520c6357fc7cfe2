"""Buffers as large as they must be, and no larger: simulated to the word."""

import re
from typing import Any

import numpy as np
import pytest
from pipeline_cases import LARGE, SMALL, build, make_skip
from quantised_networks import Quantised, make_mobilenet, make_resnet, make_small
from random_quantised import make_random
from random_wide import make_wide

from snnmap.core.errors import InputError
from snnmap.dataflow import Buffer, DeadlockError, Pipeline, simulate_timing
from snnmap.dataflow.report import draw_timeline
from snnmap.dataflow.simulate import find_steady_state

NETWORKS: dict[str, Any] = {
    "small": lambda: build(make_small()),
    "skip": lambda: build(make_skip(), multipliers=64),
    "mobilenet": lambda: build(make_mobilenet(32, 8, 10), LARGE),
    "resnet-18": lambda: build(make_resnet(18, 32, 8, 10), multipliers=100),
    "wide": lambda: build(make_wide(9), multipliers=60),
}


@pytest.fixture(scope="module", params=NETWORKS)
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    made: Pipeline = NETWORKS[request.param]()
    return made


def test_the_interval_is_the_slowest_stages_and_nothing_stalls(pipeline: Pipeline) -> None:
    found = simulate_timing(pipeline)
    assert found.is_steady
    assert found.interval == pipeline.interval >= max(stage.cycles for stage in pipeline.stages)
    assert found.stalls == 0
    assert not found.blocked
    assert all(stage.busy + stage.idle + stage.stalled == pipeline.interval for stage in found.stages.values())


def test_every_buffer_is_full_at_times(pipeline: Pipeline) -> None:
    found = simulate_timing(pipeline)
    assert found.held == {buffer.name: buffer.depth for buffer in pipeline.buffers}


def find_held_back(pipeline: Pipeline, buffer: Buffer) -> str:
    """What a run says of a buffer of one word less."""
    try:
        found = simulate_timing(pipeline, n_samples=8, depths={buffer.name: buffer.depth - 1})
    except DeadlockError as error:
        return error.measured
    return " ".join(found.blocked_ever)


def test_one_word_less_of_any_buffer_stalls_or_deadlocks_there(pipeline: Pipeline) -> None:
    assert [buffer.name for buffer in pipeline.buffers if buffer.name not in find_held_back(pipeline, buffer)] == []


def test_a_buffer_holds_a_window_where_one_lies_within(pipeline: Pipeline) -> None:
    layers = {stage.layer.name: stage.layer for stage in pipeline.stages}
    for buffer in pipeline.buffers:
        layer = layers[buffer.reader]
        most = int((layer.flow.needs[buffer.place] - np.append(0, layer.flow.frees[buffer.place][:-1])).max())
        assert buffer.depth >= most
        assert most <= max(layer.line_words, most if layer.kind not in ("convolution", "depthwise", "pointwise", "pool") else 0)


def test_more_words_change_nothing(pipeline: Pipeline) -> None:
    found = simulate_timing(pipeline)
    more = {buffer.name: buffer.depth + 7 for buffer in pipeline.buffers}
    roomy = simulate_timing(pipeline, depths=more, n_samples=found.n_samples)
    assert (roomy.intervals, roomy.latency, roomy.held) == (found.intervals, found.latency, found.held)


def test_a_run_reaches_the_state_that_the_closed_form_gives(pipeline: Pipeline) -> None:
    state, found = find_steady_state(pipeline.network, pipeline.stages, pipeline.interval), simulate_timing(pipeline)
    start = (found.n_samples - 1) * pipeline.interval
    for name, span in found.spans.items():
        assert (span[-1] - start).tolist() == state.handed[name][[0, -1]].tolist()


def test_a_skip_waits_in_a_buffer_of_the_latency_between() -> None:
    pipeline = build(make_skip(), multipliers=64)
    skip = next(buffer for buffer in pipeline.buffers if buffer.stream == "conv1" and buffer.reader == "add5")
    assert skip.depth > 3 * 10  # three line buffers' rows
    with pytest.raises(DeadlockError, match="conv1 -> add5") as refused:
        simulate_timing(pipeline, depths={skip.name: 10})
    assert "10 words" in refused.value.measured


@pytest.mark.parametrize("seed", [*range(20), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(20, 200))])
def test_random_networks_are_steady(seed: int) -> None:
    pipeline = build((make_random, make_wide)[seed % 2](seed), multipliers=20 + seed * 7 % 200)
    found = simulate_timing(pipeline)
    assert (found.interval, found.stalls, found.is_steady) == (pipeline.interval, 0, True)
    assert found.held == {buffer.name: buffer.depth for buffer in pipeline.buffers}


def test_the_peers_frame_rate_with_its_own_parallelism() -> None:
    """Divisors alone, 830 multipliers, 320 x 240: 1,228,800 cycles, 162.76 frames a second at 200 MHz."""
    pipeline = build(make_mobilenet((240, 320)), LARGE, fps=162.76, parallelism="divisors")
    found = simulate_timing(pipeline)
    assert found.interval == 1_228_800
    assert round(pipeline.device.clock_mhz * 1e6 / found.interval, 2) == 162.76
    assert pipeline.multipliers <= 830


def make_narrow() -> Any:
    """A network of one word a sample, whose latency is many intervals."""
    net = Quantised((4, 1, 1), 0)
    return net.model(net.conv(net.conv("q", 8, (1, 1)), 8, (3, 3), pads=[1] * 4))


@pytest.mark.parametrize("depth", range(1, 8))
def test_steady_is_what_stays_so(depth: int) -> None:
    """Where a buffer holds several samples, a few equal ones show nothing yet: all later ones are looked at."""
    pipeline = build(make_narrow(), LARGE, multipliers=1000)
    name = next(buffer.name for buffer in pipeline.buffers if buffer.reader == "conv2")
    found = simulate_timing(pipeline, depths={name: depth})
    later = simulate_timing(pipeline, depths={name: depth}, n_samples=200)
    assert found.is_steady == (len(set(later.intervals[20:])) == 1 and later.intervals[-1] == pipeline.interval)
    assert bool(found.blocked) == bool(later.blocked) == (not found.is_steady)


def test_the_latency_counts_the_last_layers_own() -> None:
    pipeline = build(make_narrow(), LARGE, multipliers=1000)
    found = simulate_timing(pipeline)
    assert found.latency == found.stages["conv2"].first_word  # its only word
    state = find_steady_state(pipeline.network, pipeline.stages, pipeline.interval)
    assert found.steady_latency == state.ready["conv2"][-1]


def test_a_single_word_is_seen_in_the_timeline() -> None:
    """Which comes in no time: its bar has no width, but an edge."""
    pipeline = build(make_narrow(), LARGE, multipliers=1000)
    found = simulate_timing(pipeline)
    picture = draw_timeline(pipeline, found, "svg").decode()
    assert len(re.findall(r"stroke-width: 1.2", picture)) == len(found.spans) * found.n_samples


def test_what_cannot_be_run_is_refused() -> None:
    pipeline = build(make_small(), SMALL)
    with pytest.raises(InputError, match="no such buffer"):
        simulate_timing(pipeline, depths={"nowhere": 3})
    for count in (1, 2.5):
        with pytest.raises(InputError, match="too few samples"):
            simulate_timing(pipeline, n_samples=count)  # type: ignore[arg-type]
    for depth in (1.5, -1, True):
        with pytest.raises(InputError, match="whole words"):
            simulate_timing(pipeline, depths={pipeline.buffers[0].name: depth})  # type: ignore[dict-item]


def test_a_run_in_numbers_alone() -> None:
    """Two firings of a source, a stage of 3 cycles: by hand."""
    pipeline = build(make_small(), SMALL)
    first = pipeline.stages[0]
    state = find_steady_state(pipeline.network, pipeline.stages, pipeline.interval)
    come = np.arange(144) * pipeline.interval // 144
    assert state.ready["quantise"].tolist() == come.tolist()
    assert state.starts["conv1"][0] == come[12 + first.parallelism.places]  # a row, and the places of the first firing

"""Histograms of the last events: the same however they are reached, and as by counting anew."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnmap.core.errors import InputError
from snnmap.events import Events, HistogramOptions, SlidingHistogram, histogram_changes, histogram_frames


def draw_events(n_events: int, shape: tuple[int, int] = (3, 4), seed: int = 0) -> Events:
    rng = np.random.default_rng(seed)
    y, x, polarity = (rng.integers(0, limit, n_events) for limit in (*shape, 2))
    return Events(t_us=np.arange(n_events), x=x, y=y, polarity=polarity, shape=shape)


def count_anew(events: Events, n_come: int, tau: int) -> Any:
    counts = np.zeros((2, *events.shape))
    for event_idx in range(max(0, n_come - tau), n_come):
        counts[events.polarity[event_idx], events.y[event_idx], events.x[event_idx]] += 1
    return counts


options = st.builds(
    HistogramOptions,
    tau_events=st.integers(1, 30),
    nu_events=st.integers(1, 12),
    first_events=st.none() | st.integers(1, 40),
    scale=st.sampled_from([1.0, 16.0]),
)


@settings(deadline=None)
@given(n_events=st.integers(0, 60), options=options, seed=st.integers(0, 5))
def test_frames_are_counts_of_the_last_events(n_events: int, options: HistogramOptions, seed: int) -> None:
    events = draw_events(n_events, seed=seed)
    frames = histogram_frames(events, options)
    ends = range(options.first_events or options.nu_events, n_events + 1, options.nu_events)
    assert frames.shape == (len(ends), 2, 3, 4)
    for frame, end in zip(frames, ends, strict=True):
        assert np.array_equal(frame, count_anew(events, end, options.tau_events) / options.scale)


@settings(deadline=None)
@given(n_events=st.integers(0, 60), options=options, seed=st.integers(0, 5))
def test_changes_add_up_to_frames(n_events: int, options: HistogramOptions, seed: int) -> None:
    events = draw_events(n_events, seed=seed)
    changes, total = histogram_changes(events, options), np.zeros(24, np.float32)
    frames = histogram_frames(events, options)
    assert len(changes) == len(frames)
    for (indices, values), frame in zip(changes, frames, strict=True):
        assert (np.diff(indices) > 0).all()
        assert (values != 0).all()
        total[indices] += values
        assert np.array_equal(total.reshape(frame.shape), frame)


@settings(deadline=None, max_examples=40)
@given(options=options, parts=st.lists(st.integers(0, 9), max_size=8))
def test_a_stream_is_the_same_however_it_is_divided(options: HistogramOptions, parts: list[int]) -> None:
    events = draw_events(sum(parts))
    by_event, by_part, n_come = SlidingHistogram((3, 4), options), SlidingHistogram((3, 4), options), 0
    for n_events in parts:
        before = by_part.values
        indices, values = by_part.update(events[n_come : n_come + n_events])
        before.reshape(-1)[indices] += values
        for event_idx in range(n_come, n_come + n_events):
            assert len(by_event.update(events[event_idx : event_idx + 1])[0]) <= 2
        n_come += n_events
        assert np.array_equal(by_part.values, by_event.values)
        assert np.array_equal(by_part.values, before)
        assert np.array_equal(by_part.values, count_anew(events, n_come, options.tau_events) / options.scale)


def test_event_by_event_and_batches_agree_where_they_meet() -> None:
    events = draw_events(200)
    single = histogram_frames(events, HistogramOptions(tau_events=50, nu_events=1))
    batches = histogram_frames(events, HistogramOptions(tau_events=50, nu_events=10))
    assert np.array_equal(single[9::10], batches)


def test_changes_need_no_memory_for_pixels() -> None:
    events = draw_events(1000, shape=(2000, 2000))
    changes = histogram_changes(events, HistogramOptions(tau_events=100, nu_events=1))
    assert len(changes) == 1000
    assert len(changes.indices) <= 1900


def test_an_event_that_takes_the_place_of_its_like_changes_nothing() -> None:
    events = Events(t_us=[0, 1, 2], x=[0, 0, 0], y=[0, 0, 0], polarity=[1, 1, 1], shape=(1, 1))
    changes = histogram_changes(events, HistogramOptions(tau_events=1, nu_events=1, scale=1.0))
    assert [(indices.tolist(), values.tolist()) for indices, values in changes] == [([1], [1.0]), ([], []), ([], [])]


def test_the_defaults_are_those_published() -> None:
    assert HistogramOptions() == HistogramOptions(tau_events=2000, nu_events=100, first_events=None, scale=16.0)


@pytest.mark.parametrize("name", ["tau_events", "nu_events", "first_events", "scale"])
def test_options_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"HistogramOptions.{name}"):
        HistogramOptions(**{name: 0})


def test_events_of_another_sensor_are_refused() -> None:
    with pytest.raises(InputError, match="another sensor"):
        SlidingHistogram((4, 3)).update(draw_events(1))

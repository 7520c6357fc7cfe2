"""Simulated cameras: what must hold of any, whatever the images."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnmap.core.errors import InputError
from snnmap.events import Camera, Events, simulate_events


def draw_levels(seed: int = 0, n_frames: int = 6) -> Any:
    return np.random.default_rng(seed).normal(0, 1, (n_frames, 4, 5))


def draw_times(n_frames: int = 6) -> Any:
    return np.arange(n_frames) * 1000.0


def count_by_pixel(events: Events, polarity: int) -> Any:
    return np.bincount(events.flat_indices(), minlength=2 * 20).reshape(2, 4, 5)[polarity]


def test_a_ramp_by_hand() -> None:
    frames = np.exp(np.array([0.0, 1.05, 0.45]))[:, np.newaxis, np.newaxis]
    events = simulate_events(frames, [100, 1150, 1750], Camera(threshold=0.25, dark=0.0))
    assert events.t_us.tolist() == [350, 600, 850, 1100, 1450, 1700]
    assert events.polarity.tolist() == [1, 1, 1, 1, 0, 0]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), threshold=st.floats(0.05, 2.0))
def test_events_add_up_to_the_logarithm_within_a_threshold(seed: int, threshold: float) -> None:
    levels = draw_levels(seed)
    camera = Camera(threshold=threshold, dark=0.0)
    events = simulate_events(np.exp(levels), draw_times(), camera)
    assert (np.diff(events.t_us) >= 0).all()
    for frame, time in enumerate(draw_times()):
        seen = events.between(0, int(time) + 1)
        rebuilt = levels[0] + threshold * (count_by_pixel(seen, 1) - count_by_pixel(seen, 0))
        assert np.abs(rebuilt - levels[frame]).max() < threshold + 1e-9


def test_the_reverse_of_an_intensity_swaps_polarities() -> None:
    levels, camera = draw_levels(), Camera(dark=0.0)
    bright, dark = (simulate_events(np.exp(sign * levels), draw_times(), camera) for sign in (1, -1))
    assert len(bright) > 50
    for polarity in (0, 1):
        assert np.array_equal(count_by_pixel(bright, polarity), count_by_pixel(dark, 1 - polarity))
    assert np.abs(bright.t_us - dark.t_us).max() <= 1


def test_the_unit_of_intensity_does_not_matter() -> None:
    frames = np.exp(draw_levels())
    assert simulate_events(frames, draw_times()) == simulate_events(1024 * frames, draw_times())


@pytest.mark.parametrize("intensity", [0.0, 0.7])
def test_a_scene_that_stands_still_gives_none(intensity: float) -> None:
    assert len(simulate_events(np.full((6, 4, 5), intensity), draw_times())) == 0
    assert len(simulate_events(np.repeat(np.exp(draw_levels(n_frames=1)), 6, axis=0), draw_times())) == 0


def test_twice_the_threshold_gives_half_the_events() -> None:
    ramp = np.exp(np.linspace(0, 8, 4))[:, np.newaxis, np.newaxis] * np.ones((1, 4, 5))
    fine, coarse = (len(simulate_events(ramp, draw_times(4), Camera(threshold=threshold, dark=0.0))) for threshold in (0.1, 0.2))
    assert coarse == pytest.approx(fine / 2, rel=0.03)


def test_thresholds_and_noise_are_drawn_from_the_seed() -> None:
    camera = Camera(threshold_sigma=0.1, noise_hz=100.0)
    first, again, other = (simulate_events(np.exp(draw_levels()), draw_times(), camera, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_thresholds_differ_from_pixel_to_pixel() -> None:
    ramp = np.exp(np.linspace(0, 8, 4))[:, np.newaxis, np.newaxis] * np.ones((1, 4, 5))
    same, mixed = (
        np.std(count_by_pixel(simulate_events(ramp, draw_times(4), Camera(threshold_sigma=sigma, dark=0.0)), 1))
        for sigma in (0.0, 0.05)
    )
    assert same == 0
    assert mixed > 1


def test_noise_has_its_rate() -> None:
    events = simulate_events(np.ones((2, 50, 40)), [0.0, 1e6], Camera(noise_hz=5.0))
    assert len(events) == pytest.approx(5 * 2000, abs=4 * np.sqrt(10_000))
    assert events.polarity.mean() == pytest.approx(0.5, abs=0.02)
    assert events.t_us.min() >= 0
    assert events.t_us.max() < 1e6


def test_after_an_event_a_pixel_rests() -> None:
    frames, times = np.exp(draw_levels()), draw_times()
    free, held = (simulate_events(frames, times, Camera(threshold=0.1, refractory_us=us, dark=0.0)) for us in (0.0, 300.0))
    assert 0 < len(held) < len(free)
    for y in range(4):
        for x in range(5):
            own = held.t_us[(held.y == y) & (held.x == x)]
            assert all(after - before >= 299 for before, after in pairwise(own.tolist()))


@pytest.mark.parametrize(
    ("frames", "times", "camera", "text"),
    [
        (np.ones((4, 5)), [0.0], Camera(), "wrong shape"),
        (np.ones((0, 4, 5)), [], Camera(), "wrong shape"),
        (np.ones((2, 4, 5)), [0.0], Camera(), "differ in number"),
        (np.ones((2, 4, 5)), [1.0, 1.0], Camera(), "ascend"),
        (-np.ones((2, 4, 5)), [0.0, 1.0], Camera(), "negative"),
        (np.full((2, 4, 5), np.nan), [0.0, 1.0], Camera(), "not finite"),
        (np.eye(2)[np.newaxis], [0.0], Camera(dark=0.0), "black"),
    ],
)
def test_what_is_no_film_is_refused(frames: Any, times: Any, camera: Camera, text: str) -> None:
    with pytest.raises(InputError, match=text):
        simulate_events(frames, times, camera)


@pytest.mark.parametrize("name", ["threshold", "threshold_sigma", "dark", "refractory_us", "noise_hz"])
def test_options_out_of_range_are_refused(name: str) -> None:
    for value in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match=f"Camera.{name}"):
            Camera(**{name: value})

import numpy as np
import pytest
from sklearn.datasets import load_digits

from snnmap.core.errors import InputError
from snnmap.events import Camera, Saccades, saccade_frames, simulate_saccades


def test_a_point_goes_round_a_triangle() -> None:
    image = np.zeros((5, 5))
    image[2, 2] = 1.0
    frames, times_us = saccade_frames(image, Saccades(shape=(11, 11), amplitude_px=3.0, n_frames=12, saccade_us=1200))
    assert frames.shape == (37, 11, 11)
    assert np.allclose(times_us, 100.0 * np.arange(37), rtol=1e-12)
    corners = [np.unravel_index(frame.argmax(), frame.shape) for frame in frames[::12]]
    assert corners == [(2, 2), (8, 5), (2, 8), (2, 2)]
    rows, columns = np.arange(11) @ frames.sum(2).T, np.arange(11) @ frames.sum(1).T
    assert np.allclose(frames.sum((1, 2)), 1.0)
    assert np.allclose(rows, np.interp(np.arange(37), [0, 12, 24, 36], [2, 8, 2, 2]))
    assert np.allclose(columns, np.interp(np.arange(37), [0, 12, 24, 36], [2, 5, 8, 2]))


def test_frames_between_pixels_are_bilinear() -> None:
    image = np.arange(12.0).reshape(3, 4)
    frames, _ = saccade_frames(image, Saccades(shape=(5, 6), amplitude_px=0.0, n_frames=1))
    assert np.array_equal(frames[0, 1:4, 1:5], image)
    frames, _ = saccade_frames(image, Saccades(shape=(3, 4), amplitude_px=0.5, n_frames=1))
    assert np.allclose(frames[0, :-1, :-1], (image[1:, 1:] + image[:-1, 1:] + image[1:, :-1] + image[:-1, :-1]) / 4)


def test_what_leaves_the_sensor_is_not_seen() -> None:
    frames, _ = saccade_frames(np.ones((4, 4)), Saccades(shape=(4, 4), amplitude_px=10.0))
    assert frames[0].max() == 0.0


def test_digits_give_about_as_many_events_as_n_mnist() -> None:
    images = np.pad(np.kron(load_digits().images[:30] / 16, np.ones((1, 3, 3))), ((0, 0), (2, 2), (2, 2)))
    recordings = [simulate_saccades(image) for image in images]
    assert {events.shape for events in recordings} == {(34, 34)}
    assert all(events.t_us[0] >= 0 and events.t_us[-1] <= 300_000 for events in recordings)
    assert 2500 < np.mean([len(events) for events in recordings]) < 7500


def test_what_leaves_comes_back_with_the_other_polarity() -> None:
    rng = np.random.default_rng(0)
    events = simulate_saccades(rng.random((28, 28)), camera=Camera(threshold=0.2))
    counts = np.bincount(events.flat_indices(), minlength=2 * 34 * 34).reshape(2, -1)
    assert np.abs(counts[0] - counts[1]).max() <= 1


def test_it_is_the_same_for_the_same_seed() -> None:
    image, camera = np.random.default_rng(0).random((28, 28)), Camera(noise_hz=1.0, threshold_sigma=0.05)
    assert simulate_saccades(image, camera=camera, seed=3) == simulate_saccades(image, camera=camera, seed=3)


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(InputError, match="wrong shape"):
        saccade_frames(np.ones((2, 3, 4)))
    for name, value in (("shape", (0, 3)), ("amplitude_px", -1.0), ("saccade_us", 0), ("n_frames", 0)):
        with pytest.raises(InputError, match=f"Saccades.{name}"):
            Saccades(**{name: value})  # type: ignore[arg-type]

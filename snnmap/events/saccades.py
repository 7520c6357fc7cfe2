"""Event streams of still images, by moving a camera before them in three saccades, as N-MNIST was recorded.

Source: Orchard, Jayawant, Cohen and Thakor, "Converting Static Image Datasets to Spiking Neuromorphic Datasets Using
Saccades", Frontiers in Neuroscience 2015.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import InputError
from snnmap.events.camera import Camera, simulate_events
from snnmap.events.events import Events, FloatArray

__all__ = ["Saccades", "saccade_frames", "simulate_saccades"]

_CORNERS = np.array([(-1.0, -1.0), (0.0, 1.0), (1.0, -1.0), (-1.0, -1.0)])
"""The path in (x, y), in units of the amplitude: an isosceles triangle that ends where it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saccades:
    """How an image moves over the sensor: three straight saccades along a triangle, at constant speed each.

    N-MNIST moves the camera with a motor, whose speed is not constant; this does not imitate it.

    Attributes:
        shape: rows and columns of the sensor; the image's centre moves about its centre.
        amplitude_px: largest distance from the centre, in either direction.
        saccade_us: duration of each of the three saccades.
        n_frames: frames a saccade, between which logarithms of intensities are interpolated.
    """

    shape: tuple[int, int] = (34, 34)
    amplitude_px: float = 3.0
    saccade_us: int = 100_000
    n_frames: int = 24

    def __post_init__(self) -> None:
        for name, holds, limit in (
            ("shape", len(self.shape) == 2 and min(self.shape) >= 1, "two sides from 1"),
            ("amplitude_px", bool(np.isfinite(self.amplitude_px)) and self.amplitude_px >= 0, "from 0, finite"),
            ("saccade_us", self.saccade_us >= 1, "from 1"),
            ("n_frames", self.n_frames >= 1, "from 1"),
        ):
            InputError.require_option(self, name, holds, limit, of="the saccades")


def saccade_frames(image: npt.ArrayLike, saccades: Saccades | None = None) -> tuple[FloatArray, FloatArray]:
    """Return what the sensor sees, the image shifted by bilinear interpolation over a black ground.

    Args:
        image: ``(height, width)`` intensities.
        saccades: path, times and sensor.

    Returns:
        Frames ``(3 n_frames + 1, *shape) float64`` and their times ``(3 n_frames + 1,) float64`` in microseconds, from 0.

    Raises:
        InputError: the image is no array of two dimensions.
    """
    saccades = saccades or Saccades()
    picture = np.asarray(image, np.float64)
    if picture.ndim != 2 or not picture.size:
        raise InputError("an image has the wrong shape", where="image", measured=str(picture.shape), limit="(height, width)")
    parts = np.arange(3 * saccades.n_frames + 1) / saccades.n_frames
    x, y = (saccades.amplitude_px * np.interp(parts, np.arange(4), corners) for corners in _CORNERS.T)
    rows = _interpolation(saccades.shape[0], picture.shape[0], y)
    columns = _interpolation(saccades.shape[1], picture.shape[1], x)
    return rows @ picture @ columns.transpose(0, 2, 1), parts * saccades.saccade_us


def simulate_saccades(
    image: npt.ArrayLike, saccades: Saccades | None = None, camera: Camera | None = None, *, seed: int = 0
) -> Events:
    """Return the events of a still image seen in three saccades.

    With the defaults a 28 by 28 image of a digit gives about as many events as one of N-MNIST, some 4,000.

    Args:
        image: ``(height, width)`` intensities, linear in light and not negative.
        saccades: path, times and sensor.
        camera: thresholds and noise.
        seed: of the camera's thresholds and noise.

    Raises:
        InputError: as :func:`saccade_frames` and :func:`simulate_events`.
    """
    return simulate_events(*saccade_frames(image, saccades), camera, seed=seed)


def _interpolation(n_sensor: int, n_image: int, shifts: FloatArray) -> FloatArray:
    """Return the weights of the image's lines in the sensor's, at each shift: ``(n_shifts, n_sensor, n_image)``."""
    places = np.arange(n_image) + (n_sensor - n_image) / 2 + shifts[:, np.newaxis]
    return np.maximum(0.0, 1.0 - np.abs(np.arange(n_sensor)[:, np.newaxis] - places[:, np.newaxis, :]))

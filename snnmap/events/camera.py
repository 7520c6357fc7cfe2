"""A simulated event camera: events where the logarithm of the intensity has moved by a threshold.

Sources: Rebecq, Gehrig and Scaramuzza, "ESIM: an Open Event Camera Simulator", CoRL 2018; Hu, Liu and Delbruck, "v2e: From
Video Frames to Realistic DVS Events", CVPR Workshops 2021 (thresholds that differ from pixel to pixel, background noise).
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from snnmap.core.errors import InputError
from snnmap.events.events import Events, FloatArray, IntArray

__all__ = ["Camera", "simulate_events"]

_MIN_THRESHOLD = 0.01
"""To which drawn thresholds are raised, as in v2e."""

_compile: Any = numba.njit(cache=True, nogil=True, error_model="numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """What a simulated camera is like.

    Attributes:
        threshold: contrast threshold, change of the natural logarithm of the intensity that makes an event.
        threshold_sigma: standard deviation of the thresholds, drawn for each pixel and polarity, at least 0.01 each.
        dark: added to every intensity, as a fraction of the largest of the sequence, so that black has a logarithm and
            events do not depend on the unit of the intensity. 0 takes the intensities as they are, which then are positive.
        refractory_us: after an event the pixel gives none for so long; what it crosses then is lost.
        noise_hz: background events a second and pixel, of either polarity, a Poisson process; no refractory time holds them.
    """

    threshold: float = 0.35
    threshold_sigma: float = 0.0
    dark: float = 0.1
    refractory_us: float = 0.0
    noise_hz: float = 0.0

    def __post_init__(self) -> None:
        for name, holds in (
            ("threshold", self.threshold >= _MIN_THRESHOLD),
            ("threshold_sigma", self.threshold_sigma >= 0),
            ("dark", self.dark >= 0),
            ("refractory_us", self.refractory_us >= 0),
            ("noise_hz", self.noise_hz >= 0),
        ):
            limit = f"from {_MIN_THRESHOLD}" if name == "threshold" else "from 0"
            finite = bool(np.isfinite(getattr(self, name)))
            InputError.require_option(self, name, finite and holds, f"{limit}, finite", of="the camera")


def simulate_events(frames: npt.ArrayLike, times_us: npt.ArrayLike, camera: Camera | None = None, *, seed: int = 0) -> Events:
    """Return the events that a camera would report of a sequence of images.

    The logarithm of a pixel's intensity moves linearly from frame to frame. Each time that it has moved by the threshold from
    the level of the pixel's last event (at first, from the first frame's), there is an event at the time of the crossing,
    rounded down to a microsecond, and the level moves by the threshold.

    Args:
        frames: ``(n_frames, height, width)`` intensities, linear in light and not negative, at least one frame.
        times_us: ``(n_frames,)`` ascending times of the frames in microseconds, no two the same.
        camera: thresholds and noise.
        seed: of the thresholds and the noise.

    Raises:
        InputError: shapes do not fit, an intensity is negative, not finite, or 0 where the camera has no ``dark``, or times
            do not ascend.
    """
    camera = camera or Camera()
    levels, times = _read_levels(frames, camera.dark), _read_times(times_us)
    if len(levels) != len(times):
        raise InputError(
            "frames and times differ in number", measured=f"{len(levels)} and {len(times)}", limit="one time a frame"
        )
    rng = np.random.default_rng(seed)
    n_pixels, shape = levels[0].size, levels.shape[1:]
    thresholds = np.full((2, n_pixels), camera.threshold)
    if camera.threshold_sigma:
        thresholds = np.maximum(rng.normal(camera.threshold, camera.threshold_sigma, (2, n_pixels)), _MIN_THRESHOLD)
    levels = levels.reshape(len(levels), n_pixels)
    n_crossings = _count_crossings(levels, thresholds)
    t_us, pixels, polarity = _cross_levels(levels, times, thresholds, camera.refractory_us, n_crossings)
    if camera.noise_hz:
        noise = _draw_noise(rng, camera.noise_hz, n_pixels, times)
        t_us, pixels, polarity = (np.concatenate(pair) for pair in zip((t_us, pixels, polarity), noise, strict=True))
    order = np.argsort(t_us, kind="stable")
    y, x = np.divmod(pixels[order], shape[1])
    return Events(t_us=t_us[order], x=x, y=y, polarity=polarity[order], shape=(shape[0], shape[1]))


def _read_levels(frames: npt.ArrayLike, dark: float) -> FloatArray:
    """Return the logarithms of the intensities."""
    intensities = np.asarray(frames, np.float64)
    if intensities.ndim != 3 or not intensities.size:
        raise InputError(
            "frames have the wrong shape", measured=str(intensities.shape), limit="(n_frames, height, width), none of them 0"
        )
    lowest, largest = float(intensities.min()), float(intensities.max())
    if not np.isfinite([lowest, largest]).all() or lowest < 0:
        raise InputError("an intensity is negative or not finite", measured=f"{lowest} to {largest}", limit="finite, from 0")
    if largest == 0.0:
        return np.zeros_like(intensities)
    if dark == 0.0 and lowest == 0.0:
        raise InputError("black has no logarithm", measured="an intensity of 0", fix="give the camera a 'dark' above 0")
    return np.log(intensities / largest + dark)


def _read_times(times_us: npt.ArrayLike) -> FloatArray:
    times = np.asarray(times_us, np.float64)
    if times.ndim != 1 or not (np.abs(times) < 2.0**53).all() or (np.diff(times) <= 0).any():
        raise InputError(
            "the times of frames do not ascend", where="times_us", limit="(n_frames,), each above the one before, within 2**53"
        )
    return times


def _draw_noise(
    rng: np.random.Generator, noise_hz: float, n_pixels: int, times: FloatArray
) -> tuple[IntArray, IntArray, IntArray]:
    n_events = int(rng.poisson(noise_hz * n_pixels * (times[-1] - times[0]) * 1e-6))
    t_us = np.floor(rng.uniform(times[0], times[-1], n_events)).astype(np.int64)
    return t_us, rng.integers(0, n_pixels, n_events), rng.integers(0, 2, n_events)


@_compile
def _count_crossings(levels: FloatArray, thresholds: FloatArray) -> int:
    """Return the number of crossings, those in refractory times included."""
    count = 0
    for pixel in range(levels.shape[1]):
        reference = levels[0, pixel]
        for frame in range(1, levels.shape[0]):
            level = levels[frame, pixel]
            for polarity in range(2):
                sign = 2.0 * polarity - 1.0
                while sign * (level - reference) >= thresholds[polarity, pixel]:
                    reference += sign * thresholds[polarity, pixel]
                    count += 1
    return count


@_compile
def _cross_levels(
    levels: FloatArray, times: FloatArray, thresholds: FloatArray, refractory_us: float, n_crossings: int
) -> tuple[IntArray, IntArray, IntArray]:
    """Return times, pixels and polarities of the events, pixel by pixel."""
    t_us, pixels, polarities = (np.empty(n_crossings, np.int64), np.empty(n_crossings, np.int64), np.empty(n_crossings, np.int64))
    count = 0
    for pixel in range(levels.shape[1]):
        reference, ready_us = levels[0, pixel], -np.inf
        for frame in range(1, levels.shape[0]):
            before, level = levels[frame - 1, pixel], levels[frame, pixel]
            for polarity in range(2):
                sign = 2.0 * polarity - 1.0
                while sign * (level - reference) >= thresholds[polarity, pixel]:
                    reference += sign * thresholds[polarity, pixel]
                    part = min(max((reference - before) / (level - before), 0.0), 1.0)
                    time = times[frame - 1] + part * (times[frame] - times[frame - 1])
                    if time >= ready_us:
                        t_us[count], pixels[count], polarities[count] = np.int64(np.floor(time)), pixel, polarity
                        ready_us = time + refractory_us
                        count += 1
    return t_us[:count], pixels[:count], polarities[:count]

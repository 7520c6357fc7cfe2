"""Golden samples, run again on any engine, or on whatever drives a chip."""

import numpy as np
import numpy.typing as npt

from snnmap.core import IntArray
from snnmap.core.errors import InputError
from snnmap.core.record import record
from snnmap.lif.compare.outputs import Driver
from snnmap.lif.program import GoldenSample, Image, Manifest

__all__ = ["GoldenResult", "replay_golden", "require_golden"]


@record
class GoldenResult:
    """What a golden sample gave.

    Attributes:
        n_values: values read.
        n_differing: those that are not as they were at the build.
        first: step, place among what is read, expected and found value of the first of them; None without.
    """

    n_values: int
    n_differing: int
    first: tuple[int, int, int, int] | None


def require_golden(image: Image, where: str) -> Manifest:
    """Return the manifest of an image that holds golden samples.

    Raises:
        InputError: it holds none; the message says why.
    """
    manifest = image.manifest
    if manifest is not None and manifest.golden:
        return manifest
    why = "says nothing of itself" if manifest is None else "was edited" if manifest.edited else "was built with --golden 0"
    fix = "ask who has the model for `snnmap build MODEL --golden 2`; without it, `snnmap simulate --labels` gives the accuracy"
    raise InputError(f"there is nothing to test: the image {why}", where=where, fix=fix)


def replay_golden(image: Image, manifest: Manifest, driver: Driver) -> tuple[GoldenResult, ...]:
    """Let a driver run all golden samples, and hold what it gives against what the image gave when it was built.

    Args:
        image: with its manifest.
        manifest: of the image, with golden samples.
        driver: runs the image on a sample.

    Raises:
        InputError: the driver gives values of another shape, or no integers.
    """
    return tuple(_replay(image, manifest, driver, golden) for golden in manifest.golden)


def _replay(image: Image, manifest: Manifest, driver: Driver, golden: GoldenSample) -> GoldenResult:
    expected = np.array(golden.outputs, np.int64).reshape(len(golden.outputs), -1)
    found = _read_outputs(driver(golden.to_raster(image.sizes[0], manifest.settle_steps)), expected)
    differing = np.argwhere(found != expected)
    first = None
    if differing.size:
        step, place = map(int, differing[0])
        first = step, place, int(expected[step, place]), int(found[step, place])
    return GoldenResult(n_values=expected.size, n_differing=len(differing), first=first)


def _read_outputs(given: npt.ArrayLike, expected: IntArray) -> IntArray:
    found = np.asarray(given)
    if found.shape != expected.shape or found.dtype.kind not in "iu":
        raise InputError(
            "the driver gives something else than what is read in each step",
            measured=f"{found.dtype} of shape {found.shape}",
            limit=f"integers of shape {expected.shape}",
            fix="give counts or states of the outputs in the order of the manifest's readouts, a row a step",
        )
    return found.astype(np.int64)

"""What an image gives, read as its manifest says."""

from collections.abc import Callable

import numpy as np

from snnmap.core import FloatArray, IntArray
from snnmap.core.record import record
from snnmap.lif.compare.decide import take_decision
from snnmap.lif.program import GoldenSample, Image, Manifest, OutputReadout
from snnmap.lif.simulator import Engine, require_counts, simulate_image
from snnmap.network import Recording, Saturation

__all__ = ["Driver", "ImageRun", "PortRun", "make_golden", "read_raw", "run_image", "run_ports", "simulate_raw"]

Driver = Callable[[IntArray], IntArray]
"""From the counts ``(n_steps, n_inputs)`` of a sample to what :func:`read_raw` gives, ``(n_steps, n_read)``."""


@record
class PortRun:
    """What an output port gave.

    Attributes:
        readout: how it is read.
        values: ``(n_samples, n_steps, size)`` counts, or states in the model's units, the lag taken away.
    """

    readout: OutputReadout
    values: FloatArray

    @property
    def decided_by(self) -> FloatArray:
        """Values of which the highest decides, ``(n_samples, size)``."""
        return take_decision(self.readout.decision, self.values)

    @property
    def classes(self) -> IntArray | None:
        """The class of each sample, ``(n_samples,)``; None where there is one output."""
        return np.asarray(self.decided_by.argmax(axis=1), np.int64) if self.readout.size > 1 else None


@record
class ImageRun:
    """What an image gave.

    Attributes:
        ports: its output ports, in the manifest's order.
        saturation: what was cut off on the way, until all steps were answered; None where an engine does not count it.
    """

    ports: tuple[PortRun, ...]
    saturation: Saturation | None


def run_image(image: Image, manifest: Manifest, raster: IntArray, *, engine: Engine = "batch") -> ImageRun:
    """Run an image on input counts, and on silence until all have been answered; read its ports and count what is cut off.

    Args:
        image: with its manifest.
        manifest: of the image.
        raster: ``(n_samples, n_steps, n_inputs)``.
        engine: as :func:`~snnmap.lif.simulator.simulate_image` takes it.

    Raises:
        InputError: wrong raster.
    """
    padded, both = np.pad(raster, ((0, 0), (0, manifest.settle_steps), (0, 0))), ("outputs",)
    run = simulate_image(image, padded, counts_of=both, states_of=both, engine=engine, count_saturation=True)
    return ImageRun(ports=_read_ports(manifest, read_raw(manifest, run), raster.shape[1]), saturation=run.saturation)


def run_ports(image: Image, manifest: Manifest, raster: IntArray, *, engine: Engine = "batch") -> tuple[PortRun, ...]:
    """Run and read as :func:`run_image`, without counting."""
    require_counts(raster, image.chip)
    padded = np.pad(raster, ((0, 0), (0, manifest.settle_steps), (0, 0)))
    return _read_ports(manifest, simulate_raw(image, manifest, padded, engine=engine), raster.shape[1])


def _read_ports(manifest: Manifest, raw: IntArray, n_steps: int) -> tuple[PortRun, ...]:
    runs, start = [], 0
    for readout in manifest.readouts:
        steps = np.arange(n_steps)[:, np.newaxis] + readout.lags
        values = raw[:, steps, start + np.arange(readout.size)] / readout.units
        runs.append(PortRun(readout=readout, values=values))
        start += readout.size
    return tuple(runs)


def simulate_raw(image: Image, manifest: Manifest, raster: IntArray, *, engine: Engine = "batch") -> IntArray:
    """Run an image and return what :func:`read_raw` reads; counts beyond a channel's are clamped, as the chip does."""
    run = simulate_image(image, raster, counts_of=("outputs",), states_of=("outputs",), engine=engine, clamp=True)
    return read_raw(manifest, run)


def read_raw(manifest: Manifest, run: Recording) -> IntArray:
    """Read all ports from a run that kept counts and states of the outputs.

    Returns:
        ``(n_samples, n_steps, n_read) int64``: of the neurons of each port, one port after the other, counts, potentials or sums
        of currents, in the chip's integers and with no lag taken away.
    """
    of = {"spikes": run.counts["outputs"], "potential": run.potentials["outputs"], "current": run.currents["outputs"].sum(axis=2)}
    parts = [np.asarray(of[readout.readout], np.int64)[:, :, readout.slots] for readout in manifest.readouts]
    return np.concatenate([np.zeros((*run.counts["outputs"].shape[:2], 0), np.int64), *parts], axis=2)


def make_golden(image: Image, manifest: Manifest, raster: IntArray) -> tuple[GoldenSample, ...]:
    """Return samples with what the image gives for them; ``raster`` as :func:`run_ports` takes it."""
    padded = np.pad(raster, ((0, 0), (0, manifest.settle_steps), (0, 0)))
    outputs = simulate_raw(image, manifest, padded, engine="auto").tolist()
    return tuple(
        GoldenSample(inputs=tuple(map(_list_spikes, sample)), outputs=tuple(map(tuple, given)))
        for sample, given in zip(raster, outputs, strict=True)
    )


def _list_spikes(counts: IntArray) -> tuple[tuple[int, int], ...]:
    channels = np.flatnonzero(counts)
    return tuple(zip(channels.tolist(), counts[channels].tolist(), strict=True))

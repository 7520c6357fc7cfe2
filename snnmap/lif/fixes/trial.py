"""The inputs that networks are run on, and what a network does on them beside the one that it was made of."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snnmap.chip import Chip, Readout
from snnmap.core import FloatArray, IntArray
from snnmap.core.nouns import count_samples
from snnmap.lif.compare import SpreadError, choose_samples
from snnmap.lif.mapping import draw_rasters, drive_populations, snap_network
from snnmap.network import Network, Recording, draw_inputs, read_rasters, simulate_network

__all__ = ["Difference", "Trial", "compare_networks", "read_trial"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Inputs to run networks on.

    Attributes:
        rasters: ``(n_samples, n_steps, size) int64`` by input port.
        drawn: whether they were drawn.
        most: spikes that a channel of the chip carries in a step.
    """

    rasters: Mapping[str, IntArray]
    drawn: bool
    most: int

    @property
    def given(self) -> Mapping[str, IntArray]:
        """Those of use; none where they were drawn."""
        return {} if self.drawn else self.rasters

    @property
    def inputs(self) -> str:
        """What they are, in words."""
        n_samples, n_steps = next(iter(self.rasters.values())).shape[:2]
        return f"{'drawn inputs' if self.drawn else 'the calibration data'}, {count_samples(n_samples, n_steps)}"

    def prove_exact(self, before: Network) -> Iterator[tuple[Network, Mapping[str, IntArray]]]:
        """Yield inputs on which a fixed network must do what the network did, each with this network to run and to fix.

        Its weights are rounded until float64 sums are exact in any order, so that any difference is one of structure. The inputs
        are those of the trial, drawn ones, and such as drive populations that these leave silent.
        """
        drawn = draw_rasters(before, max_count=self.most)
        counts = simulate_network(before, drawn, counts_of=[part.name for part in before.populations]).counts
        silent = [name for name, values in counts.items() if not values.any()]
        driven = drive_populations(before, silent, max_count=self.most) if silent else {}
        for rasters in filter(None, (self.rasters, drawn, driven)):
            yield snap_network(before, rasters), rasters


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a network does beside another one.

    Attributes:
        readout: root mean square difference of what an output port reads, as a share of its spread, of the worst port: of counts
            over all steps where spikes are read, else of the values of each step.
        n_compared: spike counts of neurons that are in both.
        n_active: those of them that are not 0 in both.
        n_differing: those that differ.
    """

    readout: float
    n_compared: int
    n_active: int
    n_differing: int

    def add(self, other: "Difference") -> "Difference":
        """Return what two runs showed together."""
        return Difference(
            readout=max(self.readout, other.readout),
            n_compared=self.n_compared + other.n_compared,
            n_active=self.n_active + other.n_active,
            n_differing=self.n_differing + other.n_differing,
        )

    def __str__(self) -> str:
        return f"outputs are {self.readout:.2%} off, {self.n_differing / max(1, self.n_active):.2%} of the active counts differ"


def read_trial(network: Network, chip: Chip, calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None) -> Trial:
    """Take calibration data, of as many samples as some seconds allow, or draw inputs where there are none.

    Raises:
        InputError: data that do not suit the network.
    """
    most = chip.inputs.max_count
    if calibration is None:
        return Trial(rasters=draw_inputs(network.inputs, max_count=most), drawn=True, most=most)
    rasters = read_rasters(network.inputs, calibration)
    n_samples, n_steps = next(iter(rasters.values())).shape[:2]
    chosen = choose_samples(network, np.arange(n_samples), n_steps)
    return Trial(rasters={name: raster[chosen] for name, raster in rasters.items()}, drawn=False, most=most)


def compare_networks(
    before: Network, after: Network, origins: Mapping[str, tuple[str, IntArray]], rasters: Mapping[str, IntArray]
) -> Difference:
    """Run two networks on the same inputs and compare outputs, and the counts of all neurons that are in both.

    Args:
        before: a network.
        after: what was made of it.
        origins: as in :class:`snnmap.lif.fixes.Change`.
        rasters: to run, by input port.
    """
    wanted, found = (_run(network, rasters) for network in (before, after))
    pairs = list(_pair_counts({**rasters, **wanted.counts}, found, origins))
    return Difference(
        readout=max((_compare_port(wanted, found, port.populations, port.readout) for port in before.outputs), default=0.0),
        n_compared=sum(old.size for old, _ in pairs),
        n_active=sum(int(((old > 0) | (new > 0)).sum()) for old, new in pairs),
        n_differing=sum(int((old != new).sum()) for old, new in pairs),
    )


def _run(network: Network, rasters: Mapping[str, IntArray]) -> Recording:
    read = [name for port in network.outputs if port.readout != "spikes" for name in port.populations]
    every = [population.name for population in network.populations]
    return simulate_network(network, rasters, counts_of=every, states_of=dict.fromkeys(read))


def _pair_counts(
    wanted: Mapping[str, IntArray], found: Recording, origins: Mapping[str, tuple[str, IntArray]]
) -> Iterator[tuple[IntArray, IntArray]]:
    for name, counts in found.counts.items():
        source, neurons = origins.get(name, (name, np.arange(counts.shape[2])))
        yield wanted[source][:, :, neurons], counts


def _compare_port(wanted: Recording, found: Recording, names: Iterable[str], readout: Readout) -> float:
    error = SpreadError()
    error.add(*(np.concatenate([_read(run, name, readout) for name in names], axis=-1) for run in (wanted, found)))
    return error.finish()


def _read(run: Recording, name: str, readout: Readout) -> FloatArray:
    if readout == "spikes":
        return np.asarray(run.counts[name].sum(axis=1), np.float64)
    if readout == "current":
        return np.asarray(run.currents[name].sum(axis=2), np.float64)
    return np.asarray(run.potentials[name], np.float64)

"""Proof by running: the folded network does what the source network does, up to the known lags."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from snnmap.errors import NetworkError
from snnmap.ir import (
    CsrMatrix,
    FloatArray,
    IntArray,
    MappedNetwork,
    Network,
    Population,
    Recording,
    as_folded_network,
    join_rasters,
    read_rasters,
    record,
    simulate_network,
    unfold_network,
)
from snnmap.mapping.lower import lower_network, stretch_network

__all__ = ["Verification", "draw_rasters", "snap_to_grid", "verify_fold"]

_GRID_BITS = 24


@record
class Verification:
    """What running both networks showed.

    Attributes:
        n_compared: spike counts compared, over all populations, samples and steps.
        mismatches: counts that differ, by population.
        spikes: spikes seen in the source network, by population; 0 means that nothing was shown about it.
    """

    n_compared: int
    mismatches: Mapping[str, int]
    spikes: Mapping[str, int]

    @property
    def n_mismatches(self) -> int:
        """Counts that differ, in all."""
        return sum(self.mismatches.values())

    @property
    def silent(self) -> tuple[str, ...]:
        """Populations that never fired in the run."""
        return tuple(name for name, count in self.spikes.items() if count == 0)


def verify_fold(
    network: Network, mapped: MappedNetwork, inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None
) -> Verification:
    """Check a folded network against its source, by structure and by running both.

    The source is rebuilt from the folded network's slots, weights and lags alone and must equal the lowered source.
    Then source, lowered source and folded network run on the same rasters with weights rounded to a dyadic grid
    (2**-24 of the largest), on which float64 sums are exact whatever their order: any difference is structural.

    Args:
        network: what was folded.
        mapped: the result.
        inputs: rasters to run; drawn at random where none are given.

    Returns:
        Counts compared and counts that differ (0 where the folding is right).

    Raises:
        NetworkError: the rebuilt network is not the source.
        InputError: rasters that do not suit the network.
    """
    lowered = stretch_network(lower_network(network), dict(mapped.stretched))
    _require_equal_structure(lowered, unfold_network(mapped))
    rasters = read_rasters(network.inputs, draw_rasters(network) if inputs is None else inputs)
    names = [population.name for population in network.populations]
    grid = _grid_step(network)
    source = simulate_network(_snap_network(lowered, grid), rasters, counts_of=names, warmup_steps=mapped.lags)
    if not mapped.stretched:
        exact = _snap_network(network, grid)
        _require_equal_counts(
            simulate_network(exact, rasters, counts_of=names), simulate_network(lower_network(exact), rasters, counts_of=names)
        )
    folded = simulate_network(
        as_folded_network(_snap_mapped(mapped, grid)),
        _pad(join_rasters(network.inputs, rasters), mapped),
        counts_of=["hidden", "outputs"],
    )
    return _compare(source, folded, mapped, names)


def draw_rasters(network: Network, *, n_samples: int = 4, n_steps: int = 48, seed: int = 0) -> dict[str, IntArray]:
    """Draw random input counts that span silence to bursts: each sample has its own rate."""
    generator = np.random.default_rng(seed)
    rates = np.linspace(0.2, 6.0, n_samples)[:, np.newaxis, np.newaxis]
    return {port.name: generator.poisson(rates, (n_samples, n_steps, port.size)).clip(max=15) for port in network.inputs}


def snap_to_grid(weights: CsrMatrix, step: float) -> CsrMatrix:
    """Round weights to multiples of ``step``."""
    return weights.with_data(np.rint(weights.data / step) * step)


def _grid_step(network: Network) -> float:
    largest = max((float(np.abs(p.weights.data).max()) for p in network.projections if p.weights.nnz), default=1.0)
    _, exponent = np.frexp(largest)
    return float(np.ldexp(1.0, int(exponent) - _GRID_BITS))


def _snap_network(network: Network, step: float) -> Network:
    return replace(network, projections=tuple(replace(p, weights=snap_to_grid(p.weights, step)) for p in network.projections))


def _snap_mapped(mapped: MappedNetwork, step: float) -> MappedNetwork:
    def snap(matrices: tuple[CsrMatrix, ...]) -> tuple[CsrMatrix, ...]:
        return tuple(snap_to_grid(matrix, step) for matrix in matrices)

    relay = np.flatnonzero(mapped.table.hidden_hop)
    if relay.size and not np.rint(1.0 / step) * step == 1.0:
        raise NetworkError("weights are too large for relays of weight 1 on the same grid", measured=str(step), limit="1")
    return replace(
        mapped,
        input_weights=snap(mapped.input_weights),
        recurrent_weights=snap(mapped.recurrent_weights),
        output_weights=snap(mapped.output_weights),
    )


def _pad(raster: IntArray, mapped: MappedNetwork) -> IntArray:
    """Add silent steps behind a raster, so that the slowest population answers its last step."""
    longest = max(mapped.lags.values(), default=0)
    return np.pad(raster, ((0, 0), (0, longest), (0, 0)))


def _compare(source: Recording, folded: Recording, mapped: MappedNetwork, names: list[str]) -> Verification:
    mismatches, spikes, n_compared = {}, {}, 0
    for name in names:
        expected = source.counts[name]
        answered = folded_counts(folded, mapped, name)[:, : expected.shape[1]]
        mismatches[name] = int((answered != expected).sum())
        spikes[name] = int(expected.sum())
        n_compared += expected.size
    return Verification(n_compared=n_compared, mismatches=mismatches, spikes=spikes)


def folded_counts(folded: Recording, mapped: MappedNetwork, name: str) -> IntArray:
    """Give a population's counts from a folded run, its lag taken away: ``(n_samples, n_steps - lag, size)``."""
    slots = mapped.table.output_slots(name)
    area = "outputs" if slots.size else "hidden"
    if not slots.size:
        slots = mapped.table.hidden_slots(name)
    return folded.counts[area][:, mapped.lags[name] :, slots]


def folded_potentials(folded: Recording, mapped: MappedNetwork, name: str) -> FloatArray | IntArray:
    """Give an output population's potentials from a folded run, as :func:`folded_counts`."""
    return folded.potentials["outputs"][:, mapped.lags[name] :, mapped.table.output_slots(name)]


def folded_currents(folded: Recording, mapped: MappedNetwork, name: str) -> FloatArray | IntArray:
    """Give an output population's currents, summed over its synapses, from a folded run, as :func:`folded_counts`."""
    currents: FloatArray | IntArray = folded.currents["outputs"].sum(axis=2)
    return currents[:, mapped.lags[name] :, mapped.table.output_slots(name)]


def _require_equal_counts(left: Recording, right: Recording) -> None:
    for name, counts in left.counts.items():
        if not np.array_equal(counts, right.counts[name]):
            raise NetworkError("lowering changed the network", where=f"population '{name}'")


def _require_equal_structure(lowered: Network, rebuilt: Network) -> None:
    left, right = ({p.name: p for p in network.projections} for network in (lowered, rebuilt))
    for name in sorted(left.keys() | right.keys()):
        if name not in left or name not in right or left[name].weights != right[name].weights:
            raise NetworkError("the folded network has other synapses than its source", where=f"projection {name}")
    populations = {p.name: p for p in rebuilt.populations}
    for population in lowered.populations:
        if population.name not in populations or not _same_parameters(population, populations[population.name]):
            raise NetworkError("the folded network has other neurons than its source", where=f"population '{population.name}'")


def _same_parameters(source: Population, rebuilt: Population) -> bool:
    """Compare neurons; the chip may give them synapses that the source does not use."""
    extra = rebuilt.alpha[source.n_synapses :]
    if rebuilt.n_synapses < source.n_synapses or extra.any():
        return False
    return replace(rebuilt, alpha=rebuilt.alpha[: source.n_synapses]) == source

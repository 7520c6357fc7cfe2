"""Proof by running: the folded network does what the source network does, up to the known lags."""

from collections.abc import Callable, Mapping
from dataclasses import field, replace

import numpy as np
import numpy.typing as npt

from snnmap.chip import MemoryKind
from snnmap.core import CsrMatrix, FloatArray, IntArray, record, seal, split_near
from snnmap.core.errors import NetworkError
from snnmap.core.threads import count_cores, run_parts
from snnmap.lif.mapping.lower import lower_network, stretch_network
from snnmap.lif.mapping.rasters import draw_rasters, drive_populations
from snnmap.lif.program import MappedNetwork, as_folded_network, unfold_network
from snnmap.network import Network, Population, Recording, expand_terms, join_rasters, read_rasters, simulate_network

__all__ = ["Verification", "folded_counts", "folded_currents", "folded_potentials", "snap_network", "verify_fold"]

_EXACT_BITS = 51
"""Steps of the grid that a sum may reach: float64 has 53 bits, of which rounding to the grid and merging may take some."""
_MOST_SAMPLES = 6
_MOST_WORK = 20_000_000
"""Weights and neurons of all samples in a step."""
_MUCH_WORK = 100_000
"""Weights and neurons of a network of which two runs share the cores."""


@record
class Verification:
    """What running both networks showed.

    Attributes:
        n_compared: values compared, over all populations, samples and steps: spike counts, and potentials where they are read.
        mismatches: values that differ, by population.
        spikes: spikes seen in the source network, by population.
        moves: potentials other than 0 seen in the source network, by population, of those whose states are read.
    """

    n_compared: int
    mismatches: Mapping[str, int]
    spikes: Mapping[str, int]
    moves: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_mismatches(self) -> int:
        """Values that differ, in all."""
        return sum(self.mismatches.values())

    @property
    def silent(self) -> tuple[str, ...]:
        """Populations of which nothing was shown: they never fired, and no potential that is read ever left 0."""
        return tuple(name for name, count in self.spikes.items() if count == 0 and not self.moves.get(name, 0))

    def merge(self, other: "Verification") -> "Verification":
        """Return what two runs of the same networks showed together."""
        return Verification(
            n_compared=self.n_compared + other.n_compared,
            mismatches=_add(self.mismatches, other.mismatches),
            spikes=_add(self.spikes, other.spikes),
            moves=_add(self.moves, other.moves),
        )


def _add(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in dict.fromkeys([*one, *other])}


def verify_fold(
    network: Network, mapped: MappedNetwork, inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None
) -> Verification:
    """Check a folded network against its source, by structure and by running both.

    The source is rebuilt from the folded network's slots, weights and lags alone and must equal the lowered source.
    Then source, lowered source and folded network run on the same rasters, with the weights onto each synapse of each
    neuron rounded to a dyadic grid of its own, on which float64 sums are exact whatever their order: any difference is
    structural. Weights in small units keep their digits beside those in large ones.

    Args:
        network: what was folded.
        mapped: the result.
        inputs: rasters to run. Where none are given, some are drawn, and populations that those leave silent are driven as
            hard as the inputs allow.

    Returns:
        Values compared and values that differ (0 where the folding is right), and what was silent throughout.

    Raises:
        NetworkError: the rebuilt network is not the source.
        InputError: rasters that do not suit the network.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> from snnmap.chip import load_chip
        >>> from snnmap.lif.mapping import fold_network
        >>> verify_fold(network, fold_network(network, load_chip("xylo-audio-3"))).n_mismatches
        0
    """
    lowered = stretch_network(lower_network(network), dict(mapped.stretched))
    _require_equal_structure(lowered, unfold_network(mapped))
    if inputs is not None:
        return _run_both(network, lowered, mapped, read_rasters(network.inputs, inputs))
    most = mapped.max_input_count
    found = _run_both(network, lowered, mapped, draw_rasters(network, n_samples=_count_samples(network), max_count=most))
    if not found.silent:
        return found
    return found.merge(_run_both(network, lowered, mapped, drive_populations(network, found.silent, max_count=most)))


def _count_samples(network: Network) -> int:
    """Return how many samples to draw: of large networks fewer, some of whose populations are then driven after them."""
    return int(np.clip(_MOST_WORK // max(1, _count_work(network)), 1, _MOST_SAMPLES))


def _count_work(network: Network) -> int:
    """Return the weights and neurons of a network."""
    return sum(p.weights.nnz for p in network.projections) + sum(p.size for p in network.populations)


def _run_both(network: Network, lowered: Network, mapped: MappedNetwork, rasters: dict[str, IntArray]) -> Verification:
    names = [population.name for population in network.populations]
    read = [name for port in network.outputs if port.readout != "spikes" for name in port.populations]
    grid = _choose_grid(network, rasters)
    if not mapped.stretched and not _is_renamed(network, lowered):
        exact = _snap_network(network, grid)
        _require_equal_counts(
            simulate_network(exact, rasters, counts_of=names), simulate_network(lower_network(exact), rasters, counts_of=names)
        )
    runs: list[Callable[[], Recording]] = [
        lambda: simulate_network(
            _snap_network(lowered, grid), rasters, counts_of=names, states_of=dict.fromkeys(read), warmup_steps=mapped.lags
        ),
        lambda: simulate_network(
            as_folded_network(_snap_mapped(mapped, grid)),
            _pad(join_rasters(network.inputs, rasters), mapped),
            counts_of=["hidden", "outputs"],
            states_of=["outputs"] if read else [],
        ),
    ]
    n_threads = min(2, count_cores()) if _count_work(network) > _MUCH_WORK else 1
    source, folded = run_parts(runs, n_threads=n_threads)
    return _compare(source, folded, mapped)


def _is_renamed(network: Network, lowered: Network) -> bool:
    """Say whether lowering changed no more than names and order, so that running both would show nothing."""
    kept = [p for p in network.projections if p.weights.nnz]
    ends = {(p.pre, p.post, p.synapse, p.delay_steps): p.weights for p in kept}
    return (
        not network.sums
        and len(ends) == len(kept) == len(lowered.projections)
        and all(ends.get((p.pre, p.post, p.synapse, p.delay_steps)) == p.weights for p in lowered.projections)
    )


@np.errstate(over="ignore")
def _choose_grid(network: Network, rasters: Mapping[str, IntArray]) -> dict[str, FloatArray]:
    """Return the steps to round weights to, ``(n_synapses, size)`` by population: as fine as sums of all weights stay exact.

    A sum over one synapse of one neuron reaches at most the absolute weights times the most spikes of their sources.
    """
    from scipy.sparse import csr_array

    most = {name: np.full(raster.shape[2], float(raster.max(initial=1))) for name, raster in rasters.items()}
    most |= {population.name: np.maximum(population.max_count, 1.0) for population in network.populations}
    reach = {population.name: np.zeros((population.n_synapses, population.size)) for population in network.populations}
    for projection in network.projections:
        arriving = np.sum([most[leaf] for leaf in expand_terms(network, projection.pre)], axis=0)
        weights = projection.weights
        sizes = csr_array((np.abs(weights.data), weights.indices, weights.indptr), shape=weights.shape)
        reach[projection.post][projection.synapse] += arriving @ sizes
    return {name: np.ldexp(1.0, np.maximum(np.frexp(total)[1] - _EXACT_BITS, -1074)) for name, total in reach.items()}


def snap_network(network: Network, rasters: Mapping[str, IntArray]) -> Network:
    """Return the network with weights of so few digits that float64 sums of what arrives at a synapse are exact in any order.

    Args:
        network: well-formed.
        rasters: inputs that it will be run on, ``(n_samples, n_steps, size)`` by port.
    """
    return _snap_network(network, _choose_grid(network, rasters))


def _snap_network(network: Network, grid: Mapping[str, FloatArray]) -> Network:
    return replace(
        network, projections=tuple(replace(p, weights=_snap(p.weights, grid[p.post][p.synapse])) for p in network.projections)
    )


def _snap(weights: CsrMatrix, steps: FloatArray) -> CsrMatrix:
    """Round the weights onto each target to multiples of its step, ``(n_post,)``."""
    snapped = np.empty(weights.nnz)
    for part in split_near(weights.nnz):
        step = steps[weights.indices[part]]
        snapped[part] = np.rint(weights.data[part] / step) * step
    return weights.with_data(seal(snapped))


def _snap_mapped(mapped: MappedNetwork, grid: Mapping[str, FloatArray]) -> MappedNetwork:
    """Round the folded weights likewise; those onto relays are 1, which every grid of theirs holds."""
    table = mapped.table
    hidden, outputs = np.ones(mapped.hidden.alpha.shape), np.ones(mapped.outputs.alpha.shape)
    for name, steps in grid.items():
        for area, slots in ((hidden, table.hidden_slots(name)), (outputs, table.output_slots(name))):
            if slots.size:
                area[: len(steps), slots] = steps

    def snap(matrices: tuple[CsrMatrix, ...], area: FloatArray) -> tuple[CsrMatrix, ...]:
        return tuple(_snap(matrix, steps) for matrix, steps in zip(matrices, area, strict=True))

    return mapped.with_weights(
        {kind: snap(mapped.weights(kind), kind.target(hidden=hidden, outputs=outputs)) for kind in MemoryKind}
    )


def _pad(raster: IntArray, mapped: MappedNetwork) -> IntArray:
    """Add silent steps behind a raster, so that the slowest population answers its last step."""
    longest = max(mapped.lags.values(), default=0)
    return np.pad(raster, ((0, 0), (0, longest), (0, 0)))


def _compare(source: Recording, folded: Recording, mapped: MappedNetwork) -> Verification:
    mismatches, n_compared = dict.fromkeys(source.counts, 0), 0
    for values, read in ((source.counts, folded_counts), (source.potentials, folded_potentials)):
        for name, expected in values.items():
            answered = read(folded, mapped, name)[:, : expected.shape[1]]
            mismatches[name] += int((answered != expected).sum())
            n_compared += expected.size
    return Verification(
        n_compared=n_compared,
        mismatches=mismatches,
        spikes={name: int(counts.sum()) for name, counts in source.counts.items()},
        moves={name: int(np.count_nonzero(potentials)) for name, potentials in source.potentials.items()},
    )


def folded_counts(folded: Recording, mapped: MappedNetwork, name: str) -> IntArray:
    """Return a population's counts from a folded run, its lag taken away: ``(n_samples, n_steps - lag, size)``."""
    area, slots = mapped.table.locate(name)
    return folded.counts[area][:, mapped.lags[name] :, slots]


def folded_potentials(folded: Recording, mapped: MappedNetwork, name: str) -> FloatArray | IntArray:
    """Return an output population's potentials from a folded run, as :func:`folded_counts`."""
    return folded.potentials["outputs"][:, mapped.lags[name] :, mapped.table.output_slots(name)]


def folded_currents(folded: Recording, mapped: MappedNetwork, name: str) -> FloatArray | IntArray:
    """Return an output population's synaptic currents from a folded run, summed over its synapses, as :func:`folded_counts`.

    The sum is what the membrane sees in the step. A network's synapse decays before its input arrives, the chip's after,
    with weights that are stored over alpha: after the step both currents are the same, the chip's times
    :attr:`~snnmap.lif.program.QuantisedNetwork.output_current_scale`. No alpha is left to divide by.

    Args:
        folded: a run of the image, or of :func:`~snnmap.lif.program.as_folded_network`, that kept the states of ``outputs``.
        mapped: the folded network.
        name: of a population that an output port reads.

    Returns:
        ``(n_samples, n_steps - lag, size)``.
    """
    currents = folded.currents["outputs"].sum(axis=2)
    return np.asarray(currents[:, mapped.lags[name] :, mapped.table.output_slots(name)])


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
    if np.isposinf(source.threshold).all():  # what never fires is never reset
        rebuilt = replace(rebuilt, reset=source.reset, v_reset=source.v_reset)
    return replace(rebuilt, alpha=rebuilt.alpha[: source.n_synapses]) == source

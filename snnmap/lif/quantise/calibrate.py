"""What calibration data tell the quantiser: how often sources fire, how far states swing."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from snnmap.chip import HIDDEN_MEMORIES, MemoryKind
from snnmap.core import Allowance, CsrMatrix, FloatArray, IntArray, record
from snnmap.core.csr import MOST_NEAR
from snnmap.core.errors import InputError
from snnmap.core.threads import count_cores, deal_out, run_side_by_side
from snnmap.lif.program import MappedNetwork, NeuronParameters, as_folded_network
from snnmap.lif.quantise.swing import MOST_STATES, Extremes, StateSwing, Swing
from snnmap.lif.quantise.windows import Counts, SourceCounts
from snnmap.network import join_rasters, walk_network

__all__ = ["Statistics", "measure_statistics"]

_arrays_suffice = Allowance(2_000_000)
"""Updates of a neuron in numpy, as many as take the time in which compiled code is loaded."""


@record
class Statistics:
    """Spike counts of the sources, and the states of the neurons.

    Attributes:
        hidden_sources: counts of inputs and hidden neurons, as they arrive at hidden neurons.
        output_sources: counts of hidden neurons.
        hidden: states of the hidden neurons.
        outputs: likewise.
    """

    hidden_sources: SourceCounts
    output_sources: SourceCounts
    hidden: StateSwing
    outputs: StateSwing


def measure_statistics(
    mapped: MappedNetwork,
    calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    depth: float = np.inf,
    height: float = np.inf,
) -> Statistics:
    """Run the folded float network on rasters, and on for as long as its slowest population lags behind, as the chip runs.

    Args:
        mapped: folded network.
        calibration: input rasters, as for simulation.
        depth: thresholds below 0 beyond which a potential need not be held; where it is finite, no more is held of a neuron than
            brings no spike too many in these runs.
        height: thresholds beyond which no state of a neuron that fires need be held, partial sums included.

    Raises:
        InputError: rasters that do not suit the network, or a count above what a channel carries.
    """
    chip, lag, delay = mapped.chip, max(mapped.lags.values(), default=0), mapped.chip.memory(MemoryKind.INPUT).delay_steps
    counts = _read_counts(mapped, calibration)
    raster = np.pad(counts.astype(_find_type(counts)), ((0, 0), (0, lag), (0, 0)))
    arriving = np.pad(raster, ((0, 0), (delay, 0), (0, 0)))[:, : raster.shape[1]]
    n_samples, n_steps = raster.shape[:2]
    hidden_counts = np.zeros((n_samples, n_steps, mapped.hidden.size), _find_type(mapped.hidden.max_count))
    swings = {
        "hidden": Swing(mapped.hidden, raster.shape[:2], depth, has_levels=chip.hidden.bias),
        "outputs": Swing(mapped.outputs, raster.shape[:2], depth, has_levels=chip.outputs.bias),
    }
    n_updates = n_samples * n_steps * (mapped.hidden.size + mapped.outputs.size)
    measure = _measure_arrays if _arrays_suffice.take(n_updates) else _measure_compiled
    measure(mapped, raster, arriving, hidden_counts, swings)
    sources = SourceCounts(arriving, hidden_counts)
    return Statistics(
        hidden_sources=sources,
        output_sources=sources.take_part(1),
        hidden=swings["hidden"].finish(height),
        outputs=swings["outputs"].finish(height),
    )


def _read_counts(mapped: MappedNetwork, calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> IntArray:
    """Return the counts of all channels, ``(n_samples, n_steps, n_channels)``, none of which the chip would clamp."""
    raster, most = join_rasters(mapped.inputs, calibration), mapped.chip.inputs.max_count
    if raster.size and raster.max() > most:
        above = np.argwhere(raster > most)
        sample, step, channel = above[0].tolist()
        port = mapped.table.sources[mapped.table.channel_source[channel]]
        raise InputError(
            "calibration counts are more than a channel carries in a step",
            where=f"input port '{port}', channel {mapped.table.channel_neuron[channel]}, first in sample {sample}, step {step}",
            measured=f"{len(above)} counts, largest {raster.max()}",
            limit=f"{most}, chip '{mapped.chip.name}'",
            fix="clamp them (numpy.minimum) where the model is trained, or spread them over more steps",
        )
    return raster


def _find_type(counts: IntArray) -> np.dtype[Any]:
    """Return the narrowest type that holds counts and what is below them."""
    return np.min_scalar_type(-int(counts.max(initial=0)) - 1)


def _measure_arrays(mapped: MappedNetwork, raster: Counts, arriving: Counts, sent: Counts, swings: dict[str, Swing]) -> None:
    """Run all samples in numpy, as many beside each other as there is room for.

    Args:
        mapped: folded network.
        raster: input counts, ``(n_samples, n_steps, n_channels)``.
        arriving: the same as they arrive.
        sent: where hidden counts go as they arrive, a step later.
        swings: of ``hidden`` and ``outputs``, which take what is seen.
    """
    chunk = max(1, MOST_STATES // max(1, mapped.hidden.size + mapped.outputs.size))
    for start in range(0, len(raster), chunk):
        part = slice(start, start + chunk)
        _measure_part(mapped, raster[part], arriving[part], sent[part], swings, start)


def _measure_part(
    mapped: MappedNetwork, raster: Counts, arriving: Counts, sent: Counts, swings: dict[str, Swing], start: int
) -> None:
    """Run some samples, the first of them number ``start``."""
    n_samples, delay = len(raster), mapped.chip.memory(MemoryKind.OUTPUT).delay_steps
    before = np.zeros((n_samples, mapped.hidden.size))
    bounds = {kind: _build_bounds(mapped, kind, n_samples) for kind in MemoryKind}
    for swing in swings.values():
        swing.begin(start, n_samples)
    for now in walk_network(as_folded_network(mapped), {"inputs": raster.astype(np.int64)}):
        sent[:, now.step], counts = before, now.counts["hidden"]
        sources = (arriving[:, now.step].astype(np.float64), before, before if delay else counts)
        sums = {kind: bounds[kind](source) for kind, source in zip(MemoryKind, sources, strict=True)}
        into_hidden = [sums.pop(kind) for kind in HIDDEN_MEMORIES]
        for name, into in (("hidden", into_hidden), ("outputs", list(sums.values()))):
            swings[name].add(now.step, now.potentials[name], now.currents[name], now.counts[name], into)
        before = counts.copy()


def _build_bounds(mapped: MappedNetwork, kind: MemoryKind, n_samples: int) -> Callable[[FloatArray], list[FloatArray]]:
    """Return what bounds the partial sums of a step in any order: all that arrives at each synapse, without signs."""
    alpha = kind.target(hidden=mapped.hidden, outputs=mapped.outputs).alpha
    matrices = mapped.weights(kind)
    products = [matrix.with_data(np.abs(matrix.data)).build_product(n_samples) for matrix in matrices]
    return lambda counts: [multiply(counts) / np.maximum(own, 0.5) for multiply, own in zip(products, alpha, strict=True)]


class _Weights(NamedTuple):
    """The weights of all synapses of one kind of memory: target ``n * synapse + neuron`` of each source, or sources of each."""

    indptr: IntArray
    indices: npt.NDArray[np.int32]
    data: FloatArray

    @classmethod
    def join(cls, matrices: tuple[CsrMatrix, ...], *, by_target: bool) -> "_Weights":
        if len(matrices) == 1:
            joined = matrices[0]
        else:
            n_pre, n = matrices[0].shape
            rows = np.concatenate([matrix.rows for matrix in matrices])
            columns = np.concatenate([matrix.indices + n * synapse for synapse, matrix in enumerate(matrices)])
            data = np.concatenate([matrix.data for matrix in matrices])
            joined = CsrMatrix.from_triplets(rows, columns, data, (n_pre, n * len(matrices)))
        return cls(*joined.to_columns()) if by_target else cls(joined.indptr, joined.indices.astype(np.int32), joined.data)


class _Row(NamedTuple):
    """Parameters of a row of neurons as compiled code takes them; ``finite`` is the threshold, or 0 where it is infinite."""

    alpha: FloatArray
    beta: FloatArray
    threshold: FloatArray
    bias: FloatArray
    max_count: FloatArray
    finite: FloatArray

    @classmethod
    def of(cls, parameters: NeuronParameters, n_synapses: int, swing: Swing) -> "_Row":
        p = parameters
        return cls(
            np.ascontiguousarray(p.alpha[:n_synapses]),
            p.beta,
            p.threshold,
            p.bias,
            p.max_count.astype(np.float64),
            swing.threshold,
        )


def _count_used(mapped: MappedNetwork, kind: MemoryKind) -> int:
    """Return the synapses up to the last with weights onto the targets of a memory, at least one."""
    onto = HIDDEN_MEMORIES if kind in HIDDEN_MEMORIES else (kind,)
    n_weights = np.sum([[matrix.nnz for matrix in mapped.weights(own)] for own in onto], axis=0)
    return int(np.flatnonzero(n_weights).max(initial=0)) + 1


def _measure_compiled(mapped: MappedNetwork, raster: Counts, arriving: Counts, sent: Counts, swings: dict[str, Swing]) -> None:
    """Do the same in compiled code, sample after sample on each core."""
    from snnmap.lif.quantise.walk import walk_sample

    chip, n_samples = mapped.chip, len(raster)
    hidden, outputs = swings["hidden"], swings["outputs"]
    n_used = {kind: _count_used(mapped, kind) for kind in MemoryKind}
    most = max(mapped.hidden.max_count.max(initial=0), arriving.max(initial=0))
    by_target = bool(mapped.hidden.size > MOST_NEAR and most <= np.iinfo(np.uint8).max)
    memories = tuple(_Weights.join(mapped.weights(kind)[:n], by_target=by_target) for kind, n in n_used.items())
    rows = (
        _Row.of(mapped.hidden, n_used[MemoryKind.RECURRENT], hidden),
        _Row.of(mapped.outputs, n_used[MemoryKind.OUTPUT], outputs),
    )
    is_deep, is_late = bool(np.isfinite(hidden.depth)), chip.memory(MemoryKind.OUTPUT).delay_steps > 0
    flags = (chip.family.reset == "subtract", is_deep, is_late, by_target)

    def run(samples: range) -> tuple[Extremes, Extremes]:
        extremes = hidden.make_extremes(), outputs.make_extremes()
        for sample in samples:
            counts = arriving[sample].astype(np.float64)
            walk_sample(counts, sent[sample], memories, rows, extremes, (hidden.kept, outputs.kept), sample, *flags)
        return extremes

    n_threads = min(count_cores(), max(1, n_samples))
    for of_hidden, of_outputs in run_side_by_side(run, deal_out(n_samples, n_threads), n_threads=n_threads):
        hidden.take(of_hidden)
        outputs.take(of_outputs)

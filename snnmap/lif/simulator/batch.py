"""The fast engine: compiled, groups of samples side by side on all cores, synaptic work only where spikes are."""

from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.chip import Chip, MemoryKind
from snnmap.core import BoolArray, IntArray
from snnmap.core.threads import count_cores, run_side_by_side
from snnmap.lif.program import NeuronCodes, Program
from snnmap.lif.simulator.kernel import find_kernel, find_state_type
from snnmap.lif.simulator.run import Run

__all__ = ["Batch", "run_batch"]

States = tuple[npt.NDArray[Any], ...]
_LANES = 32
"""Samples of a group: a vector register of 16-bit states a neuron; the states of some thousand neurons stay in a core's cache."""
_NO_COUNTS, _NO_STATES = (np.zeros((0, 0, 0), np.int64), np.zeros((0, 0, 0, 0), np.int64))


def run_batch(program: Program, raster: IntArray, run: Run, n_threads: int | None = None) -> None:
    """Run all samples from rest and write what ``run`` asks for; the same numbers as the reference, for any number of threads.

    Cost: synapses of the neurons that spike, plus one update a neuron and step.

    Args:
        program: what the chip is told.
        raster: ``(n_samples, n_steps, n_inputs)``, clamped to what a channel can carry.
        run: arrays to record into.
        n_threads: that run groups of samples; as many as there are cores where left out.
    """
    Batch(program, raster.shape[0], n_threads).run(raster, run)


class Batch:
    """Samples on a chip, at rest at first; their states stay from run to run.

    Args:
        program: what the chip is told.
        n_samples: that run beside each other.
        n_threads: as :func:`run_batch` takes it.
    """

    def __init__(self, program: Program, n_samples: int, n_threads: int | None = None) -> None:
        chip, kind = program.chip, find_state_type(program.chip)
        delay = chip.memory(MemoryKind.INPUT).delay_steps
        self.chip, self.kernel = chip, find_kernel(chip)
        self.shared = (
            tuple(_flatten(program, memory) for memory in MemoryKind),
            tuple(_stack(codes, kind) for codes in (program.hidden, program.outputs)),
            np.array(program.alias) if (program.alias >= 0).any() else np.zeros(0, np.int64),
            (delay, chip.memory(MemoryKind.OUTPUT).delay_steps),
            (chip.hidden.max_count, chip.outputs.max_count),
        )
        self.n_threads = n_threads or count_cores()
        self.firsts = self._share(n_samples)
        self.states = [_make_states(program, kind, min(self.firsts.step, n_samples - first)) for first in self.firsts]
        self.waiting = np.zeros((n_samples, delay, program.n_inputs), np.int64)

    def _share(self, n_samples: int) -> range:
        """Return the first sample of each group."""
        return range(0, n_samples, max(1, min(_LANES, -(-n_samples // self.n_threads))))

    def run(self, raster: IntArray, run: Run) -> None:
        """Run on from the states as they are; see :func:`run_batch`."""
        counts = np.concatenate([self.waiting, raster], axis=1)
        self.waiting = counts[:, raster.shape[1] :]
        left = _NO_COUNTS if run.left is None else run.left
        kept = (*(_arrays(run, area) for area in ("hidden", "outputs")), run.totals, left)
        kernel = self.kernel if run.left is None else find_kernel(self.chip, is_counted=True)

        def run_group(first: int, states: States) -> None:
            kernel(first, counts, *self.shared, states, *kept)

        run_side_by_side(run_group, self.firsts, self.states, n_threads=min(self.n_threads, len(self.states)))

    def keep(self, samples: BoolArray) -> None:
        """Go on with some samples alone, ``(n_samples,) bool``."""
        joined = [np.concatenate(groups, axis=-1)[..., samples] for groups in zip(*self.states, strict=True)]
        self.waiting, self.firsts = self.waiting[samples], self._share(int(samples.sum()))
        lanes = [slice(first, first + self.firsts.step) for first in self.firsts]
        self.states = [tuple(_cut_lanes(states, some) for states in joined) for some in lanes]


def _cut_lanes(states: npt.NDArray[Any], lanes: slice) -> npt.NDArray[Any]:
    return np.ascontiguousarray(states[..., lanes])


def _make_states(program: Program, kind: np.dtype[Any], n_lanes: int) -> States:
    """Return currents, potentials and counts of hidden and output neurons, all 0."""
    states: list[npt.NDArray[Any]] = []
    for codes in (program.hidden, program.outputs):
        states.append(np.zeros((*codes.dash_syn.shape, n_lanes), kind))
        states += [np.zeros((codes.size, n_lanes), kind) for _ in range(2)]
    return tuple(states)


def _flatten(program: Program, kind: MemoryKind) -> tuple[npt.NDArray[Any], ...]:
    """Return row starts ``(n_synapses, n_pre + 1)``, targets and what a spike adds, of all synapses in one array each."""
    matrices, shift = program.memory(kind)
    offsets = np.cumsum([0, *(matrix.nnz for matrix in matrices[:-1])])
    starts = np.stack([matrix.indptr + offset for matrix, offset in zip(matrices, offsets, strict=True)])
    targets = np.concatenate([matrix.indices for matrix in matrices]).astype(np.int32)
    return starts, targets, _weigh(np.concatenate([matrix.data for matrix in matrices]), shift, program.chip)


def _weigh(weights: IntArray, shift: int, chip: Chip) -> npt.NDArray[Any]:
    """Return what one spike adds through each stored weight, in the type of a state where it fits."""
    lowest, highest = int(weights.min(initial=0)), int(weights.max(initial=0))
    count_weight = chip.family.integers.count_weight
    amounts = np.array([count_weight(weight, shift, chip.bits.state) for weight in range(lowest, highest + 1)])
    kind = find_state_type(chip)
    limits = np.iinfo(kind)
    fits = limits.min <= amounts.min() and amounts.max() <= limits.max
    return np.asarray(amounts.astype(kind if fits else np.int64)[weights - lowest])


def _stack(codes: NeuronCodes, kind: np.dtype[Any]) -> tuple[npt.NDArray[Any], ...]:
    return tuple(values.astype(kind) for values in (codes.dash_syn, codes.dash_mem, codes.threshold, codes.bias))


def _arrays(run: Run, area: str) -> tuple[IntArray, ...]:
    """Return the arrays of an area, empty where nothing is recorded."""
    return (
        run.counts.get(area, _NO_COUNTS),
        run.potentials.get(area, _NO_COUNTS),
        run.currents.get(area, _NO_STATES),
    )

"""The open core in simulation, as an engine: slow, and what the gates do."""

from dataclasses import replace

import numpy as np

from snnmap.chip import MemoryKind
from snnmap.core import IntArray
from snnmap.lif.program import Program
from snnmap.lif.rtl import Steps, VerilatedChip
from snnmap.lif.simulator.run import Run

__all__ = ["Cores", "run_cores"]


def run_cores(program: Program, raster: IntArray, run: Run) -> None:
    """Run all samples, one after the other on one core in Verilator, and write what ``run`` asks for.

    The core does not count what leaves its words: where that is asked for, the batch engine does.

    Args:
        program: what the chip is told.
        raster: ``(n_samples, n_steps, n_inputs)``, clamped to what a channel can carry.
        run: arrays to record into.

    Raises:
        FrontendError: Verilator is not installed.
        InputError: there is no C++ compiler, or it fails.
        ChipError: there is no Verilog of the chip's arithmetic.
    """
    core = VerilatedChip(program)
    for sample, counts in enumerate(raster):
        core.clear()
        _Sample(core).run(counts, run, sample)
    if run.left is not None:
        from snnmap.lif.simulator.batch import run_batch

        run_batch(program, raster, replace(run, counts={}, potentials={}, currents={}, totals=np.zeros_like(run.totals)))


class Cores:
    """Samples on cores of their own, at rest at first; their states stay from run to run.

    Args:
        program: what the chip is told.
        n_samples: that run beside each other.
    """

    def __init__(self, program: Program, n_samples: int) -> None:
        self.samples = [_Sample(VerilatedChip(program)) for _ in range(n_samples)]

    def run(self, raster: IntArray, run: Run) -> None:
        """Run on from the states as they are; errors as those of :func:`run_cores`."""
        for number, (sample, counts) in enumerate(zip(self.samples, raster, strict=True)):
            sample.run(counts, run, number)


class _Sample:
    """A core, and the counts that are on their way in it."""

    def __init__(self, core: VerilatedChip) -> None:
        program = core.program
        self.core, self.n_hidden = core, program.hidden.size
        self.fan_out = {
            kind: np.sum([matrix.row_lengths for matrix in program.memory(kind).weights], axis=0) for kind in MemoryKind
        }
        self.waiting = {
            kind: np.zeros((program.chip.memory(kind).delay_steps, lengths.size), np.int64)
            for kind, lengths in self.fan_out.items()
        }

    def run(self, raster: IntArray, run: Run, sample: int) -> None:
        """Run steps and record them as those of a sample."""
        steps = self.core.run(raster)
        slots = {"hidden": slice(0, self.n_hidden), "outputs": slice(self.n_hidden, None)}
        for area, kept in run.counts.items():
            kept[sample] = steps.counts[:, slots[area]]
        for area, potentials in run.potentials.items():
            potentials[sample] = steps.potentials[:, slots[area]]
            currents = run.currents[area]
            currents[sample] = steps.currents[:, : currents.shape[2], slots[area]]
        run.totals[sample] += self._add_up(raster, steps)

    def _add_up(self, raster: IntArray, steps: Steps) -> IntArray:
        """Return input, hidden and output spikes, and synaptic operations."""
        hidden, outputs = np.split(steps.counts, [self.n_hidden], axis=1)
        operations = 0
        for kind, lengths in self.fan_out.items():
            sent = np.concatenate([self.waiting[kind], kind.source(inputs=raster, hidden=hidden)])
            arrived, self.waiting[kind] = np.split(sent, [len(raster)])
            operations += int((arrived @ lengths).sum())
        return np.array([raster.sum(), hidden.sum(), outputs.sum(), operations], np.int64)

"""The plain reference: one neuron, one synapse, one spike count at a time, in Python integers."""

from itertools import pairwise

import numpy as np

from snnmap.chip import Family, MemoryKind
from snnmap.chip.arithmetic import WIDE
from snnmap.core import CsrMatrix, IntArray
from snnmap.lif.program import NeuronCodes, Program
from snnmap.lif.simulator.run import Run

__all__ = ["run_reference"]

Synapses = list[list[list[tuple[int, int]]]]


def run_reference(program: Program, raster: IntArray, run: Run) -> None:
    """Run all samples, one after the other, and write what ``run`` asks for.

    The order of events is the chip's (docs/architecture.md): inputs in ascending channel, then hidden counts of the step
    before in ascending slot, then all neurons in ascending slot.

    Args:
        program: what the chip is told.
        raster: ``(n_samples, n_steps, n_inputs)``, clamped to what a channel can carry.
        run: arrays to record into.
    """
    for sample in range(raster.shape[0]):
        _Sample(program, run, sample).run(raster[sample].tolist())


class _Neurons:
    """States of a row of neurons."""

    def __init__(self, codes: NeuronCodes, family: Family) -> None:
        self.rules = family.integers
        self.dash_syn, self.dash_mem = codes.dash_syn.tolist(), codes.dash_mem.tolist()
        self.thresholds, self.biases = codes.threshold.tolist(), codes.bias.tolist()
        self.currents = [[0] * codes.size for _ in self.dash_syn]
        self.potentials = [0] * codes.size
        self.left = [0, 0, 0]  # arrivals, potentials and counts that a wider word would have held

    def enter(self) -> None:
        """Begin a step."""
        for current, dashes in zip(self.currents, self.dash_syn, strict=True):
            current[:] = map(self.rules.enter, current, dashes)

    def receive(self, synapses: Synapses, shift: int, counts: list[int], bits: int, *, is_counted: bool) -> int:
        """Deliver the counts of all sources; give the synaptic operations that took."""
        operations, deliver = 0, self.rules.deliver
        for synapse, rows in enumerate(synapses):
            current = self.currents[synapse]
            for source, count in enumerate(counts):
                if count:
                    for target, weight in rows[source]:
                        before = current[target]
                        current[target] = deliver(before, weight, shift, count, bits)
                        if is_counted:
                            amount = count * self.rules.count_weight(weight, shift, bits)
                            self.left[0] += current[target] != self.rules.add(before, amount, WIDE)
                    operations += count * len(rows[source])
        return operations

    def evolve(self, neuron: int, already: int, max_count: int, bits: int, *, is_counted: bool) -> int:
        """Settle, integrate and fire one neuron; give its count."""
        total, rules = 0, self.rules
        for current, dashes in zip(self.currents, self.dash_syn, strict=True):
            current[neuron] = rules.settle(current[neuron], dashes[neuron])
            total += current[neuron]
        inputs = self.potentials[neuron], self.dash_mem[neuron], total, self.biases[neuron]
        potential, threshold = rules.integrate(*inputs, bits), self.thresholds[neuron]
        count, self.potentials[neuron] = rules.fire(potential, threshold, already, max_count, bits)
        if is_counted:
            self.left[1] += potential != rules.integrate(*inputs, WIDE)
            self.left[1] += self.potentials[neuron] != rules.fire(potential, threshold, already, max_count, WIDE)[1]
            self.left[2] += rules.fire(self.potentials[neuron], threshold, 0, 1, bits)[0] if potential >= threshold else 0
        return count


class _Sample:
    """One run of one sample."""

    def __init__(self, program: Program, run: Run, sample: int) -> None:
        self.program, self.recorder, self.sample, self.is_counted = program, run, sample, run.left is not None
        family = program.chip.family
        self.hidden, self.outputs = _Neurons(program.hidden, family), _Neurons(program.outputs, family)
        self.synapses = {kind: [_rows(matrix) for matrix in program.memory(kind).weights] for kind in MemoryKind}

    def run(self, inputs: list[list[int]]) -> None:
        program, chip = self.program, self.program.chip
        silent = [0] * program.n_inputs
        before = [0] * program.hidden.size
        for step in range(len(inputs)):
            then = step - chip.memory(MemoryKind.INPUT).delay_steps
            self.hidden.enter()
            self.outputs.enter()
            operations = self._deliver(MemoryKind.INPUT, inputs[then] if then >= 0 else silent)
            operations += self._deliver(MemoryKind.RECURRENT, before)
            counts = self._evolve_hidden()
            operations += self._deliver(MemoryKind.OUTPUT, before if chip.memory(MemoryKind.OUTPUT).delay_steps else counts)
            sent = [self._evolve(self.outputs, n, 0, chip.outputs.max_count) for n in range(program.outputs.size)]
            self._record(step, inputs[step], counts, sent, operations)
            before = counts
        if self.recorder.left is not None:
            self.recorder.left[self.sample] += np.array([self.hidden.left, self.outputs.left])

    def _deliver(self, kind: MemoryKind, counts: list[int]) -> int:
        """Deliver the counts of a memory's sources to its targets; give the synaptic operations that took."""
        neurons, program = kind.target(hidden=self.hidden, outputs=self.outputs), self.program
        shift, bits = program.memory(kind).shift, program.chip.bits.state
        return neurons.receive(self.synapses[kind], shift, counts, bits, is_counted=self.is_counted)

    def _evolve(self, neurons: _Neurons, neuron: int, already: int, max_count: int) -> int:
        return neurons.evolve(neuron, already, max_count, self.program.chip.bits.state, is_counted=self.is_counted)

    def _evolve_hidden(self) -> list[int]:
        """Evolve hidden neurons in ascending slot; an alias repeats the count of its source in the same step."""
        chip, alias = self.program.chip, self.program.alias.tolist()
        counts = [0] * self.program.hidden.size
        for neuron in range(len(counts)):
            counts[neuron] = self._evolve(self.hidden, neuron, counts[neuron], chip.hidden.max_count)
            if alias[neuron] >= 0:
                repeated = counts[alias[neuron]] + counts[neuron]
                self.hidden.left[2] += repeated > chip.hidden.max_count
                counts[alias[neuron]] = min(chip.hidden.max_count, repeated)
        return counts

    def _record(self, step: int, arrived: list[int], hidden: list[int], sent: list[int], operations: int) -> None:
        run, sample = self.recorder, self.sample
        run.totals[sample] += np.array([sum(arrived), sum(hidden), sum(sent), operations])
        for name, neurons, counts in (("hidden", self.hidden, hidden), ("outputs", self.outputs, sent)):
            if name in run.counts:
                run.counts[name][sample, step] = counts
            if name in run.potentials:
                run.potentials[name][sample, step] = neurons.potentials
                run.currents[name][sample, step] = neurons.currents


def _rows(matrix: CsrMatrix) -> list[list[tuple[int, int]]]:
    """List (target, weight) of each source."""
    indptr, indices, data = matrix.indptr.tolist(), matrix.indices.tolist(), matrix.data.tolist()
    pairs = list(zip(indices, data, strict=True))
    return [pairs[start:stop] for start, stop in pairwise(indptr)]

"""What hidden neurons fired themselves, where aliases add to their counts."""

from typing import NamedTuple

import numpy as np

from snnmap.core import IntArray
from snnmap.lif.program import Program
from snnmap.network import Recording

__all__ = ["Fired", "needs_states", "split_aliases"]


class Fired(NamedTuple):
    """Spikes of hidden neurons as their updates make them.

    Attributes:
        counts: ``(n_samples, n_steps, n_hidden)``, spikes that each neuron fired itself.
        copied: ``(n_samples, n_steps)``, neurons whose count an alias copies because it is not 0.
    """

    counts: IntArray
    copied: IntArray


def needs_states(program: Program) -> bool:
    """Say whether :func:`split_aliases` needs currents and potentials: an alias is an earlier slot, which may be capped."""
    return bool(((program.alias >= 0) & (program.alias < np.arange(program.alias.size))).any())


def split_aliases(program: Program, run: Recording) -> Fired:
    """Take from the counts of hidden neurons what aliases added.

    A later slot has its alias's count before it fires; an earlier one is given it when its own update is over. Where that reached
    the most spikes of a step, what the neuron had fired follows from its states alone.

    Args:
        program: that ran.
        run: with the counts of ``hidden``, and their states where :func:`needs_states` says so.
    """
    counts, sources = run.counts["hidden"], np.flatnonzero(program.alias >= 0)
    if not sources.size:
        return Fired(counts, np.zeros(counts.shape[:2], np.int64))
    ended = counts.copy()  # when the update is over, before a later slot adds to it
    for source in sources[::-1].tolist():
        target = int(program.alias[source])
        if target < source:
            ended[..., target] -= ended[..., source]
            capped = (counts[..., target] == program.chip.hidden.max_count) & (ended[..., source] > 0)
            for sample, step in np.argwhere(capped).tolist():
                ended[sample, step, target] = _fire(program, run, sample, step, target)
    later = sources[program.alias[sources] > sources]
    fired = ended.copy()
    fired[..., program.alias[later]] -= ended[..., later]
    return Fired(fired, (ended[..., sources] > 0).sum(axis=2))


def _fire(program: Program, run: Recording, sample: int, step: int, neuron: int) -> int:
    """Compute the spikes of a hidden neuron in a step from its currents and the potential before."""
    rules, codes, bits = program.chip.family.integers, program.hidden, program.chip.bits.state
    before = int(run.potentials["hidden"][sample, step - 1, neuron]) if step else 0
    total = int(run.currents["hidden"][sample, step, :, neuron].sum())
    potential = rules.integrate(before, int(codes.dash_mem[neuron]), total, int(codes.bias[neuron]), bits)
    return int(rules.fire(potential, int(codes.threshold[neuron]), 0, program.chip.hidden.max_count, bits)[0])

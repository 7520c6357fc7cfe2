"""Placement: which hidden slot each neuron and relay gets, so that inputs and outputs reach theirs."""

from itertools import pairwise

import numpy as np

from snnmap.chip import Chip
from snnmap.core import BoolArray, IntArray

__all__ = ["place_neurons"]


def place_neurons(chip: Chip, takes_input: BoolArray, feeds_output: BoolArray) -> IntArray:
    """Give each hidden neuron a slot; neurons keep their order as far as the chip's reach allows.

    Slots are filled in ascending order; each takes, of the neurons that may stand there, one that must stand earliest
    (earliest deadline first, which finds a placement whenever there is one). Where there is none, neurons are placed
    all the same and the design rules say which are out of reach.

    Args:
        chip: whose reach applies.
        takes_input: ``(n_hidden,) bool``, whether an input channel projects to the neuron.
        feeds_output: ``(n_hidden,) bool``, whether an output neuron reads it.

    Returns:
        ``(n_hidden,) int64``, slot of each neuron.
    """
    n_hidden = takes_input.size
    reached, read = chip.inputs.reach.slots(n_hidden), chip.outputs.reach.slots(n_hidden)
    release = np.maximum(np.where(takes_input, reached.start, 0), np.where(feeds_output, read.start, 0))
    deadline = np.minimum(np.where(takes_input, reached.stop, n_hidden), np.where(feeds_output, read.stop, n_hidden))
    waiting = np.argsort(deadline, kind="stable")
    starts = np.unique(np.minimum(np.r_[0, release], n_hidden)).tolist()
    slots = np.zeros(n_hidden, np.int64)
    for start, stop in pairwise([*starts, n_hidden]):
        is_late = release[waiting] > start
        queue = np.concatenate([waiting[~is_late], waiting[is_late]])
        slots[queue[: stop - start]] = np.arange(start, stop)
        is_placed = np.isin(waiting, queue[: stop - start])
        waiting = waiting[~is_placed]
    return slots

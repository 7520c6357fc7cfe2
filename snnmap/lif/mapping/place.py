"""Placement: which hidden slot each neuron and relay gets, so that inputs and outputs reach theirs."""

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
    waiting: dict[tuple[int, int], list[int]] = {}
    for neuron in range(n_hidden - 1, -1, -1):
        waiting.setdefault((int(deadline[neuron]), int(release[neuron])), []).append(neuron)
    slots = np.zeros(n_hidden, np.int64)
    for slot in range(n_hidden):
        open_groups = [key for key in waiting if key[1] <= slot] or list(waiting)
        chosen = min(open_groups, key=lambda key: (key[0], waiting[key][-1]))
        slots[waiting[chosen].pop()] = slot
        if not waiting[chosen]:
            del waiting[chosen]
    return slots

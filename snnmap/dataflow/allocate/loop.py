"""The loop of returns: the slowest layer is raised, at the least cost, until a budget ends."""

from collections.abc import Sequence

import numpy as np

from snnmap.core.record import FloatArray, IntArray
from snnmap.dataflow.allocate.choices import Choices
from snnmap.dataflow.allocate.exact import fit_interval, list_intervals

__all__ = ["raise_slowest"]


def raise_slowest(choices: Sequence[Choices], budget: IntArray) -> list[int] | None:
    """Return the number of each layer's choice; None where no choice of all layers fits the budget.

    The slowest layer takes the choice with fewer cycles whose share of the budgets grows least; of those that cost the same, the
    one that saves most. Where it does not fit, others give back what they have to spare: choices that are no slower than the
    slowest was, and take less of what is short. It ends where the slowest layer can be raised no more.

    Args:
        choices: of each layer.
        budget: ``(3,)`` of each resource.
    """
    chosen = _start(choices, budget)
    while chosen is not None:
        raised = _raise_once(choices, budget, chosen)
        if raised is None:
            return chosen
        chosen = raised
    return None


def _start(choices: Sequence[Choices], budget: IntArray) -> list[int] | None:
    """Return the least of each layer, or where these together do not fit, what an exact search finds."""
    return fit_interval(choices, budget, int(list_intervals(choices)[-1]))


def _raise_once(choices: Sequence[Choices], budget: IntArray, chosen: list[int]) -> list[int] | None:
    cycles = [int(choice.cycles[one]) for choice, one in zip(choices, chosen, strict=True)]
    slowest = int(np.argmax(cycles))
    choice = choices[slowest]
    faster = np.flatnonzero(choice.cycles < cycles[slowest])
    growth = _weigh(choice.costs[faster] - choice.costs[chosen[slowest]], budget)
    for one in faster[np.lexsort((choice.cycles[faster], growth))]:
        raised = [int(one) if place == slowest else old for place, old in enumerate(chosen)]
        fitted = _give_back(choices, budget, raised, cycles[slowest])
        if fitted is not None:
            return fitted
    return None


def _give_back(choices: Sequence[Choices], budget: IntArray, chosen: list[int], interval: int) -> list[int] | None:
    """Exchange choices until all fit; None where no exchange brings them nearer before they do.

    What is faster than an interval stays so: each layer that is as slow is raised once, and the loop ends.
    """
    total = sum(choice.costs[one] for choice, one in zip(choices, chosen, strict=True))
    if (total <= budget).all():
        return chosen
    kept = [choice.select(max(interval - 1, int(choice.cycles[one]))) for choice, one in zip(choices, chosen, strict=True)]
    if (sum(choice.costs[one].min(axis=0) for choice, one in zip(choices, kept, strict=True)) > budget).any():
        return None
    owner, numbers = np.repeat(np.arange(len(kept)), list(map(len, kept))), np.concatenate(kept)
    costs = np.concatenate([choice.costs[one] for choice, one in zip(choices, kept, strict=True)])
    chosen, excess = list(chosen), _count_excess(total[np.newaxis], budget)[0]
    while excess > 0:
        held = np.array([choice.costs[one] for choice, one in zip(choices, chosen, strict=True)])
        totals = total - held[owner] + costs
        over = _count_excess(totals, budget)
        best = int(np.lexsort((_weigh(totals, budget), over))[0])
        if over[best] >= excess:
            return None
        chosen[owner[best]], total, excess = int(numbers[best]), totals[best], over[best]
    return chosen


def _weigh(costs: IntArray, budget: IntArray) -> FloatArray:
    """Return which share of the budgets costs are, in all."""
    return np.asarray((costs / np.maximum(budget, 1)).sum(axis=1))


def _count_excess(totals: IntArray, budget: IntArray) -> FloatArray:
    """Return by which share of the budgets costs are beyond them, in all."""
    return np.asarray(np.maximum((totals - budget) / np.maximum(budget, 1), 0).sum(axis=1))

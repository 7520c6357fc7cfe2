"""The exact optimum: the least interval for which some choice of every layer fits all budgets."""

from collections.abc import Sequence

import numpy as np

from snnmap.core.record import IntArray
from snnmap.dataflow.allocate.choices import Choices

__all__ = ["fit_interval", "list_intervals", "search_exact"]


def search_exact(choices: Sequence[Choices], budget: IntArray) -> list[int] | None:
    """Return the number of each layer's choice with the least interval, and of those the fewest multipliers; None if none fits.

    Intervals that differ are as many as choices; those that can be kept are all from a least one on, which is found by halving.

    Args:
        choices: of each layer.
        budget: ``(3,)`` of each resource.
    """
    intervals = list_intervals(choices)
    if fit_interval(choices, budget, int(intervals[-1])) is None:
        return None
    low, high = 0, len(intervals) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fit_interval(choices, budget, int(intervals[middle])) is not None else (middle + 1, high)
    return fit_interval(choices, budget, int(intervals[low]))


def list_intervals(choices: Sequence[Choices]) -> IntArray:
    """Return every interval that a slowest layer can set, from the least that all layers can keep."""
    slowest = max(int(choice.cycles.min()) for choice in choices)
    found = np.unique(np.concatenate([choice.cycles for choice in choices]))
    return np.asarray(found[found >= slowest])


def fit_interval(choices: Sequence[Choices], budget: IntArray, interval: int, *, resource: int = 0) -> list[int] | None:
    """Return the number of each layer's choice with the least of a resource in all that keeps an interval; None if none fits."""
    kept = [choice.select(interval) for choice in choices]
    if not all(map(len, kept)):
        return None
    keys = [*(other for other in (2, 1, 0) if other != resource), resource]
    cheapest = [int(one[np.lexsort(choice.costs[one].T[keys])[0]]) for one, choice in zip(kept, choices, strict=True)]
    if (sum(choice.costs[one] for choice, one in zip(choices, cheapest, strict=True)) <= budget).all():
        return cheapest
    return _solve([(one, choice.costs[one]) for one, choice in zip(kept, choices, strict=True)], budget, objective=resource)


def _solve(options: Sequence[tuple[IntArray, IntArray]], budget: IntArray, *, objective: int) -> list[int] | None:
    """Choose one option a layer within the budget, with the least sum of one resource, by an integer program."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    costs = np.concatenate([cost for _, cost in options]).astype(float)
    owner = np.repeat(np.arange(len(options)), [len(one) for one, _ in options])
    one_each = csr_array((np.ones(len(owner)), (owner, np.arange(len(owner)))))
    limits = [LinearConstraint(one_each, 1, 1), LinearConstraint(costs.T, -np.inf, budget.astype(float))]
    found = milp(costs[:, objective], integrality=np.ones(len(owner), np.int64), bounds=Bounds(0, 1), constraints=limits)
    if found.x is None:
        return None
    numbers = np.concatenate([one for one, _ in options])[found.x > 0.5]
    return [int(number) for number in numbers]

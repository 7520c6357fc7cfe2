"""Retiming: lags that align every path with the fewest relays, by a solver."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from snnmap.chip import Chip
from snnmap.core import record
from snnmap.core.errors import DesignRuleError
from snnmap.lif.drc import OnChip, timing
from snnmap.lif.program import Route, delay_on_chip, find_route, projection_name
from snnmap.network import Network

if TYPE_CHECKING:
    from scipy.optimize import LinearConstraint
    from scipy.sparse import csr_array

__all__ = ["Retiming", "retime_network", "stretch_short_loops"]


@record
class Retiming:
    """Lags of all populations, and what they cost.

    Attributes:
        lags: steps by which each population runs behind the source network.
        relay_steps: by projection name, extra steps to be made of relays.
        hops: by source name, the longest of these: the length of the source's relay chain.
    """

    lags: Mapping[str, int]
    relay_steps: Mapping[str, int]
    hops: Mapping[str, int]

    def route(self, network: Network, pre: str, post: str, synapse: int, delay_steps: int) -> Route:
        """Return the way of a projection of the lowered network through the chip, by its ends, synapse and delay."""
        return find_route(network, pre, post, self.relay_steps[projection_name(pre, post, synapse, delay_steps)])


def retime_network(network: Network, chip: Chip) -> Retiming:
    """Choose lags that need the fewest relays, and among those the smallest.

    Minimum-register retiming with shared fan-out (Leiserson & Saxe 1991): with ``A(u)`` the latest arrival of source u,
    minimise ``sum size(u) * (A(u) - lag(u))`` subject to ``lag(u) + c(e) <= lag(v) + d(e) <= A(u) + c(e)`` for every
    edge e from u to v. Input ports have lag 0, and populations that nothing drives, so that what their biases send comes
    with the input; populations read by one output port share a lag.

    Args:
        network: lowered.
        chip: whose delays apply.

    Raises:
        DesignRuleError: a loop is too short to fold (:func:`snnmap.lif.drc.timing.check_loops`).
    """
    short = list(timing.check_loops.judge(OnChip(of=network, chip=chip)))
    if short:
        raise DesignRuleError(short)
    problem = _Problem(network, chip)
    latest = problem.find_lags_without_relays() or problem.find_lags()
    lags = {name: int(latest[problem.lag[name]]) for name in (p.name for p in network.populations)}
    extra = {
        edge.name: edge.delay_steps + lags[edge.post] - lags.get(edge.pre, 0) - delay_on_chip(network, chip, edge.pre, edge.post)
        for edge in network.projections
    }
    hops = dict.fromkeys(network.source_sizes, 0)
    for edge in network.projections:
        hops[edge.pre] = max(hops[edge.pre], extra[edge.name])
    return Retiming(lags=lags, relay_steps=extra, hops=hops)


def stretch_short_loops(network: Network, chip: Chip) -> dict[str, int]:
    """Find the least extra delay, by projection name, that makes every loop long enough to fold.

    Minimise ``sum s(e)`` subject to ``lag(u) + c(e) <= lag(v) + d(e) + s(e)``. Only projections that have a delay are
    stretched: every loop has one, and forward paths keep their alignment.
    """
    from scipy.optimize import LinearConstraint
    from scipy.sparse import csr_array

    hidden_edges = [edge for edge in network.projections if edge.pre in {population.name for population in network.populations}]
    names = [population.name for population in network.populations]
    n, m = len(names), len(hidden_edges)
    rows = np.zeros((m, n + m))
    for row, edge in enumerate(hidden_edges):
        rows[row, names.index(edge.post)] += 1
        rows[row, names.index(edge.pre)] -= 1
        rows[row, n + row] = 1
    stretchable = np.array([edge.delay_steps > 0 for edge in hidden_edges], np.bool_)
    slack = np.array([delay_on_chip(network, chip, edge.pre, edge.post) - edge.delay_steps for edge in hidden_edges], float)
    cost = np.r_[np.zeros(n), np.ones(m)]
    upper = np.r_[np.full(n, np.inf), np.where(stretchable, np.inf, 0.0)]
    found = _solve(cost, [LinearConstraint(csr_array(rows), slack, np.inf)] if m else [], upper)
    return {edge.name: int(steps) for edge, steps in zip(hidden_edges, found[n:], strict=True) if steps}


class _Problem:
    """The linear program: a lag and a latest arrival for each source; populations of one output port share their lag."""

    def __init__(self, network: Network, chip: Chip) -> None:
        sizes = network.source_sizes
        self.lag = {name: index for index, name in enumerate(sizes)}
        for port in network.outputs:
            for name in port.populations:
                self.lag[name] = self.lag[_leader(network, name)]
        self.n_lags = len(sizes)
        arrival = {name: self.n_lags + index for index, name in enumerate(sizes)}
        n = self.n_lags + len(sizes)
        self.upper = np.full(n, np.inf)
        awaited = {*(edge.post for edge in network.projections), *network.output_populations}
        self.upper[[self.lag[name] for name in sizes if name not in awaited]] = 0
        self.relay_cost, self.lag_cost = np.zeros(n), np.zeros(n)
        for name, size in sizes.items():
            self.relay_cost[arrival[name]] += size
            self.relay_cost[self.lag[name]] -= size
            self.lag_cost[self.lag[name]] += 1
        self.needed = [delay_on_chip(network, chip, edge.pre, edge.post) - edge.delay_steps for edge in network.projections]
        self.ends = [(self.lag[edge.pre], self.lag[edge.post]) for edge in network.projections]
        self.rows, self.low = self._list_rows(network, arrival)

    def find_lags_without_relays(self) -> list[int]:
        """Return the least lags with which nothing comes late, or nothing where something would have to wait.

        They are what :meth:`find_lags` gives, without a solver: relays cost more than none, and no lags are smaller.
        """
        lags, edges = [0] * self.n_lags, [(*ends, needed) for ends, needed in zip(self.ends, self.needed, strict=True)]
        for _ in range(self.n_lags):
            before = list(lags)
            for pre, post, needed in edges:
                lags[post] = max(lags[post], lags[pre] + needed)
            if lags == before:
                break
        return lags if all(lags[post] == lags[pre] + needed for pre, post, needed in edges) else []

    def find_lags(self) -> list[int]:
        """Return the least lags among those that need the fewest relays."""
        relays = self._minimise(self.relay_cost, [])
        latest = self._minimise(self.lag_cost, [(self.relay_cost, float(np.rint(self.relay_cost @ relays)))])
        return [int(lag) for lag in latest[: self.n_lags]]

    def _list_rows(self, network: Network, arrival: dict[str, int]) -> tuple[list[list[tuple[int, int]]], list[float]]:
        """Return constraint rows as (variable, coefficient) lists, and their lower bounds."""
        rows, low = [], []
        for edge, (pre, post), needed in zip(network.projections, self.ends, self.needed, strict=True):
            rows.append([(post, 1), (pre, -1)])  # lag(v) - lag(u) >= c - d
            low.append(float(needed))
            rows.append([(arrival[edge.pre], 1), (post, -1)])  # A(u) - lag(v) >= d - c
            low.append(float(-needed))
        for name, index in arrival.items():
            rows.append([(index, 1), (self.lag[name], -1)])  # a chain is never shorter than nothing
            low.append(0.0)
        return rows, low

    def _minimise(
        self, cost: npt.NDArray[np.float64], fixed: list[tuple[npt.NDArray[np.float64], float]]
    ) -> npt.NDArray[np.float64]:
        """Solve for the least cost, with other costs held at given values."""
        from scipy.optimize import LinearConstraint

        n = cost.size
        constraints = [LinearConstraint(_sparse(self.rows, n), self.low, np.inf)] if self.rows else []
        constraints += [LinearConstraint(row[np.newaxis], value, value) for row, value in fixed]
        return _solve(cost, constraints, self.upper)


def _leader(network: Network, name: str) -> str:
    """Return one name for all populations whose lag must be that of ``name`` because output ports read them together."""
    group = {name}
    while True:
        grown = group.union(*(port.populations for port in network.outputs if group & set(port.populations)))
        if grown == group:
            return min(group)
        group = grown


def _sparse(rows: list[list[tuple[int, int]]], n: int) -> "csr_array[np.float64, tuple[int, int]]":
    from scipy.sparse import csr_array

    triplets = [(row, column, value) for row, entries in enumerate(rows) for column, value in entries]
    at, column, value = zip(*triplets, strict=True)
    return csr_array((np.array(value, float), (at, column)), shape=(len(rows), n))


def _solve(
    cost: npt.NDArray[np.float64], constraints: "list[LinearConstraint]", upper: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    from scipy.optimize import Bounds, milp

    bounds = Bounds(np.zeros(cost.size), upper)
    answer = milp(
        cost, integrality=np.ones(cost.size, np.int64), bounds=bounds, constraints=constraints, options={"mip_rel_gap": 0.0}
    )
    if answer.x is None:
        raise RuntimeError(f"the solver found no lags: {answer.message}")
    return np.asarray(np.rint(answer.x), np.float64)

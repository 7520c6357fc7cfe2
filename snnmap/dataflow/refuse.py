"""Why no pipeline meets the budgets, and the least that would do."""

from dataclasses import replace
from math import floor, log10

from snnmap.core.errors import NetworkError
from snnmap.dataflow.allocate import RESOURCES
from snnmap.dataflow.search import Search

__all__ = ["make_refusal"]

_NO_PARALLELISM = "no parallelism of the layers meets the budgets"
_NO_DIVISION = "no division between the first layers and a unit meets the budgets"


def make_refusal(search: Search) -> NetworkError:
    """Return what is short for a search that found nothing, and the least of it that would do, buffers included."""
    if search.target is not None and search.target < search.fastest:
        return _refuse_target(search, search.fastest)
    if search.target is not None and search.cut is not None:
        slower = replace(search, options=replace(search.options, fps=None)).find()
        if slower is not None:
            return _refuse_target(search, slower.interval)
    found = [search.find_least(place) for place in range(len(RESOURCES))]
    least = [f"{count} {name}" for count, name in zip(found, RESOURCES, strict=True) if count is not None]
    given = "give that many with multipliers= or memory_blocks=, a device that has them, fewer fps, or stream_weights=True"
    return NetworkError(
        _NO_PARALLELISM if search.cut is None else _NO_DIVISION,
        where=_tell_place(search),
        measured=" or ".join(least) or "more of several at once",
        limit=", ".join(f"{count} {name}" for count, name in zip(search.budget, RESOURCES, strict=True)),
        fix=given if search.cut is None else "cut elsewhere, or give that many with multipliers= or memory_blocks=",
    )


def _refuse_target(search: Search, interval: int) -> NetworkError:
    more = ", or more multipliers" if interval > search.floor else "; inputs and the link are no faster"
    return NetworkError(
        "no parallelism is as fast as the target",
        where=_tell_place(search),
        measured=f"{search.target} cycles a sample",
        limit=f"{interval} at least",
        fix=f"give fps={_round_down(search.device.clock_mhz * 1e6 / interval):.6g} or less{more}",
    )


def _tell_place(search: Search) -> str:
    name = search.network.name
    return name if search.cut is None else f"{name}, cut at '{search.network.layers[search.cut].name}'"


def _round_down(value: float) -> float:
    """Return a number of six digits that is no larger."""
    unit = 10.0 ** (floor(log10(value)) - 5)
    return floor(value / unit) * unit

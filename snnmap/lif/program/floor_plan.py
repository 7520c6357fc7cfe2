"""The floor plan of a folded network: who stands where in the chip's rows of neurons, and how full its memories are."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from snnmap.core import IntArray
from snnmap.core.html import Element, heading, make_element, make_table
from snnmap.lif.program.mapped import MappedNetwork, SlotTable
from snnmap.lif.program.occupancy import Occupancy, measure_occupancy

__all__ = ["PLACES", "draw_floor_plan", "draw_slots", "show_mapped"]

PLACES = ("population", "row", "neurons#", "relays#", "lag (steps)#", "slots")
"""Columns of :meth:`SlotTable.list_places`."""

_LEFT, _WIDTH, _RIGHT = 150, 520, 170
"""Of the names, the bars and the figures behind them, in pixels."""
_LINE, _THIN, _GAP, _LETTER = 16, 4, 8, 7
_MOST_RUNS = 400
_FREE, _USED, _RELAY, _OVER = "#88888830", "#7aa6c2", "#d9a066", "#b5541c"


def draw_floor_plan(mapped: MappedNetwork) -> Element:
    """Draw the slots in use by population and relays, below each row its use, and that of each memory, as SVG."""
    return draw_slots(mapped.table, measure_occupancy(mapped), mapped.relay_lag)


def draw_slots(table: SlotTable, occupancy: Sequence[Occupancy], relay_lag: Callable[[str, int], int]) -> Element:
    """Draw the floor plan of what stands in a table.

    Args:
        table: of slots.
        occupancy: of the chip, in its order.
        relay_lag: gives the lag of a source's relay, hop 0 for the source itself.
    """
    rows = (
        (table.channel_source, np.zeros_like(table.channel_source), _LINE),
        (table.hidden_source, table.hidden_hop, 3 * _LINE),
        (table.output_source, np.zeros_like(table.output_source), _LINE),
    )
    drawn: list[Element] = []
    y = 0
    for block, (sources, hops, height) in zip(occupancy, rows, strict=False):
        drawn += [*_draw_texts(block, y, height), *_draw_row(table, relay_lag, (sources, hops), y, height)]
        drawn += _draw_use(block, y + height, _THIN)
        y += height + _THIN + _GAP
    for block in occupancy[len(rows) :]:
        drawn += [*_draw_texts(block, y, _LINE), *_draw_use(block, y, _LINE)]
        y += _LINE + _GAP
    width = _LEFT + _WIDTH + _RIGHT
    return make_element("svg", *drawn, width=width, height=y, viewBox=f"0 0 {width} {y}", font_family="sans-serif", font_size=11)


def show_mapped(mapped: MappedNetwork) -> list[Element]:
    """Show a folded network in a notebook: its floor plan, and a table of lags, relays and slots."""
    title = f"'{mapped.name}' on {mapped.chip.name}: latency {mapped.latency_steps} steps, {mapped.n_relays} relays"
    return [heading(title), draw_floor_plan(mapped), make_table(PLACES, mapped.list_places())]


def _draw_texts(block: Occupancy, y: int, height: int) -> Iterator[Element]:
    """Write the name and the figures of a block beside its bar."""
    middle = y + height / 2 + 4
    fan_in = f", fan-in {block.largest_fan_in}" if block.largest_fan_in else ""
    yield make_element("text", block.block, x=_LEFT - 6, y=middle, text_anchor="end", fill="currentColor")
    figures = f"{block.used} of {block.capacity}{fan_in}"
    yield make_element("text", figures, x=_LEFT + _WIDTH + 6, y=middle, fill="currentColor")


def _draw_use(block: Occupancy, y: int, height: int) -> Iterator[Element]:
    """Draw what is used of what there is; what is too much in a colour of its own."""
    scale = _WIDTH / max(block.used, block.capacity, 1)
    used, there = block.used * scale, block.capacity * scale
    yield _draw_bar(0, there, y, height, _FREE)
    yield _draw_bar(0, min(used, there), y, height, _USED)
    if used > there:
        yield _draw_bar(there, used, y, height, _OVER, title=f"{block.used - block.capacity} too many")


def _draw_row(
    table: SlotTable, relay_lag: Callable[[str, int], int], row: tuple[IntArray, IntArray], y: int, height: int
) -> Iterator[Element]:
    """Draw the runs of slots that a population or its relays stand in, over the whole width; a row is sources and hops."""
    scale = _WIDTH / max(row[0].size, 1)
    for start, stop, source, hop in _find_runs(*row):
        name = table.sources[source]
        what, lag = f"{name}, relay {hop}" if hop else name, relay_lag(name, hop)
        fill = _RELAY if hop else _shade(lag)
        yield _draw_bar(start * scale, stop * scale, y, height, fill, title=f"{what}: {start}..{stop - 1}, lag {lag}")
        fitting = [told for told in (f"{what} (lag {lag})", what) if (stop - start) * scale > _LETTER * len(told)]
        at = {"x": f"{_LEFT + start * scale + 3:.1f}", "y": f"{y + height / 2 + 4:.1f}", "fill": "#000000"}
        yield from (make_element("text", told, **at) for told in fitting[:1])


def _find_runs(sources: IntArray, hops: IntArray) -> Iterator[tuple[int, int, int, int]]:
    """Yield first and last-plus-one slot, source and hop of runs; where there are very many, of evenly chosen slots."""
    keys = np.stack([sources, hops])
    edges = np.flatnonzero((np.diff(keys) != 0).any(axis=0)) + 1
    if edges.size > _MOST_RUNS:
        edges = edges[np.linspace(0, edges.size - 1, _MOST_RUNS).astype(np.int64)]
    bounds = [0, *edges.tolist(), sources.size] if sources.size else []
    for start, stop in pairwise(bounds):
        yield start, stop, int(sources[start]), int(hops[start])


def _shade(lag: int) -> str:
    """Return a blue, the darker the later; after eight steps no darker."""
    return f"hsl(205,40%,{82 - 5 * min(lag, 8)}%)"


def _draw_bar(start: float, stop: float, y: int, height: int, fill: str, *, title: str = "") -> Element:
    told = [make_element("title", title)] if title else []
    size = {"x": f"{_LEFT + start:.1f}", "y": y, "width": f"{max(stop - start, 0.5):.1f}", "height": height}
    return make_element("rect", *told, **size, fill=fill, stroke="#ffffff", stroke_width="0.3")

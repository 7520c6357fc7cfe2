"""The floor plan of a folded network: who stands where in the chip's rows of neurons, and how full its memories are."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from snnmap.core import IntArray
from snnmap.core.html import Element, heading, make_element, make_table
from snnmap.lif.program.mapped import MappedNetwork
from snnmap.lif.program.occupancy import Occupancy, measure_occupancy

__all__ = ["draw_floor_plan", "show_mapped"]

_LEFT, _WIDTH, _RIGHT, _LINE = 150, 520, 170, 16
"""Of the names, the bars and the figures behind them, and the height of a bar, in pixels."""
_HIDDEN_LINES, _MOST_RUNS = 3, 400
_FREE, _USED, _RELAY, _OVER = "#88888830", "#7aa6c2", "#d9a066", "#b5541c"


def draw_floor_plan(mapped: MappedNetwork) -> Element:
    """Draw the rows of channels and neurons by population, relays in their own colour, and the use of each memory, as SVG."""
    table, y = mapped.table, 0
    drawn: list[Element] = []
    rows = (
        (table.channel_source, np.zeros_like(table.channel_source), 1),
        (table.hidden_source, table.hidden_hop, _HIDDEN_LINES),
        (table.output_source, np.zeros_like(table.output_source), 1),
    )
    occupancy = measure_occupancy(mapped)
    for number, block in enumerate(occupancy):
        sources, hops, n_lines = rows[number] if number < len(rows) else (np.zeros(0, np.int64), np.zeros(0, np.int64), 1)
        height = n_lines * _LINE
        drawn += _draw_block(block, y, height)
        if number < len(rows):
            drawn += _draw_row(mapped, sources, hops, _scale(block), y, height)
        else:
            drawn.append(_draw_bar(0, block.used * _scale(block), y, height, _USED))
        drawn += _draw_limit(block, y, height)
        y += height + _LINE // 2
    return make_element("svg", *drawn, width=_LEFT + _WIDTH + _RIGHT, height=y, font_family="sans-serif", font_size=11)


def show_mapped(mapped: MappedNetwork) -> list[Element]:
    """Show a folded network in a notebook: its floor plan, and a table of lags, relays and slots."""
    title = f"'{mapped.name}' on {mapped.chip.name}: latency {mapped.latency_steps} steps, {mapped.n_relays} relays"
    columns = ("population", "row", "neurons#", "relays#", "lag (steps)#", "slots")
    return [heading(title), draw_floor_plan(mapped), make_table(columns, mapped.list_places())]


def _scale(block: Occupancy) -> float:
    """Return the pixels of a word or neuron."""
    return _WIDTH / max(block.used, block.capacity, 1)


def _draw_block(block: Occupancy, y: int, height: int) -> Iterator[Element]:
    """Draw the name, the place there is and the figures of a block."""
    middle = y + height / 2 + 4
    fan_in = f", fan-in {block.largest_fan_in}" if block.largest_fan_in else ""
    yield make_element("text", block.block, x=_LEFT - 6, y=middle, text_anchor="end", fill="currentColor")
    yield _draw_bar(0, block.capacity * _scale(block), y, height, _FREE)
    figures = f"{block.used} of {block.capacity}{fan_in}"
    yield make_element("text", figures, x=_LEFT + _WIDTH + 6, y=middle, fill="currentColor")


def _draw_limit(block: Occupancy, y: int, height: int) -> Iterator[Element]:
    """Mark where the place there is ends, if more is wanted."""
    if block.used > block.capacity:
        edge = block.capacity * _scale(block)
        yield _draw_bar(edge, _WIDTH, y, height, _OVER, title=f"{block.used - block.capacity} too many", opacity="0.5")


def _draw_row(mapped: MappedNetwork, sources: IntArray, hops: IntArray, scale: float, y: int, height: int) -> Iterator[Element]:
    """Draw the runs of slots that a population or its relays stand in."""
    for start, stop, source, hop in _find_runs(sources, hops):
        name = mapped.table.sources[source]
        what = f"{name}, relay {hop}" if hop else name
        lag = mapped.relay_lag(name, hop)
        title = f"{what}: {start}..{stop - 1}, lag {lag}"
        fill = _RELAY if hop else _shade(lag)
        yield _draw_bar(start * scale, stop * scale, y, height, fill, title=title)
        if (stop - start) * scale > 7 * len(what) + 6:
            at = {"x": f"{_LEFT + start * scale + 3:.1f}", "y": f"{y + height / 2 + 4:.1f}"}
            yield make_element("text", what, **at, fill="#000000")


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


def _draw_bar(start: float, stop: float, y: int, height: int, fill: str, *, title: str = "", **more: object) -> Element:
    told = [make_element("title", title)] if title else []
    size = {"x": f"{_LEFT + start:.1f}", "y": y, "width": f"{max(stop - start, 0.5):.1f}", "height": height}
    return make_element("rect", *told, **size, fill=fill, stroke="#ffffff", stroke_width="0.3", **more)

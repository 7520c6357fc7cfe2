"""Boxes in columns and arrows between them, as SVG: arrows that skip columns have lanes of their own, none crosses a box."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from snnmap.core.html import Element, make_element
from snnmap.core.record import record

__all__ = ["Arrow", "Box", "draw_diagram"]

_LETTER, _LINE, _PAD = 6.6, 15, 8
"""Pixels of a letter, of a line of text, and around a box's text."""
_ACROSS, _DOWN, _LANE, _HEAD = 70, 18, 12, 24
"""Pixels between columns, between boxes, of a lane, and above the columns."""
_NOTE = "#b5541c"
_FILLS = {"input": "#e8e8e8", "neurons": "#bcd3e2", "relay": "#e6b98a", "output": "#8fb3cc", "sum": "#ffffff"}

_Place = tuple[int, str]
"""Column and key of a box, or of a lane."""


@record
class Box:
    """A box.

    Attributes:
        key: that arrows name.
        lines: of text.
        column: from the left.
        kind: ``input``, ``neurons``, ``relay``, ``output`` or ``sum``.
    """

    key: str
    lines: tuple[str, ...]
    column: int
    kind: str


@record
class Arrow:
    """An arrow; one that does not lead to the right runs below the boxes.

    Attributes:
        source: key of its box.
        target: likewise.
        label: beside it; empty for none.
    """

    source: str
    target: str
    label: str = ""


def draw_diagram(boxes: Sequence[Box], arrows: Sequence[Arrow], *, heads: Sequence[str] = ()) -> Element:
    """Draw boxes and arrows.

    Args:
        boxes: in the order in which those of a column stand.
        arrows: between them.
        heads: a text above each column.
    """
    columns = {box.key: box.column for box in boxes}
    forward = [arrow for arrow in arrows if columns[arrow.target] > columns[arrow.source]]
    places = _place(boxes, forward, columns)
    xs, widths = _measure_columns(boxes, arrows, heads)
    bottom = max((y + height for y, height in places.values()), default=_HEAD) + _DOWN
    drawn = [_write(xs[column], _HEAD - 10, text, fill="#444444") for column, text in enumerate(heads)]
    corners = {box.key: (xs[box.column], *places[box.column, box.key], widths[box.column]) for box in boxes}
    lane = bottom
    for arrow in arrows:
        if columns[arrow.target] > columns[arrow.source]:
            drawn.append(_draw_forward(arrow, places, columns, xs, widths))
        else:
            drawn += _draw_back(arrow, corners, lane)
            lane += _LANE
    drawn += _label_heads(forward, corners)
    for box in boxes:
        drawn += _draw_box(box, *corners[box.key])
    width, height = xs[-1] + widths[-1] + _ACROSS, lane + _PAD
    style = {"font_family": "sans-serif", "font_size": 11, "viewBox": f"0 0 {width:.0f} {height:.0f}"}
    return make_element("svg", _make_head(), *drawn, width=f"{width:.0f}", height=f"{height:.0f}", **style)


def _measure_columns(boxes: Sequence[Box], arrows: Sequence[Arrow], heads: Sequence[str]) -> tuple[list[float], list[float]]:
    """Return left edge and width of each column; labels of arrows fit into the space before it."""
    n_columns = max((box.column for box in boxes), default=0) + 1
    texts: list[list[str]] = [[""] for _ in range(n_columns)]
    for box in boxes:
        texts[box.column] += box.lines
    for column, head in enumerate(heads[:n_columns]):
        texts[column].append(head)
    widths = [_LETTER * max(map(len, column)) + 2 * _PAD for column in texts]
    space = _ACROSS + _LETTER * max((len(arrow.label) for arrow in arrows), default=0)
    return [_PAD + sum(widths[:column]) + space * column for column in range(n_columns)], widths


def _place(boxes: Sequence[Box], forward: Sequence[Arrow], columns: Mapping[str, int]) -> dict[_Place, tuple[float, float]]:
    """Return top and height of each box and of each lane of an arrow that skips columns, near what leads to it."""
    heights: dict[_Place, float] = {(box.column, box.key): _LINE * len(box.lines) + 2 * _PAD - 4 for box in boxes}
    before: dict[_Place, list[_Place]] = {place: [] for place in heights}
    for arrow in forward:
        for left, right in pairwise(_list_stations(arrow, columns)):
            heights.setdefault(right, _LANE)
            before.setdefault(right, []).append(left)
    found: dict[_Place, tuple[float, float]] = {}
    middles: dict[_Place, float] = {}
    for column in sorted({place[0] for place in heights}):
        y, mine = float(_HEAD), [place for place in heights if place[0] == column]
        wanted = {p: sum(middles[b] for b in before[p]) / len(before[p]) if before[p] else 0.0 for p in mine}
        for place in sorted(mine, key=lambda place: wanted[place]):
            y = max(y, wanted[place] - heights[place] / 2) if column else y
            found[place], middles[place] = (y, heights[place]), y + heights[place] / 2
            y += heights[place] + _DOWN
    return found


def _list_stations(arrow: Arrow, columns: Mapping[str, int]) -> list[_Place]:
    """Return where a forward arrow passes, column by column."""
    first, last = columns[arrow.source], columns[arrow.target]
    lanes = [(column, f"{arrow.source}\0{arrow.target}") for column in range(first + 1, last)]
    return [(first, arrow.source), *lanes, (last, arrow.target)]


def _draw_forward(
    arrow: Arrow,
    places: Mapping[_Place, tuple[float, float]],
    columns: Mapping[str, int],
    xs: Sequence[float],
    widths: Sequence[float],
) -> Element:
    stations = _list_stations(arrow, columns)
    middles = [places[station][0] + places[station][1] / 2 for station in stations]
    x = xs[stations[0][0]] + widths[stations[0][0]]
    path = [f"M{x:.1f} {middles[0]:.1f}"]
    for (column, _), y, y_next in zip(stations[1:], middles, middles[1:], strict=False):
        middle = (x + xs[column]) / 2
        path.append(f"C{middle:.1f} {y:.1f} {middle:.1f} {y_next:.1f} {xs[column]:.1f} {y_next:.1f}")
        x = xs[column] + widths[column]
        path.append(f"H{x:.1f}" if column != stations[-1][0] else "")
    return _draw_path("".join(path), arrow)


def _draw_back(arrow: Arrow, corners: Mapping[str, tuple[float, float, float, float]], lane: float) -> list[Element]:
    """Draw an arrow out to the right, below all boxes, and in again from the left."""
    (x, y, height, width), (x_target, y_target, height_target, _) = corners[arrow.source], corners[arrow.target]
    out, into = x + width + 10, x_target - 14
    start, end = y + height * 0.75, y_target + height_target * 0.75
    path = f"M{x + width:.1f} {start:.1f}H{out:.1f}V{lane:.1f}H{into:.1f}V{end:.1f}H{x_target:.1f}"
    return [_draw_path(path, arrow), *([_write(into + 4, lane - 3, arrow.label, fill=_NOTE)] if arrow.label else [])]


def _draw_path(path: str, arrow: Arrow) -> Element:
    title = make_element(
        "title", " ".join(filter(None, (f"{arrow.source} to {arrow.target}", arrow.label))).replace("\0", ", relay ")
    )
    return make_element("path", title, d=path, fill="none", stroke="#1f4e79", stroke_width="1.2", marker_end="url(#head)")


def _make_head() -> Element:
    """Make the head of an arrow."""
    shape = make_element("path", d="M0 0L8 4L0 8z", fill="#1f4e79")
    size = {"markerWidth": 8, "markerHeight": 8, "refX": 8, "refY": 4, "orient": "auto"}
    return make_element("defs", make_element("marker", shape, id="head", **size))


def _label_heads(forward: Sequence[Arrow], corners: Mapping[str, tuple[float, float, float, float]]) -> list[Element]:
    """Write the labels of arrows before the boxes that they lead to, the same one once a box."""
    texts: dict[str, list[str]] = {}
    for arrow in forward:
        texts.setdefault(arrow.target, []).append(arrow.label)
    told = {target: ", ".join(dict.fromkeys(filter(None, labels))) for target, labels in texts.items()}
    places = {target: corners[target] for target, label in told.items() if label}
    return [_write(x - 12, y + h / 2 - 4, told[t], fill=_NOTE, text_anchor="end") for t, (x, y, h, _) in places.items()]


def _draw_box(box: Box, x: float, y: float, height: float, width: float) -> list[Element]:
    size = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{width:.1f}", "height": f"{height:.1f}", "rx": 4}
    frame = make_element("rect", **size, fill=_FILLS[box.kind], stroke="#1f4e79")
    return [frame, *(_write(x + _PAD, y + _PAD + 7 + _LINE * row, text) for row, text in enumerate(box.lines))]


def _write(x: float, y: float, text: str, *, fill: str = "#000000", **attributes: str) -> Element:
    return make_element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", fill=fill, **attributes)

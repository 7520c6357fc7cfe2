"""Small pieces of HTML and SVG for notebooks: well-formed, escaped, without scripts, in the colours of the page."""

import re
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

__all__ = ["Element", "heading", "make_element", "make_table", "paragraph", "to_html"]

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CELL = "padding:2px 8px;vertical-align:top;text-align:"


def make_element(tag: str, *children: "Element | str", **attributes: object) -> Element:
    """Build an element; texts are escaped, and ``_`` in the name of an attribute stands for ``-``."""
    made = Element(tag, {name.replace("_", "-"): _clean(str(value)) for name, value in attributes.items()})
    for child in children:
        if not isinstance(child, str):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + _clean(child)
        else:
            made.text = (made.text or "") + _clean(child)
    return made


def heading(text: str) -> Element:
    """Build a line that says what follows."""
    return make_element("div", text, style="font-weight:bold;margin:4px 0")


def paragraph(text: str) -> Element:
    """Build a text that keeps its lines."""
    return make_element("pre", text, style="margin:4px 0;white-space:pre-wrap")


def make_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, most: int = 50) -> Element:
    """Build a table; columns whose name ends in ``#`` hold numbers and are set right; so many rows at most."""
    rows = list(rows)
    sides = ["right" if column.endswith("#") else "left" for column in columns]
    head = [make_element("th", name.removesuffix("#"), style=_CELL + side) for name, side in zip(columns, sides, strict=True)]
    lines = [make_element("tr", *head)]
    for row in rows[:most]:
        lines.append(
            make_element("tr", *(make_element("td", str(c), style=_CELL + side) for c, side in zip(row, sides, strict=True)))
        )
    if len(rows) > most:
        more = make_element("td", f"and {len(rows) - most} more", colspan=len(columns), style=_CELL + "left")
        lines.append(make_element("tr", more))
    return make_element("table", *lines, style="border-collapse:collapse;margin:4px 0")


def to_html(*parts: Element) -> str:
    """Write parts one below the other, in one element that is XML too."""
    return ElementTree.tostring(make_element("div", *parts), encoding="unicode", short_empty_elements=False)


def _clean(text: str) -> str:
    """Replace what XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)

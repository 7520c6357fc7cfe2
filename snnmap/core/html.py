"""Small pieces of HTML and SVG, for notebooks and pages: well-formed, escaped, without scripts, in the colours of the page."""

import base64
import re
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from snnmap.core.xml import clean_text

__all__ = [
    "Element",
    "format_page",
    "heading",
    "make_element",
    "make_picture",
    "make_section",
    "make_table",
    "paragraph",
    "to_html",
]

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Nothing is fetched, whatever a page holds."""
_STYLE = (
    ":root{color-scheme:light}"
    "body{font:16px/1.45 system-ui,sans-serif;color:#1a1a1a;background:#fff;margin:0 auto;max-width:70em;padding:0 1em 3em}"
    "h1{font-size:1.5em}h2{font-size:1.2em;border-bottom:1px solid #bbb;margin-top:2em}"
    "nav a{display:inline-block;margin-right:1em;color:#1f4e79}"
    ".wide{overflow-x:auto}table{font-size:.9em;font-variant-numeric:tabular-nums}th{border-bottom:1px solid #888}"
    "tr:nth-child(even) td{background:#f3f5f7}pre{font-size:.9em}"
    "figure{margin:.5em 0}figcaption{font-size:.9em;color:#444}figure img{width:100%;min-width:44em;max-width:60em}"
    "@media print{body{font-size:9pt;max-width:none}nav{display:none}.wide{overflow:visible}h2{break-after:avoid}"
    "figure,tr,svg{break-inside:avoid}svg,figure img{min-width:0;max-width:100%;height:auto}"
    "td,th{overflow-wrap:anywhere}}"
)
_CELL = "padding:2px 8px;vertical-align:top;text-align:"


def make_element(tag: str, *children: "Element | str", **attributes: object) -> Element:
    """Build an element; texts are escaped, and ``_`` in the name of an attribute stands for ``-``."""
    made = Element(tag, {name.replace("_", "-"): clean_text(str(value)) for name, value in attributes.items()})
    for child in children:
        if not isinstance(child, str):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + clean_text(child)
        else:
            made.text = (made.text or "") + clean_text(child)
    return made


def heading(text: str) -> Element:
    """Build a line that says what follows."""
    return make_element("div", text, style="font-weight:bold;margin:4px 0")


def paragraph(text: str) -> Element:
    """Build a text that keeps its lines."""
    return make_element("pre", text, style="margin:4px 0;white-space:pre-wrap")


def make_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, most: int = 50) -> Element:
    """Build a table; columns whose name ends in ``#`` hold numbers and are set right; so many rows at most.

    A cell is an element, or what is written as text.
    """
    rows = list(rows)
    sides = ["right" if column.endswith("#") else "left" for column in columns]
    head = [make_element("th", name.removesuffix("#"), style=_CELL + side) for name, side in zip(columns, sides, strict=True)]
    lines = [make_element("tr", *head)]
    for row in rows[:most]:
        lines.append(make_element("tr", *(_make_cell(cell, side) for cell, side in zip(row, sides, strict=True))))
    if len(rows) > most:
        more = make_element("td", f"and {len(rows) - most} more", colspan=len(columns), style=_CELL + "left")
        lines.append(make_element("tr", more))
    return make_element("table", *lines, style="border-collapse:collapse;margin:4px 0")


def _make_cell(cell: object, side: str) -> Element:
    return make_element("td", cell if isinstance(cell, Element) else str(cell), style=_CELL + side)


def to_html(*parts: Element) -> str:
    """Write parts one below the other, in one element that is XML too."""
    return ElementTree.tostring(make_element("div", *parts), encoding="unicode", short_empty_elements=False)


def make_section(title: str, *parts: Element) -> Element:
    """Build a section of a page; what is too wide for it can be moved sideways."""
    moved = (make_element("div", part, **{"class": "wide"}) for part in parts)
    return make_element("section", make_element("h2", title), *moved, id=_to_id(title))


def make_picture(data: bytes, kind: str, caption: str) -> Element:
    """Build a picture that is part of the page, with what it shows below; the kind is such as ``png`` or ``svg+xml``."""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return make_element("figure", make_element("img", src=source, alt=caption), make_element("figcaption", caption))


def format_page(title: str, sections: Sequence[Element]) -> str:
    """Write a page of its own, which fetches nothing: a title, links to its sections, and these."""
    links = [make_element("a", section[0].text or "", href=f"#{section.get('id')}") for section in sections]
    head = make_element(
        "head",
        make_element("meta", charset="utf-8"),
        make_element("meta", **{"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        make_element("meta", name="viewport", content="width=device-width,initial-scale=1"),
        make_element("title", title),
        make_element("style", _STYLE),
    )
    body = make_element("body", make_element("h1", title), make_element("nav", *links), *sections)
    whole = ElementTree.tostring(make_element("html", head, body, lang="en"), encoding="unicode", method="html")
    return f"<!doctype html>\n{whole}\n"


def _to_id(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower())

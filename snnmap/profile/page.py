"""A profile as HTML: parts of a notebook's page, and a page of its own."""

from html import escape
from typing import TYPE_CHECKING

from snnmap.core.html import Element, heading, make_table, paragraph, to_html
from snnmap.profile.picture import draw_bars
from snnmap.profile.table import describe, list_cells, list_sparsity_cells

if TYPE_CHECKING:
    from snnmap.profile.profile import GraphProfile

__all__ = ["format_html", "list_elements"]

_STYLE = (
    "body{font-family:sans-serif;margin:1em auto;max-width:75em;padding:0 1em}"
    "svg{max-width:100%;height:auto}.wide{overflow-x:auto}th{border-bottom:1px solid}"
    "@media print{.wide{overflow:visible}table{font-size:8pt}}"
)


def list_elements(profile: "GraphProfile") -> list[Element]:
    """Return a profile as parts of a page: what was assumed, totals, and its tables."""
    title, *totals = describe(profile)
    parts = [heading(title), paragraph("\n".join(totals)), make_table(*list_cells(profile), most=1000)]
    if profile.n_samples:
        parts += [heading(f"on {profile.n_samples} samples"), make_table(*list_sparsity_cells(profile), most=1000)]
    return parts


def format_html(profile: "GraphProfile") -> str:
    """Return one self-contained page: totals, the bars, and the tables.

    Raises:
        SnnmapError: matplotlib is not installed.
    """
    picture = draw_bars(profile, "svg").decode()
    name = escape(profile.name)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>Profile of {name}</title><style>{_STYLE}</style></head><body><h1>Profile of {name}</h1>"
        f"<div>{picture[picture.index('<svg') :]}</div>"
        f"<div class='wide'>{to_html(*list_elements(profile))}</div></body></html>\n"
    )

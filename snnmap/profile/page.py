"""A profile as HTML: parts of a notebook's page, and a page of its own."""

from typing import TYPE_CHECKING

from snnmap.core.html import Element, format_page, heading, make_picture, make_section, make_table, paragraph
from snnmap.profile.picture import draw_bars
from snnmap.profile.table import describe, list_cells, list_sparsity_cells

if TYPE_CHECKING:
    from snnmap.profile.profile import GraphProfile

__all__ = ["format_html", "list_elements"]


def list_elements(profile: "GraphProfile") -> list[Element]:
    """Return a profile as parts of a page: what was assumed, totals, and its tables."""
    title, *totals = describe(profile)
    parts = [heading(title), paragraph("\n".join(totals)), make_table(*list_cells(profile), most=1000)]
    if profile.n_samples:
        parts += [heading(f"on {profile.n_samples} samples"), make_table(*list_sparsity_cells(profile), most=1000)]
    return parts


def format_html(profile: "GraphProfile") -> str:
    """Return one self-contained page: the bars, totals, and the tables.

    Raises:
        SnnmapError: matplotlib is not installed.
    """
    bars = make_picture(draw_bars(profile, "svg"), "svg+xml", "parameters, data volume and bandwidth of each layer")
    sections = [make_section("Bars", bars), make_section("Layers", *list_elements(profile))]
    return format_page(f"Profile of {profile.name}", sections)

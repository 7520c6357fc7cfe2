"""Builds and checks in a notebook."""

from typing import TYPE_CHECKING

from snnmap.core.html import Element, heading, paragraph, to_html
from snnmap.lif.program.floor_plan import show_mapped

if TYPE_CHECKING:
    from snnmap.pipeline.artifacts import Artifacts, CheckResult

__all__ = ["show_artifacts", "show_check"]


def show_artifacts(artifacts: "Artifacts") -> str:
    """Show a build as HTML: its size, the floor plan, what the bitstream does, what the rules found."""
    title = heading(f"bitstream of {len(artifacts.bitstream)} bytes for {artifacts.mapped.chip.name}")
    return to_html(title, *_show_stages(artifacts), *artifacts.report.to_elements())


def show_check(result: "CheckResult") -> str:
    """Show a check as HTML: what the rules found, and of the stages that it reached what there is to see."""
    return to_html(*result.report.to_elements(), *_show_stages(result))


def _show_stages(found: "Artifacts | CheckResult") -> list[Element]:
    plan = show_mapped(found.mapped) if found.mapped else []
    return [*plan, *([paragraph(str(found.comparison))] if found.comparison else [])]

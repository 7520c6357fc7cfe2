"""What a bitstream does beside its model, from the JSON values of a :class:`snnmap.lif.program.Comparison`."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from snnmap.core.figure import FILL, INK, draw_figure
from snnmap.core.nouns import count_samples

__all__ = ["draw_spikes", "list_populations", "list_ports"]

Table = tuple[tuple[str, ...], list[tuple[object, ...]]]
"""Columns, those of numbers marked by ``#``, and rows."""


def list_ports(compared: Mapping[str, Any]) -> Table:
    """Return a row a port and way of reading classes."""
    columns = (
        "output",
        "readout",
        "error of the spread#",
        "of the worst output#",
        "decision",
        "same class#",
        "model right#",
        "chip right#",
    )
    rows = []
    for port in compared["ports"]:
        head = (port["name"], port["readout"], _percent(port["error"]), _percent(port["worst_error"]))
        counts = [
            (a["decision"], *(_share(a[key], compared["n_samples"]) for key in ("agreeing", "model_correct", "chip_correct")))
            for a in port["agreements"]
        ]
        rows += [(*head, *told) for told in counts or [("", "", "", "")]]
    return columns, rows


def list_populations(compared: Mapping[str, Any]) -> Table:
    """Return a row a population."""
    columns = (
        "population",
        "neurons#",
        "spikes of the model#",
        "of the chip#",
        "counts that differ#",
        "neurons died#",
        "at the limit#",
    )
    return columns, [
        (
            p["name"], p["size"], p["model_spikes"], p["chip_spikes"],
            _share(p["differing"], p["active"]), p["died"], _share(p["saturated"], p["pairs"]),
        )
        for p in compared["populations"]
    ]  # fmt: skip


def draw_spikes(compared: Mapping[str, Any], *, form: Literal["svg", "png"] = "svg") -> bytes:
    """Draw the spikes of each population that fires, on the chip and in the model.

    Returns:
        A file.

    Raises:
        SnnmapError: matplotlib is not installed.
    """
    fires = [p for p in compared["populations"] if p["fires"]]
    places = np.arange(len(fires))

    def fill(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.barh(
            places - 0.2, [p["model_spikes"] for p in fires], 0.38, color="white", edgecolor=INK, hatch="////", label="model"
        )
        axes.barh(places + 0.2, [p["chip_spikes"] for p in fires], 0.38, color=FILL, edgecolor=INK, label="chip")
        run = count_samples(compared["n_samples"], compared["n_steps"])
        axes.set(xlabel=f"spikes in all, {run}", ylabel="population")
        axes.set_yticks(places, [p["name"] for p in fires])
        axes.invert_yaxis()
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)

    return draw_figure((9, 1.0 + 0.4 * max(1, len(fires))), fill, form=form, dpi=110, axes_spines_right=False)


def _share(part: int | None, whole: int) -> str:
    return "" if part is None else f"{part / max(1, whole):.1%}"


def _percent(value: float | None) -> str:
    return "infinite" if value is None else f"{value:.1%}"

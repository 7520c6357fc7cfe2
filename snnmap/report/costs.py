"""What chips cost, as a table in files and as a picture."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from snnmap.core.errors import SnnmapError
from snnmap.pipeline import ChipFit, Fit

__all__ = ["draw_fit", "fit_csv"]

_INK, _LOST = "#1f4e79", "#b5541c"
_PANELS = (
    ("used", "tightest resource used (share)"),
    ("synaptic_operations_a_sample", "synaptic operations a sample"),
    ("walker_cycles_a_sample", "cycles a sample, open core"),
    ("joules_a_sample", "energy a sample (J)"),
    ("decisions", "decisions kept (share)"),
)


def fit_csv(fit: Fit) -> str:
    """Return a line a chip, its slack left out; what is unknown is empty."""
    rows = [{name: value for name, value in row.to_plain().items() if name != "slack"} for row in fit.rows]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "fixes": "; ".join(row["fixes"])} for row in rows)
    return stream.getvalue()


def draw_fit(fit: Fit, labels: Sequence[str], *, axis: str) -> bytes:
    """Draw the costs of a model on chips side by side, or along a sweep; what does not fit is a cross on the axis.

    Args:
        fit: rows in the order of the picture.
        labels: of the rows.
        axis: what the labels are.

    Returns:
        An SVG file.

    Raises:
        SnnmapError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SnnmapError("pictures need matplotlib", fix="pip install 'snnmap[plot]'") from error
    plain = [row.to_plain() for row in fit.rows]
    panels = [(name, title) for name, title in _PANELS if any(row[name] is not None for row in plain)]
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "snnmap"}):
        figure = Figure(figsize=(9, 1.6 * max(1, len(panels)) + 0.6), layout="constrained")
        for number, (name, title) in enumerate(panels):
            axes = figure.add_subplot(len(panels), 1, number + 1)
            _draw_panel(axes, fit.rows, [row[name] for row in plain])
            axes.set_ylabel(title.replace(" a sample", "\na sample"))
            axes.set_xticks(range(len(labels)), labels if number == len(panels) - 1 else [""] * len(labels))
        figure.axes[-1].set_xlabel(axis)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def _draw_panel(axes: Any, rows: Sequence[ChipFit], values: Sequence[float | None]) -> None:
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    axes.plot([place for place, _ in known], [value for _, value in known], "o-", color=_INK, markersize=4)
    lost = [place for place, row in enumerate(rows) if not row.fits]
    axes.plot(lost, [0.0] * len(lost), "x", color=_LOST, clip_on=False)
    axes.set(xlim=(-0.5, len(rows) - 0.5), ylim=(0, None))

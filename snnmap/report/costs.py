"""What chips cost, as a table in files and as a picture."""

import csv
import io
from collections.abc import Sequence
from typing import Any, Literal

from rich.table import Table

from snnmap.core.errors import SnnmapError
from snnmap.lif.profile import ChipProfile
from snnmap.pipeline import ChipFit, Fit
from snnmap.report.tables import make_table

__all__ = ["chip_profile_csv", "chip_profile_tables", "draw_fit", "fit_csv"]

_INK, _LOST = "#1f4e79", "#b5541c"
_PANELS = (
    ("used", "fullest resource\n(share used)"),
    ("synaptic_operations_a_sample", "synaptic\noperations"),
    ("walker_cycles_a_sample", "cycles of the\nopen core"),
    ("joules_a_sample", "energy (J)"),
    ("decisions", "decisions kept\n(share)"),
)


def chip_profile_tables(profile: ChipProfile) -> list[Table]:
    """Show what a sample costs: by population, cycles by model, energy by action; what is unknown is told."""
    n, plain = max(1, profile.n_samples), profile.to_plain()
    populations = [tuple(row.values()) for row in plain["populations"]]
    cycles = [
        (c["model"], c["least"], f"{c['mean']:.1f}", c["most"], c["worst"], f"{c['a_sample']:.0f}", _tell_clock(c), c["source"])
        for c in plain["cycles"]
    ]
    energy = [
        (action, count, "unknown" if plain["energy_pj"][action] is None else f"{plain['energy_pj'][action] / 1e3:.2f}")
        for action, count in plain["actions"].items()
    ]
    head = f"{n} samples of {profile.n_steps} steps on {profile.chip.name}, a sample"
    columns = ("population", "neurons#", "spikes#", "synaptic operations#", "words read#", "updates#", "energy (nJ)#")
    return [
        make_table(head, columns, populations),
        make_table(
            "cycles a step",
            ("model", "least#", "mean#", "most#", "worst#", "a sample#", "clock for real time#", "source"),
            cycles,
        ),
        make_table("energy a sample", ("action", "count#", "energy (nJ)#"), energy),
    ]


def _tell_clock(cycles: dict[str, Any]) -> str:
    hertz = cycles["clock_for_real_time_hz"]
    return "unknown" if hertz is None else f"{hertz / 1e6:.3g} MHz"


def chip_profile_csv(profile: ChipProfile) -> str:
    """Return a line a population, costs a sample."""
    return _to_csv(profile.to_plain()["populations"])


def fit_csv(fit: Fit) -> str:
    """Return a line a chip, its slack left out; what is unknown is empty."""
    rows = [{name: value for name, value in row.to_plain().items() if name != "slack"} for row in fit.rows]
    return _to_csv([{**row, "fixes": "; ".join(row["fixes"])} for row in rows])


def _to_csv(rows: Sequence[dict[str, Any]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def draw_fit(fit: Fit, labels: Sequence[str], *, axis: str, form: Literal["svg", "png"] = "svg") -> bytes:
    """Draw the costs of a model on chips side by side, or along a sweep; what does not fit is a cross on the axis.

    Args:
        fit: rows in the order of the picture.
        labels: of the rows.
        axis: what the labels are.
        form: of the picture.

    Returns:
        A file.

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
        figure = Figure(figsize=(8, 1.6 * max(1, len(panels)) + 0.8), layout="constrained")
        for number, (name, title) in enumerate(panels):
            axes = figure.add_subplot(len(panels), 1, number + 1)
            _draw_panel(axes, fit.rows, [row[name] for row in plain])
            axes.set_ylabel(
                title.replace(" a sample", "\na sample").replace(" (share)", "\n(share)").replace(", open", ",\nopen")
            )
            axes.set_xticks(range(len(labels)), labels if number == len(panels) - 1 else [""] * len(labels))
        figure.axes[-1].set_xlabel(f"{axis} (a cross: does not fit); costs are a sample's")
        stream = io.BytesIO()
        figure.savefig(stream, format=form, dpi=110, metadata={"Date": None} if form == "svg" else {"Software": None})
    return stream.getvalue()


def _draw_panel(axes: Any, rows: Sequence[ChipFit], values: Sequence[float | None]) -> None:
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    axes.plot([place for place, _ in known], [value for _, value in known], "o-", color=_INK, markersize=4)
    lost = [place for place, row in enumerate(rows) if not row.fits]
    if lost:
        axes.plot(lost, [0.0] * len(lost), "x", color=_LOST, clip_on=False)
    axes.set(xlim=(-0.5, len(rows) - 0.5), ylim=(0, 1.08 * max((value for _, value in known), default=1.0) or 1.0))

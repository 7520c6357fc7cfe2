"""What chips cost, as a table in files and as a picture."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich.table import Table

from snnmap.core.figure import FILL, INK, NOTE, draw_figure
from snnmap.core.front import find_front
from snnmap.core.nouns import count_samples
from snnmap.core.table import format_csv
from snnmap.lif.profile import POPULATION_COLUMNS, ChipProfile
from snnmap.pipeline import ChipFit, Fit
from snnmap.report.tables import make_table

__all__ = [
    "chip_profile_csv",
    "chip_profile_tables",
    "chip_steps_csv",
    "draw_costs",
    "draw_fit",
    "draw_pareto",
    "fit_csv",
    "fit_rows",
    "list_front",
]

_PANELS = (
    ("used", "fullest resource\n(share used)"),
    ("synaptic_operations_a_sample", "synaptic\noperations"),
    ("walker_cycles_a_sample", "cycles of the\nopen core"),
    ("joules_a_sample", "energy (J)"),
    ("decisions", "decisions kept\n(share)"),
    ("accuracy", "accuracy\n(share)"),
)
_BARS = (
    ("spikes", "spikes sent\na sample"),
    ("synaptic_operations", "synaptic operations\na sample"),
    ("words_read", "weight words read\na sample"),
    ("energy_nj", "energy (nJ)\na sample"),
)
_COSTS = (("joules_a_sample", "energy a sample (J)"), ("synaptic_operations_a_sample", "synaptic operations a sample"))


def chip_profile_tables(profile: ChipProfile) -> list[Table]:
    """Show what a sample costs: by population, cycles by model, energy by action; what is unknown is told."""
    n, plain = max(1, profile.n_samples), profile.to_plain()
    populations = [tuple(row.values()) for row in plain["populations"]]
    cycles = [
        (c["model"], c["least"], f"{c['mean']:.1f}", c["most"], c["worst"], f"{c['a_sample']:.0f}", tell_clock(c), c["source"])
        for c in plain["cycles"]
    ]
    energy = [
        (action, count, "unknown" if plain["energy_pj"][action] is None else f"{plain['energy_pj'][action] / 1e3:.2f}")
        for action, count in plain["actions"].items()
    ]
    head = f"{count_samples(n, profile.n_steps)} on {profile.chip.name}, a sample"
    return [
        make_table(head, POPULATION_COLUMNS, populations),
        make_table("words a sample", ("memory", "read#", "written#"), list_words(plain)),
        make_table(
            "cycles a step",
            ("model", "least#", "mean#", "most#", "worst#", "a sample#", "clock for real time#", "source"),
            cycles,
        ),
        make_table("energy a sample", ("action", "count#", "energy (nJ)#"), energy),
    ]


def list_words(plain: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Return the words of each memory that a sample reads and writes; states are written back, weights are not written."""
    weights: list[tuple[str, float, float]] = [(name, words, 0.0) for name, words in plain["words_read"].items()]
    return [*weights, ("currents and potentials", plain["words_written"], plain["words_written"])]


def tell_clock(cycles: Mapping[str, Any]) -> str:
    """Return the clock that real time takes, in words."""
    hertz = cycles["clock_for_real_time_hz"]
    return "unknown" if hertz is None else f"{hertz / 1e6:.3g} MHz"


def chip_profile_csv(profile: ChipProfile) -> str:
    """Return a line a population, costs a sample."""
    return format_csv(profile.to_plain()["populations"])


def chip_steps_csv(profile: ChipProfile) -> str:
    """Return a line a step, the mean of the samples; what is unknown is empty."""
    return format_csv(profile.to_steps())


def fit_rows(fit: Fit) -> list[dict[str, Any]]:
    """Return a row a chip of texts and numbers, its slack left out; what is unknown is None."""
    rows = [{name: value for name, value in row.to_plain().items() if name != "slack"} for row in fit.rows]
    return [{**row, "fixes": "; ".join(row["fixes"])} for row in rows]


def fit_csv(fit: Fit) -> str:
    """Return :func:`fit_rows` as CSV; what is unknown is empty."""
    return format_csv(fit_rows(fit))


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
    plain = [row.to_plain() for row in fit.rows]
    panels = [(name, title) for name, title in _PANELS if any(row[name] is not None for row in plain)]

    def fill(figure: Any) -> None:
        for number, (name, title) in enumerate(panels):
            axes = figure.add_subplot(len(panels), 1, number + 1)
            _draw_panel(axes, fit.rows, [row[name] for row in plain])
            axes.set_ylabel(title)
            axes.set_xticks(range(len(labels)), labels if number == len(panels) - 1 else [""] * len(labels))
        if panels:
            figure.axes[-1].set_xlabel(f"{axis} (a cross: does not fit); costs are a sample's")

    return draw_figure((8, 1.6 * max(1, len(panels)) + 0.8), fill, form=form, dpi=110, axes_spines_right=False)


def draw_costs(profile: ChipProfile, *, form: Literal["svg", "png"] = "svg") -> bytes:
    """Draw what a sample costs as bars, a population a row: spikes, synaptic operations, words, and energy where it is known.

    Returns:
        A file.

    Raises:
        SnnmapError: matplotlib is not installed.
    """
    rows = profile.to_plain()["populations"]
    panels = [(name, title) for name, title in _BARS if all(row[name] != "unknown" for row in rows)]

    def fill(figure: Any) -> None:
        for axes, (name, title) in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True):
            axes.barh([row["population"] for row in rows], [row[name] for row in rows], color=FILL, edgecolor=INK)
            axes.set_xlabel(title)
            axes.locator_params(axis="x", nbins=4)
        figure.axes[0].invert_yaxis()
        figure.axes[0].set_ylabel("population")

    return draw_figure((9, 1.2 + 0.3 * len(rows)), fill, form=form, dpi=110, axes_spines_right=False)


def draw_pareto(fit: Fit, labels: Sequence[str], *, form: Literal["svg", "png"] = "svg") -> bytes | None:
    """Draw what fits by what a sample costs and how many decisions are kept; what nothing beats in both is joined.

    The cost is energy where all of it is known, else synaptic operations.

    Args:
        fit: rows.
        labels: of the rows.
        form: of the picture.

    Returns:
        A file; None where nothing fits that decides.

    Raises:
        SnnmapError: matplotlib is not installed.
    """
    chosen = [
        (label, row.to_plain()) for label, row in zip(labels, fit.rows, strict=True) if row.fits and row.decisions is not None
    ]
    costs = [(name, title) for name, title in _COSTS if all(row[name] is not None for _, row in chosen)]
    if not chosen or not costs:
        return None
    name, title = costs[0]
    points = [(row[name], 100 * row["decisions"]) for _, row in chosen]
    front = list_front(points)

    def fill(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.scatter(*zip(*points, strict=True), marker="o", s=30, facecolors="none", edgecolors=INK, label="fits")
        best = [points[place] for place in front]
        axes.plot(*zip(*best, strict=True), "o-", drawstyle="steps-post", color=INK, label="nothing is better in both")
        for (x, y), text in _join_labels(points, [label for label, _ in chosen]).items():
            axes.annotate(text, (x, y), xytext=(5, 5), textcoords="offset points", color=NOTE)
        low, high = min(x for x, _ in points), max(x for x, _ in points)
        space = max(0.15 * (high - low), 0.05 * high) or 1.0
        least = min(80.0, min(y for _, y in points) - 2)  # so that one sample of a hundred is no cliff
        axes.set(xlabel=title, ylabel="decisions kept (%)", xlim=(low - space, high + 2 * space), ylim=(least, 101.5))
        axes.legend(loc="lower right", frameon=False)

    return draw_figure((8, 3.4), fill, form=form, dpi=110, axes_spines_right=False)


def list_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the places of points that no other beats in both cost and what it gives, by cost; the first of equals."""
    return sorted(find_front([(-cost, given) for cost, given in points]), key=lambda place: points[place][0])


def _join_labels(points: Sequence[tuple[float, float]], labels: Sequence[str]) -> dict[tuple[float, float], str]:
    """Return one label a place."""
    joined: dict[tuple[float, float], str] = {}
    for point, label in zip(points, labels, strict=True):
        joined[point] = f"{joined[point]}, {label}" if point in joined else label
    return joined


def _draw_panel(axes: Any, rows: Sequence[ChipFit], values: Sequence[float | None]) -> None:
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    axes.plot([place for place, _ in known], [value for _, value in known], "o-", color=INK, markersize=4)
    lost = [place for place, row in enumerate(rows) if not row.fits]
    if lost:
        axes.plot(lost, [0.0] * len(lost), "x", color=NOTE, clip_on=False)
    axes.set(xlim=(-0.5, len(rows) - 0.5), ylim=(0, 1.08 * max((value for _, value in known), default=1.0) or 1.0))

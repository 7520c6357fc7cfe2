"""Conversions of ANNs: accuracy and synaptic operations against T, error per layer, what was compensated."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from snnmap.convert import CodingRow, Compensation, LayerError, LeakRow, StepRow
from snnmap.core.errors import InputError
from snnmap.core.figure import INK, NOTE, draw_figure
from snnmap.report.tables import make_table

__all__ = ["coding_table", "compensation_table", "draw_steps", "layer_error_table", "leak_table", "step_table"]

_LEAST_RANGE = 20.0
"""Percent that the axis of shares spans at least, so that one sample of a hundred is a step and no cliff."""
_STYLES = ("-", "--", ":", "-.")


def step_table(rows: Iterable[StepRow]) -> Table:
    """Show what each T gives and costs, in float simulation."""
    columns = (
        "T#",
        "latency (steps)#",
        "accuracy#",
        "ANN#",
        "same class#",
        "spikes#",
        "synaptic operations#",
        "worst layer error#",
    )
    cells = []
    for row in rows:
        score = row.score
        shares = [_percent(share) for share in (score.accuracy, score.ann_accuracy, score.agreement)]
        costs = (f"{score.spikes:.0f}", f"{score.synaptic_operations:.0f}", _percent(_worst(score.errors)))
        cells.append((row.n_steps, row.latency_steps, *shares, *costs))
    return make_table("conversion against T", columns, cells)


def layer_error_table(rows: Sequence[StepRow]) -> Table:
    """Show each layer's relative error (activation from counts against activation), a column a T."""
    errors = [{error.layer: error.relative_error for error in row.score.errors} for row in rows]
    layers = list(dict.fromkeys(layer for column in errors for layer in column))
    cells = [(layer, *(_percent(column.get(layer, math.nan)) for column in errors)) for layer in layers]
    return make_table("error per layer", ("layer", *(f"T = {row.n_steps}#" for row in rows)), cells)


def compensation_table(compensations: Iterable[Compensation]) -> Table:
    """Show what each layer was given beside weights and biases; charges in thresholds."""
    cells = [
        (c.layer, f"{c.unit:.4g}", c.source, f"{c.start_charge:g}", f"{c.leak_drive:.3g}", f"{c.calibrated:.3f}", f"{c.held:.2f}")
        for c in compensations
    ]
    columns = ("layer", "a spike is#", "from", "start charge#", "leak drive a step#", "calibrated (rms)#", "held (most)#")
    return make_table("compensated", columns, cells)


def coding_table(rows: Iterable[CodingRow]) -> Table:
    """Show what each input coding costs a sample, and what it loses."""
    columns = ("coding", "input spikes#", "spikes#", "synaptic operations#", "accuracy#", "same class#", "worst layer error#")
    cells = []
    for row in rows:
        score = row.score
        costs = [f"{cost:.0f}" for cost in (score.input_spikes, score.spikes, score.synaptic_operations)]
        shares = [_percent(share) for share in (score.accuracy, score.agreement, _worst(score.errors))]
        cells.append((row.coding, *costs, *shares))
    return make_table("input codings", columns, cells)


def leak_table(rows: Iterable[LeakRow]) -> Table:
    """Show each layer's relative error with and without leak and the drive that compensates it."""
    columns = ("layer", "no leak#", "drive alone#", "leak#", "compensated#", "and calibrated#")
    cells = [
        (row.layer, *(_percent(e) for e in (row.no_leak, row.drive_alone, row.leak, row.compensated, row.calibrated)))
        for row in rows
    ]
    return make_table("leak", columns, cells)


def draw_steps(rows: Sequence[StepRow]) -> bytes:
    """Draw accuracy and synaptic operations against T, and the error of each layer.

    Args:
        rows: of :func:`snnmap.convert.sweep_steps`.

    Returns:
        A PNG file.

    Raises:
        SnnmapError: matplotlib is not installed.
        InputError: there are no rows.
    """
    if not rows:
        raise InputError("there is nothing to draw", where="draw_steps", measured="0 rows", limit=">= 1", fix="sweep over a T")
    ordered = sorted(rows, key=lambda row: row.n_steps)

    def fill(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        _draw_accuracy(left, ordered)
        _draw_errors(right, ordered)

    return draw_figure((10, 4), fill)


def _draw_accuracy(axes: Any, rows: Sequence[StepRow]) -> None:
    """Draw accuracy, or without labels the agreement with the ANN, on the left scale and operations on the right."""
    steps, has_labels = [row.n_steps for row in rows], not math.isnan(rows[0].score.accuracy)
    shares = [row.score.accuracy if has_labels else row.score.agreement for row in rows]
    axes.plot(steps, np.multiply(shares, 100), "o-", color=INK, label="converted" if has_labels else "same class as the ANN")
    if has_labels:
        axes.axhline(100 * rows[-1].score.ann_accuracy, color=INK, linestyle=":", label="ANN")
    what = "accuracy (%)" if has_labels else "agreement (%)"
    axes.set(xlabel="T (steps of the presentation)", ylabel=what, xticks=steps)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    lowest, highest = min(axes.dataLim.y0, 100.0), 100.5
    axes.set_ylim(min(lowest - 2, highest - _LEAST_RANGE), highest)
    other = axes.twinx()
    other.plot(steps, [row.score.synaptic_operations for row in rows], "s--", color=NOTE)
    other.set_ylabel("synaptic operations a sample", color=NOTE)
    other.set_ylim(bottom=0)


def _draw_errors(axes: Any, rows: Sequence[StepRow]) -> None:
    layers = [error.layer for error in rows[0].score.errors]
    for number, row in enumerate(rows):
        found = {error.layer: error.relative_error for error in row.score.errors}
        errors = [100 * found.get(layer, math.nan) for layer in layers]
        axes.plot(errors, marker="o", linestyle=_STYLES[number % len(_STYLES)], label=f"T = {row.n_steps}")
    axes.set(xticks=range(len(layers)), xlabel="layer", ylabel="relative error of the layer (%)", ylim=(0, None))
    axes.set_xticklabels(layers, rotation=30, ha="right")
    axes.spines["right"].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False)


def _worst(errors: Sequence[LayerError]) -> float:
    return max((error.relative_error for error in errors), default=math.nan)


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.2%}"

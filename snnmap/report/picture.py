"""A picture of a run: rasters of input, hidden and output, and how full the chip is."""

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.core import IntArray
from snnmap.core.errors import SnnmapError
from snnmap.lif.program import MappedNetwork, Occupancy, measure_occupancy
from snnmap.lif.simulator import simulate_image
from snnmap.network import read_raster
from snnmap.pipeline import Artifacts

__all__ = ["draw_run"]

_INK, _FILL, _NOTE = "#1f4e79", "#7aa6c2", "#b5541c"


def draw_run(artifacts: Artifacts, inputs: npt.ArrayLike) -> bytes:
    """Run one sample on the bitstream; draw its spike counts over time, the outputs' potentials, and how full the chip is.

    Args:
        artifacts: of the build.
        inputs: ``(n_steps, n_inputs)`` spike counts; silent steps follow them, until the last output has answered.

    Returns:
        A PNG file.

    Raises:
        SnnmapError: matplotlib is not installed.
        InputError: a wrong raster.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SnnmapError("pictures need matplotlib", fix="pip install 'snnmap[plot]'") from error
    mapped = artifacts.mapped
    raster = read_raster(inputs, mapped.table.channel_source.size, where="inputs")[0]
    raster = np.pad(raster, ((0, mapped.latency_steps), (0, 0)))
    run = simulate_image(artifacts.image, raster, counts_of=("hidden", "outputs"), states_of=("outputs",))
    rasters = {"input": raster, "hidden": run.counts["hidden"][0], "output": run.counts["outputs"][0]}
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(10, 7), layout="constrained")
        grid = figure.add_gridspec(3, 2, width_ratios=(2.2, 1), height_ratios=(1, 4, 1.2))
        for row, (title, counts) in enumerate(rasters.items()):
            axes = figure.add_subplot(grid[row, 0])
            if title == "output":
                potentials = run.potentials["outputs"][0].T
                shade = axes.imshow(potentials, aspect="auto", cmap="RdBu_r", norm=mpl.colors.CenteredNorm())
                figure.colorbar(shade, ax=axes, label="potential (LSB)", pad=0.01)
            _draw_raster(axes, counts, title)
            if title == "hidden":
                _mark_populations(axes, mapped)
        axes.set_xlabel("step")
        _draw_occupancy(figure.add_subplot(grid[:, 1]), measure_occupancy(artifacts.quantised.program))
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=130, metadata={"Software": None})
    return stream.getvalue()


def _draw_raster(axes: Any, raster: IntArray, title: str) -> None:
    """Mark each neuron and step with spikes, larger for higher counts."""
    steps, neurons = np.nonzero(raster)
    axes.scatter(steps, neurons, s=3 + 4 * np.sqrt(raster[steps, neurons]), marker="s", linewidths=0, color=_INK)
    axes.set(xlim=(-0.5, raster.shape[0] - 0.5), ylim=(raster.shape[1] - 0.5, -0.5), ylabel=f"{title} neuron")
    axes.locator_params(integer=True)


def _mark_populations(axes: Any, mapped: MappedNetwork) -> None:
    table = mapped.table
    keys = list(zip(table.hidden_source.tolist(), table.hidden_hop.tolist(), strict=True))
    edges = [0, *(slot for slot in range(1, len(keys)) if keys[slot] != keys[slot - 1]), len(keys)]
    for start, stop in pairwise(edges):
        source, hop = keys[start]
        name = f"{table.sources[source]}\nrelay {hop}" if hop else table.sources[source]
        axes.axhline(stop - 0.5, color="#bbbbbb", linewidth=0.5)
        axes.annotate(name, (1.01, (start + stop) / 2), xycoords=("axes fraction", "data"), va="center", color=_NOTE)


def _draw_occupancy(axes: Any, occupancy: Sequence[Occupancy]) -> None:
    labels = [f"{o.block}\n{o.used} of {o.capacity}" for o in occupancy]
    axes.barh(labels, [o.share for o in occupancy], color=_FILL)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share in use", title="occupancy")

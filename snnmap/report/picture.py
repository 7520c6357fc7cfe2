"""A picture of a run: rasters of input, hidden and output, what was decided, and how full the chip is."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from snnmap.core import FloatArray, IntArray
from snnmap.core.errors import InputError
from snnmap.core.figure import FILL, INK, NOTE, draw_figure
from snnmap.lif.compare import read_classes
from snnmap.lif.program import Occupancy, measure_occupancy, unpack
from snnmap.lif.simulator import require_counts, simulate_image
from snnmap.network import read_raster
from snnmap.pipeline import Artifacts
from snnmap.report.built import Built, PortReading, build_of

__all__ = ["draw_run", "draw_sample"]

_LEAST_BAND, _LEAST_DETAIL = 0.025, 0.08
"""Share of the hidden neurons below which a population is not named, and below which nothing is said of it but its name."""
_LIGHT = "#bbbbbb"


def draw_run(artifacts: Artifacts, inputs: npt.ArrayLike, *, label: int | None = None) -> bytes:
    """Run one sample on the bitstream; draw its spike counts over time, what outputs give, and how full the chip is.

    Populations have the user's names; of an output port with several outputs, the class that is decided is framed.

    Args:
        artifacts: of the build.
        inputs: ``(n_steps, n_inputs)`` spike counts; silent steps follow them, until the last output has answered.
        label: the true class, framed too.

    Returns:
        A PNG file.

    Raises:
        SnnmapError: matplotlib is not installed.
        InputError: a wrong raster, or a class that no output stands for.
    """
    return draw_sample(build_of(artifacts), inputs, label=label)


def draw_sample(built: Built, inputs: npt.ArrayLike, *, label: int | None = None) -> bytes:
    """Draw a run of what was built; arguments as those of :func:`draw_run`."""
    run = _run_sample(built, inputs, label)

    def fill(figure: Any) -> None:
        heights = (1.0, 4.0, *(1.2 for _ in run.ports))
        grid = figure.add_gridspec(len(heights), 2, width_ratios=(2.2, 1), height_ratios=heights)
        rows = [figure.add_subplot(grid[row, 0]) for row in range(len(heights))]
        _draw_raster(rows[0], run.inputs, f"input\n{', '.join(_list_inputs(built))}")
        _draw_raster(rows[1], run.hidden, "chip neuron of the hidden population")
        _mark_populations(rows[1], built)
        _add_legend(rows[0], [run.inputs, run.hidden, *(seen.values for seen in run.ports if seen.port.readout == "spikes")])
        for axes, seen in zip(rows[2:], run.ports, strict=True):
            _draw_port(figure, axes, seen)
        rows[-1].set_xlabel("step of the chip" + _tell_step(built))
        _draw_occupancy(figure.add_subplot(grid[:, 1]), measure_occupancy(unpack(built.image)))
        figure.suptitle(
            "\n".join([f"'{built.name}' on {built.image.chip.name}", *(text for seen in run.ports for text in seen.describe())])
        )

    return draw_figure((10, 7), fill, axes_spines_right=False)


class _Seen(NamedTuple):
    """What an output port gives in a run.

    Attributes:
        port: how it is read.
        values: ``(n_steps, n)`` as the chip runs, the lag not taken away.
        decided: class; None where none is read.
        label: true class; None where it is not known.
    """

    port: PortReading
    values: FloatArray
    decided: int | None
    label: int | None

    def describe(self) -> Iterator[str]:
        """Say what was decided."""
        if self.decided is None:
            return
        how = {"count": "most spikes", "last": "highest last value", "mean": "highest mean", "max": "highest value"}
        text = f"output '{self.port.name}' decides class {self.decided} ({how[self.port.decision or 'last']}; solid frame)"
        if self.label is None:
            yield text
        elif self.label == self.decided:
            yield f"{text}, which is right"
        else:
            yield f"{text}, wrong: the true class is {self.label} (dashed frame)"


class _SampleRun(NamedTuple):
    """A run of one sample."""

    inputs: IntArray
    hidden: IntArray
    ports: tuple[_Seen, ...]


def _run_sample(built: Built, inputs: npt.ArrayLike, label: int | None) -> _SampleRun:
    raster = read_raster(inputs, built.placement.table.channel_source.size, where="inputs")[:1]
    require_counts(raster, built.image.chip)
    _require_class(built, label)
    padded, n_steps = built.pad(raster), raster.shape[1]
    run = simulate_image(built.image, padded, counts_of=("hidden", "outputs"), states_of=("outputs",))
    seen = []
    for port in built.ports:
        read = port.read(run, n_steps)
        decided = None if port.decision is None else int(read_classes(read, port.decision)[0])
        values = np.pad(read[0], ((port.lag_steps, 0), (0, 0)), constant_values=0.0)
        seen.append(_Seen(port, values, decided, None if decided is None else label))
    return _SampleRun(padded[0], run.counts["hidden"][0], tuple(seen))


def _require_class(built: Built, label: int | None) -> None:
    most = max((port.neurons.size for port in built.ports if port.decision), default=0)
    if label is not None and not 0 <= label < most:
        raise InputError(
            "no output stands for this class",
            where="label",
            measured=str(label),
            limit=f"0..{most - 1}" if most else "no classes",
            fix="number the classes as the outputs are, from 0",
        )


def _tell_step(built: Built) -> str:
    dt_s = built.network.dt_s if built.network else 0.0
    return f" (a step is {dt_s:g} s)" if dt_s else ""


def _list_inputs(built: Built) -> list[str]:
    table = built.placement.table
    return [f"'{table.sources[number]}'" for number in dict.fromkeys(table.channel_source.tolist())]


def _size_of(counts: npt.ArrayLike) -> Any:
    """Return the area of the mark of a spike count."""
    return 3 + 2 * np.asarray(counts)


def _draw_raster(axes: Any, raster: IntArray | FloatArray, title: str) -> None:
    """Mark each neuron and step with spikes, larger for higher counts."""
    steps, neurons = np.nonzero(raster)
    axes.scatter(steps, neurons, s=_size_of(raster[steps, neurons]), marker="s", linewidths=0, color=INK)
    axes.set(xlim=(-0.5, raster.shape[0] - 0.5), ylim=(raster.shape[1] - 0.5, -0.5), ylabel=title)
    axes.locator_params(integer=True)


def _add_legend(axes: Any, rasters: Sequence[IntArray | FloatArray]) -> None:
    """Say what the sizes of marks stand for: powers of two up to the highest count that is seen, and that."""
    highest = int(max((raster.max(initial=0) for raster in rasters), default=0))
    if not highest:
        return
    levels = [*(2**power for power in range(highest.bit_length()) if 2**power < highest), highest]
    marks = [axes.scatter([], [], s=_size_of(level), marker="s", linewidths=0, color=INK) for level in levels]
    texts = [f"{level} spike{'s' if level > 1 else ''} a step" if level == 1 else str(level) for level in levels]
    place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.1, "handletextpad": 0.1}
    axes.legend(marks, texts, ncols=len(levels), frameon=False, **place)


def _mark_populations(axes: Any, built: Built) -> None:
    """Name the runs of slots that a population stands in, or its relays."""
    table = built.placement.table
    keys = list(zip(table.hidden_source.tolist(), table.hidden_hop.tolist(), strict=True))
    edges = [0, *(slot for slot in range(1, len(keys)) if keys[slot] != keys[slot - 1]), len(keys)]
    for start, stop in pairwise(edges):
        share = (stop - start) / len(keys)
        axes.axhline(stop - 0.5, color=_LIGHT, linewidth=0.5)
        if share >= _LEAST_BAND:
            text = _name_band(built, *keys[start], stop - start, whole=share >= _LEAST_DETAIL)
            axes.annotate(text, (1.01, (start + stop - 1) / 2), xycoords=("axes fraction", "data"), va="center", color=NOTE)


def _name_band(built: Built, source: int, hop: int, size: int, *, whole: bool) -> str:
    name = built.placement.table.sources[source]
    module = built.placement.modules.get(name, "")
    title = f"relay {hop} of {name}" if hop else name + (f" ({module})" if module not in ("", name) else "")
    lag = f", lag {built.relay_lag(name, hop)}" if built.placement.lags else ""
    return f"{title}\n{size} neurons{lag}" if whole else title


def _draw_port(figure: Any, axes: Any, seen: _Seen) -> None:
    port, (n_steps, size) = seen.port, seen.values.shape
    title = f"output '{port.name}'\n{'class' if port.decision else port.readout}"
    if port.readout == "spikes":
        _draw_raster(axes, seen.values, title)
    else:
        from matplotlib.colors import CenteredNorm

        shade = axes.imshow(seen.values.T, aspect="auto", cmap="RdBu_r", norm=CenteredNorm())
        figure.colorbar(shade, ax=axes, label=f"{port.readout}\n(model's units)", pad=0.01)
        axes.set(xlim=(-0.5, n_steps - 0.5), ylim=(size - 0.5, -0.5), ylabel=title)
        axes.locator_params(integer=True)
    for chosen, colour, line in ((seen.label, NOTE, "--"), (seen.decided, INK, "-")):
        if chosen is not None:
            edges = (-0.5, n_steps - 0.5, n_steps - 0.5, -0.5, -0.5), (chosen - 0.5,) * 2 + (chosen + 0.5,) * 2 + (chosen - 0.5,)
            axes.plot(*edges, color=colour, linestyle=line, linewidth=1.6, clip_on=False)


def _draw_occupancy(axes: Any, occupancy: Sequence[Occupancy]) -> None:
    used = [o for o in occupancy if o.used]
    labels = [f"{o.block}\n{o.used} of {o.capacity}" for o in used]
    axes.barh(labels, [o.share for o in used], color=FILL)
    axes.invert_yaxis()
    unused = len(occupancy) - len(used)
    axes.set(xlim=(0, 1), xlabel="share in use", title="occupancy" + (f" ({unused} not in use)" if unused else ""))

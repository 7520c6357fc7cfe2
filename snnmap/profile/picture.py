"""Bars of a profile: parameters, data volume and bandwidth of each layer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from snnmap.core.figure import draw_figure
from snnmap.profile.layer import LayerProfile
from snnmap.profile.table import format_number

if TYPE_CHECKING:
    from snnmap.profile.profile import GraphProfile

__all__ = ["draw_bars"]

_READ, _WRITTEN, _WEIGHTS, _NOTE = "#0072b2", "#e69f00", "#000000", "#666666"
"""Blue, orange and black differ for every kind of colour vision; bars have hatches, too."""

Series = tuple[str, str, str, Sequence[float]]
"""Label, colour, hatch, and a value a layer."""


def draw_bars(profile: "GraphProfile", form: Literal["svg", "png"] = "svg") -> bytes:
    """Draw parameters, data volume and bandwidth of each layer that multiplies as bars, strides and taps marked.

    Equal profiles give equal bytes.

    Args:
        profile: to draw.
        form: of the file.

    Raises:
        SnnmapError: matplotlib is not installed.
    """
    layers = profile.numbered
    size = (min(max(7.0, 2.0 + 0.22 * len(layers)), 24.0), 8.5)

    def fill(figure: Any) -> None:
        for axes, (label, series) in zip(figure.subplots(3, 1), _list_charts(profile, layers), strict=True):
            _draw_chart(axes, layers, series)
            axes.set_ylabel(label)
        figure.axes[-1].plot(*_list_weights(layers), "D", color=_WEIGHTS, markersize=3, label="weights, if read once a sample")
        for axes in figure.axes:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.13), ncols=3, frameon=False)
        figure.axes[-1].set_xlabel("layer (dotted: a reduction of the picture; T: last layer before one)")
        figure.suptitle(_title(profile), fontsize=8)

    return draw_figure(size, fill, form=form, axes_spines_right=False, hatch_linewidth=0.4, svg_fonttype="none")


def _list_charts(profile: "GraphProfile", layers: Sequence[LayerProfile]) -> list[tuple[str, list[Series]]]:
    """Return label and bars of each of the three charts."""
    weights = [layer.n_weights / 1e3 for layer in layers]
    others = [(layer.n_folded_parameters - layer.n_weights) / 1e3 for layer in layers]
    volumes = ([layer.input.per_input_bits for layer in layers], [layer.output.per_input_bits for layer in layers])
    rates = ([layer.bandwidth.read / 1e6 for layer in layers], [layer.bandwidth.written / 1e6 for layer in layers])
    return [
        (
            "parameters (thousands)",
            [("weights", _READ, "", weights), ("biases, normalisations folded", _WRITTEN, "////", others)],
        ),
        ("data volume (times the input's bits)", _read_and_written(*volumes)),
        (f"bandwidth at {profile.options.rate:g}/s (MB/s)", _read_and_written(*rates)),
    ]


def _list_weights(layers: Sequence[LayerProfile]) -> tuple[list[int], list[float]]:
    return [layer.number or 0 for layer in layers], [layer.bandwidth.weights / 1e6 for layer in layers]


def _read_and_written(read: Sequence[float], written: Sequence[float]) -> list[Series]:
    return [("read", _READ, "", read), ("written", _WRITTEN, "////", written)]


def _draw_chart(axes: Any, layers: Sequence[LayerProfile], series: Sequence[Series]) -> None:
    numbers, base = [layer.number or 0 for layer in layers], [0.0] * len(layers)
    for label, colour, hatch, values in series:
        axes.bar(numbers, values, bottom=base, color=colour, hatch=hatch, edgecolor="white", linewidth=0.3, label=label)
        base = [low + value for low, value in zip(base, values, strict=True)]
    for layer, number, top in zip(layers, numbers, base, strict=True):
        if layer.is_reduction:
            axes.axvline(number - 0.5, color=_NOTE, linestyle=":", linewidth=0.8)
        if layer.is_tap:
            axes.annotate("T", (number, top), ha="center", va="bottom", color=_NOTE, annotation_clip=False)
    axes.set(xlim=(0.3, max(len(layers), 1) + 0.7), ylim=(0, None))
    axes.locator_params(axis="x", integer=True, nbins=30)


def _title(profile: "GraphProfile") -> str:
    options = profile.options
    shapes = ", ".join("x".join(map(str, shape)) for shape in profile.inputs.values())
    bits = f"{options.input_bits}-bit input, {options.activation_bits}-bit activations"
    return f"{profile.name}, input {shapes}, {bits}: {format_number(profile.macs)} multiply-accumulates a sample"

"""All templates: a row each."""

from snnmap.dataflow.lower import Layer
from snnmap.dataflow.templates.template import Template

__all__ = ["TEMPLATES", "list_fitting"]

TEMPLATES: tuple[Template, ...] = (
    Template(
        name="pointwise",
        does="a convolution of one place: no line buffer",
        kinds=("pointwise",),
        unrolls=("outputs", "channels"),
    ),
    Template(
        name="pointwise-n",
        does="the same for several places of a row, which share each weight that is read",
        kinds=("pointwise",),
        unrolls=("outputs", "channels", "places"),
    ),
    Template(
        name="depthwise",
        does="a convolution of each channel alone, behind a line buffer",
        kinds=("depthwise",),
        unrolls=("outputs", "kernel"),
    ),
    Template(
        name="depthwise-n",
        does="the same for several places of a row",
        kinds=("depthwise",),
        unrolls=("outputs", "kernel", "places"),
    ),
    Template(
        name="convolution",
        does="a convolution, in groups or not, a place at a time, behind a line buffer",
        kinds=("convolution",),
        unrolls=("outputs", "channels", "kernel"),
    ),
    Template(
        name="convolution-n",
        does="the same for several places of a row",
        kinds=("convolution",),
        unrolls=("outputs", "channels", "kernel", "places"),
    ),
    Template(
        name="dense",
        does="a matrix by a vector, whose places are summed up as they come",
        kinds=("dense",),
        unrolls=("outputs", "channels"),
    ),
    Template(name="pool", does="the greatest value or the mean of each window", kinds=("pool",), unrolls=("outputs", "kernel")),
    Template(name="reduce", does="the greatest value or the mean of a whole channel", kinds=("reduce",), unrolls=("outputs",)),
    Template(name="pair", does="a sum, or another function of two streams", kinds=("pair",), unrolls=("outputs",)),
    Template(name="table", does="what each level becomes", kinds=("table",), unrolls=("outputs",)),
    Template(name="move", does="the same values in another order, or side by side", kinds=("move",), unrolls=("outputs",)),
    Template(name="resize", does="rows and places that are repeated", kinds=("resize",), unrolls=("outputs",)),
)


def list_fitting(layer: Layer) -> tuple[Template, ...]:
    """Return the templates that fit a layer."""
    return tuple(template for template in TEMPLATES if layer.kind in template.kinds)

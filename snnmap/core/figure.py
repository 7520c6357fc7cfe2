"""One way to draw with matplotlib: the same bytes each time, the user's settings left as they are."""

import io
from collections.abc import Callable
from typing import Any, Literal

from snnmap.core.errors import SnnmapError

__all__ = ["FILL", "INK", "NOTE", "draw_figure"]

INK, FILL, NOTE = "#1f4e79", "#7aa6c2", "#b5541c"
"""Two blues, dark and light, and orange: they differ for every kind of colour vision, and in grey."""

_STYLE: dict[str, Any] = {"font.size": 8, "axes.spines.top": False, "svg.hashsalt": "snnmap"}


def draw_figure(
    size: tuple[float, float], fill: Callable[[Any], None], *, form: Literal["svg", "png"] = "png", dpi: int = 130, **style: Any
) -> bytes:
    """Draw a figure and return it as a file.

    Args:
        size: in inches.
        fill: draws into the figure.
        form: of the file.
        dpi: dots an inch.
        **style: settings of matplotlib, ``_`` for ``.``.

    Raises:
        SnnmapError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SnnmapError("pictures need matplotlib", fix="pip install 'snnmap[plot]'") from error
    settings: Any = _STYLE | {name.replace("_", "."): value for name, value in style.items()}
    with mpl.rc_context(settings):
        figure = Figure(figsize=size, layout="constrained")
        fill(figure)
        stream = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
        figure.savefig(stream, format=form, dpi=dpi, metadata=metadata)
    return stream.getvalue()

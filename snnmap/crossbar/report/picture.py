"""Pictures of crossbars: which elements hold which layer, as SVG."""

from collections.abc import Sequence
from html import escape

from snnmap.crossbar.mapping import Mapped, Tile

__all__ = ["draw_cores", "draw_crossbar"]

_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#bcbd22", "#17becf", "#7f7f7f")
_LEGEND_PX, _MARGIN_PX, _LINE_PX = 190, 8, 18


def draw_crossbar(mapped: Mapped, *, core: int = 0, cycle: int = 0) -> str:
    """Draw a core's grid of elements in one computation cycle, its layers coloured, with a legend.

    Args:
        mapped: layers on elements.
        core: to draw.
        cycle: computation cycle.

    Returns:
        An SVG document.
    """
    elements = mapped.architecture.elements
    width, height = _measure_element(mapped)
    tiles = [tile for tile in mapped.tiles if (tile.core, tile.cycle) == (core, cycle)]
    layers = list(dict.fromkeys(mapped.strips[tile.strip].layer for tile in tiles))
    right = _MARGIN_PX * 2 + elements.grid_columns * width
    bottom = max(elements.grid_rows * height, (len(layers) + 2) * _LINE_PX) + 2 * _MARGIN_PX
    parts = [_open_svg(right + _LEGEND_PX, bottom), f'<g transform="translate({_MARGIN_PX},{_MARGIN_PX})">']
    parts += [*(_draw_tile(mapped, tile, width, height) for tile in tiles), _draw_grid(mapped, width, height), "</g>"]
    parts += _draw_legend(mapped, tiles, layers, right)
    return "\n".join([*parts, "</svg>"]) + "\n"


def draw_cores(mapped: Mapped, cycle: int) -> str:
    """Draw all cores of a computation cycle beside each other, as an SVG element without a legend."""
    elements, columns = mapped.architecture.elements, 8
    width, height = max(1, 96 // elements.grid_columns), max(1, 96 // elements.grid_rows)
    step_x, step_y = elements.grid_columns * width + _MARGIN_PX, elements.grid_rows * height + _MARGIN_PX
    rows = -(-mapped.architecture.cores // columns)
    parts = [_open_svg(min(columns, mapped.architecture.cores) * step_x, rows * step_y)]
    for core in range(mapped.architecture.cores):
        down, right = divmod(core, columns)
        parts.append(f'<g transform="translate({right * step_x},{down * step_y})">')
        parts += [_draw_tile(mapped, tile, width, height) for tile in mapped.tiles if (tile.core, tile.cycle) == (core, cycle)]
        parts += [_draw_grid(mapped, width, height), "</g>"]
    return "\n".join([*parts, "</svg>"])


def colour(layer: int) -> str:
    """Return the colour of a layer by its position."""
    return _COLOURS[layer % len(_COLOURS)]


def _measure_element(mapped: Mapped) -> tuple[int, int]:
    """Return the sides of an element in pixels, so that a cell is as high as it is wide where that can be read."""
    elements = mapped.architecture.elements
    cell = max(1.0, min(6.0, 480 / (elements.grid_columns * elements.columns), 640 / (elements.grid_rows * elements.rows)))
    return max(4, int(cell * elements.columns)), max(4, int(cell * elements.rows))


def _open_svg(width: int, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="12">'
    )


def _draw_grid(mapped: Mapped, width: int, height: int) -> str:
    elements = mapped.architecture.elements
    right, bottom = elements.grid_columns * width, elements.grid_rows * height
    lines = [f"M{column * width} 0V{bottom}" for column in range(elements.grid_columns + 1)]
    lines += [f"M0 {row * height}H{right}" for row in range(elements.grid_rows + 1)]
    return f'<path d="{"".join(lines)}" stroke="#999" stroke-width="0.5" fill="none"/>'


def _draw_tile(mapped: Mapped, tile: Tile, width: int, height: int) -> str:
    """Draw the elements of a tile as one shape, each block with its own outline."""
    layer = mapped.strips[tile.strip].layer
    shapes = [
        f"M{column * width} {row * height}h{tile.width * width}v{tile.height * height}h{-tile.width * width}z"
        for row, column in tile.corners
    ]
    name = escape(mapped.program.layers[layer].name)
    return f'<path d="{"".join(shapes)}" fill="{colour(layer)}" fill-opacity="0.75" stroke="#333"><title>{name}</title></path>'


def _draw_legend(mapped: Mapped, tiles: Sequence[Tile], layers: Sequence[int], left: int) -> list[str]:
    used = sum(tile.n_elements for tile in tiles)
    parts = [f'<text x="{left}" y="{_LINE_PX}">{used} of {mapped.architecture.elements_per_core} elements</text>']
    for place, layer in enumerate(layers, 2):
        count = sum(tile.n_elements for tile in tiles if mapped.strips[tile.strip].layer == layer)
        top = place * _LINE_PX
        parts.append(f'<rect x="{left}" y="{top - 11}" width="12" height="12" fill="{colour(layer)}" fill-opacity="0.75"/>')
        parts.append(f'<text x="{left + 18}" y="{top}">{escape(mapped.program.layers[layer].name)}: {count} elements</text>')
    return parts

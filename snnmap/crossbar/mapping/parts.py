"""What each core of a strip sums up, before one of them writes the outputs."""

from collections.abc import Sequence
from dataclasses import dataclass

from snnmap.crossbar.mapping.tiles import Strip, Tile

__all__ = ["StripPart", "find_output", "list_parts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StripPart:
    """Outputs of a strip that one core sums up: from the first that it holds to the last."""

    first: int
    count: int


def find_output(strip: Strip, tile: Tile) -> int:
    """Return the place of a tile's first output among those of its strip."""
    return (tile.first_block - strip.first_block) * strip.n_filters + tile.first_filter - strip.first_filter


def list_parts(strip: Strip, tiles: Sequence[Tile]) -> dict[int, StripPart]:
    """Return the outputs that each core sums up; those of the last tile's core, which writes them, are all."""
    spans: dict[int, tuple[int, int]] = {}
    for tile in tiles:
        first = find_output(strip, tile)
        stop = first + tile.n_blocks * tile.n_filters
        low, high = spans.get(tile.core, (first, stop))
        spans[tile.core] = (min(low, first), max(high, stop))
    spans[tiles[-1].core] = (0, strip.n_outputs)
    return {core: StripPart(first=first, count=stop - first) for core, (first, stop) in spans.items()}

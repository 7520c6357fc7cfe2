"""Architectural templates: what hardware a layer can be, and what each parallelism makes of it."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from snnmap.dataflow.lower import Kind, Layer, Loops

__all__ = ["Legal", "Loop", "Parallelism", "Template"]

Loop: TypeAlias = Literal["outputs", "channels", "kernel", "places"]
Legal: TypeAlias = Literal["any", "divisors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallelism:
    """How much of each loop is computed at once.

    Attributes:
        outputs: channels that are given.
        channels: that are summed over.
        kernel: places that are summed over.
        places: of a row that are given.
    """

    outputs: int = 1
    channels: int = 1
    kernel: int = 1
    places: int = 1

    def __str__(self) -> str:
        return f"{self.outputs}x{self.channels}x{self.kernel}" + (f"x{self.places}" if self.places > 1 else "")

    @property
    def word_weights(self) -> int:
        """Weights that are read together."""
        return self.outputs * self.channels * self.kernel

    @property
    def lanes(self) -> int:
        """Products, or values, of a cycle."""
        return self.word_weights * self.places

    def count_steps(self, loops: Loops) -> int:
        """Return the cycles of a firing, and how many words the weights of a firing are."""
        return -(-loops.outputs // self.outputs) * -(-loops.channels // self.channels) * -(-loops.kernel // self.kernel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Hardware for one layer: loops around a row of multipliers, or of other lanes.

    A firing reads what it needs, takes ``count_steps`` cycles and gives ``places`` words; the next starts when they are handed
    over. A word can be read ``count_latency`` cycles after that.

    Attributes:
        name: of the template.
        does: in words.
        kinds: of layers that it fits.
        unrolls: loops that may be computed in parallel.
    """

    name: str
    does: str
    kinds: tuple[Kind, ...]
    unrolls: tuple[Loop, ...]

    def list_factors(self, layer: Layer, loop: Loop, legal: Legal) -> list[int]:
        """Return the parallelism that a loop may have: of all that take as many steps, the least."""
        if loop not in self.unrolls:
            return [1]
        if loop == "places":
            return _halve_rows(layer.target.width)
        length: int = getattr(layer.loops, loop)
        return [factor for factor in range(1, length + 1) if _is_least(length, factor) and _is_legal(length, factor, legal)]

    def count_latency(self, layer: Layer, parallelism: Parallelism) -> int:
        """Return the cycles from the last step of a firing to a word that can be read: products, a tree of sums, scaling."""
        depth = (parallelism.channels * parallelism.kernel - 1).bit_length()
        return depth + (3 if layer.matrix is not None else 1)


def _halve_rows(width: int) -> list[int]:
    """Return by how many places a row may be computed at once: powers of two, more than one."""
    return [1 << shift for shift in range(1, min(width, 64).bit_length()) if 1 << shift <= width]


def _is_least(length: int, factor: int) -> bool:
    return factor == 1 or -(-length // factor) < -(-length // (factor - 1))


def _is_legal(length: int, factor: int, legal: Legal) -> bool:
    return legal == "any" or length % factor == 0

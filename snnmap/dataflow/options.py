"""Choices of a build."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal, TypeAlias, get_args

from snnmap.core.errors import InputError
from snnmap.core.record import is_count
from snnmap.dataflow.templates import Legal

__all__ = ["PipelineOptions"]

Way: TypeAlias = Literal["loop", "exact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """Choices of a build.

    Attributes:
        multipliers: budget; the device's where left out.
        memory_blocks: budget of weights and buffers; the device's where left out.
        fps: samples (frames) a second that are enough; without, as many as the budgets allow.
        search: ``loop`` raises the slowest layer until a budget ends, ``exact`` finds the least interval.
        parallelism: ``any``, or ``divisors`` of the loops' lengths alone.
        stream_weights: whether weights may come over the link each time that they are used.
        cut: name of the first of the layers that share one unit; ``auto`` takes the first from which on weights need more
            bandwidth than activations; without, every layer has hardware of its own.

    Raises:
        InputError: a choice out of range.
    """

    multipliers: int | None = None
    memory_blocks: int | None = None
    fps: float | None = None
    search: Way = "loop"
    parallelism: Legal = "any"
    stream_weights: bool = False
    cut: str | None = None

    def __post_init__(self) -> None:
        for name in ("multipliers", "memory_blocks"):
            value = getattr(self, name)
            InputError.require_option(
                self, name, value is None or is_count(value), "a whole number, 1 or more", of="the pipeline"
            )
        is_rate = self.fps is None or (isfinite(self.fps) and self.fps > 0)
        InputError.require_option(self, "fps", is_rate, "more than 0, finite", of="the pipeline")
        for name, known in (("search", get_args(Way)), ("parallelism", get_args(Legal))):
            InputError.require_option(self, name, getattr(self, name) in known, ", ".join(known), of="the pipeline")

"""What a profile assumes: bits of values, and how many samples come in a second."""

import math
from dataclasses import dataclass

from snnmap.core.errors import InputError

__all__ = ["ProfileOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileOptions:
    """Choices of a profile.

    Attributes:
        input_bits: bits of each value of the network's input.
        activation_bits: bits of each value that a layer gives.
        weight_bits: bits of each weight.
        fps: samples (frames) a second; that of the data where they tell it, else 30.
        rounded: whether zeros and changes in data are counted when values are rounded to the levels of their bits, instead of
            exactly.

    Raises:
        InputError: a choice out of range.
    """

    input_bits: int = 8
    activation_bits: int = 4
    weight_bits: int = 8
    fps: float | None = None
    rounded: bool = False

    def __post_init__(self) -> None:
        for name in ("input_bits", "activation_bits", "weight_bits"):
            InputError.require_option(self, name, 1 <= getattr(self, name) <= 64, "1 to 64", of="the profile")
        is_rate = self.fps is None or (math.isfinite(self.fps) and self.fps > 0)
        InputError.require_option(self, "fps", is_rate, "more than 0, finite", of="the profile")

    @property
    def rate(self) -> float:
        """Samples a second."""
        return 30.0 if self.fps is None else self.fps

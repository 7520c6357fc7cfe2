"""What a membrane makes of signed changes: how far the sum that it should hold runs away."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snnmap.chip.arithmetic import saturate
from snnmap.chip.arithmetic.bit_shift import decay, integrate
from snnmap.core import FloatArray, IntArray
from snnmap.core.errors import InputError

__all__ = ["HeldRow", "measure_held_changes"]

_STATE_BITS = 16
_DASH_SYN = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRow:
    """Errors of a held sum, root mean squares over streams, in levels.

    Attributes:
        width_bits: of the signed levels.
        n_steps: since the stream began.
        error: of a membrane that starts at 0.
        offset_error: of one that starts at half its range and has a bias of 1.
    """

    width_bits: int
    n_steps: int
    error: float
    offset_error: float


def measure_held_changes(
    *,
    width_bits: Sequence[int] = (4, 6, 8),
    n_steps: Sequence[int] = (16, 128, 1024, 4096),
    dash_mem: int = 15,
    change_share: float = 0.1,
    n_streams: int = 16,
    seed: int = 0,
) -> tuple[HeldRow, ...]:
    """Send the changes of random streams to one membrane of the chip, and compare what it holds with the level.

    A pair of channels sends the changes of a signed level, ``up`` on a synapse of weight w and ``down`` of -w, into one membrane
    that should hold their sum, as delta inference does. The chip's own integer rules (:mod:`snnmap.chip.arithmetic`), 16 bits of
    state, ``dash_syn`` 1, and w = 2**(15 - width_bits) units a level, which leaves half the range to an offset. A membrane loses
    ``v >> dash_mem``, but at least 1 a step; of dash 15 exactly 1 while it is above 0, which a bias of 1 gives back.

    Args:
        width_bits: of the levels, each.
        n_steps: after how many steps to compare, each.
        dash_mem: of the membrane.
        change_share: share of steps in which the level changes, by -2 to 2.
        n_streams: averaged over.
        seed: of the streams.

    Raises:
        InputError: an argument out of range.
    """
    has_steps = bool(n_steps) and min(n_steps) >= 1 and n_streams >= 1
    if not (all(2 <= width <= 8 for width in width_bits) and 0.0 <= change_share <= 1.0 and 0 <= dash_mem <= 15 and has_steps):
        raise InputError(
            "held changes cannot be measured so",
            where="measure_held_changes",
            measured=f"width_bits={tuple(width_bits)}, {change_share=}, {dash_mem=}, n_steps={tuple(n_steps)}, {n_streams=}",
            limit="2 to 8 bits, a share of 0 to 1, dash_mem 0 to 15, steps and streams from 1",
            fix="give values within the limits",
        )
    rows = []
    for width in width_bits:
        levels = _draw_levels(width, max(n_steps), change_share, n_streams, seed)
        plain, offset = (_measure(levels, width, dash_mem, bias) for bias in (0, 1))
        rows += [
            HeldRow(width_bits=width, n_steps=steps, error=float(plain[steps - 1]), offset_error=float(offset[steps - 1]))
            for steps in n_steps
        ]
    return tuple(rows)


def _draw_levels(width_bits: int, n_steps: int, change_share: float, n_streams: int, seed: int) -> IntArray:
    """Return levels that walk and stop at their range, ``(n_streams, n_steps)``."""
    rng, half = np.random.default_rng(seed), 2 ** (width_bits - 1)
    levels, now = np.zeros((n_streams, n_steps), np.int64), rng.integers(-half, half, n_streams)
    for step in range(n_steps):  # drawn step by step, so that a longer stream begins as a shorter one
        moves = rng.integers(-2, 3, n_streams) * (rng.random(n_streams) < change_share)
        now = np.clip(now + moves, -half, half - 1)
        levels[:, step] = now
    return levels


def _measure(levels: IntArray, width_bits: int, dash_mem: int, bias: int) -> FloatArray:
    """Return the error ``(n_steps,)`` in levels; currents that are still on their way count as held."""
    unit = 1 << (_STATE_BITS - 1 - width_bits)
    start = bias << (_STATE_BITS - 2)
    errors = np.zeros(levels.shape)
    for stream, changes in enumerate(np.diff(levels, axis=1, prepend=0)):
        potential, current = start, 0
        for step, change in enumerate(changes):
            current = saturate(current + int(change) * unit, _STATE_BITS)
            current -= decay(current, _DASH_SYN)
            potential = integrate(potential, dash_mem, current, bias, _STATE_BITS)
            errors[stream, step] = (potential + current - start) / unit - levels[stream, step]
    rms: FloatArray = np.sqrt(np.mean(errors**2, axis=0))
    return rms

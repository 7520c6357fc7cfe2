"""The compiled loop of a stage's sums, in the order in which the stage adds them up."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

__all__ = ["add_up"]

_compile: Callable[..., Any] = numba.njit(cache=True)


@_compile
def add_up(seen: Any, words: Any, loops: Any, factors: Any, per_group: int, n_sets: int) -> Any:
    """Return the sums of a stage without bias: word by word of the weights, all lanes of a word together.

    Args:
        seen: ``(n_firings, channels, kernel)`` uint8, what each firing reads.
        words: ``(n_words, lanes)`` int8, packed.
        loops: outputs, channels and kernel of the layer.
        factors: of each that are computed at once.
        per_group: outputs that read the same channels.
        n_sets: sets of weights; firings take one after the other and add up, where there are several.

    Returns:
        ``(n_firings, outputs)`` int32; ``(1, outputs)`` of several sets.
    """
    n_firings = len(seen)
    outputs, channels, kernel = loops
    by_output, by_channel, by_place = factors
    sums = np.zeros((n_firings if n_sets == 1 else n_firings // n_sets, outputs), np.int32)
    for firing in range(n_firings):
        row = firing // n_sets
        word = (firing % n_sets) * (len(words) // n_sets)
        for first_output in range(0, outputs, by_output):
            for first_channel in range(0, channels, by_channel):
                for first_place in range(0, kernel, by_place):
                    lane = 0
                    for output in range(first_output, first_output + by_output):
                        base = output // per_group * channels
                        total = np.int32(0)
                        for channel in range(first_channel, first_channel + by_channel):
                            for place in range(first_place, first_place + by_place):
                                if output < outputs and channel < channels and place < kernel:
                                    total += np.int32(words[word, lane]) * np.int32(seen[firing, base + channel, place])
                                lane += 1
                        if output < outputs:
                            sums[row, output] += total
                    word += 1
    return sums

"""What none of others beats: the Pareto front."""

from collections.abc import Sequence

__all__ = ["find_front"]


def find_front(scores: Sequence[tuple[float, ...]]) -> list[int]:
    """Return the places of scores that no other is at least as high as in all and higher in one; the first of equals.

    Example:
        >>> find_front([(1.0, 0.0), (0.0, 1.0), (0.0, 0.5), (1.0, 0.0)])
        [0, 1]
    """
    return [
        place
        for place, mine in enumerate(scores)
        if not any(
            all(a >= b for a, b in zip(other, mine, strict=True)) and (other != mine or there < place)
            for there, other in enumerate(scores)
            if there != place
        )
    ]

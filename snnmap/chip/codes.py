"""Decay factors as the chip codes them: bit shifts."""

import numpy as np
import numpy.typing as npt

__all__ = ["decay_factors", "nearest_dashes"]


def decay_factors(dashes: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Give the decay factor of each bit shift, ``1 - 2**-dash``: 0 for 0, 0.5 for 1, 0.75 for 2.

    Example:
        >>> decay_factors([0, 1, 2, 4]).tolist()
        [0.0, 0.5, 0.75, 0.9375]
    """
    return 1.0 - np.ldexp(1.0, -np.asarray(dashes, np.int64))


def nearest_dashes(decays: npt.ArrayLike, *, dash_min: int, dash_max: int) -> npt.NDArray[np.int64]:
    """Give the bit shift whose time constant is nearest on a logarithmic scale.

    Args:
        decays: decay factors a step, 0..1.
        dash_min: smallest usable shift (1 for a synapse: with 0 the current is gone before it is used).
        dash_max: largest shift that the chip codes.

    Returns:
        int64 array of the same shape. Decided by comparison with constants, never by a logarithm, so that every
        machine gives the same codes.

    Example:
        >>> nearest_dashes([0.4, 0.9, 0.99], dash_min=1, dash_max=15).tolist()
        [1, 3, 7]
    """
    lost = 1.0 - np.asarray(decays, np.float64)
    edges = [2.0 ** -(dash + 0.5) for dash in range(dash_min, dash_max)]
    codes = np.asarray(np.sum(lost[..., np.newaxis] < np.array(edges), axis=-1), np.int64)
    return np.asarray(codes + dash_min, np.int64)

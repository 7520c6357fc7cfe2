"""How a neuron's potential answers a spike: inner products of double-exponential kernels, in closed form.

A spike through a synapse with decay ``a`` onto a membrane with decay ``b`` moves the potential ``t`` steps later by::

    k[t] = sum over r of a**r b**(t - r) = (a**(t+1) - b**(t+1)) / (a - b)

All sums over ``t``, without an end or over the steps of a run, are geometric, so only + - x / decide, and every machine gives the
same numbers.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from snnmap.chip import Family
from snnmap.core import FloatArray, IntArray, record
from snnmap.lif.quantise.decays import DecayCodes
from snnmap.lif.quantise.rounding import Responses

__all__ = [
    "LARGEST_DECAY",
    "Response",
    "RowResponses",
    "decay_power",
    "kernel_product",
    "kernel_sum",
    "match_input",
    "match_reset",
    "respond",
    "tail_power",
    "tail_product",
    "tail_sum",
    "to_arrays",
]

LARGEST_DECAY = 1.0 - 2.0**-16
"""Of a state in kernels; one that loses nothing a step has a kernel without an end, and no sum."""


@record
class Response:
    """What an error of one unit in a weight does to the neuron's potential, for one or two synapses.

    Attributes:
        power: ``(n_synapses, n_synapses) float64``, inner products of the synapses' kernels.
        total: ``(n_synapses,) float64``, sums of the kernels.
    """

    power: FloatArray
    total: FloatArray

    @property
    def length(self) -> float:
        """Steps over which the potential adds up its input: of a box whose power and sum are the kernels', ``t' P**-1 t``."""
        if self.total.size == 1:
            return float(self.total[0] ** 2 / self.power[0, 0])
        (a, b), (_, d) = self.power.tolist()
        s, t = self.total.tolist()
        singular = a * d - b * b <= 1e-12 * a * d
        return float(s * s / a if singular else (d * s * s - 2.0 * b * s * t + a * t * t) / (a * d - b * b))

    @property
    def shape_power(self) -> FloatArray:
        """Return what is left of ``power`` for errors whose kernels add up to nothing: ``P - t t' / length``."""
        return np.asarray(self.power - np.outer(self.total, self.total) / self.length, np.float64)

    def of_synapse(self, synapse: int) -> "Response":
        """Return the response through one synapse alone."""
        one = slice(synapse, synapse + 1)
        return Response(power=self.power[one, one], total=self.total[one])


def kernel_product(
    a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike, d: npt.ArrayLike, n_steps: int | None = None
) -> FloatArray:
    """Return ``sum over t of k_ab[t] k_cd[t]``; symmetric in ``a, b`` and in ``c, d``."""
    a, b = _apart(a, b)
    c, d = _apart(c, d)
    return np.asarray(_cross(a, b, c, d, n_steps) / ((a - b) * (c - d)), np.float64)


def kernel_sum(a: npt.ArrayLike, b: npt.ArrayLike, n_steps: int | None = None) -> FloatArray:
    """Return ``sum over t of k_ab[t]``: the potential that a constant input of 1 reaches."""
    if n_steps is None:
        return np.asarray(1.0 / ((1.0 - _clip(a)) * (1.0 - _clip(b))), np.float64)
    a, b = _apart(a, b)
    return np.asarray((_series(a, n_steps) - _series(b, n_steps)) / (a - b), np.float64)


def tail_product(
    a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike, d: npt.ArrayLike, n_steps: int | None = None
) -> FloatArray:
    """Return ``sum over t of k_ab[t] (c**(t+1) - d**(t+1))``: a self-synapse's kernel against a difference of two decays."""
    a, b = _apart(a, b)
    return np.asarray(_cross(a, b, _clip(c), _clip(d), n_steps) / (a - b), np.float64)


def tail_sum(c: npt.ArrayLike, d: npt.ArrayLike, n_steps: int | None = None) -> FloatArray:
    """Return ``sum over t of (c**(t+1) - d**(t+1))``."""
    return np.asarray(_series(_clip(c), n_steps) - _series(_clip(d), n_steps), np.float64)


def tail_power(c: npt.ArrayLike, d: npt.ArrayLike, n_steps: int | None = None) -> FloatArray:
    """Return ``sum over t of (c**(t+1) - d**(t+1))**2``."""
    c, d = _clip(c), _clip(d)
    return np.maximum(_series(c * c, n_steps) - 2.0 * _series(c * d, n_steps) + _series(d * d, n_steps), 0.0)


def decay_power(c: npt.ArrayLike, n_steps: int | None = None) -> FloatArray:
    """Return ``sum over t of c**(2 t)``."""
    c = _clip(c)
    return np.asarray((1.0 - _raise(c * c, n_steps)) / (1.0 - c * c), np.float64)


def match_input(
    alpha: FloatArray, beta: FloatArray, b: float, codes: list[float], n_steps: int | None
) -> tuple[FloatArray, FloatArray]:
    """Rebuild the kernel of an input spike from the kernels of the coded synapses."""
    products = [kernel_product(code, b, alpha, beta, n_steps) for code in codes]
    power = kernel_product(alpha, beta, alpha, beta, n_steps)
    factor, left = _least_squares(codes, b, products, kernel_sum(alpha, beta, n_steps), power, n_steps)
    return factor, np.sqrt(left / power)


def match_reset(beta: FloatArray, b: float, codes: list[float], n_steps: int | None) -> tuple[FloatArray, FloatArray]:
    """Make up for a reset that decays by ``b`` and not by ``beta``, by spikes of the neuron onto itself a step later.

    An input of which no synapse keeps anything decays likewise. The error is given as a share of the reset itself, ``beta**t``.
    """
    products = [-tail_product(code, b, beta, b, n_steps) for code in codes]
    weight, left = _least_squares(codes, b, products, -tail_sum(beta, b, n_steps), tail_power(beta, b, n_steps), n_steps)
    return weight, np.sqrt(left / decay_power(beta, n_steps))


def _least_squares(
    codes: list[float], b: float, products: list[FloatArray], total: FloatArray, power: FloatArray, n_steps: int | None
) -> tuple[FloatArray, FloatArray]:
    """Weigh kernels so that they keep the sum ``total``, and within that come nearest to a target.

    Args:
        codes: synaptic decays, one or two.
        b: membrane decay.
        products: inner product of each kernel with the target, ``(n,)`` each.
        total: sum of the target, ``(n,)``.
        power: inner product of the target with itself, ``(n,)``.
        n_steps: over which kernels are summed.

    Returns:
        Coefficients ``(n_codes, n)`` and the squared error left, ``(n,)``.
    """
    sums = [float(kernel_sum(code, b, n_steps)) for code in codes]
    gram = [[float(kernel_product(one, b, other, b, n_steps)) for other in codes] for one in codes]
    if len(codes) == 1:
        weights = [total / sums[0]]
    else:
        ratio = sums[0] / sums[1]
        curvature = gram[0][0] - 2.0 * ratio * gram[0][1] + ratio * ratio * gram[1][1]
        start = total / sums[1]
        first = (products[0] - ratio * products[1] - start * (gram[0][1] - ratio * gram[1][1])) / curvature
        weights = [first, start - ratio * first]
    left = power.copy()
    for i, weight in enumerate(weights):
        left -= 2.0 * weight * products[i]
        for j, other in enumerate(weights):
            left += weight * gram[i][j] * other
    return np.stack(weights), np.maximum(left, 0.0)


def _cross(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray, n_steps: int | None) -> FloatArray:
    """Return ``sum over t of (a**(t+1) - b**(t+1)) (c**(t+1) - d**(t+1))``."""
    parts = [_series(product, n_steps) for product in (a * c, a * d, b * c, b * d)]
    return parts[0] - parts[1] - parts[2] + parts[3]


def _series(x: FloatArray, n_steps: int | None) -> FloatArray:
    """Return ``x + x**2 + ...``, as many terms as there are steps."""
    return np.asarray(x / (1.0 - x) * (1.0 - _raise(x, n_steps)), np.float64)


def _raise(x: FloatArray, n_steps: int | None) -> FloatArray:
    """Return ``x**n_steps`` by squaring; 0 where there is no end."""
    power = np.zeros_like(x) if n_steps is None else np.ones_like(x)
    for bit in bin(n_steps or 0)[2:]:
        power = power * power * (x if bit == "1" else 1.0)
    return power


def _clip(decay: npt.ArrayLike) -> FloatArray:
    return np.minimum(np.asarray(decay, np.float64), LARGEST_DECAY)


def _apart(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Part decays that are nearly equal, where the closed form loses its digits; the kernel hardly changes."""
    a, b = _clip(a), _clip(b)
    gap = 1e-3 * (1.0 - a)
    return a, np.where(np.abs(a - b) < gap, a - gap, b)


class RowResponses:
    """The response of each neuron, made once for neurons with the same codes."""

    def __init__(self, decays: DecayCodes, family: Family, n_steps: float = math.inf) -> None:
        codes = np.vstack([decays.dash_syn, decays.dash_mem])
        number = np.ravel_multi_index(tuple(codes), tuple(codes.max(axis=1, initial=0) + 1))
        _, first, self.kind = np.unique(number, return_index=True, return_inverse=True)
        self.responses: list[Response] = [respond(kind[:-1], int(kind[-1]), family, n_steps) for kind in codes[:, first].T]

    def power(self) -> FloatArray:
        """Return the power of each neuron's strongest kernel, ``(n,)``."""
        return np.array([response.power.max() for response in self.responses])[self.kind]

    def share(self) -> FloatArray:
        """Return, for each kind, the sums of the synapses' kernels beside the first one's, ``(n_kinds, n_synapses)``."""
        return np.stack([response.total / response.total[0] for response in self.responses])


def to_arrays(responses: Sequence[Response], kind: IntArray) -> Responses:
    """Return responses as the rounding takes them, and which of them each neuron has, ``(n,)``."""
    return Responses(
        kind=kind,
        total=np.stack([response.total for response in responses]),
        power=np.stack([response.power for response in responses]),
        shape=np.stack([response.shape_power for response in responses]),
        alone=np.array([[one.of_synapse(s).shape_power.item() for s in range(one.total.size)] for one in responses]),
    )


def respond(dash_syn: IntArray, dash_mem: int, family: Family, n_steps: float = math.inf) -> Response:
    """Return the response to a weight in a run of some steps, longer than which no membrane remembers."""
    codes, gains = family.synapse_factors(dash_syn), family.weight_gain(dash_syn)
    b = np.minimum(family.membrane_factors(dash_mem), 1.0 - 1.0 / n_steps)
    synapses = list(zip(codes, gains, strict=True))
    power = [[gain * other_gain * kernel_product(a, b, other, b) for other, other_gain in synapses] for a, gain in synapses]
    return Response(power=np.array(power), total=gains * kernel_sum(codes, b))

"""The ReLU layers that a reader finds, one after the other: rectified, clipped, quantised, and maxima written as ReLUs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from snnmap.convert.affine import combine, common_weight, make_identity, reshape, scale, select
from snnmap.convert.ann import INPUT, REPEAT, Affine, ReluLayer
from snnmap.core import FloatArray, IntArray
from snnmap.core.errors import FrontendError

__all__ = ["NO_BOUND", "RESERVED", "LayerList", "Pool"]

NO_BOUND = 3.4e38
"""Of float32, whose largest value stands for none where operators before set 11 had to name one."""

RESERVED = (INPUT, REPEAT, "output", "clock", "clock repeat", "hold")
"""Names of ports and of the readout, which no layer may take."""
_PLAIN = ("relu", "pool")
"""Layers that are one with a quantiser behind them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Maxima as they were asked for: the arguments of :meth:`LayerList.pool_maxima` and its result."""

    name: str
    windows: IntArray
    shape: tuple[int, ...]
    value: Affine
    result: Affine


class LayerList:
    """Collects layers under names of their own."""

    def __init__(self) -> None:
        self._layers: list[ReluLayer] = []
        self._highs: dict[str, float | FloatArray] = {}
        self._pools: list[Pool] = []

    def __len__(self) -> int:
        return len(self._layers)

    @property
    def layers(self) -> tuple[ReluLayer, ...]:
        """All layers so far, in an order in which they can be computed."""
        return tuple(self._layers)

    def rectify(self, layer: ReluLayer) -> Affine:
        """Add a layer and give its values; a name that is taken, or a port's, gets a number behind it."""
        taken = {*RESERVED, *(other.name for other in self._layers)}
        names = (layer.name if number == 1 else f"{layer.name}.{number}" for number in count(1))
        name = next(name for name in names if name not in taken and not name.startswith("release "))
        self._layers.append(replace(layer, name=name))
        return make_identity(name, layer.incoming.shape)

    def rectify_and_clip(self, layer: ReluLayer, high: float | FloatArray) -> Affine:
        """Add a layer that ends at ``high``, of all or ``(n,)``: exactly ``relu(z) - relu(z - high)``."""
        rectified = self.rectify(layer)
        if not np.isfinite(high).all():
            return rectified
        above = replace(layer.incoming, bias=layer.incoming.bias - high)
        name = f"{self._layers[-1].name}.excess"
        self._highs[self._layers[-1].name] = high
        return combine(rectified, self.rectify(replace(layer, name=name, incoming=above, kind="excess")), -1.0)

    def rectify_leaky(self, name: str, value: Affine, slope: FloatArray) -> Affine:
        """Add the layers of a ReLU that leaks by slopes ``(n,)``: exactly ``relu(z) - slope * relu(-z)``."""
        nothing = np.zeros(value.size)
        above = self.rectify(ReluLayer(name=name, incoming=value))
        below = self.rectify(ReluLayer(name=f"{name}.negative", incoming=scale(value, nothing - 1.0, nothing)))
        return combine(above, scale(below, slope, nothing), -1.0)

    def clip(self, name: str, value: Affine, low: float, high: float) -> Affine:
        """Add the layers of a clip between bounds, either of which may be infinite: exactly ``low + relu(z - low)``, clipped."""
        ones = np.ones(value.size)
        if np.isinf(low):
            if np.isinf(high):
                return value
            below = self.rectify(ReluLayer(name=name, incoming=scale(value, -ones, high * ones)))
            return scale(below, -ones, high * ones)
        raised = scale(value, ones, -low * ones)
        clipped = self.rectify_and_clip(ReluLayer(name=name, incoming=raised if low else value), high - low)
        return scale(clipped, ones, low * ones) if low else clipped

    def maximum(self, name: str, one: Affine, other: Affine) -> Affine:
        """Add the layer of an elementwise maximum: exactly ``a + relu(b - a)``."""
        return combine(one, self._rectify_maximum(name, combine(other, one, -1.0)), 1.0)

    def take_last(self, value: Affine) -> ReluLayer | None:
        """Take the last layer out again, where a value is its plain output and it has no step yet."""
        if not self._layers or list(value.terms) != [self._layers[-1].name]:
            return None
        layer, weights = self._layers[-1], value.terms[self._layers[-1].name]
        if layer.kind not in _PLAIN or layer.step is not None or layer.incoming.size != value.size or value.bias.any():
            return None
        if (weights != make_identity(layer.name, value.shape).terms[layer.name]).nnz:
            return None
        return self._layers.pop()

    def find_rectified(self, value: Affine) -> tuple[Affine, float | FloatArray] | None:
        """Return what a value is the plain ReLU of, without a step yet, and where that ends; None for another value."""
        for layer in self._plain_layers(value):
            high = self._highs.get(layer.name, np.inf)
            plain = make_identity(layer.name, value.shape)
            if np.isfinite(high).all():
                plain = combine(plain, make_identity(f"{layer.name}.excess", value.shape), -1.0)
            same = plain.terms.keys() == value.terms.keys() and not value.bias.any()
            if same and all((weights != plain.terms[source]).nnz == 0 for source, weights in value.terms.items()):
                return reshape(layer.incoming, value.shape), high
        return None

    def find_pool(self, value: Affine) -> Pool | None:
        """Return the maxima that a value is, in whatever shape, None for another value."""
        same = (pool for pool in self._pools if pool.result.terms is value.terms and pool.result.bias is value.bias)
        return next(same, None)

    def _plain_layers(self, value: Affine) -> Iterator[ReluLayer]:
        for layer in self._layers:
            if layer.name in value.terms and layer.kind in _PLAIN and layer.step is None and layer.incoming.size == value.size:
                yield layer

    def pool_maxima(self, name: str, windows: IntArray, shape: tuple[int, ...], value: Affine, where: str) -> Affine:
        """Write maxima as ReLUs, exactly: max(a, b) = a + relu(b - a), pair by pair.

        Padding, which is below every value, is a window's own first value once more. Values that are all multiples of one
        weight, such as a channel's levels, are compared as whole numbers::

            max(a, b) = a + weight * relu((b - a) / weight)

        Args:
            name: of the layers.
            windows: ``(channels, places, windows)``, index of each place's value, -1 for padding.
            shape: of the result.
            value: what is pooled.
            where: module or node that errors name.

        Raises:
            FrontendError: a window holds nothing but padding.
        """
        windows = _without_padding(windows, where)
        places = [select(value, windows[:, place].reshape(-1), shape) for place in range(windows.shape[1])]
        level = 0
        while len(places) > 1:
            pairs = []
            for number in range(0, len(places) - 1, 2):
                difference = combine(places[number + 1], places[number], -1.0)
                pairs.append(combine(places[number], self._rectify_maximum(f"{name}.max{level}.{number // 2}", difference), 1.0))
            places = pairs + places[2 * len(pairs) :]
            level += 1
        self._pools.append(Pool(name=name, windows=windows, shape=shape, value=value, result=places[0]))
        return places[0]

    def _rectify_maximum(self, name: str, difference: Affine) -> Affine:
        common, nothing = common_weight(difference), np.zeros(difference.size)
        weight = np.where(common > 0.0, common, 1.0)
        if (weight == 1.0).all():
            return self.rectify(ReluLayer(name=name, incoming=difference, kind="max"))
        whole = scale(difference, 1.0 / weight, nothing)
        return scale(self.rectify(ReluLayer(name=name, incoming=whole, kind="max")), weight, nothing)


def _without_padding(windows: IntArray, where: str) -> IntArray:
    valid = windows >= 0
    if not valid.any(axis=1).all():
        raise FrontendError("a window of a MaxPool holds nothing but padding", where=where, fix="pad by less than the kernel")
    first = np.take_along_axis(windows, valid.argmax(axis=1)[:, np.newaxis], axis=1)
    return np.where(valid, windows, first)

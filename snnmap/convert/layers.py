"""The ReLU layers that a reader finds, one after the other: rectified, clipped, quantised, and maxima written as ReLUs."""

from dataclasses import replace
from itertools import count

import numpy as np

from snnmap.convert.affine import combine, make_identity, select
from snnmap.convert.ann import INPUT, Affine, ReluLayer
from snnmap.errors import FrontendError
from snnmap.ir import IntArray

__all__ = ["RESERVED", "LayerList"]

RESERVED = (INPUT, "output", "clock", "clock repeat", "hold")
"""Names of ports and of the readout, which no layer may take."""


class LayerList:
    """Collects layers under names of their own."""

    def __init__(self) -> None:
        self._layers: list[ReluLayer] = []

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

    def rectify_and_clip(self, layer: ReluLayer, high: float) -> Affine:
        """Add a layer that ends at ``high``: exactly ``relu(z) - relu(z - high)``."""
        rectified = self.rectify(layer)
        if not np.isfinite(high):
            return rectified
        above = replace(layer.incoming, bias=layer.incoming.bias - high)
        name = f"{self._layers[-1].name}.excess"
        return combine(rectified, self.rectify(replace(layer, name=name, incoming=above, kind="excess")), -1.0)

    def take_last(self, value: Affine) -> ReluLayer | None:
        """Take the last layer out again, where a value is its plain output and it has no step yet."""
        if not self._layers or list(value.terms) != [self._layers[-1].name]:
            return None
        layer, weights = self._layers[-1], value.terms[self._layers[-1].name]
        plain = make_identity(layer.name, value.shape).terms[layer.name]
        if layer.kind != "relu" or layer.step is not None or value.bias.any() or (weights != plain).nnz:
            return None
        return self._layers.pop()

    def pool_maxima(self, name: str, windows: IntArray, shape: tuple[int, ...], value: Affine, where: str) -> Affine:
        """Write maxima as ReLUs, exactly: max(a, b) = a + relu(b - a), pair by pair.

        Args:
            name: of the layers.
            windows: ``(channels, places, windows)``, index of each place's value, -1 for padding.
            shape: of the result.
            value: what is pooled.
            where: module or node that errors name.

        Raises:
            FrontendError: a window reaches into padding.
        """
        if (windows < 0).any():
            raise FrontendError("a padded MaxPool has no LIF counterpart", where=where, fix="pool without padding")
        places = [select(value, windows[:, place].reshape(-1), shape) for place in range(windows.shape[1])]
        level = 0
        while len(places) > 1:
            pairs = []
            for number in range(0, len(places) - 1, 2):
                difference = combine(places[number + 1], places[number], -1.0)
                more = self.rectify(ReluLayer(name=f"{name}.max{level}.{number // 2}", incoming=difference, kind="max"))
                pairs.append(combine(places[number], more, 1.0))
            places = pairs + places[2 * len(pairs) :]
            level += 1
        return places[0]

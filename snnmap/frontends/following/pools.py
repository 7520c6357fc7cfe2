"""MaxPools of a forward: of spikes, neurons that fire where one does; of currents, put behind the neurons that take them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from snnmap.core.errors import FrontendError
from snnmap.core.record import IntArray
from snnmap.frontends.following.framework import Framework
from snnmap.frontends.following.layers import Layer, Layers
from snnmap.frontends.following.operations import Call, UnreadableError, find_plane, find_pool, spread_over_batch
from snnmap.frontends.following.signal import Signal, Source, join

__all__ = ["Pools", "require_one_for_all"]

_POOL = "put the MaxPool behind the neurons, whose spikes are 0 or 1, and train on, or use AvgPool2d"
_MOVE = "; or pools='after' in snnmap.load, which moves it there and measures what that changes"


@dataclass(frozen=True, slots=True)
class Pool:
    """A MaxPool: what goes in, ``(n_in, n_out)`` ones where a value is in a window, and the name of its neurons."""

    signal: Signal
    windows: Any
    path: str


class Pools:
    """The MaxPools of a run.

    Attributes:
        moved: names of the pools that were put behind the neurons, and of these neurons.
    """

    def __init__(self, framework: Framework, layers: Layers) -> None:
        self.framework = framework
        self.layers = layers
        self.moved: dict[str, str] = {}
        self._pooled: dict[int, tuple[Tensor, Pool]] = {}

    def read(self, call: Call) -> Signal:
        """Add neurons that fire where one of several spikes does; remember the largest of several currents."""
        if call.argument(5, "ceil_mode", False) or call.argument(6, "return_indices", False):
            raise UnreadableError("this form of MaxPool", "use ceil_mode=False and return_indices=False")
        from snnmap.core.spatial import lower_pooling

        value = call.args[0]
        window, shape = find_pool(call, call.argument(4, "dilation", 1)), find_plane(value, "1d" in call.name)
        matrix, _ = lower_pooling(window, 1.0, shape, call.path or "forward")
        pool = Pool(call.find(value), spread_over_batch(matrix, value), call.path or call.name)
        if self._are_spikes(pool.signal):
            return self._fire_where_any(pool, call.path)[1]
        if self.framework.pools == "after":
            self._pooled[id(call.result)] = (call.result, pool)
        what = "the largest of several currents is no sum of spikes, of which neurons are made"
        raise UnreadableError(what, _POOL + (_MOVE if self.framework.pools == "exact" else ""))

    def find(self, tensor: Tensor) -> Pool | None:
        """Return the pool of currents that gave a tensor, if one is to be moved behind the neurons."""
        known = self._pooled.get(id(tensor))
        return known[1] if known is not None and known[0] is tensor else None

    def move_behind(self, layer: Layer, pool: Pool) -> Signal:
        """Add a pool's neurons behind those that took its currents."""
        is_read = layer.neurons is not None and layer.neurons.is_readout
        if is_read or not self._are_spikes(pool.signal):
            why = "that are read by their membrane" if is_read else "whose spikes are not all worth the same"
            what = f"a MaxPool of currents cannot be moved behind neurons {why}"
            raise FrontendError(what, where=f"module '{layer.path}'", fix=_POOL)
        fired, spikes = self._fire_where_any(pool, layer.path)
        self.moved[fired.name] = layer.name
        return spikes

    def _fire_where_any(self, pool: Pool, path: str) -> tuple[Layer, Signal]:
        """Return neurons that fire where one of the spikes in their window does, in the module at a path, and what they give."""
        parts = list(self.layers.sources.split(pool.signal))
        height = float(parts[0].weights.data[0])
        inputs = pool.signal.through(pool.windows, path=path)
        inputs = inputs.scale(np.full(inputs.size, 1.0 / height))
        names = tuple(dict.fromkeys(part.source.name for part in parts))
        layer = self.layers.find(("pool", pool.path, names), pool.path, "pool", "module")
        places = self._list_places(inputs)
        given = join([self.layers.add_step(layer, inputs.pick(now)) for now in places]).pick(np.argsort(np.concatenate(places)))
        return layer, given.scale(np.full(inputs.size, height))

    def _list_places(self, signal: Signal) -> list[IntArray]:
        """Return the places of the values of each step, where a call has several, in order."""
        steps = np.zeros(signal.size, np.int64)
        for part in self.layers.sources.split(signal):
            steps[np.unique(part.weights.indices)] = part.source.step or 0
        return [np.flatnonzero(steps == step) for step in np.unique(steps)]

    def _are_spikes(self, signal: Signal) -> bool:
        """Say whether values are spikes of 0 or 1, all times the same factor above 0."""
        parts = list(self.layers.sources.split(signal))
        plain = all(self._is_binary(part.source) and (part.weights.data == part.weights.data[0]).all() for part in parts)
        single = plain and bool(parts) and not (np.diff(signal.matrix.indptr) > 1).any() and not signal.constant.any()
        return single and bool(parts[0].weights.data[0] > 0)

    def _is_binary(self, source: Source) -> bool:
        """Say whether a source gives 0 or 1, times a factor."""
        neurons = self.layers.found[source.name].neurons if source.kind == "spikes" else None
        return source.kind == "spikes" and (neurons is None or neurons.max_count == 1)


def require_one_for_all(path: str, module: nn.Module, n_pooled: int, states: Sequence[str]) -> None:
    """Refuse parameters of each value of a pool, of which there are more neurons in front of it."""
    own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    single = [name for name, value in own if value.numel() == n_pooled > 1 and name not in states]
    if single:
        raise FrontendError(
            "a MaxPool of currents cannot be moved behind neurons with parameters of their own",
            where=f"module '{path}'",
            measured=f"'{single[0]}' of {n_pooled} values",
            limit="1 value",
            fix=f"give one for all, or {_POOL}",
        )

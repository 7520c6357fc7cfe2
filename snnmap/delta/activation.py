"""Activations, normalisation and quantisers as the three steps that the kernels know, applied in one go after a layer."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn

from snnmap.delta.kernels import LANE_BYTES
from snnmap.delta.signal import Array, allocate
from snnmap.nn.delta.quantisers import FixedPoint, StepQuantiser
from snnmap.nn.delta.sigma_delta import SigmaDeltaQuantiser
from snnmap.nn.quantised import QuantisedReLU

__all__ = ["QUANTISERS", "Activation", "is_kind", "is_silent"]

QUANTISERS = (QuantisedReLU, StepQuantiser, FixedPoint, SigmaDeltaQuantiser)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_SILENT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
_RELUS: tuple[object, ...] = (torch.relu, nn.functional.relu, "relu", "relu_")


@dataclass(slots=True)
class Activation:
    """What follows a layer: a factor and a shift a channel, then a lowest value, then rounding to steps; each or none.

    Attributes:
        n_channels: of the signal's memory.
        keeps_channels: whether they are the channels that modules see; otherwise nothing a channel can be taken up.
        dtype: of the signal.
    """

    n_channels: int
    keeps_channels: bool
    dtype: npt.DTypeLike
    rounds: bool = False
    is_empty: bool = True
    tables: Array = field(init=False)
    limits: Array = field(init=False)

    def __post_init__(self) -> None:
        n_lanes = LANE_BYTES // np.dtype(self.dtype).itemsize
        width = math.ceil(self.n_channels / n_lanes) * n_lanes
        self.tables = allocate(3 * width, self.dtype).reshape(3, width)
        self.tables[0] = self.tables[2] = 1.0
        self.limits = np.array([-math.inf, 0.0, -math.inf, math.inf], self.dtype)

    @property
    def constants(self) -> tuple[int, int, Array, Array]:
        """The four arguments, in the order in which the kernels take them."""
        return int(self.rounds), self.n_channels, self.tables, self.limits

    def take(self, node: fx.Node, owner: nn.Module, n_axes: int) -> bool:
        """Take up the node that comes next, of ``n_axes`` with the batch; give False, unchanged, where it cannot be."""
        module = owner.get_submodule(str(node.target)) if node.op == "call_module" else None
        if is_silent(module):
            return True
        if is_kind(module, nn.ReLU) or (module is None and node.target in _RELUS):
            self._rectify()
            return True
        if is_kind(module, *_BATCH_NORMS):
            return self._normalise(module)
        return is_kind(module, *QUANTISERS) and self._round(module, n_axes)

    def _rectify(self) -> None:
        lowest = 2 if self.rounds else 0
        self.limits[lowest] = max(self.limits[lowest], 0.0)
        self.is_empty = False

    def _normalise(self, module: Any) -> bool:
        if not self.is_empty or not self.keeps_channels or module.running_mean is None:
            return False
        factor = (module.running_var + module.eps).rsqrt()
        factor = factor if module.weight is None else factor * module.weight
        shift = -module.running_mean * factor
        shift = shift if module.bias is None else shift + module.bias
        self.tables[0, : self.n_channels] = factor.detach().numpy()
        self.tables[1, : self.n_channels] = shift.detach().numpy()
        self.is_empty = False
        return True

    def _round(self, module: Any, n_axes: int) -> bool:
        by_channel = getattr(module, "n_channels", None) is not None
        if self.rounds or (by_channel and (not self.keeps_channels or module.channel_axis not in (1, 1 - n_axes))):
            return False
        self.tables[2, : self.n_channels] = torch.as_tensor(module.step).detach().numpy()
        self.limits[1:] = 0.0 if getattr(module, "rounding", "round") == "floor" else 0.5, *module.level_bounds
        self.rounds, self.is_empty = True, False
        return True


def is_kind(module: nn.Module | None, *kinds: type[nn.Module]) -> bool:
    """Say whether a module computes what one of the classes does: a subclass may have another forward."""
    forward: Callable[..., Tensor] | None = getattr(type(module), "forward", None)
    return any(isinstance(module, kind) and forward is kind.forward for kind in kinds)


def is_silent(module: nn.Module | None) -> bool:
    """Say whether a module in evaluation gives what it gets."""
    return is_kind(module, *_SILENT)

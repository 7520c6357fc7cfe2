"""Training within the fan-in that a chip's memories hold."""

from snnmap.train.fan_in.limiter import FanInLimiter, FanInLoss, PruningCost, limit_fan_in, prune_fan_in, regrowth_fraction
from snnmap.train.fan_in.mask import settle_fan_in

__all__ = ["FanInLimiter", "FanInLoss", "PruningCost", "limit_fan_in", "prune_fan_in", "regrowth_fraction", "settle_fan_in"]

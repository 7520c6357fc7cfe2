"""Training for the chip: start from where the chip starts, and see that it does what was trained."""

from snnmap.train.align import align_model
from snnmap.train.fan_in import FanInLoss, limit_fan_in, settle_fan_in
from snnmap.train.verify import verify_model

__all__ = ["FanInLoss", "align_model", "limit_fan_in", "settle_fan_in", "verify_model"]

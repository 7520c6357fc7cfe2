"""Training for the chip: start from where the chip starts, and see that it does what was trained."""

from snnmap.train.activity import ActivityRecorder, count_fan_out
from snnmap.train.align import align_model
from snnmap.train.fan_in import FanInLoss, limit_fan_in, settle_fan_in
from snnmap.train.verify import verify_model

__all__ = [
    # what the chip does, and where it starts
    "align_model",
    "verify_model",
    # within its limits
    "FanInLoss",
    "limit_fan_in",
    "settle_fan_in",
    # and with few spikes
    "ActivityRecorder",
    "count_fan_out",
]

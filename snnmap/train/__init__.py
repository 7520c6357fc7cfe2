"""Training for the chip: start from where the chip starts, and see that it does what was trained."""

from snnmap.train.activity import ActivityRecorder
from snnmap.train.align import align_model
from snnmap.train.exact import to_chip_exact
from snnmap.train.fan_in import (
    FanInLimiter,
    FanInLoss,
    PruningCost,
    limit_fan_in,
    prune_fan_in,
    regrowth_fraction,
    settle_fan_in,
)
from snnmap.train.loop import Batches, EpochResult, TrainOptions, log_to_tensorboard, score_model, train_model
from snnmap.train.verify import verify_model

__all__ = [
    # the loop
    "Batches",
    "EpochResult",
    "TrainOptions",
    "log_to_tensorboard",
    "score_model",
    "train_model",
    # what the chip does, and where it starts
    "align_model",
    "to_chip_exact",
    "verify_model",
    # within its limits
    "FanInLimiter",
    "FanInLoss",
    "PruningCost",
    "limit_fan_in",
    "prune_fan_in",
    "regrowth_fraction",
    "settle_fan_in",
    # and with few spikes
    "ActivityRecorder",
]

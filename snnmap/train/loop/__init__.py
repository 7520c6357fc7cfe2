"""The training loop, its checkpoints and its progress."""

from snnmap.train.loop.batches import Batches
from snnmap.train.loop.loop import TrainOptions, score_model, train_model
from snnmap.train.loop.progress import EpochResult, log_to_tensorboard

__all__ = ["Batches", "EpochResult", "TrainOptions", "log_to_tensorboard", "score_model", "train_model"]

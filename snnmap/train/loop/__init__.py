"""The training loop, its checkpoints and its progress."""

from snnmap.train.loop.batches import Batches
from snnmap.train.loop.loop import TrainOptions, score_model, train_model
from snnmap.train.loop.progress import EpochResult

__all__ = ["Batches", "EpochResult", "TrainOptions", "score_model", "train_model"]

"""Training for the chip: start from where the chip starts, and see that it does what was trained."""

from snnmap.train.align import align_model
from snnmap.train.verify import verify_model

__all__ = ["align_model", "verify_model"]

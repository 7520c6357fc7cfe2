"""Placed weights to instructions, tensors to addresses."""

from snnmap.crossbar.schedule.memory import place_tensors
from snnmap.crossbar.schedule.schedule import schedule

__all__ = ["place_tensors", "schedule"]

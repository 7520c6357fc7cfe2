"""What a program costs on the chip: words, operations, cycles and energy."""

from snnmap.lif.profile.measure import Slots, list_slots, profile_image
from snnmap.lif.profile.records import ACTIONS, POPULATION_COLUMNS, ChipProfile, Cycles, PopulationCost, StepCosts

__all__ = [
    "ACTIONS",
    "POPULATION_COLUMNS",
    "ChipProfile",
    "Cycles",
    "PopulationCost",
    "Slots",
    "StepCosts",
    "list_slots",
    "profile_image",
]

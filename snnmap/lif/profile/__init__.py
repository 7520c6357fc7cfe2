"""What a program costs on the chip: words, operations, cycles and energy."""

from snnmap.lif.profile.profile import (
    ACTIONS,
    POPULATION_COLUMNS,
    ChipProfile,
    Cycles,
    PopulationCost,
    Slots,
    StepCosts,
    list_slots,
    profile_image,
)

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

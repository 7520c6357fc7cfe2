"""What a program costs on the chip: words, operations, cycles and energy."""

from snnmap.lif.profile.profile import ACTIONS, ChipProfile, Cycles, PopulationCost, Slots, list_slots, profile_image

__all__ = ["ACTIONS", "ChipProfile", "Cycles", "PopulationCost", "Slots", "list_slots", "profile_image"]

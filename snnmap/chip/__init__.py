"""What the chip is: its record, the catalog, its integer arithmetic and its relay cell."""

from snnmap.chip.arithmetic import Family, find_family, list_families
from snnmap.chip.catalog import find_chip_by_id, list_chips, load_chip, read_chip, read_record
from snnmap.chip.costs import AverageCycles, Costs, Prices, WalkerCycles
from snnmap.chip.memory import HIDDEN_MEMORIES, LAYOUTS, Layout, MemoryKind, WeightMemory
from snnmap.chip.record import Bits, Chip, HiddenNeurons, InputChannels, OutputNeurons, Readout, SlotReach
from snnmap.chip.relay import RelayCell, find_relay_cell, find_relay_cells
from snnmap.chip.text import format_chip

__all__ = [
    # the record and its parts
    "Bits",
    "Chip",
    "HiddenNeurons",
    "InputChannels",
    "OutputNeurons",
    "Readout",
    "SlotReach",
    # what a step costs
    "AverageCycles",
    "Costs",
    "Prices",
    "WalkerCycles",
    # its weight memories
    "HIDDEN_MEMORIES",
    "LAYOUTS",
    "Layout",
    "MemoryKind",
    "WeightMemory",
    # the catalog
    "find_chip_by_id",
    "format_chip",
    "list_chips",
    "load_chip",
    "read_chip",
    "read_record",
    # families of arithmetic
    "Family",
    "find_family",
    "list_families",
    # the relay cell
    "RelayCell",
    "find_relay_cell",
    "find_relay_cells",
]

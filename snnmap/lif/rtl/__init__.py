"""An open core that runs the chip's images: Verilog, a project around it, and its simulation."""

from snnmap.lif.rtl.devices import DEVICES, require_room
from snnmap.lif.rtl.parameters import list_parameters
from snnmap.lif.rtl.project import Check, list_project
from snnmap.lif.rtl.serial import SerialChip, exchange_over
from snnmap.lif.rtl.sources import list_sources
from snnmap.lif.rtl.verilated import Steps, VerilatedChip

__all__ = [
    # files
    "DEVICES",
    "Check",
    "list_parameters",
    "list_project",
    "list_sources",
    "require_room",
    # on a board
    "SerialChip",
    "exchange_over",
    # simulation
    "Steps",
    "VerilatedChip",
]

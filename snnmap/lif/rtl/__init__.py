"""An open core that runs the chip's images: Verilog, a project around it, and its simulation."""

from snnmap.lif.rtl.parameters import list_parameters
from snnmap.lif.rtl.sources import list_sources
from snnmap.lif.rtl.verilated import Steps, VerilatedChip

__all__ = ["Steps", "VerilatedChip", "list_parameters", "list_sources"]

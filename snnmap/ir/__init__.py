"""The types that flow between the stages, and what they mean."""

from snnmap.ir.comparison import (
    Agreement,
    AgreementLimits,
    Comparison,
    Decision,
    PopulationComparison,
    PortComparison,
    SourceOutputs,
)
from snnmap.ir.csr import CsrMatrix
from snnmap.ir.draw import draw_inputs
from snnmap.ir.graph import (
    ShortLoop,
    count_fan_out,
    expand_terms,
    find_short_loops,
    find_zero_delay_loops,
    order_populations,
)
from snnmap.ir.image import Block, BlockKind, Image, pack, unpack
from snnmap.ir.instant import carry_instant_synapses
from snnmap.ir.integers import find_integer_problems, read_integer_memories
from snnmap.ir.mapped import MappedNetwork, NeuronParameters, SlotTable
from snnmap.ir.network import OTHERWISE, InputPort, Network, OutputPort, Population, Projection, Reset, SpikeSum
from snnmap.ir.program import NeuronCodes, Program, StoredWeights, find_program_defects
from snnmap.ir.quantised import QuantisedNetwork, TensorError
from snnmap.ir.raster import Profile, Recording, join_rasters, read_raster, read_rasters
from snnmap.ir.record import BoolArray, FloatArray, IntArray, record
from snnmap.ir.relays import fits_relay_cell, relay_memories
from snnmap.ir.report import Report
from snnmap.ir.resets import describe_reset, resets_as
from snnmap.ir.route import Route, count_words, delay_on_chip, find_route
from snnmap.ir.simulate import simulate_network
from snnmap.ir.structure import find_structure_problems, is_sound, require_structure
from snnmap.ir.text import format_network, load_network, parse_network, save_network
from snnmap.ir.unfold import as_folded_network, projection_name, rebuild_projections, unfold_network

__all__ = [
    # networks
    "CsrMatrix",
    "InputPort",
    "Network",
    "OTHERWISE",
    "OutputPort",
    "Population",
    "Projection",
    "Reset",
    "SpikeSum",
    # what they mean, and their text form
    "count_fan_out",
    "expand_terms",
    "ShortLoop",
    "find_short_loops",
    "find_structure_problems",
    "find_zero_delay_loops",
    "is_sound",
    "order_populations",
    "require_structure",
    "simulate_network",
    "carry_instant_synapses",
    "describe_reset",
    "resets_as",
    "format_network",
    "load_network",
    "parse_network",
    "save_network",
    # folded, quantised, laid out
    "MappedNetwork",
    "NeuronParameters",
    "SlotTable",
    "Route",
    "count_words",
    "delay_on_chip",
    "find_route",
    "as_folded_network",
    "projection_name",
    "rebuild_projections",
    "unfold_network",
    "find_integer_problems",
    "fits_relay_cell",
    "relay_memories",
    "read_integer_memories",
    "QuantisedNetwork",
    "TensorError",
    "NeuronCodes",
    "Program",
    "StoredWeights",
    "find_program_defects",
    "Block",
    "BlockKind",
    "Image",
    "pack",
    "unpack",
    # the bitstream beside the model
    "Agreement",
    "AgreementLimits",
    "Comparison",
    "Decision",
    "PopulationComparison",
    "PortComparison",
    "SourceOutputs",
    # what goes in and comes out
    "draw_inputs",
    "Profile",
    "Recording",
    "Report",
    "join_rasters",
    "read_raster",
    "read_rasters",
    # array types
    "BoolArray",
    "FloatArray",
    "IntArray",
    "record",
]

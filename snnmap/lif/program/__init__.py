"""The types of the LIF chip's back end: folded, quantised, laid out, and compared with the model."""

from snnmap.lif.program.comparison import (
    Agreement,
    AgreementLimits,
    Comparison,
    Decision,
    PopulationComparison,
    PortComparison,
    SilentInputs,
    SourceOutputs,
)
from snnmap.lif.program.image import Block, BlockKind, Image, find_manifest, pack, unpack
from snnmap.lif.program.integers import find_integer_problems, read_integer_memories
from snnmap.lif.program.manifest import GoldenSample, Manifest, OutputReadout, Place, WaivedRule, require_fit
from snnmap.lif.program.mapped import MappedNetwork, NeuronParameters, SlotTable
from snnmap.lif.program.occupancy import Occupancy, measure_occupancy, memories_of
from snnmap.lif.program.program import NeuronCodes, Program, StoredWeights, find_program_defects
from snnmap.lif.program.quantised import QuantisedNetwork, TensorError
from snnmap.lif.program.relays import fits_relay_cell, relay_memories
from snnmap.lif.program.route import Route, count_words, delay_on_chip, find_route
from snnmap.lif.program.text import (
    format_image,
    format_mapped,
    format_program,
    format_quantised,
    parse_image,
    parse_mapped,
    parse_program,
    parse_quantised,
)
from snnmap.lif.program.unfold import as_folded_network, projection_name, rebuild_projections, unfold_network

__all__ = [
    "MappedNetwork",
    "NeuronParameters",
    "SlotTable",
    "Occupancy",
    "measure_occupancy",
    "memories_of",
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
    "GoldenSample",
    "Image",
    "Manifest",
    "OutputReadout",
    "Place",
    "WaivedRule",
    "find_manifest",
    "pack",
    "require_fit",
    "unpack",
    "Agreement",
    "AgreementLimits",
    "Comparison",
    "Decision",
    "PopulationComparison",
    "PortComparison",
    "SilentInputs",
    "SourceOutputs",
    "format_image",
    "format_mapped",
    "format_program",
    "format_quantised",
    "parse_image",
    "parse_mapped",
    "parse_program",
    "parse_quantised",
]

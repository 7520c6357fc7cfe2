"""The LIF network: what a frontend gives, its float meaning and its text form."""

from snnmap.network.draw import draw_inputs
from snnmap.network.edit import find_fresh_name, select_neurons, separate_sources, take_neurons
from snnmap.network.graph import (
    ShortLoop,
    count_fan_out,
    expand_terms,
    find_short_loops,
    find_zero_delay_loops,
    order_populations,
)
from snnmap.network.instant import carry_instant_synapses
from snnmap.network.network import (
    MADE_BESIDE,
    MOVED_POOLS,
    N_MOVED_POOLS,
    OTHERWISE,
    PRESENTATION,
    InputPort,
    Network,
    OutputPort,
    Population,
    Projection,
    Reset,
    SpikeSum,
)
from snnmap.network.raster import Profile, Recording, Saturation, join_rasters, read_raster, read_rasters, require_steps
from snnmap.network.resets import describe_reset, resets_as
from snnmap.network.simulate import simulate_network, walk_network
from snnmap.network.sketch import sketch_network
from snnmap.network.structure import find_structure_problems, is_sound, require_structure
from snnmap.network.text import digest_network, format_network, load_network, parse_network, save_network

__all__ = [
    "InputPort",
    "Network",
    "MADE_BESIDE",
    "MOVED_POOLS",
    "N_MOVED_POOLS",
    "OTHERWISE",
    "PRESENTATION",
    "OutputPort",
    "Population",
    "Projection",
    "Reset",
    "SpikeSum",
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
    "walk_network",
    "carry_instant_synapses",
    "find_fresh_name",
    "select_neurons",
    "separate_sources",
    "take_neurons",
    "describe_reset",
    "resets_as",
    "sketch_network",
    "digest_network",
    "format_network",
    "load_network",
    "parse_network",
    "save_network",
    "draw_inputs",
    "Profile",
    "Recording",
    "Saturation",
    "join_rasters",
    "read_raster",
    "read_rasters",
    "require_steps",
]

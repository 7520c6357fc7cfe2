"""From float to integer: decays, scales, rounding, and the report of what it cost."""

from snnmap.lif.quantise.match import DecayMatch, SecondSynapse, is_codable, match_decays
from snnmap.lif.quantise.quantise import QuantiseOptions, quantise_network
from snnmap.lif.quantise.silent import find_silent_inputs
from snnmap.lif.quantise.tune import RateTuning, tune_rates

__all__ = [
    # before folding
    "DecayMatch",
    "is_codable",
    "match_decays",
    # after folding
    "QuantiseOptions",
    "SecondSynapse",
    "quantise_network",
    "find_silent_inputs",
    # measured on the chip's simulator
    "RateTuning",
    "tune_rates",
]

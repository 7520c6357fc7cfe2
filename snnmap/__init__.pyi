"""The public names; ``__init__.py`` imports each when it is first asked for."""

from . import convert, delta, graph, network, nn, train
from .chip import Chip, list_chips, load_chip
from .core.errors import DesignRuleError, SnnmapError
from .design import search
from .lif.bitstream import decode, encode
from .lif.fixes import FixOptions
from .lif.mapping import FoldOptions, fold_network, verify_fold
from .lif.quantise import QuantiseOptions, quantise_network
from .lif.simulator import simulate_image
from .loading import load
from .network import (
    InputPort,
    Network,
    OutputPort,
    Population,
    Projection,
    SpikeSum,
    load_network,
    save_network,
    simulate_network,
    sketch_network,
)
from .pipeline import (
    Artifacts,
    CompileOptions,
    check_model,
    compile_model,
    find_smallest_chip,
    fit_model,
    fix_model,
    sweep_model,
)
from .pipeline.profile import profile_model
from .profile import ProfileOptions
from .report import model_summary, write_report
from .train import align_model, verify_model

__version__: str

__all__ = [
    # the whole way in one call
    "Artifacts",
    "CompileOptions",
    "FixOptions",
    "FoldOptions",
    "QuantiseOptions",
    "check_model",
    "compile_model",
    "fix_model",
    # which chip, and at what cost
    "find_smallest_chip",
    "fit_model",
    "search",
    "sweep_model",
    # what a model is made of, what its layers cost, and what it takes of a chip
    "ProfileOptions",
    "model_summary",
    "profile_model",
    # all of it on one page
    "write_report",
    # networks
    "InputPort",
    "Network",
    "OutputPort",
    "Population",
    "Projection",
    "SpikeSum",
    "load",
    "load_network",
    "save_network",
    "simulate_network",
    "sketch_network",
    # the stages
    "fold_network",
    "quantise_network",
    "verify_fold",
    # chips and bitstreams
    "Chip",
    "decode",
    "encode",
    "list_chips",
    "load_chip",
    "simulate_image",
    # training in the chip's integers (needs torch)
    "align_model",
    "verify_model",
    # rooms with names of their own
    "convert",
    "delta",
    "graph",
    "network",
    "nn",
    "train",
    # what goes wrong
    "DesignRuleError",
    "SnnmapError",
]

"""The design loop: model, training and chip chosen together, by several objectives."""

from snnmap.design.candidate import Outcome
from snnmap.design.choose import Candidate
from snnmap.design.loop import search
from snnmap.design.objectives import OBJECTIVES, Objective
from snnmap.design.parameters import Parameter
from snnmap.design.result import Search, draw_search, format_search, search_csv
from snnmap.design.space import EarlyStopping, Space, read_space
from snnmap.design.sweep import sweep_training

__all__ = [
    # where to look, and what for
    "OBJECTIVES",
    "EarlyStopping",
    "Objective",
    "Parameter",
    "Space",
    "read_space",
    # looking
    "search",
    "sweep_training",
    # what was found
    "Candidate",
    "Outcome",
    "Search",
    "draw_search",
    "format_search",
    "search_csv",
]

"""Which template and parallelism each layer takes: the loop of returns, the exact search, targets."""

from snnmap.dataflow.allocate.choices import RESOURCES, Choices, Stage, list_choices
from snnmap.dataflow.allocate.exact import fit_interval, list_intervals, search_exact
from snnmap.dataflow.allocate.fold import Unit, choose_cut, divide
from snnmap.dataflow.allocate.loop import raise_slowest

__all__ = [
    "RESOURCES", "Choices", "Stage", "Unit", "choose_cut", "divide",
    "fit_interval", "list_choices", "list_intervals", "raise_slowest",
    "search_exact",
]  # fmt: skip

"""What the rules of family 6 share: places, and what they advise."""

from snnmap.core.diagnostics import Location, Severity
from snnmap.lif.program import Comparison, PopulationComparison

__all__ = ["CALIBRATE", "EITHER", "TRAIN_ON", "advise", "locate"]

EITHER = (Severity.ERROR, Severity.WARNING)
"""Severities of a finding that may go away when the network is quantised in another way."""
CALIBRATE = "give calibration data of typical use (`--calibration`, `snnmap.compile_model(calibration=...)`)"
TRAIN_ON = "train on with the chip's own spikes (`snnmap.train.to_chip_exact`)"


def locate(population: PopulationComparison) -> Location:
    """Return the place of a population."""
    return Location(population=population.name, source=population.source)


def advise(comparison: Comparison) -> str:
    """Return what brings chip and model nearer together."""
    return CALIBRATE if comparison.drawn else TRAIN_ON

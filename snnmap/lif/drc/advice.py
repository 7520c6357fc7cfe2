"""What rules share: places, and what they advise in the words of the model's framework."""

from snnmap.core.diagnostics import Location, Severity
from snnmap.lif.program import Comparison, PopulationComparison

__all__ = ["CALIBRATE", "EITHER", "TRAIN_ON", "advise", "advise_fewer_spikes", "advise_more_spikes", "advise_reset", "locate"]

EITHER = (Severity.ERROR, Severity.WARNING)
"""Severities of a finding that may go away when the network is quantised in another way."""
CALIBRATE = "give calibration data of typical use (`--calibration`, `snnmap.compile_model(calibration=...)`)"
TRAIN_ON = "train on with the chip's own spikes (`snnmap.train.to_chip_exact`)"
_MOST_SPIKES = {
    "rockpool": "train with max_spikes_per_dt={}",
    "sinabs": "train with spike_fn=sinabs.activation.MaxSpike({})",
    "torch": "train with `snnmap.nn.LIF(max_count={})`",
}
"""How neurons get the chip's most spikes a step, by framework; neurons of others send one."""
_READ_WITH = dict.fromkeys(("nengo", "nengo-dl", "nir"), "read it with max_count={} (`snnmap.load`)")
_RESETS = {
    "sinabs": {"subtract": "reset_fn=MembraneSubtract()", "value": "reset_fn=MembraneReset()"},
    "snntorch": {"subtract": 'reset_mechanism="subtract"', "value": 'reset_mechanism="zero"'},
    "spikingjelly": {"subtract": "v_reset=None", "value": "v_reset=0.0"},
}


def locate(population: PopulationComparison) -> Location:
    """Return the place of a population."""
    return Location(population=population.name, source=population.source)


def advise(comparison: Comparison) -> str:
    """Return what brings chip and model nearer together."""
    return CALIBRATE if comparison.drawn else TRAIN_ON


def advise_more_spikes(framework: str, most: int) -> str:
    """Return what brings neurons to the chip's spikes a step, which are more than the model's."""
    train = _MOST_SPIKES.get(_name(framework), "").format(most)
    if train:
        return f"{train}, or {TRAIN_ON}"
    none = "snnTorch has no such option: " if _name(framework) == "snntorch" else ""
    return f"{none}{TRAIN_ON}, or take a chip of one spike a step (generic-4096-single)"


def advise_fewer_spikes(framework: str, most: int) -> str:
    """Return what keeps neurons to the chip's spikes a step, which are fewer than the model's."""
    told = _MOST_SPIKES | _READ_WITH
    return told.get(_name(framework), "give its neurons max_count={} (`snnmap.Population.create`)").format(most)


def advise_reset(framework: str, reset: str) -> str:
    """Return how neurons get a reset, in brackets; empty where the framework has no option for it."""
    option = _RESETS.get(_name(framework), {}).get(reset, "")
    return f" ({option})" if option else ""


def _name(framework: str) -> str:
    """Return a framework without its version; none of an ANN that was converted, whose neurons are not the user's."""
    return "" if framework.endswith("converted") else framework.partition(" ")[0].rstrip(",").lower()

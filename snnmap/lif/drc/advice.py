"""What rules share: places, and what they advise in the words of the model's framework."""

from snnmap.core.diagnostics import Location, Severity
from snnmap.lif.program import Comparison, PopulationComparison

__all__ = [
    "CALIBRATE",
    "EITHER",
    "TRAIN_ON",
    "advise",
    "advise_decays",
    "advise_delays",
    "advise_fewer_spikes",
    "advise_layer",
    "advise_more_spikes",
    "advise_outputs",
    "advise_reset",
    "advise_synapses",
    "locate",
]

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
_LAYERS = {
    "nengo": "a nengo.Ensemble behind a nengo.Connection",
    "nengo-dl": "a nengo.Ensemble behind a nengo.Connection",
    "nir": "nir.Linear and nir.CubaLIF",
    "norse": "torch.nn.Linear and norse.torch.LIFCell",
    "rockpool": "LinearTorch and LIFTorch",
    "sinabs": "torch.nn.Linear and sinabs.layers.LIF with a tau_syn",
    "snntorch": "torch.nn.Linear and snntorch.Synaptic",
    "spikingjelly": "torch.nn.Linear and neuron.LIFNode",
    "torch": "torch.nn.Linear and `snnmap.nn.LIF`",
}
"""What a population and the weights onto it are, by framework."""
_SYNAPSES = {
    "nengo": "give all connections onto it one synapse, nengo.Lowpass of one tau",
    "nengo-dl": "give all connections onto it one synapse, nengo.Lowpass of one tau",
    "rockpool": "train with fewer (LIFTorch of as many inputs as neurons has one)",
    "snntorch": "train with one (snntorch.Synaptic)",
    "torch": "train with fewer (`snnmap.nn.LIF(n_synapses=...)`)",
}
_DELAYS = {
    "nengo": "shorten the chain of Nodes with synapse=0",
    "nengo-dl": "shorten the chain of Nodes with synapse=0",
    "nir": "shorten the nir.Delay",
}
_DECAYS = {
    "nir": "tau_mem and tau_syn of nir.CubaLIF",
    "rockpool": "tau_mem and tau_syn of LIFTorch",
    "torch": "dash_syn and dash_mem of `snnmap.nn.LIF`",
    "snntorch": "alpha and beta of 0 to 1",
}
_OUTPUTS = {
    "nengo": "probe fewer neurons or dimensions (nengo.Probe)",
    "nengo-dl": "probe fewer neurons or dimensions (nengo.Probe)",
    "nir": "make the last layer, in front of nir.Output, smaller",
} | dict.fromkeys(("norse", "rockpool", "sinabs", "snntorch", "spikingjelly", "torch"), "make the last layer smaller")


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


def advise_layer(framework: str) -> str:
    """Return what a population and the weights onto it are in the framework's words."""
    return _LAYERS.get(_name(framework), "`snnmap.Population.create`")


def advise_synapses(framework: str) -> str:
    """Return how neurons get fewer synapses."""
    return _SYNAPSES.get(_name(framework), "train with fewer (`snnmap.Population.create(alpha=...)`)")


def advise_delays(framework: str) -> str:
    """Return how a delay becomes shorter."""
    return _DELAYS.get(_name(framework), "shorten the delay (`snnmap.Projection(delay_steps=...)`)")


def advise_outputs(framework: str) -> str:
    """Return how fewer neurons are read."""
    return _OUTPUTS.get(_name(framework), "read fewer neurons (`snnmap.OutputPort(populations=...)`)")


def advise_decays(framework: str) -> str:
    """Return which parameters decays are made of."""
    return _DECAYS.get(_name(framework), "`snnmap.Population.create(alpha=..., beta=...)`")


def _name(framework: str) -> str:
    """Return a framework without its version; none of an ANN that was converted, whose neurons are not the user's."""
    return "" if framework.endswith("converted") else framework.partition(" ")[0].rstrip(",").lower()

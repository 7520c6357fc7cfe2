"""The networks of Rockpool's tutorials, in the form in which these build them, weights drawn."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rockpool.nn.combinators import Residual, Sequential
from rockpool.nn.modules import LIF, ExpSynTorch, LIFTorch, Linear, LinearTorch, RateTorch, TorchModule, from_nir, to_nir
from rockpool.parameters import Constant
from torch.nn import Module

with warnings.catch_warnings():  # of parts that Rockpool 3 has not ported
    warnings.simplefilter("ignore")
    from rockpool.nn.networks import SynNet, WaveSenseNet

DT = 1e-3


def strengthen(net: Any, factor: float) -> Any:
    """Multiply drawn weights, which let few neurons fire."""
    for name, weight in Module.named_parameters(net):
        if name.endswith("weight"):
            weight.data *= factor
    return net


def make_first_steps() -> Any:
    """Layers in a row, as the first pages build them."""
    return Sequential(LinearTorch((4, 16)), LIFTorch(16, dt=DT), LinearTorch((16, 3)), LIFTorch(3, dt=DT))


def make_numpy() -> Any:
    """The same without torch."""
    return Sequential(Linear((4, 16)), LIF(16, dt=DT), Linear((16, 3)), LIF(3, dt=DT))


class Trained(TorchModule):
    """Training with torch: a module of one's own, whose readout is a filtered current."""

    def __init__(self, n_in: int = 8, n_hidden: int = 24, n_out: int = 2) -> None:
        super().__init__()
        self.lin1, self.lif1 = LinearTorch((n_in, n_hidden)), LIFTorch(n_hidden, tau_mem=0.02, tau_syn=0.02, dt=DT)
        self.lin2, self.exp = LinearTorch((n_hidden, n_out)), ExpSynTorch(n_out, tau=0.02, dt=DT)

    def forward(self, data: Any) -> Any:
        out, _, _ = self.lin1(data)
        out, _, _ = self.lif1(out)
        out, _, _ = self.lin2(out)
        out, _, _ = self.exp(out)
        return out

    def as_graph(self) -> Any:
        return Sequential(self.lin1, self.lif1, self.lin2, self.exp).as_graph()


def make_for_xylo() -> Any:
    """Training for Xylo: two synapses a hidden neuron, recurrent, thresholds and leaks held."""
    options = {"tau_mem": Constant(0.02), "bias": Constant(0.0), "threshold": Constant(1.0), "dt": DT}
    return Sequential(
        LinearTorch((16, 2 * 24), has_bias=False),
        LIFTorch((2 * 24, 24), tau_syn=Constant(0.01), has_rec=True, **options),
        LinearTorch((24, 8), has_bias=False),
        LIFTorch(8, tau_syn=Constant(0.02), max_spikes_per_dt=1, **options),
    )


def make_recurrent() -> Any:
    return Sequential(LinearTorch((4, 20)), LIFTorch(20, has_rec=True, dt=DT), LinearTorch((20, 2)), LIFTorch(2, dt=DT))


def make_residual() -> Any:
    block = Residual(LinearTorch((16, 16)), LIFTorch(16, dt=DT))
    return Sequential(LinearTorch((4, 16)), LIFTorch(16, dt=DT), block, LinearTorch((16, 3)), LIFTorch(3, dt=DT))


def make_synnet() -> Any:
    """Spoken words and gestures: a tower of time constants."""
    net = SynNet(n_channels=8, n_classes=2, size_hidden_layers=[24, 24, 24], time_constants_per_layer=[2, 4, 8], output="spikes")
    return strengthen(net, 2.0)


def make_wavesense() -> Any:
    """Keywords: convolutions over time as delays; drawn weights leave it silent."""
    net = WaveSenseNet(
        dilations=[2, 4], n_classes=2, n_channels_in=8, n_channels_res=8, n_channels_skip=8, n_hidden=16, kernel_size=2, dt=DT,
    )  # fmt: skip
    return strengthen(net, 40.0)


def make_from_nir() -> Any:
    """A graph that came by NIR."""
    net = Sequential(LinearTorch((4, 12)), LIFTorch(12, dt=DT), LinearTorch((12, 3)), LIFTorch(3, dt=DT))
    return from_nir(to_nir(net))


def make_torch_interface() -> Any:
    return make_first_steps().to_torch()


def make_rates() -> Any:
    """Rate neurons, which send no spikes."""
    return Sequential(LinearTorch((4, 16)), RateTorch(16, dt=DT), LinearTorch((16, 3)))


@dataclass(frozen=True)
class Tutorial:
    """A network, its channels, the chip that it goes to, and why it is refused, in words of the message."""

    make: Callable[[], Any]
    n_in: int
    chip: str = "xylo-audio-3"
    refused: str = ""


TUTORIALS = {
    "first steps": Tutorial(make_first_steps, 4),
    "numpy": Tutorial(make_numpy, 4),
    "own module": Tutorial(Trained, 8, "generic-4096"),
    "for Xylo": Tutorial(make_for_xylo, 16),
    "recurrent": Tutorial(make_recurrent, 4),
    "residual": Tutorial(make_residual, 4),
    "SynNet": Tutorial(make_synnet, 8),
    "WaveSense": Tutorial(make_wavesense, 8, "generic-4096"),
    "from NIR": Tutorial(make_from_nir, 4),
    "torch interface": Tutorial(make_torch_interface, 4),
    "rates": Tutorial(make_rates, 4, refused="Rate"),
}

"""Layers of LIF neurons one behind the other, all of whose shape is a number: for searches to start from."""

from torch import nn

from snnmap.core.errors import InputError
from snnmap.nn.compose import Residual
from snnmap.nn.neurons import LIF, LeakyIntegrator, Surrogate

__all__ = ["make_layered"]


def make_layered(
    n_inputs: int,
    n_outputs: int,
    *,
    width: int = 64,
    depth: int = 2,
    taper: float = 1.0,
    recurrent: bool = False,
    residual: bool = False,
    dash_syn: int = 1,
    dash_mem: int = 2,
    readout_dash_mem: int = 4,
    input_gain: float = 0.15,
) -> nn.Sequential:
    """Make ``depth`` layers of LIF neurons and an integrating readout, without biases, decays as the Xylo chips code them.

    Args:
        n_inputs: channels of spike counts.
        n_outputs: classes.
        width: neurons of the first layer.
        depth: layers.
        taper: neurons of a layer over those of the layer before it.
        recurrent: whether the last layer returns to itself.
        residual: whether the counts of a block of as many neurons are added to those of the last layer.
        dash_syn: bit shift of the synapses.
        dash_mem: bit shift of the membranes.
        readout_dash_mem: bit shift of the readout's membranes.
        input_gain: standard deviation of the first weights, times the root of the channels; counts of up to 15 want little.

    Raises:
        InputError: no layer, or one without neurons.
    """
    sizes = [max(1, round(width * taper**layer)) for layer in range(depth)]
    if depth < 1 or width < 1 or taper <= 0:
        fix = "give width and depth from 1, and a taper above 0"
        raise InputError("there are no such layers", where="make_layered", measured=f"{width} by {depth}, {taper}", fix=fix)
    layers: list[nn.Module] = []
    for number, (n_pre, size) in enumerate(zip([n_inputs, *sizes], sizes, strict=False)):
        is_last = number == depth - 1
        layers += [_linear(n_pre, size, 0.7 if number else input_gain), _lif(size, dash_syn, dash_mem, recurrent and is_last)]
    if residual:
        layers.append(Residual(_linear(sizes[-1], sizes[-1], 0.7), _lif(sizes[-1], dash_syn, dash_mem, recurrent=False)))
    readout = LeakyIntegrator(n_outputs, dash_syn=dash_syn, dash_mem=readout_dash_mem)
    return nn.Sequential(*layers, _linear(sizes[-1], n_outputs, 0.5), readout)


def _lif(size: int, dash_syn: int, dash_mem: int, recurrent: bool) -> LIF:
    surrogate = Surrogate(name="relu", window=0.5)
    neurons = LIF(size, dash_syn=dash_syn, dash_mem=dash_mem, surrogate=surrogate, recurrent=recurrent)
    if neurons.recurrent_weight is not None:
        nn.init.normal_(neurons.recurrent_weight, std=0.02)
    return neurons


def _linear(n_pre: int, n_post: int, gain: float) -> nn.Linear:
    layer = nn.Linear(n_pre, n_post, bias=False)
    nn.init.normal_(layer.weight, std=gain / n_pre**0.5)
    return layer

"""From a torch module of snnTorch neurons, and what stands between them, to a network."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy.typing as npt

from snnmap.core.errors import FrontendError
from snnmap.core.packages import import_package
from snnmap.frontends.snntorch.neurons import (
    OWN_FUNCTIONS,
    RETURNED_STATES,
    STATES,
    NeuronKind,
    Neurons,
    Overshoot,
    read_neurons,
)
from snnmap.network import MADE_BESIDE, OTHERWISE, Network

if TYPE_CHECKING:
    from torch import nn

    from snnmap.frontends.following.build import Builder
    from snnmap.frontends.following.framework import Framework

__all__ = ["load"]

_OVERSHOOTS, _READOUTS, _POOLS = ("exact", "ignore"), ("spikes", "potential", None), ("exact", "after")


def load(
    module: "nn.Module",
    *,
    input_sizes: Sequence[int | Sequence[int]] | None = None,
    outputs: Sequence[str] | None = None,
    overshoot: Overshoot = "exact",
    readout: Literal["spikes", "potential"] | None = None,
    input_scale: float = 1.0,
    pools: Literal["exact", "after"] = "exact",
    calibration: npt.ArrayLike | Mapping[str, npt.ArrayLike] | None = None,
    dt: float = 0.0,
    name: str | None = None,
) -> Network:
    """Turn a module of snnTorch neurons into a network that gives the same spikes, layer for layer.

    ``forward`` is followed by running it, as the tutorials write it: one step (``nn.Sequential``, or a forward that takes states
    and returns them), or a loop over the steps of ``x``, (time, batch, ...) or (batch, time, ...), or over the same ``x``. Leaky,
    Synaptic, RLeaky, RSynaptic, and Alpha without a reset are read; between them Linear, convolutions, BatchNorm, AvgPool,
    Flatten, cat, sums and products with numbers, which are multiplied out, and MaxPool of spikes, which becomes neurons.
    States start at zero. The module is not changed: a copy in float64 is followed, and run beside the network on drawn inputs.

    A Linear bias in front of a synapse with memory becomes a neuron that fires in each step. Spikes that
    ``graded_spikes_factor`` scales are counted as 1, and the weights behind them are scaled.

    Args:
        module: to read.
        input_sizes: channels of each input of ``forward``, states left out, or its shape in a step without the batch, as
            ``(2, 34, 34)``; found from the first Linear layers where left out.
        outputs: paths of the neuron modules that are read; where left out, those whose spikes ``forward`` returns and no
            other layer takes, and Linear layers whose outputs it returns, by the potentials of neurons without memory.
        readout: how neurons are read; where left out, by "potential", after each step, where ``forward`` returns the membrane
            and no spikes, or the neurons never reset: ``reset_mechanism="none"`` with ``output=True``, or a threshold of
            32767 or more. Else by "spikes".
        overshoot: what to do about a rule of ``reset_delay=False`` with reset "subtract": neurons whose membrane is above
            the threshold even after the reset need twice the threshold in the next step. ``exact`` adds a second population
            that watches for it, which no chip can fold; ``ignore`` leaves the rule out, which changes nothing as long as no
            membrane reaches twice its threshold.
        input_scale: value of forward's input that one input spike stands for, such as 1/15 for images in 16 grey levels.
        pools: what to do about a MaxPool of currents, in front of the neurons, which no neurons compute: ``exact`` refuses it,
            ``after`` puts it behind them, where it takes the spikes of as many more neurons, and measures what that changes.
        calibration: rasters, ``(n_samples, n_steps, channels)`` or by input, on which ``pools="after"`` is measured; drawn
            ones where left out.
        dt: length of a step in seconds, for reports; 0 where it has none.
        name: of the network; the module's class name where left out.

    Returns:
        The network: populations named by module path, in float64.

    Raises:
        FrontendError: snnTorch is missing, or an operation or option has no counterpart; it says which and where.
        InputError: calibration data that do not suit the module.

    Warns:
        ConversionWarning: pools were put behind neurons; with the share of spikes and decisions that differ.
    """
    snntorch = import_package("snntorch", called="snnTorch")
    given = (("overshoot", overshoot, _OVERSHOOTS), ("readout", readout, _READOUTS), ("pools", pools, _POOLS))
    for option, value, choices in given:
        if value not in choices:
            raise FrontendError(f"unknown choice of {option}", measured=repr(value), limit=", ".join(map(str, choices)))
    from snnmap.frontends.following.read import read_module

    return read_module(
        module,
        _make_framework(snntorch, overshoot, pools),
        input_sizes=input_sizes,
        outputs=outputs,
        readout=readout,
        input_scale=input_scale,
        name=name,
        dt=dt,
        known={
            "framework": f"snntorch {snntorch.__version__}",
            "dt": f"{dt} s" if dt else "none",
            "integrator": "decay factors as given",
        },
        describe=lambda builder: _describe(builder, overshoot),
        is_exact=overshoot == "exact",
        calibration=calibration,
    )


def _make_framework(snntorch: Any, overshoot: Overshoot, pools: Literal["exact", "after"]) -> "Framework":
    from snnmap.frontends.following.framework import Framework

    kinds = {getattr(snntorch, kind): kind for kind in STATES}
    framework = Framework(
        name="snnTorch",
        package="snntorch",
        tried="1.0.0",
        neurons=(snntorch.SpikingNeuron,),
        kinds=kinds,
        states={kind: (STATES[kind], RETURNED_STATES[kind]) for kind in STATES},
        read=lambda path, module, kind, size: read_neurons(path, module, cast(NeuronKind, kind), size, overshoot),
        restart=lambda twin: _restart(twin, framework),
        reset_call="reset_mem()",
        stand_in=lambda twin: _register(snntorch.SpikingNeuron, twin),
        own_functions=OWN_FUNCTIONS,
        pools=pools,
    )
    return framework


def _restart(twin: "nn.Module", framework: "Framework") -> None:
    """Let neurons start from zero states."""
    import torch

    for part in twin.modules():
        kind = framework.find_kind(part)
        for state in () if kind is None else STATES[cast(NeuronKind, kind)]:
            setattr(part, state, torch.zeros(0, dtype=torch.float64))


@contextmanager
def _register(neurons: Any, twin: "nn.Module") -> Iterator[None]:
    """Let ``snntorch.utils.reset`` reach the neurons of a copy, and those of the user's module not."""
    before = neurons.instances
    neurons.instances = [part for part in twin.modules() if isinstance(part, neurons)]
    try:
        yield
    finally:
        neurons.instances = before


def _describe(builder: "Builder", overshoot: Overshoot) -> dict[str, str]:
    """Return the provenance: what was chosen in reading."""
    neurons = cast(Mapping[str, Neurons], builder.neurons)
    return {
        "reset": ", ".join(sorted({one.reset for one in neurons.values()})),
        "overshoot": overshoot,
        **_describe_overshoot(neurons, overshoot),
        **builder.describe_steps(),
        "input latency": "0 steps",
        "readout": "; ".join(f"{port.readout} of {', '.join(port.populations)}" for port in builder.parts.outputs),
        **_advise(builder, neurons),
    }


def _describe_overshoot(neurons: Mapping[str, Neurons], overshoot: Overshoot) -> dict[str, str]:
    """Say for the provenance whose second reset was left out."""
    names = [name for name, one in neurons.items() if one.reset == "subtract"]
    return {OTHERWISE: f"overshoot='ignore' in snnmap.load: {', '.join(names)}"} if overshoot == "ignore" and names else {}


def _advise(builder: "Builder", known: Mapping[str, Neurons]) -> dict[str, str]:
    """Return, in snnTorch's words, what to do where the chip's output neurons cannot do what a reset needs."""
    read = {name for port in builder.parts.outputs for name in port.populations}
    advice: list[str] = []
    for name, neurons in known.items():
        back = {q.post for q in builder.parts.projections if q.pre == name and name in read}
        if f"{name}.above" in back:
            advice.append(f"population '{name}.above' is snnmap's, for membranes beyond two thresholds: overshoot='ignore'")
        elif name in back and neurons.recurrent is not None:
            advice.append(f"module '{neurons.path}' is recurrent: end with neurons without recurrent weights")
        elif name in back and neurons.reset == "none":
            advice.append(f"module '{neurons.path}' never resets: read it with readout='potential'")
        elif name in back:
            advice.append(
                f"the reset of module '{neurons.path}' comes a step late: build it with reset_delay=False and load it with"
                " overshoot='ignore'"
            )
    plain = sorted({neurons.kind for neurons in known.values() if neurons.kind in ("Leaky", "RLeaky")})
    above = [f"'{p.name}'" for p in builder.parts.populations if p.name.removesuffix(".above") in known.keys() - {p.name}]
    found = {
        "fix of outputs that feed back": "; ".join(advice),
        "fix of synapses without memory": ", ".join(
            f"snntorch.{kind} has no alpha: use snntorch.{kind.replace('Leaky', 'Synaptic')} with an alpha of 0.5 or more"
            for kind in plain
        ),
        MADE_BESIDE: f"read it with overshoot='ignore' (snnmap made {', '.join(above)} for membranes above two thresholds)"
        if above
        else "",
    }
    return {key: text for key, text in found.items() if text}

"""From a torch module with SpikingJelly's neurons to a network."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snnmap.core.packages import import_package
from snnmap.network import Network

if TYPE_CHECKING:
    from torch import Tensor, nn

    from snnmap.frontends.following.framework import Framework
    from snnmap.frontends.following.lif import LifNeurons

__all__ = ["load"]

_MEMBRANE = "use {}(v_threshold=1e9, store_v_seq=True), which computes the same, and return its v_seq, or v in step mode 's'"


def load(
    module: "nn.Module",
    *,
    input_sizes: Sequence[int | Sequence[int]] | None = None,
    outputs: Sequence[str] | None = None,
    input_scale: float = 1.0,
    dt: float = 0.0,
    name: str | None = None,
) -> Network:
    """Turn a module of SpikingJelly's IFNode, LIFNode and ParametricLIFNode into a network that gives the same spikes.

    Forward is followed by running it, step by step (``step_mode="s"``), over all steps at once ("m", (time, batch, ...)), or with
    a loop of its own, and the network is run beside it. Between neurons Linear, convolutions, BatchNorm, AvgPool, Flatten, cat,
    sums and products with numbers are read, and MaxPool of spikes. Neurons start as after ``reset_net``, in a copy of the module.

    Args:
        module: to read.
        input_sizes: channels of each input of forward, or its shape in a step without the batch; found from the first Linear
            layers where left out.
        outputs: paths of the neurons that are read; where left out, those whose spikes forward returns and no other layer takes.
        input_scale: value of forward's input that one input spike stands for.
        dt: length of a step in seconds, for reports; 0 where it has none.
        name: of the network; the module's class name where left out.

    Raises:
        FrontendError: SpikingJelly is missing, or an operation or option has no counterpart; it says which and where.
    """
    neuron = import_package("spikingjelly.activation_based.neuron", called="SpikingJelly")
    from importlib.metadata import version

    from snnmap.frontends.following.read import read_module

    known = {"framework": f"spikingjelly {version('spikingjelly')}", "dt": f"{dt} s" if dt else "none"}
    return read_module(
        module,
        _make_framework(neuron),
        input_sizes=input_sizes,
        outputs=outputs,
        input_scale=input_scale,
        name=name,
        dt=dt,
        known=known,
    )


def _make_framework(neuron: Any) -> "Framework":
    from snnmap.frontends.following.framework import Framework

    kinds = {getattr(neuron, kind): kind for kind in ("IFNode", "LIFNode", "ParametricLIFNode")}
    return Framework(
        name="SpikingJelly",
        package="spikingjelly",
        tried="2.0.0",
        neurons=tuple(_list_classes(neuron)),
        kinds=kinds,
        states=dict.fromkeys(kinds.values(), ((), ())),
        read=_read,
        restart=_restart,
        reset_call="reset()",
        time_axis=lambda module: 0 if module.step_mode == "m" else None,
        own_functions=("surrogate_function",),
        fix_of_steps="let it run over all steps: functional.set_step_mode(net, 'm')",
        fixes={f"NonSpiking{kind}": _MEMBRANE.format(kind) for kind in ("IFNode", "LIFNode")},
        fix_of_instant="no neuron of it has a synapse: take a chip that needs none (generic-1024-factor), which resets to zero",
        membranes=_find_membranes,
    )


def _list_classes(neuron: Any) -> Iterator[type]:
    """Yield the classes of SpikingJelly's neurons."""
    from torch import nn

    for thing in vars(neuron).values():
        if isinstance(thing, type) and issubclass(thing, nn.Module) and thing.__module__.startswith(neuron.__name__):
            yield thing


def _find_membranes(module: Any) -> "tuple[Tensor | None, Tensor | None]":
    from torch import Tensor

    return tuple(part if isinstance(part, Tensor) else None for part in (module.v, module.v_seq))  # type: ignore[return-value]


def _restart(twin: "nn.Module") -> None:
    for part in twin.modules():
        reset = getattr(part, "reset", None)
        if callable(reset):
            reset()


def _read(path: str, module: Any, kind: str, size: int) -> "LifNeurons":
    """Read ``v += x``, or ``v += (v_reset - v) / tau`` and x or x / tau; a spike where ``v >= v_threshold``."""
    from snnmap.frontends.following.lif import LifNeurons, spread

    _require_steps(path, module)
    ones, zeros = np.ones(size), np.zeros(size)
    lost = zeros
    if kind == "LIFNode":
        lost = spread(path, "tau", 1.0 / module.tau, size)
    if kind == "ParametricLIFNode":
        lost = spread(path, "w", module.w.sigmoid(), size)
    start = zeros if module.v_reset is None else spread(path, "v_reset", module.v_reset, size)
    gain = lost if kind != "IFNode" and module.decay_input else ones
    neurons = LifNeurons(
        path=path, alpha=zeros, beta=1.0 - lost, gain=gain, leak=lost * start,
        threshold=spread(path, "v_threshold", module.v_threshold, size), v_reset=start,
        reset="subtract" if module.v_reset is None else "value", max_count=1,
    )  # fmt: skip
    return neurons.start_at(start)


def _require_steps(path: str, module: Any) -> None:
    """Refuse what gives other values than 0 and 1 at the threshold."""
    import torch

    from snnmap.frontends.following.lif import refuse

    with torch.no_grad():
        found = module.surrogate_function(torch.tensor([-1.0, -1e-3, 0.0, 1e-3, 1.0])).tolist()
    if found != [0.0, 0.0, 1.0, 1.0, 1.0]:
        limit, fix = "0, 0, 1, 1, 1", "use a surrogate function with spiking=True"
        raise refuse(path, "the spike function is not a step at the threshold", str(found), limit, fix)

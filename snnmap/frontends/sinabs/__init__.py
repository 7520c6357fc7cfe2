"""From a torch module with Sinabs' neurons to a network."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snnmap.core.packages import import_package
from snnmap.network import Network

if TYPE_CHECKING:
    from torch import nn

    from snnmap.frontends.following.framework import Framework
    from snnmap.frontends.following.lif import LifNeurons

__all__ = ["load"]

_UNLIMITED = 2**31 - 1


def load(
    module: "nn.Module",
    *,
    input_sizes: Sequence[int | Sequence[int]] | None = None,
    outputs: Sequence[str] | None = None,
    input_scale: float = 1.0,
    dt: float = 0.0,
    name: str | None = None,
) -> Network:
    """Turn a module of Sinabs' IAF, LIF and ExpLeak, squeezed or not, into a network that gives the same spikes.

    Forward is followed by running it, on (batch, time, ...) or, of squeezed neurons, (batch x time, ...), and the network is run
    beside it. Between neurons Linear, convolutions, BatchNorm, pools that average or add, Flatten, cat, sums and products with
    numbers are read. States start at zero. The module is not changed.

    Args:
        module: to read.
        input_sizes: channels of each input of forward, or its shape in a step without the batch; found from the first Linear
            layers where left out.
        outputs: paths of the neurons that are read; where left out, those that forward returns and no other layer takes.
        input_scale: value of forward's input that one input spike stands for.
        dt: length of a step in seconds, for reports; 0 where it has none.
        name: of the network; the module's class name where left out.

    Raises:
        FrontendError: Sinabs is missing, or an operation or option has no counterpart; it says which and where.
    """
    layers = import_package("sinabs.layers", called="Sinabs")
    from snnmap.frontends.following.read import read_module

    version = import_package("sinabs", called="Sinabs").__version__
    known = {"framework": f"sinabs {version}", "dt": f"{dt} s" if dt else "none"}
    return read_module(
        module,
        _make_framework(layers),
        input_sizes=input_sizes,
        outputs=outputs,
        input_scale=input_scale,
        name=name,
        dt=dt,
        known=known,
    )


def _make_framework(layers: Any) -> "Framework":
    from snnmap.frontends.following.framework import Framework

    kinds = {getattr(layers, f"{kind}{form}"): kind for kind in ("IAF", "LIF", "ExpLeak") for form in ("", "Squeeze")}
    squeezed = tuple(cls for cls in kinds if cls.__name__.endswith("Squeeze"))
    return Framework(
        name="Sinabs",
        package="sinabs",
        tried="3.1.3",
        neurons=(layers.StatefulLayer,),
        kinds=kinds,
        states=dict.fromkeys(kinds.values(), ((), ())),
        read=lambda path, module, _, size: _read(path, module, size),
        restart=lambda twin: _restart(twin, layers.StatefulLayer, squeezed),
        reset_call="reset_states()",
        time_axis=lambda module: 0 if isinstance(module, squeezed) else 1,
        own_functions=("spike_fn", "reset_fn", "surrogate_grad_fn"),
        fix_of_instant="give its IAF or LIF a tau_syn of 1.5 steps or more",
    )


def _restart(twin: "nn.Module", stateful: type, squeezed: tuple[type, ...]) -> None:
    """Let neurons start from zeros, of one sample whatever they were made for."""
    import torch

    for part in twin.modules():
        if isinstance(part, stateful):
            for name in list(part._buffers):
                part._buffers[name] = torch.zeros(0, dtype=torch.float64)
        if isinstance(part, squeezed):
            setattr(part, "batch_size", 1)
            setattr(part, "num_timesteps", -1)


def _read(path: str, module: Any, size: int) -> "LifNeurons":
    from snnmap.frontends.following.lif import LifNeurons, refuse, spread

    if module.min_v_mem is not None:
        measured, fix = (
            f"min_v_mem={float(module.min_v_mem.min()):g}",
            "train with min_v_mem=None, or from_model(..., min_v_mem=None)",
        )
        raise refuse(path, "the membrane has a lower limit, which no linear membrane has", measured, "None", fix)
    beta = spread(path, "alpha_mem", module.alpha_mem_calculated, size)
    synapse = module.alpha_syn_calculated
    alpha = np.zeros(size) if synapse is None else spread(path, "alpha_syn", synapse, size)
    gain = (1.0 - beta if module.norm_input else np.ones(size)) * (1.0 if synapse is None else alpha)
    max_count = 0 if module.spike_fn is None else _read_count(path, module.spike_fn)
    threshold = spread(path, "spike_threshold", module.spike_threshold, size) if max_count else np.ones(size)
    reset = _read_reset(path, module.reset_fn, threshold) if max_count else "subtract"
    zeros = np.zeros(size)
    return LifNeurons(
        path=path, alpha=alpha, beta=beta, gain=gain, leak=zeros, threshold=threshold, v_reset=zeros,
        reset="subtract" if reset == "subtract" else "value", max_count=max_count,
    )  # fmt: skip


def _read_count(path: str, spike_fn: Any) -> int:
    from snnmap.frontends.following.lif import refuse

    name = getattr(spike_fn, "__name__", type(spike_fn).__name__)
    known = {
        "MultiSpike": _UNLIMITED,
        "SingleSpike": 1,
        "MaxSpike": getattr(spike_fn, "max_num_spikes_per_bin", None) or _UNLIMITED,
    }
    if name not in known:
        raise refuse(path, "the spike function is not known", name, ", ".join(known), "use one of these")
    return int(known[name])


def _read_reset(path: str, reset_fn: Any, threshold: np.ndarray) -> str:
    from snnmap.frontends.following.lif import refuse

    name = type(reset_fn).__name__
    taken = getattr(reset_fn, "subtract_value", None)
    if name == "MembraneSubtract" and (taken is None or (threshold == taken).all()):
        return "subtract"
    if name == "MembraneReset" and reset_fn.reset_value == 0:
        return "value"
    limit = "MembraneSubtract() of the threshold, MembraneReset() to 0"
    raise refuse(path, "the reset has no counterpart on the chip", repr(reset_fn), limit, "use one of these")

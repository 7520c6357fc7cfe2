"""From a torch module with Norse's neurons to a network."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from snnmap.core.packages import import_package
from snnmap.network import Network

if TYPE_CHECKING:
    from torch import nn

    from snnmap.frontends.following.framework import Framework
    from snnmap.frontends.following.lif import LifNeurons

__all__ = ["load"]

_STATES = {"LIFBoxCell": ("v",), "LIFCell": ("v", "i"), "IAFCell": ("v",), "LIBoxCell": ("v",), "LICell": ("v", "i")}


def load(
    module: "nn.Module",
    *,
    input_sizes: Sequence[int | Sequence[int]] | None = None,
    outputs: Sequence[str] | None = None,
    input_scale: float = 1.0,
    name: str | None = None,
) -> Network:
    """Turn a module of Norse's LIFBoxCell, LIFCell, IAFCell, LIBoxCell and LICell into a network that gives the same spikes.

    Forward is followed by running it: a ``SequentialState`` or another forward of one step that takes the states that it
    returned as its second argument, or one with a loop over the steps of its input. The network is run beside it. Between
    neurons Linear, convolutions, BatchNorm, AvgPool, Flatten, cat, sums and products with numbers are read, and MaxPool of
    spikes. The module is not changed.

    Args:
        module: to read.
        input_sizes: channels of each input of forward, or its shape in a step without the batch; found from the first Linear
            layers where left out.
        outputs: paths of the neurons that are read; where left out, those whose spikes forward returns and no other layer takes.
        input_scale: value of forward's input that one input spike stands for.
        name: of the network; the module's class name where left out.

    Raises:
        FrontendError: Norse is missing, or an operation or option has no counterpart; it says which and where.
    """
    norse = import_package("norse.torch", called="Norse")
    from importlib.metadata import version

    from snnmap.frontends.following.read import read_module

    framework = _make_framework(norse)
    cells: list[Any] = [part for part in module.modules() if framework.find_kind(part) is not None]
    dt = max((float(part.dt) for part in cells), default=0.0)
    known = {"framework": f"norse {version('norse')}", "dt": f"{dt} s", "integrator": "Euler"}
    return read_module(
        module,
        framework,
        input_sizes=input_sizes,
        outputs=outputs,
        input_scale=input_scale,
        name=name,
        dt=dt,
        known=known,
    )


def _make_framework(norse: Any) -> "Framework":
    from snnmap.frontends.following.framework import Framework

    kinds = {getattr(norse, kind): kind for kind in _STATES if hasattr(norse, kind)}
    snn = import_package("norse.torch.module.snn", called="Norse")
    return Framework(
        name="Norse",
        package="norse",
        tried="1.1.0",
        neurons=(snn.SNN, snn.SNNCell, snn.SNNRecurrent, snn.SNNRecurrentCell, norse.LILinearCell),
        kinds=kinds,
        states={kind: (states, states) for kind, states in _STATES.items()},
        read=_read,
        restart=lambda _: None,
        reset_call="forward without a state",
        passes_states=True,
        fixes={"LILinearCell": "use Linear(..., bias=False) with its input_weights, and LICell behind, which compute the same"},
        own_functions=("activation", "activation_sparse", "state_fallback"),
        fix_of_instant="use norse.torch.LIFCell, or LICell, whose currents have a memory",
    )


def _read(path: str, module: Any, kind: str, size: int) -> "LifNeurons":
    """Read Euler's steps of the membrane and, of LIFCell and LICell, the current; a spike where ``v > v_th``."""
    from snnmap.frontends.following.lif import LifNeurons, refuse, spread

    p, zeros = module.p, np.zeros(size)
    rate = zeros if kind == "IAFCell" else spread(path, "tau_mem_inv", module.dt * p.tau_mem_inv, size)
    kept = 1.0 - spread(path, "tau_syn_inv", module.dt * p.tau_syn_inv, size) if "i" in _STATES[kind] else zeros
    if (rate > 1).any() or (kept < 0).any():
        fix = "give a dt below the time constants"
        raise refuse(path, "a time constant is shorter than a step", f"dt={module.dt:g} s", "at least a step", fix)
    leak = zeros if kind == "IAFCell" else spread(path, "v_leak", p.v_leak, size)
    fires = kind not in ("LIBoxCell", "LICell")
    start = spread(path, "v_reset", p.v_reset, size) if kind == "IAFCell" else leak
    reset = _read_reset(path, p) if kind.startswith("LIF") else "value"
    neurons = LifNeurons(
        path=path, alpha=kept, beta=1.0 - rate, gain=np.ones(size) if kind == "IAFCell" else rate, leak=rate * leak,
        threshold=np.nextafter(spread(path, "v_th", p.v_th, size), np.inf) if fires else np.ones(size),
        v_reset=spread(path, "v_reset", p.v_reset, size) if fires else zeros, reset=reset, max_count=int(fires),
    )  # fmt: skip
    return neurons.start_at(start)


def _read_reset(path: str, parameters: Any) -> Literal["value", "subtract"]:
    """Return what a spike does; cells whose parameters name no reset have Norse's first one, to ``v_reset``."""
    from snnmap.frontends.following.lif import refuse

    known = import_package("norse.torch.functional.reset", called="Norse")
    method = getattr(parameters, "reset_method", known.reset_value)
    if method is known.reset_subtract:
        return "subtract"
    if method is not known.reset_value:
        name, limit = getattr(method, "__name__", repr(method)), "reset_value, reset_subtract"
        raise refuse(path, "the reset has no counterpart", name, limit, "use one of these")
    return "value"

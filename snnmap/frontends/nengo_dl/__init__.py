"""From nengo-dl's converters and trained simulators, by way of the nengo frontend; and nengo-dl itself on current TensorFlow."""

import os
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any

from snnmap.core.errors import FrontendError
from snnmap.core.packages import import_nengo
from snnmap.frontends.nengo import load as load_nengo
from snnmap.frontends.nengo.assemble import InitialVoltage
from snnmap.frontends.nengo.build import read_simulator
from snnmap.frontends.nengo.neurons import Approximation
from snnmap.network import Network

__all__ = ["import_nengo_dl", "load"]

_INSTALL = "pip install 'snnmap[nengo-dl]', then pip install --no-deps nengo-dl==3.6.0, whose own pins are older"
_ALIASES = {
    "keras": "tf_keras",
    "keras.engine": "tf_keras.src.engine",
    "keras.engine.functional": "tf_keras.src.engine.functional",
    "keras.layers": "tf_keras.src.layers",
}


def load(
    source: Any,
    *,
    inputs: Sequence[Any] | None = None,
    input_scale: float | Mapping[Any, float] = 1.0,
    initial_voltage: InitialVoltage = "port",
    allow_approximate: Collection[Approximation] = (),
    max_count: int | Mapping[Any, int] | None = None,
    name: str | None = None,
) -> Network:
    """Turn a converted Keras model or a trained simulator into a network.

    A ``nengo_dl.Simulator`` gives its parameters as they are now, trained, and the initial voltages that it drew: what
    ``freeze_params`` would write into the nengo network, which stays as it is. A ``nengo_dl.Converter`` gives its network as
    converted, at 1 ms a step; give ``converter.net`` a seed, or ``initial_voltage="zero"``, since nengo draws the voltages.
    The rest is as for :func:`snnmap.frontends.nengo.load`.

    Keras weights have both signs: after ``swap_activations={relu: nengo.LIF(tau_ref=0, min_voltage=-np.inf)}`` the spikes
    are the same; ``nengo.SpikingRectifiedLinear()`` forgets negative currents, which needs
    ``allow_approximate=("negative currents",)``.

    Args:
        source: ``nengo_dl.Converter`` or ``nengo_dl.Simulator``, built and open.
        inputs: Nodes whose values come from outside; None takes a converter's inputs, or those that are not constant.
        input_scale: value of a Node that one spike count stands for.
        initial_voltage: "port" or "zero".
        allow_approximate: "negative currents", "voltage floor", "refractory time", "reset to zero".
        max_count: the most spikes that a rectified neuron sends in a step, for all or by ensemble; what it does not send it
            keeps for later. None is nengo's: no limit, which a chip has (SNN404). A LIF sends one.
        name: of the network; its label where left out.

    Returns:
        Populations named by the ensembles' labels: Keras layers, as nengo-dl calls them.

    Raises:
        FrontendError: nengo-dl is missing, or something has no counterpart; it says what, where and what to do.
    """
    nengo_dl = import_nengo_dl()
    if isinstance(source, nengo_dl.Converter) and inputs is None:
        inputs = list(source.inputs.dict.values())
    network = load_nengo(
        _take_network(nengo_dl, source),
        inputs=inputs,
        input_scale=input_scale,
        initial_voltage=initial_voltage,
        allow_approximate=allow_approximate,
        max_count=max_count,
        name=name,
    )
    framework = f"nengo-dl {nengo_dl.__version__}, {network.provenance['framework']}"
    return replace(network, provenance={**network.provenance, "framework": framework})


def _take_network(nengo_dl: Any, source: Any) -> Any:
    """Return what the nengo frontend reads: a converter's network, or what a simulator has trained."""
    if isinstance(source, nengo_dl.Converter):
        _refuse_tensor_nodes(source.net)
        return source.net
    if not isinstance(source, nengo_dl.Simulator):
        raise FrontendError(
            "this is neither a nengo_dl.Converter nor a nengo_dl.Simulator",
            measured=type(source).__name__,
            fix="give one of these; a nengo.Network goes to snnmap.frontends.nengo.load",
        )
    _refuse_tensor_nodes(source.model.toplevel)
    if source.closed:
        raise FrontendError("the simulator is closed and has lost its parameters", fix="load inside of its 'with' block")
    return read_simulator(source)


def _refuse_tensor_nodes(network: Any) -> None:
    nodes = [node for node in network.all_nodes if type(node).__name__ == "TensorNode"]
    if nodes:
        raise FrontendError(
            "the network has TensorNodes, which run TensorFlow and have no neurons",
            where=", ".join(str(node.label or node) for node in nodes),
            fix="give Converter(allow_fallback=False), which says why, and use layers and activations that it converts",
        )


def import_nengo_dl() -> Any:
    """Return nengo-dl, on TensorFlow with the Keras 2 interface that nengo-dl 3.6 was written for.

    nengo-dl imports ``keras.engine``, which Keras 3 does not have. While nengo-dl is imported, that name leads to tf_keras
    (Keras 2 as a package of its own), to which ``tf.keras`` leads from then on as well; ``import keras`` is Keras 3 as
    before. Call this before anything uses ``tf.keras`` in the process.

    Raises:
        FrontendError: nengo-dl or what it needs is missing, or ``tf.keras`` is Keras 3 in this process already.
    """
    if "nengo_dl" in sys.modules and sys.modules["nengo_dl"] is not None:
        return sys.modules["nengo_dl"]
    import_nengo()
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions that nengo-dl was not tested with
            with _alias_keras():
                nengo_dl = import_module("nengo_dl")
            keras = import_module("tensorflow").keras
    except ImportError as error:
        raise FrontendError(f"nengo-dl cannot be imported: {error}", fix=_INSTALL) from error
    if "tf_keras" not in keras.Model.__module__:
        raise FrontendError(
            "tf.keras is Keras 3 in this process already, and nengo-dl reads models of Keras 2",
            fix="call snnmap.frontends.nengo_dl.import_nengo_dl() first, or set TF_USE_LEGACY_KERAS=1",
        )
    return nengo_dl


@contextmanager
def _alias_keras() -> Iterator[None]:
    """Let ``keras`` be tf_keras for the time of an import."""
    aliases = {name: import_module(real) for name, real in _ALIASES.items()}
    hidden = {name: module for name, module in sys.modules.items() if name == "keras" or name.startswith("keras.")}
    for name in hidden:
        del sys.modules[name]
    sys.modules.update(aliases)
    try:
        yield
    finally:
        for name in aliases:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)

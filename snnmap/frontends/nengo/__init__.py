"""From a nengo network of spiking neurons to a network with the same spikes."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.core import IntArray
from snnmap.core.errors import ConversionWarning, FrontendError, InputError
from snnmap.core.packages import import_nengo
from snnmap.frontends.nengo.assemble import InitialVoltage, Options, assemble_network
from snnmap.frontends.nengo.build import Built, build_network, read_simulator
from snnmap.frontends.nengo.neurons import APPROXIMATIONS, Approximation
from snnmap.frontends.nengo.start import START, make_start
from snnmap.network import Network

__all__ = ["APPROXIMATIONS", "START", "Approximation", "encode_inputs", "load"]

_FIX_OF_RESET = (
    "leave allow_approximate out and take a chip that resets to zero (generic-1024-factor), or let `snnmap check --fix` measure"
    " it on calibration data"
)
_DRAWN_FIX = "give nengo.Network(seed=...), or arrays instead of distributions, or load a built simulator"


def load(
    source: Any,
    *,
    dt_s: float | None = None,
    inputs: Sequence[Any] | None = None,
    input_scale: float | Mapping[Any, float] = 1.0,
    initial_voltage: InitialVoltage = "port",
    allow_approximate: Collection[Approximation] = (),
    max_count: int | Mapping[Any, int] | None = None,
    name: str | None = None,
) -> Network:
    """Turn a nengo network into a network that gives the same spikes in the same steps.

    Spike for spike (weights, gains, biases, decoders and encoders are those that nengo built; a tie of a membrane with its
    threshold is decided by the last bit, in nengo as here):

    * ``LIF(tau_ref=0, min_voltage=-inf)`` with any currents; ``LIF(tau_ref=0)`` where no current can be below min_voltage;
      nengo 4 has no fast variants, ``FastLIF`` of nengo_extras is read as the LIF that it is for ``tau_ref=0``;
    * ``SpikingRectifiedLinear`` and ``RegularSpiking(RectifiedLinear())`` where no current can be negative;
    * connections between neurons, ensembles (decoded, encoded, with a weight solver) and Nodes that pass on, with one
      ``Lowpass`` on the way or none, recurrent ones too.

    What else nengo's neurons do has no counterpart in a linear membrane, and is refused with what differs, where and how
    much; ``allow_approximate`` loads it all the same, and the network's provenance says so (:data:`APPROXIMATIONS`). A LIF
    goes to 0 after a spike; a chip that resets by subtraction refuses that (SNN403), unless "reset to zero" may be approximate.

    Nodes without an input are input ports; a constant Node is a bias, unless it is named in ``inputs`` or is zero. Probes
    are outputs: spikes of ``ensemble.neurons``; anything else that is filtered or decoded becomes neurons that never fire,
    whose potential is what the probe records. Neither the network nor the simulator is changed.

    Args:
        source: ``nengo.Network``, or a built ``nengo.Simulator``, whose parameters and initial voltages are taken, as they are of
            a :class:`~snnmap.frontends.nengo.build.Built`.
        dt_s: length of a step, 1e-3 where left out; a simulator has its own.
        inputs: Nodes whose values come from outside; None takes those that are not constant, or constantly zero.
        input_scale: value of a Node that one spike count stands for, for all or by Node; see :func:`encode_inputs`.
        initial_voltage: "port" adds an input port :data:`START` of one channel, to be given one spike in step 0, where
            neurons do not start at 0 (nengo draws from 0 to 1 by default); it takes a synapse without memory in these
            neurons. "zero" starts all at 0.
        allow_approximate: "negative currents", "voltage floor", "refractory time" permit what is not exact; "reset to zero"
            makes LIF neurons subtract their threshold, as the chip does.
        max_count: the most spikes that a rectified neuron sends in a step, for all or by ensemble; what it does not send it
            keeps for later. None is nengo's: no limit, which a chip has (SNN404). A LIF sends one.
        name: of the network; its label where left out.

    Returns:
        Populations named by the ensembles' labels.

    Warns:
        ConversionWarning: a probe with ``sample_every`` records fewer steps than the network gives; neurons subtract their
            threshold in place of a reset to zero, with what that changes on drawn inputs.

    Raises:
        FrontendError: nengo is missing, or something has no counterpart; it says what, where and what to do.
    """
    nengo = import_nengo()
    options = Options(
        inputs=inputs,
        input_scale=input_scale,
        initial_voltage=initial_voltage,
        allow_approximate=allow_approximate,
        max_count=max_count,
        name=name,
    )
    built = _build(nengo, source, dt_s, unused=() if initial_voltage == "port" else ("initial voltages",))
    network = assemble_network(nengo, built, options, f"nengo {nengo.__version__}")
    if told := network.provenance.get("reset to zero"):
        warnings.warn(f"{told}\n  fix: {_FIX_OF_RESET}", ConversionWarning, stacklevel=2)
    if told := network.provenance.get("samples"):
        fix = "take of the outputs the steps that nengo records, or leave out sample_every"
        warnings.warn(f"{told}\n  fix: {fix}", ConversionWarning, stacklevel=2)
    return network


def encode_inputs(
    network: Network, values: npt.ArrayLike | Mapping[str, npt.ArrayLike], *, input_scale: float | Mapping[str, float] = 1.0
) -> dict[str, IntArray]:
    """Return the spike counts that stand for the values of Nodes, and the spike of port :data:`START`.

    Args:
        network: that :func:`load` made.
        values: ``(n_samples, n_steps, size)`` values by input port; one array for a network with one Node.
        input_scale: as given to :func:`load`, by port where it was given by Node.

    Returns:
        Counts by input port, as ``simulate_network`` takes them.

    Raises:
        InputError: a value is no whole, non-negative number of spikes, or ports are missing.
    """
    ports = [port.name for port in network.inputs if port.name != START]
    given = dict(values) if isinstance(values, Mapping) else dict.fromkeys(ports[:1], values)
    if sorted(given) != sorted(ports):
        raise InputError("values and input ports do not agree", measured=", ".join(given), limit=", ".join(ports))
    for port in input_scale if isinstance(input_scale, Mapping) else ():
        if port not in ports:
            raise InputError("a key of input_scale is no input port", measured=repr(port), limit=", ".join(ports))
    counts = {}
    for port in ports:
        scale = input_scale.get(port, 1.0) if isinstance(input_scale, Mapping) else input_scale
        counts[port] = _encode_port(port, np.asarray(given[port], np.float64), float(scale))
    if any(port.name == START for port in network.inputs):
        counts[START] = _start_counts(counts)
    return counts


def _encode_port(port: str, values: npt.NDArray[np.float64], scale: float) -> IntArray:
    exact = values / scale
    counts = np.rint(exact)
    if values.ndim != 3 or not np.isfinite(exact).all() or (counts < 0).any() or np.abs(exact - counts).max(initial=0.0) > 1e-6:
        raise InputError(
            "values of a Node are no numbers of spikes",
            where=f"input port '{port}'",
            measured=f"shape {values.shape}, {exact.min(initial=0.0):g} to {exact.max(initial=0.0):g} spikes",
            limit="(n_samples, n_steps, size), 0, 1, 2, ... spikes",
            fix="choose input_scale so that all values are multiples of it, and shift negative values into a bias",
        )
    return counts.astype(np.int64)


def _start_counts(counts: Mapping[str, IntArray]) -> IntArray:
    if not counts:
        raise InputError(
            "the length of the run is unknown", limit="an input port beside 'start'", fix=f"give the raster of '{START}'"
        )
    return make_start(*next(iter(counts.values())).shape[:2])


def _build(nengo: Any, source: Any, dt_s: float | None, *, unused: Collection[str]) -> Built:
    if dt_s is not None and not (isinstance(dt_s, Real) and np.isfinite(dt_s) and dt_s > 0):
        raise FrontendError("dt_s is no length of time", where="dt_s", measured=repr(dt_s), limit="above 0 s", fix="give seconds")
    if isinstance(source, nengo.Network):
        return build_network(nengo, source, 1e-3 if dt_s is None else dt_s, unused=unused, fix=_DRAWN_FIX)
    if not isinstance(source, nengo.Simulator | Built):
        raise FrontendError(
            "this is neither a nengo.Network nor a nengo.Simulator",
            measured=type(source).__name__,
            fix="give one of these; nengo_dl's objects go to snnmap.frontends.nengo_dl.load",
        )
    built = source if isinstance(source, Built) else read_simulator(source)
    if dt_s is not None and dt_s != built.dt_s:
        raise FrontendError("the simulator has another length of step", measured=f"{dt_s:g} s", limit=f"{built.dt_s:g} s")
    return built

"""What goes in and what is seen: spike count rasters, recorded states, cost."""

import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.core.errors import InputError
from snnmap.core.nouns import count_samples
from snnmap.core.record import FloatArray, IntArray, freeze_mapping, record, replace_array
from snnmap.network.network import InputPort

__all__ = ["Profile", "Recording", "Saturation", "join_rasters", "read_raster", "read_rasters", "require_steps"]

_MAX_COUNT = 2**31 - 1
"""So that sums and products of counts stay exact in int64."""

_COSTS = ("input_spikes", "hidden_spikes", "output_spikes", "synaptic_operations")


@record
class Profile:
    """Cost of a run, summed over samples and steps.

    Attributes:
        n_samples: samples.
        n_steps: steps a sample.
        input_spikes: spikes that entered.
        hidden_spikes: spikes of hidden neurons.
        output_spikes: spikes of output neurons.
        synaptic_operations: weights added to a synaptic current, one a spike and stored synapse.
    """

    n_samples: int
    n_steps: int
    input_spikes: int
    hidden_spikes: int
    output_spikes: int
    synaptic_operations: int


@record
class Saturation:
    """What a run on a chip cut off, by sample: values that a wider word would have held.

    Attributes:
        inputs: ``(n_samples,) int64``, input counts clamped to what a channel carries.
        currents: ``(n_samples, 2) int64``, of hidden and of output neurons: arrivals at a current, one a spiking source and
            stored synapse, that took it out of its word.
        potentials: ``(n_samples, 2) int64``: updates that took a potential out of its word.
        counts: ``(n_samples, 2) int64``: updates after which a neuron could have sent more spikes than a step carries; those left
            are sent later, or lost where an alias repeats them.
    """

    inputs: IntArray
    currents: IntArray
    potentials: IntArray
    counts: IntArray

    @property
    def by_sample(self) -> IntArray:
        """All of it, ``(n_samples,) int64``."""
        return np.asarray(self.inputs + (self.currents + self.potentials + self.counts).sum(axis=1), np.int64)

    def __str__(self) -> str:
        found = [f"{self.inputs.sum()} input counts clamped"] if self.inputs.any() else []
        for kind in ("currents", "potentials", "counts"):
            totals = getattr(self, kind).sum(axis=0).tolist()
            found += [f"{total} {kind} of {area}" for area, total in zip(("hidden", "outputs"), totals, strict=True) if total]
        return ", ".join(found) or "none"


@record
class Recording:
    """What a simulation was asked to keep; arrays of populations by name (on a chip: ``hidden`` and ``outputs``).

    Attributes:
        counts: ``(n_samples, n_steps, size) int64`` spike counts.
        potentials: ``(n_samples, n_steps, size)`` membrane potentials after the reset.
        currents: ``(n_samples, n_steps, n_synapses, size)`` synaptic currents after the decay and input of the step.
        profile: cost, where the simulator counts it.
        saturation: what did not fit its word, where that was asked for.
    """

    counts: Mapping[str, IntArray] = field(default_factory=dict)
    potentials: Mapping[str, FloatArray | IntArray] = field(default_factory=dict)
    currents: Mapping[str, FloatArray | IntArray] = field(default_factory=dict)
    profile: Profile | None = None
    saturation: Saturation | None = None

    def __post_init__(self) -> None:
        for name in ("counts", "potentials", "currents"):
            replace_array(self, name, freeze_mapping(getattr(self, name)))

    def _repr_html_(self) -> str:
        from snnmap.core.html import heading, make_table, to_html

        states = {"potentials": self.potentials, "currents": self.currents}
        rows = [(name, "counts", _tell_shape(kept), str(kept.sum()), _tell_rate(kept)) for name, kept in self.counts.items()]
        rows += [(name, kind, _tell_shape(array), "", "") for kind, kept in states.items() for name, array in kept.items()]
        columns = ("of", "kept", "samples x steps x ...#", "spikes#", "spikes a neuron and step#")
        costs = [] if self.profile is None else [f"{key} {getattr(self.profile, key)}" for key in _COSTS]
        return to_html(heading(", ".join(["recording", *costs]).replace("_", " ")), make_table(columns, rows))


def read_rasters(ports: tuple[InputPort, ...], inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> dict[str, IntArray]:
    """Check input rasters against the ports.

    Args:
        ports: the network's input ports.
        inputs: one array for a network with one port, else arrays by port name; each ``(n_samples, n_steps, size)``,
            or ``(n_steps, size)`` for one sample.

    Returns:
        ``(n_samples, n_steps, size) int64`` by port name, all with the same samples and steps.

    Raises:
        InputError: a port is missing or unknown, a shape is wrong, or a count is negative or not an integer.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> read_rasters(network.inputs, [[1, 0], [0, 2], [0, 0]])["in"].shape
        (1, 3, 2)
    """
    given = dict(inputs) if isinstance(inputs, Mapping) else dict.fromkeys([port.name for port in ports[:1]], inputs)
    names = {port.name for port in ports}
    if given.keys() != names:
        raise InputError(
            "input rasters do not match the input ports",
            measured=", ".join(sorted(map(repr, given))) if isinstance(inputs, Mapping) else "one unnamed raster",
            limit=", ".join(sorted(map(repr, names))) or "no ports",
            fix="give one raster a port, a mapping by port name, which only calls in Python take; of a network that was converted"
            " conversion.split(conversion.encode(values)), or build the ANN itself (`snnmap build ANN --calibration VALUES.npy`)",
        )
    rasters = {port.name: read_raster(given[port.name], port.size, where=f"input port '{port.name}'") for port in ports}
    shapes = {raster.shape[:2] for raster in rasters.values()}
    if len(shapes) > 1:
        raise InputError(
            "input rasters differ in samples or steps", measured=str(sorted(shapes)), limit="one (n_samples, n_steps)"
        )
    return rasters


def join_rasters(ports: tuple[InputPort, ...], inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> IntArray:
    """Check input rasters and put their channels side by side, in port order, as the chip numbers them.

    Returns:
        ``(n_samples, n_steps, n_inputs) int64``.

    Raises:
        InputError: as :func:`read_rasters`.
    """
    rasters = read_rasters(ports, inputs)
    return np.concatenate([rasters[port.name] for port in ports], axis=2)


def read_raster(raster: npt.ArrayLike, size: int, *, where: str) -> IntArray:
    """Check one raster of spike counts.

    Args:
        raster: a numpy array, a torch tensor (of any device, with or without gradients) or nested lists of integer, float or
            bool counts, ``(n_samples, n_steps, size)``, or ``(n_steps, size)`` for one sample.
        size: channels expected.
        where: named in errors.

    Returns:
        ``(n_samples, n_steps, size) int64``.

    Raises:
        InputError: wrong shape, counts that are negative or beyond 2**31 - 1, or values that are not integers.
    """
    given = _read_array(raster, where)
    given, shape = given.astype(np.float64) if given.dtype == np.float16 else given, given.shape
    if given.ndim == 2:
        given = given[np.newaxis]
    if given.ndim != 3 or given.shape[2] != size:
        raise InputError(
            "the input raster has the wrong shape",
            where=where,
            measured=str(shape),
            limit=f"(n_samples, n_steps, {size}) or (n_steps, {size})",
            fix=_tell_layout(shape, size),
        )
    if not _are_counts(given):
        seen = f", smallest {given.min()}, largest {given.max()}" if given.size and given.dtype.kind in "iuf" else ""
        raise InputError(
            "spike counts must be non-negative integers",
            where=where,
            measured=f"{given.dtype}{seen}",
            limit=f"integers from 0 to {_MAX_COUNT}",
            fix=_tell_code(given),
        )
    return given.astype(np.int64)


def _tell_layout(shape: tuple[int, ...], size: int) -> str:
    """Say how an array of another layout becomes ``(n_samples, n_steps, size)``."""
    for n_kept, kept in ((2, "n_samples, n_steps"), (1, "n_steps")):
        if len(shape) > n_kept + 1 and math.prod(shape[n_kept:]) == size:
            axes = "each step" if n_kept == 2 else "each step of the one sample, or repeat pictures over the steps first"
            return f"flatten {axes}: counts.reshape({kept}, {size})"
    if len(shape) == 3 and shape[1] == size:
        return "put the channels last: counts.transpose(0, 2, 1)"
    if len(shape) == 3 and shape[0] == size:
        return "put the channels last: numpy.moveaxis(counts, 0, 2)"
    return "give spike counts, one column a channel"


def _tell_code(given: npt.NDArray[Any]) -> str:
    """Say how values that are no counts become some."""
    fix = "encode the signal as spike counts a step"
    if given.dtype.kind == "f" and given.size and given.min() >= 0 and given.max() <= 1:
        return f"{fix}: of values from 0 to 1 (numpy.random.random(values.shape) < values).astype(int), a rate code"
    return fix


def require_steps(raster: IntArray, *, where: str, fix: str) -> None:
    """Refuse a raster ``(n_samples, n_steps, size)`` of which nothing can be run.

    Raises:
        InputError: it has no samples, or these no steps.
    """
    n_samples, n_steps, _ = raster.shape
    if not n_samples or not n_steps:
        measured, limit = count_samples(n_samples, n_steps), f"at least {count_samples(1, 1)}"
        raise InputError("the inputs hold no steps", where=where, measured=measured, limit=limit, fix=fix)


def _read_array(values: Any, where: str) -> npt.NDArray[Any]:
    """Return an array of what a raster came as; tensors are known by what they can do, so that torch is not imported."""
    try:
        if isinstance(values, list | tuple):
            return np.array([_read_array(part, where) for part in values]) if _holds_tensors(values) else np.asarray(values)
        return _read_tensor(values) if hasattr(values, "detach") else np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"the input raster is not an array of numbers: {str(error).splitlines()[0]}",
            where=where,
            measured=type(values).__name__,
            limit="an array (n_samples, n_steps, n_channels) of spike counts",
            fix="give a numpy array, a torch tensor or nested lists of equal length",
        ) from error


def _holds_tensors(values: Any) -> bool:
    return any(hasattr(part, "detach") or (isinstance(part, list | tuple) and _holds_tensors(part)) for part in values)


def _read_tensor(tensor: Any) -> npt.NDArray[Any]:
    plain = tensor.detach().cpu()
    try:
        return np.asarray(plain.numpy())
    except TypeError:  # numpy has no bfloat16, in which half-precision training counts
        return np.asarray(plain.double().numpy())


def _are_counts(given: npt.NDArray[Any]) -> bool:
    if given.dtype.kind not in "iubf" or not np.isfinite(given).all():
        return False
    return bool((given == np.rint(given)).all() and (given >= 0).all() and (given <= _MAX_COUNT).all())


def _tell_shape(array: npt.NDArray[Any]) -> str:
    return " x ".join(map(str, array.shape))


def _tell_rate(counts: IntArray) -> str:
    return f"{counts.mean():.4f}" if counts.size else ""

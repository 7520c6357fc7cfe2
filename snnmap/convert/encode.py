"""Input values as spike counts, and the channels that carry time: clock, hold and releases."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.convert.ann import INPUT
from snnmap.convert.options import ConvertOptions
from snnmap.core import FloatArray, IntArray
from snnmap.core.errors import InputError

__all__ = [
    "CLOCK",
    "HOLD",
    "encode_control",
    "encode_ports",
    "encode_values",
    "read_values",
    "release_name",
    "release_step",
    "split_ports",
]

CLOCK = "clock"
HOLD = "hold"


def release_name(level: int) -> str:
    """Return the name of the channel that gives a level's neurons their held charge back."""
    return f"release {level}"


def release_step(level: int, options: ConvertOptions) -> int:
    """Return the step of that channel's spikes; a level starts at 1."""
    return options.n_steps - 1 + level * options.hold_steps


def encode_values(inputs: npt.ArrayLike, n_inputs: int, options: ConvertOptions) -> IntArray:
    """Return spike counts for input values; v is the value's place from ``input_min`` (0) to ``input_max`` (1), r the rate.

    ``count``
        A total of ``round(v r T)``, spread evenly: r T + 1 values, and no step far from the mean.
    ``direct``
        ``round(v r)`` in each step, as a constant current: r + 1 values, whatever T.
    ``rate``
        Drawn in each step, ``binomial(r, v)``: the Poisson-like noise of rate codes, of deviation ``sqrt(v (1 - v) / (r T))``.
    ``latency``
        The total of ``count``, but at full rate and as late as possible: a channel's onset tells its value, larger is
        earlier, and it goes on to the end. An integrate-and-fire neuron adds charge and does not ask when it came: a lone
        spike brings one weight early or late, so that onset alone says nothing to it; what comes between onset and end does.

    Args:
        inputs: ``(n, ...)`` values from ``input_min`` to ``input_max``.
        n_inputs: channels.
        options: n_steps, input_min, input_max, input_rate, coding and seed are used.

    Returns:
        ``(n, n_steps, n_inputs)``.

    Raises:
        InputError: values out of range or NaN, or a wrong number of them.
    """
    share = _read_shares(inputs, n_inputs, options)
    rate, steps = options.input_rate, options.n_steps
    if options.coding == "rate":
        drawn = np.random.default_rng(options.seed).binomial(rate, share[:, np.newaxis], (len(share), steps, n_inputs))
        return drawn.astype(np.int64)
    if options.coding == "direct":
        return np.repeat(np.rint(share * rate).astype(np.int64)[:, np.newaxis], steps, axis=1)
    total = np.rint(share * rate * steps).astype(np.int64)[:, np.newaxis]
    if options.coding == "latency":
        left = (np.arange(steps)[::-1] * rate)[np.newaxis, :, np.newaxis]
        late: IntArray = np.clip(total - left, 0, rate)
        return late
    edges = np.arange(steps + 1)[:, np.newaxis] * total // steps
    return np.diff(edges, axis=1)


def encode_control(n_levels: int, options: ConvertOptions) -> dict[str, IntArray]:
    """Return the counts of the channels that carry time, by port, ``(n_steps + settle_steps,)`` each.

    Args:
        n_levels: of the network; used where spikes are held back.
        options: of the conversion.
    """
    length = options.n_steps + options.settle_steps
    steps = {CLOCK: range(options.n_steps)}
    if options.overshoot == "hold":
        steps[HOLD] = range(1)
        for level in range(1, n_levels + 1):
            steps[release_name(level)] = range(release_step(level, options), release_step(level, options) + 1)
    counts = {}
    for name, active in steps.items():
        counts[name] = np.zeros(length, np.int64)
        counts[name][active.start : active.stop] = options.input_rate
    return counts


def encode_ports(inputs: npt.ArrayLike, n_inputs: int, n_levels: int, options: ConvertOptions) -> dict[str, IntArray]:
    """Return counts by input port, ``(n, n_steps + settle_steps, size)``."""
    values = encode_values(inputs, n_inputs, options)
    ports = {INPUT: np.pad(values, ((0, 0), (0, options.settle_steps), (0, 0)))}
    for name, counts in encode_control(n_levels, options).items():
        ports[name] = np.repeat(counts[np.newaxis, :, np.newaxis], len(values), axis=0)
    return ports


def split_ports(counts: IntArray, ports: Mapping[str, int] | None = None) -> dict[str, IntArray]:
    """Return encoded counts by input port, as simulation and calibration of the network take them.

    Args:
        counts: ``(n, time, channels)``, of :meth:`Conversion.encode`.
        ports: channels by port, as ``Conversion.ports``; None is inputs and one clock, as where spikes are not held
            (:meth:`Conversion.split` knows).

    Raises:
        InputError: other channels than the ports have.
    """
    sizes = {INPUT: counts.shape[-1] - 1, CLOCK: 1} if ports is None else dict(ports)
    if sum(sizes.values()) != counts.shape[-1]:
        raise InputError(
            "the encoded counts do not fit the ports",
            measured=f"{counts.shape[-1]} channels",
            limit=f"{sum(sizes.values())}: {', '.join(f'{name} {size}' for name, size in sizes.items())}",
            fix="split what this conversion's encode() gave",
        )
    edges = np.cumsum([0, *sizes.values()])
    return {name: counts[..., start:stop] for name, start, stop in zip(sizes, edges[:-1], edges[1:], strict=True)}


def read_values(values: Any, what: str) -> FloatArray:
    """Return an array, a tensor or nested lists of these as float64.

    Args:
        values: numbers.
        what: they are, in errors.

    Raises:
        InputError: something else.
    """
    given = values.detach().cpu() if hasattr(values, "detach") else values
    try:
        return np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the {what} are no array of numbers",
            measured=f"{type(values).__module__}.{type(values).__qualname__}",
            limit="an array or tensor (n, ...)",
            fix="give one array; of a DataLoader: torch.cat([batch[0] for batch in loader])",
        ) from error


def _read_shares(inputs: npt.ArrayLike, n_inputs: int, options: ConvertOptions) -> FloatArray:
    values = read_values(inputs, "input values")
    values = values.reshape(len(values), -1) if values.ndim > 1 else values.reshape(1, -1)
    share = (values - options.input_min) / (options.input_max - options.input_min)
    if options.clip_inputs:
        share = np.clip(share, 0.0, 1.0)
    fits = values.shape[1] == n_inputs
    if not fits or not (share >= -1e-9).all() or not (share <= 1 + 1e-9).all():
        fix = "set input_min and input_max, or clip_inputs=True; a BatchNorm in front of the model takes raw values"
        raise InputError(
            "input values cannot be coded as spike counts",
            measured=f"{values.shape[1]} values from {values.min(initial=np.inf):.4g} to {values.max(initial=-np.inf):.4g}",
            limit=f"{n_inputs} values from {options.input_min:g} to {options.input_max:g}",
            fix=fix if fits else "give samples of the model's input, (n, ...)",
        )
    return np.clip(share, 0.0, 1.0)

"""A network in a line, for examples, tests and first tries."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from snnmap.chip import Readout
from snnmap.core.csr import CsrMatrix
from snnmap.core.errors import NetworkError
from snnmap.core.record import FloatArray
from snnmap.network.network import InputPort, Network, OutputPort, Population, Projection

__all__ = ["sketch_network"]

_ALPHA, _BETA, _DRIVE = 0.5, 0.75, 1.5


def sketch_network(
    sizes: Mapping[str, int],
    *,
    weights: Mapping[str, npt.ArrayLike] | None = None,
    delay_steps: Mapping[str, int] | None = None,
    readout: Readout = "spikes",
    **parameters: Mapping[str, npt.ArrayLike],
) -> Network:
    """Build a network of layers in a row; the first is the input port, the last is read by the port ``y``.

    Neighbours are joined by drawn positive weights, the same in every call; populations have alpha 0.5 and beta 0.75, and the
    last one sends at most one spike a step.

    Args:
        sizes: channels or neurons by name, in order.
        weights: by ``"pre->post"``, ``(n_pre, n_post) float64`` or one number for all pairs; in place of those between
            neighbours, or beside them.
        delay_steps: likewise, where it is not 0.
        readout: what is read.
        parameters: such as ``beta={"h": 0.875}``: values of :meth:`Population.create`, by population.

    Raises:
        NetworkError: when a parameter does not fit a population, or is of none; no layer behind the input.

    Example:
        >>> network = sketch_network({"in": 2, "h": 3, "y": 1}, weights={"h->h": 0.1}, delay_steps={"h->h": 1}, bias={"h": 0.5})
        >>> [projection.name for projection in network.projections]
        ['in->h', 'h->y', 'h->h']
    """
    given, delays, names = weights or {}, delay_steps or {}, list(sizes)
    wires = [f"{pre}->{post}" for pre, post in pairwise(names)]
    wires += [wire for wire in given if wire not in wires]
    _require_known({name for values in parameters.values() for name in values}, names[1:])
    _require_known(set(delays), wires)
    values: dict[str, dict[str, Any]] = {name: {"alpha": _ALPHA, "beta": _BETA, "source": f"model.{name}"} for name in names[1:]}
    values[names[-1]]["max_count"] = 1
    for key, given_values in parameters.items():
        for name, value in given_values.items():
            values[name][key] = value
    populations = (Population.create(name, sizes[name], **values[name]) for name in names[1:])
    return Network(
        name="sketch",
        inputs=(InputPort(name=names[0], size=sizes[names[0]]),),
        populations=tuple(populations),
        projections=tuple(_join(wire, sizes, given.get(wire), delays.get(wire, 0)) for wire in wires),
        outputs=(OutputPort(name="y", populations=(names[-1],), readout=readout),),
    )


def _require_known(given: set[str], known: list[str]) -> None:
    unknown = sorted(given - set(known))
    if unknown or not known:
        raise NetworkError(
            f"the sketch has no '{unknown[0]}'" if unknown else "the sketch has no layer behind its input",
            where="sketch_network",
            limit=", ".join(known) or "at least 2 sizes",
            fix="name a part of the sketch" if unknown else "give the sizes of an input and of a layer",
        )


def _join(wire: str, sizes: Mapping[str, int], weights: npt.ArrayLike | None, delay_steps: int) -> Projection:
    pre, _, post = wire.partition("->")
    shape = (sizes.get(pre, 1), sizes.get(post, 1))
    values = _draw(*shape) if weights is None else np.asarray(weights, np.float64)
    dense = np.broadcast_to(values, shape) if values.ndim == 0 else values
    return Projection(
        name=wire, pre=pre, post=post, weights=CsrMatrix.from_dense(dense), delay_steps=delay_steps, source=f"model.{wire}"
    )


def _draw(n_pre: int, n_post: int) -> FloatArray:
    """Draw weights of one order of magnitude that together drive a neuron."""
    return np.random.default_rng(0).uniform(0.5, 1.5, (n_pre, n_post)) * (_DRIVE / max(1, n_pre))

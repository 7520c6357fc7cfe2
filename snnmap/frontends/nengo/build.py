"""What nengo made of a network: parameters, initial voltages, the weights of connections and probes."""

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError

__all__ = ["Built", "Names", "build_network", "read_simulator", "require_finite", "unique_name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A network's parameters as a simulator holds them.

    Attributes:
        network: the ``nengo.Network``.
        dt_s: length of a step.
        ensembles: gain, bias and scaled encoders by ensemble.
        voltages: ``(n_neurons,) float64``, membrane potentials before step 0, by ensemble.
        weights: by connection, as its transform holds them; for decoded connections, decoders included.
        probes: ``(size, n_neurons)`` decoders by probe of an ensemble.
    """

    network: Any
    dt_s: float
    ensembles: Mapping[Any, Any]
    voltages: Mapping[Any, FloatArray]
    weights: Mapping[Any, Any]
    probes: Mapping[Any, FloatArray]


def build_network(
    nengo: Any,
    network: Any,
    dt_s: float,
    *,
    unused: Collection[str] = (),
    call: Callable[[Any], str] | None = None,
    fix: str = "give nengo.Network(seed=...), or arrays instead of distributions",
) -> Built:
    """Build with nengo; twice where no seed is given, since a network that is drawn anew each time has no meaning.

    Args:
        nengo: the package.
        network: ``nengo.Network``.
        dt_s: length of a step.
        unused: kinds of parameters that do not belong to the meaning, such as "initial voltages".
        call: what errors call an object of the network; its place where left out.
        fix: what the user can do about two builds that differ.

    Raises:
        FrontendError: nengo cannot build it, or two builds differ.
    """
    built = _build_once(nengo, network, dt_s)
    if network.seed is not None:
        return built
    again, call = _build_once(nengo, network, dt_s), call or Names(network).place
    for (thing, kind, first), (_, _, second) in zip(_list_used(built), _list_used(again), strict=True):
        if kind not in unused and not all(map(np.array_equal, _arrays(first), _arrays(second))):
            raise FrontendError(
                f"{kind} are drawn at random and the network has no seed, so that nengo builds another one each time",
                where=call(thing),
                fix=fix,
            )
    return built


def require_finite(built: Built) -> None:
    """Refuse parameters that are infinite or no numbers, as after a training that diverged."""
    for thing, kind, values in _list_used(built):
        if not all(np.isfinite(array).all() for array in _arrays(values)):
            raise FrontendError(
                f"{kind} are not finite",
                where=Names(built.network).place(thing),
                fix="look at the training: it may have diverged",
            )


def read_simulator(simulator: Any) -> Built:
    """Return the parameters of a built ``nengo.Simulator`` or ``nengo_dl.Simulator``, trained ones as they are now.

    Raises:
        FrontendError: neurons start within a refractory time.
    """
    network, model, data = simulator.model.toplevel, simulator.model, simulator.data
    _require_no_rest(network, model)
    owners = {probe: conn for conn, probe in ((key, getattr(key, "post_obj", None)) for key in model.params) if _hashable(probe)}
    return Built(
        network=network,
        dt_s=float(simulator.dt),
        ensembles={one: data[one] for one in network.all_ensembles},
        voltages={one: _initial_voltage(model, one) for one in network.all_ensembles},
        weights={one: data[one].weights for one in network.all_connections},
        probes={one: np.asarray(data[owners[one]].weights, np.float64) for one in network.all_probes if one in owners},
    )


def _require_no_rest(network: Any, model: Any) -> None:
    """Refuse neurons that rest at first, also those that have no refractory time after a spike."""
    for ensemble in network.all_ensembles:
        signal = model.sig[ensemble.neurons].get("refractory_time")
        if signal is not None and (signal.initial_value > 0).any():
            raise FrontendError(
                "neurons start within a refractory time, which the chip's do not have",
                where=Names(network).place(ensemble),
                measured=f"initial_state['refractory_time'] up to {signal.initial_value.max():g} s",
                limit="0",
                fix="leave 'refractory_time' out of initial_state",
            )


def _hashable(thing: Any) -> bool:
    return thing is not None and type(thing).__hash__ is not None


def _initial_voltage(model: Any, ensemble: Any) -> FloatArray:
    signal = model.sig[ensemble.neurons].get("voltage")
    return np.zeros(ensemble.n_neurons) if signal is None else np.array(signal.initial_value, np.float64)


def _build_once(nengo: Any, network: Any, dt_s: float) -> Built:
    model = nengo.builder.Model(dt=dt_s, decoder_cache=nengo.cache.NoDecoderCache())  # a reader writes nothing
    try:
        with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Non-finite values detected")  # in tuning curves, where gains are given
            with nengo.Simulator(network, dt=dt_s, model=model, progress_bar=False, optimize=False) as simulator:
                return read_simulator(simulator)
    except FrontendError:
        raise
    except Exception as error:  # functions and distributions of the user's run in it
        raise FrontendError.from_failure(
            "nengo cannot build the network", error, where=f"network '{network.label or 'nengo'}'",
            fix="correct it until nengo.Simulator(network) builds",
        ) from error  # fmt: skip


def _list_used(built: Built) -> Iterator[tuple[Any, str, Any]]:
    """Yield the parameters that spikes depend on: owner, kind, values."""
    encoded = {connection.post_obj for connection in built.network.all_connections}
    for ensemble, parameters in built.ensembles.items():
        yield ensemble, "gains", parameters.gain
        yield ensemble, "biases", parameters.bias
        if ensemble in encoded:
            yield ensemble, "encoders", parameters.scaled_encoders
        yield ensemble, "initial voltages", built.voltages[ensemble]
    for connection, weights in built.weights.items():
        yield connection, "weights", weights
    for probe, decoders in built.probes.items():
        yield probe, "decoders", decoders


def _arrays(values: Any) -> Iterable[Any]:
    if values is None:
        return ()
    sparse = values.allocate() if hasattr(values, "allocate") else values
    return (sparse.data,) if hasattr(sparse, "nnz") else (sparse,)


def unique_name(wanted: str, taken: set[str]) -> str:
    """Return a name that is not taken, and take it."""
    candidates = (wanted if not again else f"{wanted}.{again}" for again in count())
    name = next(name for name in candidates if name not in taken)
    taken.add(name)
    return name


@dataclass(slots=True)
class Names:
    """Unique names of a network's objects, and where each stands in the user's network."""

    network: Any
    names: dict[Any, str] = field(default_factory=dict)
    places: dict[Any, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for kind, thing, place in _walk(self.network, ""):
            self.places[thing] = place
            if kind in ("ensembles", "nodes"):
                self.names[thing] = unique_name(thing.label or place, self.taken)

    def place(self, thing: Any) -> str:
        """Return the place of an object for errors and sources, such as ``networks[0].ensembles[2] 'hidden'``."""
        owner = getattr(thing, "ensemble", thing)
        if hasattr(owner, "pre_obj"):
            return self.call_connection(owner)
        label = getattr(owner, "label", None)
        place = self.places.get(owner, str(owner))
        return f"{place} '{label}'" if label else place

    def call_connection(self, connection: Any) -> str:
        """Return a connection's place and its ends."""
        ends = [self.place(end) for end in (connection.pre_obj, connection.post_obj)]
        return f"{self.places.get(connection, 'connection')}: {ends[0]} -> {ends[1]}"


def _walk(network: Any, prefix: str) -> Iterator[tuple[str, Any, str]]:
    for kind in ("ensembles", "nodes", "connections", "probes"):
        for number, thing in enumerate(getattr(network, kind)):
            yield kind, thing, f"{prefix}{kind}[{number}]"
    for number, inner in enumerate(network.networks):
        yield from _walk(inner, f"{prefix}networks[{number}].")

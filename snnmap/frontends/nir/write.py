"""From a network to a NIR graph and a `.nir` file that other frameworks read."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from snnmap.core import FloatArray
from snnmap.core.errors import FrontendError
from snnmap.core.fsio import write_file
from snnmap.core.packages import import_package
from snnmap.frontends.nir.options import Integrator, NirOptions
from snnmap.frontends.nir.written import graph_metadata, population_metadata
from snnmap.network import Network, Population, Projection, SpikeSum, require_structure

__all__ = ["save", "to_nir"]

SLOWEST = 2.0**-60
"""1 - decay of a state that does not decay: the smallest that leaves the decay at exactly 1."""

FASTEST = 800.0
"""dt/tau of a state without memory, where the decay is exp(-dt/tau): exp(-800) is 0."""


def save(
    network: Network, path: str | Path, *, integrator: Integrator = "euler", precision: Literal["float64", "float32"] = "float64"
) -> None:
    """Write a network as a `.nir` file; as :func:`to_nir`.

    Raises:
        FrontendError: as :func:`to_nir`.
        OSError: the file cannot be written; an existing file stays as it was.
    """
    graph = to_nir(network, integrator=integrator, precision=precision)
    content = io.BytesIO()
    import_package("nir").write(content, graph)
    write_file(Path(path), content.getvalue())


def to_nir(network: Network, *, integrator: Integrator = "euler", precision: Literal["float64", "float32"] = "float64") -> Any:
    """Write a network as a NIR graph.

    Every population becomes a CubaLIF whose input gains are 1 (``w_in = tau_syn/dt``, ``r = tau_mem/dt`` under Euler), or a
    CubaLI where it never fires; every projection a Linear; its delay a Delay, but for the step of a recurrent projection,
    which frameworks imply. What NIR has no field for (several spikes in a step, reset by subtraction, spike sums,
    names, order) and the exact decays are kept in ``metadata``: ``snnmap_beyond`` of the graph lists what another framework
    will not see. A network with dt_s 0 is written with steps of 1 s.

    Args:
        network: with one synapse a neuron.
        integrator: that the reader will use: "euler" for Norse and snnTorch, "exp_euler" for Rockpool and Sinabs.
        precision: of the numbers. "float32" puts each threshold on the next float32 below, for frameworks that
            compute in float32 (their ``v > v_threshold`` is then ours); weights are rounded.

    Returns:
        A ``nir.NIRGraph``. ``load`` gives the same network back, its provenance aside.

    Raises:
        FrontendError: nir is missing, or the network has what NIR cannot carry; it says what and where.
        DesignRuleError: the network's structure has no meaning.
    """
    if not isinstance(network, Network):
        raise FrontendError(
            "only a network of snnmap is written as NIR",
            where=f"{type(network).__module__}.{type(network).__qualname__}",
            fix="load the model first: save(snnmap.load(model), path); of artifacts, save(artifacts.network, path)",
        )
    require_structure(network)
    return _Writer(network, integrator, np.dtype(precision)).write()


@dataclass(slots=True)
class _Writer:
    network: Network
    integrator: Integrator
    dtype: np.dtype[Any]
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    nir: Any = field(default_factory=lambda: import_package("nir"))

    @property
    def step_s(self) -> float:
        return self.network.dt_s or 1.0

    def write(self) -> Any:
        network = self.network
        for order, port in enumerate(network.inputs):
            _require_size(port.size, f"input port '{port.name}'")
            self._add_source(port.name, self.nir.Input(input_type=np.array([port.size]), metadata=_place(port.name, order)))
        for order, population in enumerate(network.populations):
            self._add_population(population, order)
        for order, addition in enumerate(network.sums):
            self._add_sum(addition, order)
        for addition in network.sums:
            self.edges.extend((self.keys[term], self.keys[addition.name]) for term in addition.terms)
        for order, projection in sorted(enumerate(network.projections), key=lambda item: item[1].pre != item[1].post):
            self._add_projection(projection, order)  # recurrent ones first: nirtorch takes what the last edge leads to as output
        self._add_outputs()
        metadata = graph_metadata(network.name, network.dt_s, network.integers, self._options(), network.provenance)
        metadata["snnmap_beyond"] = self._list_beyond()
        return self.nir.NIRGraph(nodes=self.nodes, edges=self.edges, metadata=metadata, type_check=False)

    def _options(self) -> NirOptions:
        resets = {population.reset for population in self.network.populations}
        reset: Literal["subtract", "value"] = "subtract" if resets == {"subtract"} else "value"
        return NirOptions(dt_s=self.step_s, time_unit="s", integrator=self.integrator, if_gain="step", reset=reset)

    def _add_node(self, name: str, node: Any) -> str:
        """Add a node under a key that HDF5 takes: no slash, not empty, not a dot."""
        key = name.replace("/", "|").replace("\0", "|")
        key = key if key.strip(".") else f"node{key}"
        while key in self.nodes:
            key += "'"
        self.nodes[key] = node
        return key

    def _add_source(self, name: str, node: Any) -> None:
        self.keys[name] = self._add_node(name, node)

    def _add_population(self, population: Population, order: int) -> None:
        _require_writable(population)
        feeds = {projection.pre for projection in self.network.projections}
        feeds |= {term for addition in self.network.sums for term in addition.terms}
        fires = bool(np.isfinite(population.threshold).any()) or population.name in feeds
        arguments = self._equation(population)
        if fires:
            arguments |= {
                "v_threshold": self._threshold_below(population.threshold),
                "v_reset": self._numbers(population.v_reset if population.reset == "value" else np.zeros(population.size)),
            }
        metadata = {**_place(population.name, order, population.source), **population_metadata(population)}
        make = self.nir.CubaLIF if fires else self.nir.CubaLI
        self._add_source(population.name, make(**arguments, metadata=metadata))

    def _equation(self, population: Population) -> dict[str, Any]:
        """Return the parameters whose step, under the integrator, has the population's decays and input gains of 1."""
        ratio_mem, gain_mem, leak = self._ratio(population.beta)
        ratio_syn, gain_syn, _ = self._ratio(population.alpha[0])
        bias = np.zeros(population.size) if self._bias_carrier(population) else population.bias
        numbers = {
            "tau_mem": self.step_s / ratio_mem,
            "tau_syn": self.step_s / ratio_syn,
            "r": 1.0 / gain_mem,
            "w_in": 1.0 / gain_syn,
            "v_leak": bias / leak,
        }
        return {name: self._numbers(values) for name, values in numbers.items()}

    def _ratio(self, decay: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return dt/tau, and the gains of input and leak, that make a decay."""
        lost = np.maximum(1.0 - decay, SLOWEST)
        if self.integrator == "euler":
            return lost, lost, lost
        with np.errstate(divide="ignore"):
            ratio = np.clip(-np.log(decay), SLOWEST, FASTEST)
        remainder = -np.expm1(-ratio)
        return ratio, remainder if self.integrator == "zoh" else ratio, remainder

    def _bias_carrier(self, population: Population) -> str:
        """Return the projection whose Affine carries the bias: the first, where the synapse has no memory; else "" (v_leak)."""
        if not population.bias.any() or population.alpha.any():
            return ""
        return next((projection.name for projection in self.network.projections if projection.post == population.name), "")

    def _add_sum(self, addition: SpikeSum, order: int) -> None:
        if len(set(addition.terms)) < len(addition.terms):
            raise FrontendError(
                "a spike sum adds a source twice, which NIR's edges cannot say", where=f"sum '{addition.name}'",
                measured=", ".join(addition.terms), fix="double the weights instead",
            )  # fmt: skip
        size = self.network.source_sizes[addition.name]
        metadata = {**_place(addition.name, order, addition.source), "snnmap_terms": json.dumps(addition.terms)}
        self._add_source(addition.name, self.nir.Scale(scale=self._numbers(np.ones(size)), metadata=metadata))

    def _add_projection(self, projection: Projection, order: int) -> None:
        where = f"projection '{projection.name}'"
        _require_finite(projection.weights.data, where, "weights")
        weight = self._numbers(projection.weights.to_dense().T)
        metadata = _place(projection.name, order, projection.source)
        population = self.network.population(projection.post)
        if self._bias_carrier(population) == projection.name:
            node = self.nir.Affine(weight=weight, bias=self._numbers(population.bias), metadata=metadata)
        else:
            node = self.nir.Linear(weight=weight, metadata=metadata)
        key = self._add_node(projection.name, node)
        first = self.keys[projection.pre]
        if projection.delay_steps and not (projection.pre == projection.post and projection.delay_steps == 1):
            delay = np.full(projection.weights.shape[0], projection.delay_steps * self.step_s)
            late = self._add_node(f"{projection.name} delay", self.nir.Delay(delay=self._numbers(delay)))
            self.edges.append((first, late))
            first = late
        self.edges += [(first, key), (key, self.keys[projection.post])]

    def _add_outputs(self) -> None:
        for order, port in enumerate(self.network.outputs):
            for position, name in enumerate(port.populations):
                size = self.network.population(name).size
                stored = {"snnmap_port": port.name, "snnmap_position": position, "snnmap_readout": port.readout}
                metadata = {**_place("", order), **stored}
                key = port.name if len(port.populations) == 1 else f"{port.name}.{name}"
                key = self._add_node(key, self.nir.Output(output_type=np.array([size]), metadata=metadata))
                self.edges.append((self.keys[name], key))

    def _numbers(self, values: npt.ArrayLike) -> npt.NDArray[Any]:
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(values, self.dtype)

    def _threshold_below(self, threshold: FloatArray) -> npt.NDArray[Any]:
        """Return the largest float below each threshold, above which NIR's neurons fire."""
        near = self._numbers(threshold)
        below = np.where(near.astype(np.float64) < threshold, near, np.nextafter(near, near.dtype.type(0)))
        return np.where(np.isinf(threshold), near, below).astype(self.dtype)

    def _list_beyond(self) -> str:
        populations = self.network.populations
        found = {
            "reset by subtraction": [p.name for p in populations if p.reset == "subtract" and np.isfinite(p.threshold).any()],
            "several spikes in a step": [p.name for p in populations if p.max_count.max() > 1 and np.isfinite(p.threshold).any()],
        }
        return "; ".join(f"{what}: {', '.join(names)}" for what, names in found.items() if names)


def _place(name: str, order: int, source: str = "") -> dict[str, Any]:
    return {"snnmap_name": name, "snnmap_order": order, "snnmap_source": source}


def _require_writable(population: Population) -> None:
    where = f"population '{population.name}'"
    _require_size(population.size, where)
    if population.n_synapses != 1:
        raise FrontendError(
            "NIR's neurons have one synapse", where=where, measured=str(population.n_synapses), limit="1",
            fix="give each synapse a population of its own, or keep the network in snnmap's text form",
        )  # fmt: skip
    ranges: Mapping[str, tuple[FloatArray, float, float]] = {
        "alpha": (population.alpha, 0.0, 1.0),
        "beta": (population.beta, 0.0, 1.0),
        "threshold": (population.threshold, np.nextafter(0.0, 1.0), np.inf),
    }
    for name, (values, low, high) in ranges.items():
        wrong = ~((values >= low) & (values <= high))
        if wrong.any():
            raise FrontendError(
                f"'{name}' is out of range", where=where, measured=str(values[wrong].flat[0]), limit=f"{low:g} to {high:g}",
                fix="correct the population",
            )  # fmt: skip
    for name in ("bias", "v_reset"):
        _require_finite(getattr(population, name), where, name)


def _require_size(size: int, where: str) -> None:
    if size < 1:
        raise FrontendError("NIR cannot hold an empty node", where=where, measured=str(size), limit="1 or more", fix="remove it")


def _require_finite(values: npt.NDArray[Any], where: str, name: str) -> None:
    if not np.isfinite(values).all():
        wrong = values[~np.isfinite(values)].flat[0]
        raise FrontendError(f"'{name}' is not finite", where=where, measured=str(wrong), limit="finite", fix="correct the value")

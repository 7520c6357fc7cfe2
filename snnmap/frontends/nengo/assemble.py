"""Populations, projections and ports from what was read of a nengo network."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, Literal, get_args

import numpy as np

from snnmap.core import CsrMatrix
from snnmap.core.errors import FrontendError
from snnmap.frontends.nengo.build import Built, Names, require_finite, unique_name
from snnmap.frontends.nengo.measure import measure_reset
from snnmap.frontends.nengo.neurons import Approximation, NeuronModel, check_currents, read_neurons
from snnmap.frontends.nengo.paths import Path, PathReader, Value, read_lowpass
from snnmap.frontends.nengo.start import START
from snnmap.frontends.nengo.transforms import select
from snnmap.network import InputPort, Network, OutputPort, Population, Projection

__all__ = ["InitialVoltage", "Options", "assemble_network"]

InitialVoltage = Literal["port", "zero"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Choices of the reader, explained at :func:`snnmap.frontends.nengo.load`.

    Raises:
        FrontendError: a choice that does not exist.
    """

    inputs: Sequence[Any] | None
    input_scale: float | Mapping[Any, float]
    initial_voltage: InitialVoltage
    allow_approximate: Collection[Approximation]
    max_count: int | Mapping[Any, int] | None
    name: str | None

    def __post_init__(self) -> None:
        for name, given, known in (
            ("initial_voltage", [self.initial_voltage], get_args(InitialVoltage)),
            ("allow_approximate", self.allow_approximate, get_args(Approximation)),
        ):
            if isinstance(given, str) or any(one not in known for one in given):
                raise FrontendError(f"{name} names a choice that does not exist", measured=str(given), limit=", ".join(known))

    def require_known(self, built: Built, names: Names) -> None:
        """Refuse keys that name no object of the network, whose choice would be left out in silence.

        Raises:
            FrontendError: one does not.
        """
        sources = [node for node in built.network.all_nodes if not node.size_in and node.size_out]
        choices: tuple[tuple[str, Any, Sequence[Any], str], ...] = (
            ("input_scale", self.input_scale, sources, "Nodes without an input"),
            ("max_count", self.max_count, built.network.all_ensembles, "ensembles"),
        )
        for name, given, known, kind in choices:
            for key in given if isinstance(given, Mapping) else ():
                if not any(key is one for one in known):
                    raise FrontendError(
                        f"a key of {name} is none of the network's {kind}",
                        where=name,
                        measured=repr(key),
                        limit=", ".join(map(names.place, known)) or f"no {kind}",
                        fix="give the objects themselves, not their labels",
                    )


def assemble_network(nengo: Any, built: Built, options: Options, framework: str) -> Network:
    """Make the network of what nengo built; ``framework`` is its name and version.

    Raises:
        FrontendError: something has no counterpart; it says what, where and what to do.
    """
    require_finite(built)
    return _Assembler(nengo, built, options, framework).assemble()


@dataclass(slots=True)
class _Parts:
    """What has been made so far."""

    inputs: list[InputPort] = field(default_factory=list)
    populations: list[Population] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)
    outputs: list[OutputPort] = field(default_factory=list)
    approximations: list[str] = field(default_factory=list)
    sampled: list[str] = field(default_factory=list)


class _Assembler:
    """Makes ports and populations first, whose spikes the paths start from, then projections."""

    def __init__(self, nengo: Any, built: Built, options: Options, framework: str) -> None:
        self.nengo, self.built, self.options, self.framework = nengo, built, options, framework
        self.name = options.name or built.network.label or "nengo"
        self.names, self.parts = Names(built.network), _Parts()
        self.names.taken.add(START)
        options.require_known(built, self.names)
        self.ensembles = list(built.network.all_ensembles)
        self.models = {one: self._read_model(one) for one in self.ensembles}
        self.reader = PathReader(nengo, built, self.names, {**self._read_sources(), **self._read_spikes()})

    def assemble(self) -> Network:
        if not self.built.network.all_probes:
            raise FrontendError(
                "the network has no probe, and probes are the outputs",
                where=self.name,
                fix="add nengo.Probe(ensemble.neurons)",
            )
        for ensemble in self.ensembles:
            self._add_neurons(ensemble)
        self._add_start()
        for probe in self.built.network.all_probes:
            self._add_output(probe)
        parts = self.parts
        network = Network(
            name=self.name,
            inputs=tuple(parts.inputs),
            populations=tuple(parts.populations),
            projections=tuple(parts.projections),
            outputs=tuple(parts.outputs),
            dt_s=self.built.dt_s,
            provenance=self._describe(),
        )
        subtracting = [self.names.names[one] for one, model in self.models.items() if model.subtracts_instead]
        if not subtracting or not network.inputs:
            return network
        return replace(network, provenance={**network.provenance, "reset to zero": measure_reset(network, subtracting)})

    def _read_model(self, ensemble: Any) -> NeuronModel:
        where = self.names.place(ensemble)
        if ensemble.noise is not None:
            raise FrontendError(
                "the ensemble has noise, and the chip is deterministic",
                where=where,
                measured=str(ensemble.noise),
                fix="give noise=None",
            )
        model = read_neurons(ensemble.neuron_type, self.built.dt_s, where, self.options.allow_approximate)
        given = self.options.max_count
        limit = given.get(ensemble) if isinstance(given, Mapping) else given
        if limit is None:
            return model
        if not isinstance(limit, Integral) or limit < 1:
            raise FrontendError(
                "max_count is no number of spikes", where=where, measured=repr(limit), limit="an integer of at least 1",
                fix="give the chip's limit, or leave it out",
            )  # fmt: skip
        if limit >= model.max_count:
            return model
        return replace(
            model, max_count=int(limit), approximated=(*model.approximated, f"at most {limit} spikes a step, the rest later")
        )

    def _read_sources(self) -> dict[Any, Value]:
        """Return the value of each Node without input: an input port's or a constant."""
        from scipy.sparse import eye_array

        sources = [node for node in self.built.network.all_nodes if not node.size_in and node.size_out]
        chosen = self._choose_inputs(sources)
        values: dict[Any, Value] = {}
        for node in sources:
            if any(node is one for one in chosen):
                port = self.names.names[node]
                self.parts.inputs.append(InputPort(name=port, size=node.size_out))
                weights = eye_array(node.size_out, format="csr") * self._scale(node)
                path = Path(source=port, weights=weights, delay_steps=0, decay=None, via=())
                values[node] = Value(paths=(path,), constant=np.zeros(node.size_out))
            elif isinstance(node.output, np.ndarray):
                values[node] = Value(paths=(), constant=np.array(node.output, np.float64))
            else:
                raise FrontendError(
                    "the Node sends values of its own and is not among the inputs",
                    where=self.names.place(node),
                    measured=str(node.output),
                    limit="a constant",
                    fix="name it in inputs: its spike counts then come from outside",
                )
        return values

    def _choose_inputs(self, sources: list[Any]) -> list[Any]:
        """Take the Nodes named, or those that are no constant: zeros are a place for data, as nengo-dl has it."""
        if self.options.inputs is None:
            return [node for node in sources if not (isinstance(node.output, np.ndarray) and node.output.any())]
        for node in self.options.inputs:
            if not any(node is one for one in sources):
                raise FrontendError(
                    "an input is no Node of the network without an input of its own",
                    measured=str(node),
                    limit=", ".join(self.names.place(one) for one in sources) or "no such Node",
                    fix="name Nodes that nothing is connected to",
                )
        return list(self.options.inputs)

    def _scale(self, node: Any) -> float:
        scale = self.options.input_scale
        given = scale.get(node, 1.0) if isinstance(scale, Mapping) else scale
        if not (isinstance(given, Real) and np.isfinite(given) and given > 0):
            raise FrontendError(
                "input_scale is not positive", where=self.names.place(node), measured=str(given), fix="give a value a spike"
            )
        return float(given)

    def _read_spikes(self) -> dict[Any, Value]:
        """Return what each ensemble's neurons send: their amplitude over dt a spike."""
        from scipy.sparse import eye_array

        values = {}
        for ensemble, model in self.models.items():
            n = ensemble.n_neurons
            weights = eye_array(n, format="csr") * model.output_value
            path = Path(source=self.names.names[ensemble], weights=weights, delay_steps=0, decay=None, via=())
            values[ensemble] = Value(paths=(path,), constant=np.zeros(n))
        return values

    def _add_neurons(self, ensemble: Any) -> None:
        model, where, name = self.models[ensemble], self.names.place(ensemble), self.names.names[ensemble]
        currents = self.reader.read_currents(ensemble)
        columns = [(path.via[0] if path.via else where, path.weights) for path in currents.paths]
        found = check_currents(model, columns, currents.constant, where, self.options.allow_approximate)
        self.parts.approximations += [found] if found else []
        self.parts.approximations += [f"{where}: {one}" for one in model.approximated]
        start = self._has_start(ensemble)
        decays = _list_decays(currents.paths, without_memory=start)
        self.parts.populations.append(
            Population.create(
                name,
                ensemble.n_neurons,
                alpha=np.repeat(np.array(decays)[:, np.newaxis], ensemble.n_neurons, axis=1),
                beta=model.beta,
                threshold=model.threshold,
                bias=currents.constant * model.input_factor,
                reset=model.reset,
                max_count=model.max_count,
                source=f"{where}, {ensemble.neuron_type}",
            )
        )
        self._project(name, currents.paths, decays, model.input_factor)
        if start:
            self._project_start(ensemble, decays.index(0.0))

    def _has_start(self, ensemble: Any) -> bool:
        voltage = self.built.voltages[ensemble]
        if ((voltage < 0) | (voltage > 1)).any():
            raise FrontendError(
                "an initial voltage is outside of the membrane's range",
                where=self.names.place(ensemble),
                measured=f"{voltage.min():g} to {voltage.max():g}",
                limit="0 to 1",
                fix="give initial_state={'voltage': nengo.dists.Choice([0])}",
            )
        return self.options.initial_voltage == "port" and bool(voltage.any())

    def _project_start(self, ensemble: Any, synapse: int) -> None:
        """Bring the voltages with a spike in step 0, one decay earlier than nengo's first step."""
        name = self.names.names[ensemble]
        weights = CsrMatrix.from_dense(self.built.voltages[ensemble][np.newaxis, :] * self.models[ensemble].beta)
        source = f"{self.names.place(ensemble)}, initial voltage"
        self.parts.projections.append(
            Projection(name=f"{START}->{name}", pre=START, post=name, weights=weights, synapse=synapse, source=source)
        )

    def _add_start(self) -> None:
        if any(projection.pre == START for projection in self.parts.projections):
            self.parts.inputs.append(InputPort(name=START, size=1))

    def _project(self, post: str, paths: Iterable[Path], decays: list[float], factor: float) -> None:
        taken = {projection.name for projection in self.parts.projections}
        for path in paths:
            matrix = (path.weights * factor).tocoo()
            rows, columns = matrix.coords
            self.parts.projections.append(
                Projection(
                    name=unique_name(f"{path.source}->{post}", taken),
                    pre=path.source,
                    post=post,
                    weights=CsrMatrix.from_triplets(rows, columns, matrix.data, matrix.shape),
                    synapse=decays.index(path.decay or 0.0) if len(decays) > 1 else 0,
                    delay_steps=path.delay_steps,
                    source="; ".join(path.via),
                )
            )

    def _add_output(self, probe: Any) -> None:
        name = unique_name(probe.label or f"probe{len(self.parts.outputs)}", {port.name for port in self.parts.outputs})
        period = 1.0 if probe.sample_every is None else probe.sample_every / self.built.dt_s
        if period > 1:
            self.parts.sampled.append(
                f"{self.names.places[probe]}: nengo records one step in {period:g}, '{name}' has every step"
            )
        target = probe.obj
        if isinstance(target, self.nengo.ensemble.Neurons) and probe.attr in ("output", "spikes"):
            if probe.synapse is None and probe.slice in (None, slice(None)):
                population = self.names.names[target.ensemble]
                self.parts.outputs.append(OutputPort(name=name, populations=(population,)))
                return
            value = self.reader.values[target.ensemble]
        elif isinstance(target, self.nengo.Node) and probe.attr == "output":
            value = self.reader.read_node(target)
        elif isinstance(target, self.nengo.Ensemble) and probe in self.built.probes:
            value = self.reader.decode(target, self.built.probes[probe])
        else:
            raise FrontendError(
                f"the probe reads '{probe.attr}' of {type(target).__name__}, which the chip does not give out",
                where=self.names.places[probe],
                limit="spikes of neurons, the decoded output of an ensemble, the value of a Node",
                fix="probe ensemble.neurons, the ensemble or a Node",
            )
        self._add_readout(name, probe, value)

    def _add_readout(self, name: str, probe: Any, value: Value) -> None:
        """Add neurons that never fire; their potential in a step is what the probe records in it."""
        where, synapse = self.names.places[probe], probe.synapse
        if not isinstance(probe.obj, self.nengo.Ensemble) and probe.slice is not None:
            value = value.apply(select(probe.slice, value.constant.size))
        beta = 0.0
        if synapse is not None:
            beta = read_lowpass(self.nengo, synapse, self.built.dt_s, where)
            self.reader.require_no_constant(value, synapse, where)
            value = _delay(value)
        population, decays = unique_name(name, self.names.taken), _list_decays(value.paths)
        weight = 1.0 - beta
        if decays == [0.0]:
            decays, beta = [beta], 0.0  # the same values of a synapse, which a chip has whose currents outlast a step
        self.parts.populations.append(
            Population.create(
                population,
                value.constant.size,
                alpha=np.repeat(np.array(decays)[:, np.newaxis], value.constant.size, axis=1),
                beta=beta,
                threshold=np.inf,
                bias=value.constant,  # zero where the probe filters
                max_count=1,
                source=where,
            )
        )
        self._project(population, value.paths, decays, weight)
        self.parts.outputs.append(OutputPort(name=name, populations=(population,), readout="potential"))

    def _describe(self) -> dict[str, str]:
        reset = ", ".join(sorted({f"{model.kind}: {model.reset}" for model in self.models.values()}))
        ports = "a spike of port 'start' in step 0" if any(p.name == START for p in self.parts.inputs) else "zero"
        scale = self.options.input_scale
        scales = "by Node" if isinstance(scale, Mapping) else f"{float(scale):g}"
        return {
            "framework": self.framework,
            "dt": f"{self.built.dt_s:g} s",
            "synapse discretisation": "zero-order hold: y[t] = a y[t-1] + (1 - a) x[t], a = exp(-dt/tau)",
            "membrane discretisation": "exact for a current that is constant in the step",
            "reset": reset or "none",
            "input latency": "0 steps where synapse=None, 1 step through a filter",
            "input scale": f"a spike of an input port is a Node's value of {scales}",
            "initial voltage": ports,
            "approximations": "; ".join(self.parts.approximations) or "none",
            **({"samples": "; ".join(self.parts.sampled)} if self.parts.sampled else {}),
            **self._advise(),
        }

    def _advise(self) -> dict[str, str]:
        """Return, in nengo's words, what to do about synapses without a memory, where there are some."""
        instant = {p.name: np.flatnonzero((p.alpha == 0).any(axis=1)).tolist() for p in self.parts.populations}
        starts = {part.post for part in self.parts.projections if part.pre == START}
        plain = any(part.synapse in instant[part.post] and part.pre != START for part in self.parts.projections)
        told = ["read it with initial_voltage='zero' (`snnmap.load`)"] if starts else []
        told += [f"give connections a nengo.Lowpass with a tau of {1.5 * self.built.dt_s:g} s or more"] if plain else []
        return {"fix of synapses without memory": ", ".join(told)} if told else {}


def _delay(value: Value) -> Value:
    return replace(value, paths=tuple(replace(path, delay_steps=path.delay_steps + 1) for path in value.paths))


def _list_decays(paths: Iterable[Path], *, without_memory: bool = False) -> list[float]:
    """Return the synapses of a population: the distinct decays, slowest first."""
    decays = {path.decay or 0.0 for path in paths} | ({0.0} if without_memory else set())
    return sorted(decays, reverse=True) or [0.0]

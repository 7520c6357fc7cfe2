"""Run the image and the model on the same inputs, and count what differs."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from snnmap.chip import Readout
from snnmap.core import BoolArray, FloatArray, IntArray
from snnmap.core.threads import count_cores, run_parts
from snnmap.lif.compare.decide import LAST, SpreadError, compare_decisions, summarise_course
from snnmap.lif.compare.source import SourceReference, compare_source
from snnmap.lif.mapping import folded_counts, folded_currents, folded_potentials
from snnmap.lif.program import (
    AgreementLimits,
    Comparison,
    Decision,
    Image,
    MappedNetwork,
    PopulationComparison,
    PortComparison,
    QuantisedNetwork,
)
from snnmap.lif.simulator import simulate_image, simulate_quantised
from snnmap.network import OTHERWISE, Network, OutputPort, Population, Recording, join_rasters, read_rasters, simulate_network

__all__ = ["choose_samples", "compare_image", "count_spikes", "read_port"]

_MOST_WORK = 4e8
"""Weights read and neurons updated by the model's float run, some seconds of work."""
_NEURON_WORK = 20
"""What updating a neuron costs beside reading a weight."""
_SEVERAL = 5
"""Spikes of a neuron, above which its silence on the other side is no accident."""
_ENOUGH = 100
"""Spikes of a population in a sample, from which on its rate in this sample tells something."""
_MOST_VALUES = 500_000
"""Values of one kind that are kept at a time."""


def choose_samples(network: Network, samples: IntArray, n_steps: int, *, most_work: float = _MOST_WORK) -> IntArray:
    """Choose of these samples, evenly, as many as the bound on the work allows; at least one, then from the middle."""
    work = sum(p.weights.nnz for p in network.projections) + _NEURON_WORK * sum(p.size for p in network.populations)
    most = max(1, int(most_work / max(1, work * n_steps)))
    if most == 1 and len(samples):
        return samples[len(samples) // 2 : len(samples) // 2 + 1]
    return samples[np.unique(np.linspace(0, len(samples) - 1, min(most, len(samples))).astype(np.int64))]


def compare_image(
    network: Network,
    quantised: QuantisedNetwork,
    image: Image,
    inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    labels: IntArray | None = None,
    decision: Decision | None = None,
    limits: AgreementLimits | None = None,
    classifies: bool = False,
    converted: SourceReference | None = None,
    drawn: bool = False,
    n_given: int | None = None,
    n_clamped: int | None = None,
    held_back: bool = False,
) -> Comparison:
    """Compare the image with the network as it was read, populations, states and outputs, each lag taken away.

    A network of the chip's own integers is run in these, as it is wired; any other in float64.

    Args:
        network: as the frontend read it (with loops stretched, where that was asked for).
        quantised: what the image was packed from: its slots, lags and scales.
        image: decoded from the bitstream.
        inputs: spike counts by input port, ``(n_samples, n_steps, size)``; counts above a channel's limit are clamped by the
            chip and counted.
        labels: ``(n_samples,)`` classes.
        decision: how classes are read; None measures every usual way.
        classifies: whether the user says that outputs are classes; labels say so too.
        limits: for the findings.
        converted: outputs of the network that the model was converted from, at its one output port.
        drawn: whether the inputs were drawn.
        n_given: samples of which these were chosen.
        n_clamped: counts of all of those above a channel's limit.
        held_back: whether the quantiser has not seen them.

    Raises:
        InputError: rasters that do not suit the network.
    """
    mapped = quantised.mapped
    rasters = read_rasters(network.inputs, inputs)
    n_samples, n_steps = next(iter(rasters.values())).shape[:2]
    outputs = network.output_populations
    populations = {p.name: _PopulationCount(p, p.name in outputs) for p in network.populations}
    ports = [_PortCount(port, network) for port in network.outputs]
    lag, n_neurons = max(mapped.lags.values(), default=0), max(1, mapped.hidden.size + mapped.outputs.size)
    chunk = max(1, _MOST_VALUES // ((n_steps + lag) * n_neurons))
    for start in range(0, n_samples, chunk):
        part = {name: raster[start : start + chunk] for name, raster in rasters.items()}
        model, run = _run_both(network, quantised, image, part, list(populations))
        chip = _ChipRun(quantised, run, n_steps)
        for name, count in populations.items():
            count.add(model, chip.counts(name), chip.saturated(name))
        for port in ports:
            port.add(model, chip)
    most = mapped.chip.inputs.max_count
    return Comparison(
        drawn=drawn,
        n_given=n_samples if n_given is None else n_given,
        held_back=held_back,
        n_samples=n_samples,
        n_steps=n_steps,
        input_spikes=int(sum(raster.sum() for raster in rasters.values())),
        is_constant=len({value for r in rasters.values() if r.size for value in (int(r.min()), int(r.max()))}) <= 1,
        clamped=sum(int((raster > most).sum()) for raster in rasters.values()) if n_clamped is None else n_clamped,
        populations=tuple(count.finish() for count in populations.values()),
        ports=tuple(port.finish(labels, decision, drawn) for port in ports),
        limits=limits or AgreementLimits(),
        framework=network.provenance.get("framework", ""),
        otherwise=network.provenance.get(OTHERWISE, ""),
        converted=None if converted is None else compare_source(converted, np.concatenate(ports[0].found, axis=1)[LAST]),
        integers=network.integers,
        classifies=classifies or labels is not None,
    )


def _run_both(
    network: Network, quantised: QuantisedNetwork, image: Image, inputs: Mapping[str, IntArray], names: list[str]
) -> tuple[Recording, Recording]:
    """Run the model and the image, side by side where a single sample of a large network would keep one core busy."""
    raster, lag = join_rasters(network.inputs, inputs), max(quantised.mapped.lags.values(), default=0)
    padded, both = np.pad(raster, ((0, 0), (0, lag), (0, 0))), ("hidden", "outputs")
    runs: list[Callable[[], Recording]] = [
        lambda: _run_model(network, quantised, inputs, names),
        lambda: simulate_image(image, padded, counts_of=both, states_of=both, engine="auto", clamp=True),
    ]
    n_threads = min(2, count_cores()) if len(raster) == 1 else 1
    model, chip = run_parts(runs, n_threads=n_threads)
    return model, chip


def _run_model(network: Network, quantised: QuantisedNetwork, inputs: Mapping[str, IntArray], names: list[str]) -> Recording:
    if network.integers:
        aligned = network.provenance.get("starts") != "with its input"
        return simulate_quantised(quantised, inputs, counts_of=names, states_of=names, aligned=aligned)
    return simulate_network(network, inputs, counts_of=names, states_of=names)


def count_spikes(mapped: MappedNetwork, image: Image, raster: IntArray, names: Sequence[str]) -> dict[str, int]:
    """Count the spikes of populations in a run of the image, in the steps of the raster, each lag taken away.

    Args:
        mapped: what the image is of.
        image: to run.
        raster: ``(n_samples, n_steps, n_inputs)``; counts above a channel's limit are clamped.
        names: of the populations.
    """
    lag = max(mapped.lags.values(), default=0)
    padded = np.pad(raster, ((0, 0), (0, lag), (0, 0)))
    run = simulate_image(image, padded, counts_of=("hidden", "outputs"), engine="auto", clamp=True)
    return {name: int(folded_counts(run, mapped, name)[:, : raster.shape[1]].sum()) for name in names}


class _ChipRun:
    """A run of the image, seen population by population."""

    def __init__(self, quantised: QuantisedNetwork, run: Recording, n_steps: int) -> None:
        self.quantised, self.mapped, self.run, self.n_steps = quantised, quantised.mapped, run, n_steps
        self.at_limit = {area: _find_saturated(quantised, run, area) for area in ("hidden", "outputs")}

    def counts(self, name: str) -> IntArray:
        return folded_counts(self.run, self.mapped, name)[:, : self.n_steps]

    def saturated(self, name: str) -> BoolArray:
        area, slots = self.mapped.table.locate(name)
        lag = self.mapped.lags[name]
        return np.asarray(self.at_limit[area][:, lag : lag + self.n_steps, slots], np.bool_)

    def values(self, port: OutputPort) -> FloatArray:
        return read_port(self.quantised, self.run, port)[:, : self.n_steps]


def read_port(quantised: QuantisedNetwork, run: Recording, port: OutputPort) -> FloatArray:
    """Read an output port from a run of the image, its lag taken away.

    Args:
        quantised: what the image was packed from.
        run: with counts, and states of the outputs.
        port: of the network.

    Returns:
        ``(n_samples, n_steps - lag, n)``: spike counts, or potentials or currents in the model's units.
    """
    mapped, parts = quantised.mapped, []
    for name in port.populations:
        if port.readout == "spikes":
            parts.append(folded_counts(run, mapped, name).astype(np.float64))
            continue
        read = folded_potentials if port.readout == "potential" else folded_currents
        parts.append(read(run, mapped, name) / quantised.readout_scale(port.readout)[mapped.table.output_slots(name)])
    return np.concatenate(parts, axis=2)


def _find_saturated(quantised: QuantisedNetwork, run: Recording, area: str) -> BoolArray:
    """Say which neurons' states are at the chip's limits, ``(n_samples, n_steps, n)``.

    A current that saturated may have decayed since; a potential has lost its spikes. A potential at its lowest has lost
    inhibition, which brings spikes too many; where its neuron does not fire any more, it brought none.
    """
    program = quantised.program
    codes = program.hidden if area == "hidden" else program.outputs
    family, bits, top = program.chip.family, program.chip.bits.state, program.chip.bits.state_max
    potentials = family.find_reached(np.asarray(run.potentials[area], np.int64), run.counts[area], codes.threshold)
    later = np.flip(np.maximum.accumulate(np.flip(run.counts[area] > 0, axis=1), axis=1), axis=1)
    never = codes.threshold >= program.chip.bits.threshold_max  # read by the potential itself
    found = np.asarray((potentials >= top) | ((run.potentials[area] <= -top) & (later | never)), np.bool_)
    for synapse, dashes in enumerate(codes.dash_syn):
        known, which = np.unique(dashes, return_inverse=True)
        highest, lowest = np.array([family.current_limits(dash, bits) for dash in known.tolist()]).reshape(-1, 2)[which].T
        currents = run.currents[area][:, :, synapse]
        found |= (currents >= highest) | (currents <= lowest)
    return found


class _PopulationCount:
    """Sums over samples of what one population does on both sides."""

    def __init__(self, population: Population, is_output: bool) -> None:
        self.population, self.is_output = population, is_output
        self.sums = dict.fromkeys(("model", "chip", "active", "differing", "beyond", "excess", "saturated", "pairs"), 0)
        self.spikes = np.zeros((2, population.size), np.int64)
        self.rates: list[float] = []

    def add(self, model: Recording, chip: IntArray, saturated: BoolArray) -> None:
        name, threshold = self.population.name, self.population.threshold
        counts, potentials = model.counts[name], model.potentials[name]
        most = self.population.max_count
        subtracts = self.population.reset == "subtract"
        found = {
            "model": counts.sum(),
            "chip": chip.sum(),
            "active": ((counts > 0) | (chip > 0)).sum(),
            "differing": (counts != chip).sum(),
            "beyond": ((counts == most) & (most > 0) & (potentials >= threshold)).sum() if subtracts else 0,
            "excess": np.maximum(chip - most, 0).sum(),
            "saturated": saturated.sum(),
            "pairs": counts.size,
        }
        for key, value in found.items():
            self.sums[key] += int(value)
        in_model, on_chip = counts.sum(axis=(1, 2)), chip.sum(axis=(1, 2))
        enough = in_model >= _ENOUGH
        self.rates += (on_chip[enough] / in_model[enough]).tolist()
        self.spikes += np.stack([counts.sum(axis=(0, 1)), chip.sum(axis=(0, 1))])

    def finish(self) -> PopulationComparison:
        sums, (in_model, on_chip) = self.sums, self.spikes
        return PopulationComparison(
            name=self.population.name,
            source=self.population.source,
            size=self.population.size,
            fires=bool(np.isfinite(self.population.threshold).any()),
            is_output=self.is_output,
            model_spikes=sums["model"],
            chip_spikes=sums["chip"],
            active=sums["active"],
            differing=sums["differing"],
            died=int(((in_model >= _SEVERAL) & (on_chip == 0)).sum()),
            woke=int(((on_chip >= _SEVERAL) & (in_model == 0)).sum()),
            firing=int((in_model >= _SEVERAL).sum()),
            max_count=int(self.population.max_count.min()) if self.population.size else 0,
            beyond=sums["beyond"],
            excess=sums["excess"],
            saturated=sums["saturated"],
            pairs=sums["pairs"],
            lowest_rate=min(self.rates, default=1.0),
            highest_rate=max(self.rates, default=1.0),
        )


class _PortCount:
    """What one output port gives on both sides."""

    def __init__(self, port: OutputPort, network: Network) -> None:
        self.port, self.error = port, SpreadError()
        self.never = {name: np.isposinf(network.population(name).threshold) for name in port.populations}
        self.spikes = self.saturated = 0
        self.wanted: list[FloatArray] = []
        self.found: list[FloatArray] = []

    def add(self, model: Recording, chip: _ChipRun) -> None:
        names, readout = self.port.populations, self.port.readout
        wanted = np.concatenate([_model_values(model, name, readout) for name in names], axis=2)
        found = chip.values(self.port)
        if readout == "spikes":
            self.error.add(wanted.sum(axis=1), found.sum(axis=1))
        else:
            self.error.add(wanted, found)
            self.spikes += sum(int(chip.counts(name)[:, :, self.never[name]].sum()) for name in names)
            self.saturated += sum(int(chip.saturated(name)[:, :, self.never[name]].sum()) for name in names)
        self.wanted.append(summarise_course(wanted))
        self.found.append(summarise_course(found))

    def finish(self, labels: IntArray | None, decision: Decision | None, drawn: bool) -> PortComparison:
        wanted, found = np.concatenate(self.wanted, axis=1), np.concatenate(self.found, axis=1)
        return PortComparison(
            name=self.port.name,
            readout=self.port.readout,
            size=wanted.shape[2],
            error=self.error.finish(),
            worst_error=self.error.finish_worst(),
            spikes=self.spikes,
            saturated=self.saturated,
            agreements=compare_decisions(self.port.readout, wanted, found, labels, decision, drawn=drawn),
        )


def _model_values(model: Recording, name: str, readout: Readout) -> FloatArray:
    """Return what is read of a population of the model, ``(n_samples, n_steps, size)``."""
    if readout == "current":
        return np.asarray(model.currents[name].sum(axis=2), np.float64)
    return np.asarray(model.counts[name] if readout == "spikes" else model.potentials[name], np.float64)

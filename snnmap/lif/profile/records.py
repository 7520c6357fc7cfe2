"""What a run costs on the chip, as data: counts, cycles and energy, by population, memory and step."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from snnmap.chip import Chip, MemoryKind
from snnmap.core import FloatArray, IntArray, record
from snnmap.core.nouns import count_samples

__all__ = ["ACTIONS", "POPULATION_COLUMNS", "Action", "ChipProfile", "Cycles", "PopulationCost", "StepCosts"]

Action = Literal["weight bits read", "state bits read", "state bits written", "additions"]
ACTIONS: Mapping[Action, str] = {
    "weight bits read": "weight_bit_read_pj",
    "state bits read": "state_bit_read_pj",
    "state bits written": "state_bit_write_pj",
    "additions": "add_pj",
}
"""What is counted, and the field of :class:`snnmap.chip.Prices` that prices it."""
_WEIGHT_READS: Action = "weight bits read"
"""Priced by memory, each by its size."""

POPULATION_COLUMNS = (
    "population", "neurons#", "spikes#", "synaptic operations#",
    "words read#", "state words written#", "updates#", "energy (nJ)#",
)  # fmt: skip
"""Heads of the table of populations, for :meth:`ChipProfile.to_plain`'s rows."""


@record
class PopulationCost:
    """What one population costs in a run, summed over samples and steps; what arrives at it is counted, not what it sends.

    Attributes:
        name: of the population, as the user gave it; its relays have a line of their own.
        n_neurons: chip neurons.
        spikes: that it sent.
        synaptic_operations: weights added to its currents, one a spike and stored synapse.
        words_read: weight words read for it.
        words_written: state words written for it, as many as are read; weights are not written while a chip runs.
        updates: neuron updates, one a neuron and step.
        actions: how often each priced action happened.
        weight_bits: bits of the weight words read, by memory.
    """

    name: str
    n_neurons: int
    spikes: int
    synaptic_operations: int
    words_read: int
    words_written: int
    updates: int
    actions: Mapping[Action, int]
    weight_bits: Mapping[str, int]


@record
class Cycles:
    """Clock cycles of a step by one model.

    Attributes:
        model: ``average`` or ``walker``, see :class:`snnmap.chip.Costs`.
        source: where its figures come from.
        mean: over samples and steps.
        least: of a step; the mean where the model knows no steps.
        most: likewise.
        worst: of a step in which all channels and neurons send all they can.
    """

    model: Literal["average", "walker"]
    source: str
    mean: float
    least: float
    most: float
    worst: float


@record
class StepCosts:
    """What each step cost, ``(n_steps,)``, summed over samples: of which a step is the heaviest.

    Attributes:
        input_spikes: that entered.
        hidden_spikes: that hidden neurons sent.
        output_spikes: that outputs sent.
        synaptic_operations: weights added to currents.
        words_read: weight words read.
        weight_bits: in them, by memory, ``(3, n_steps)``.
        cycles: by the model of each step; empty where the record has none.
    """

    input_spikes: IntArray
    hidden_spikes: IntArray
    output_spikes: IntArray
    synaptic_operations: IntArray
    words_read: IntArray
    weight_bits: IntArray
    cycles: IntArray


@record
class ChipProfile:
    """What a run cost, or would cost with each price that is known.

    Attributes:
        chip: the record that figures come from.
        n_samples: samples.
        n_steps: steps a sample, those of the latency included.
        dt_s: length of a step in seconds, 0 where unknown.
        input_spikes: spikes that entered.
        populations: a line each.
        words_read: weight words read, by memory.
        cycles: of a step, by each model that the record has figures for.
        steps: a line a step of the samples.
    """

    chip: Chip
    n_samples: int
    n_steps: int
    dt_s: float
    input_spikes: int
    populations: tuple[PopulationCost, ...]
    words_read: Mapping[str, int]
    cycles: tuple[Cycles, ...]
    steps: StepCosts

    @property
    def actions(self) -> dict[Action, int]:
        """How often each priced action happened."""
        return {action: sum(p.actions[action] for p in self.populations) for action in ACTIONS}

    def energy_pj(self, population: PopulationCost | None = None) -> dict[Action, float | None]:
        """Return the energy of all actions, or of those for one population, in picojoules; None where it is unknown."""
        counted = [population] if population is not None else list(self.populations)
        found: dict[Action, float | None] = {}
        for action, name in ACTIONS.items():
            price = self.chip.find_price(name)
            found[action] = None if price is None else price * sum(p.actions[action] for p in counted)
        if found[_WEIGHT_READS] is not None:
            bits = {kind: sum(p.weight_bits[kind.weights_name] for p in counted) for kind in MemoryKind}
            found[_WEIGHT_READS] = float(sum(_price_reads(self.chip, kind) * count for kind, count in bits.items()))
        return found

    @property
    def joules_a_sample(self) -> float | None:
        """Energy of a sample's actions, without what the chip takes at rest; None where a price is unknown."""
        energies = list(self.energy_pj().values())
        known = [energy for energy in energies if energy is not None]
        return 1e-12 * sum(known) / max(1, self.n_samples) if len(known) == len(energies) else None

    @property
    def unknown_prices(self) -> tuple[str, ...]:
        """Fields of the record's ``costs.prices`` that would have to be known."""
        return tuple(f"costs.prices.{ACTIONS[action]}" for action, energy in self.energy_pj().items() if energy is None)

    def to_plain(self) -> dict[str, Any]:
        """Return the profile as JSON values, a sample's costs; what is unknown is null."""
        n = max(1, self.n_samples)
        return {
            "chip": self.chip.name,
            "n_samples": self.n_samples,
            "n_steps": self.n_steps,
            "input_spikes": self.input_spikes / n,
            "populations": [self._describe(population) for population in self.populations],
            "words_read": {name: words / n for name, words in self.words_read.items()},
            "cycles": [
                {
                    **{field: getattr(c, field) for field in ("model", "least", "mean", "most", "worst", "source")},
                    "a_sample": c.mean * self.n_steps,
                    "seconds_a_sample": self.seconds_a_sample(c),
                    "clock_for_real_time_hz": self.clock_for_real_time(c),
                }
                for c in self.cycles
            ],
            "words_written": sum(p.words_written for p in self.populations) / n,
            "steps": self.to_steps(),
            "actions": {action: count / n for action, count in self.actions.items()},
            "energy_pj": {action: None if pj is None else pj / n for action, pj in self.energy_pj().items()},
            "joules": self.joules_a_sample,
            "unknown_prices": list(self.unknown_prices),
        }

    def to_steps(self) -> list[dict[str, float | None]]:
        """Return a row a step: what it costs, the mean of the samples; what is unknown is None."""
        n, steps = max(1, self.n_samples), self.steps
        energies = self._price_steps()
        return [
            {
                "step": step,
                **{
                    name: float(getattr(steps, name)[step]) / n
                    for name in ("input_spikes", "hidden_spikes", "output_spikes", "synaptic_operations", "words_read")
                },
                "cycles": float(steps.cycles[step]) / n if steps.cycles.size else None,
                "energy_nj": None if energies is None else float(energies[step]) / n / 1e3,
            }
            for step in range(self.n_steps)
        ]

    def _price_steps(self) -> FloatArray | None:
        """Return the energy of each step in picojoules; neurons are updated in all of them alike."""
        total, steps = self.energy_pj(), self.steps
        known = [energy for energy in total.values() if energy is not None]
        if len(known) < len(total):
            return None
        prices = {action: self.chip.find_price(name) or 0.0 for action, name in ACTIONS.items()}
        states = self.chip.bits.state * (prices["state bits read"] + prices["state bits written"])
        reads = sum(_price_reads(self.chip, kind) * bits for kind, bits in zip(MemoryKind, steps.weight_bits, strict=True))
        varying = reads + states * steps.words_read + prices["additions"] * steps.synaptic_operations
        return np.asarray(varying + (sum(known) - varying.sum()) / max(1, self.n_steps), np.float64)

    def _describe(self, population: PopulationCost) -> dict[str, Any]:
        n, energies = max(1, self.n_samples), list(self.energy_pj(population).values())
        known = [energy for energy in energies if energy is not None]
        return {
            "population": population.name,
            "neurons": population.n_neurons,
            "spikes": round(population.spikes / n, 2),
            "synaptic_operations": round(population.synaptic_operations / n, 2),
            "words_read": round(population.words_read / n, 2),
            "words_written": round(population.words_written / n, 2),
            "updates": round(population.updates / n, 2),
            "energy_nj": round(sum(known) / n / 1e3, 3) if len(known) == len(energies) else "unknown",
        }

    def _repr_html_(self) -> str:
        from snnmap.core.html import heading, make_table, to_html

        plain = self.to_plain()
        rows = [tuple(row.values()) for row in plain["populations"]]
        cycles = [(c["model"], c["least"], round(c["mean"], 1), c["most"], c["worst"]) for c in plain["cycles"]]
        return to_html(
            heading(f"{count_samples(self.n_samples, self.n_steps)} on {self.chip.name}, a sample"),
            make_table(POPULATION_COLUMNS, rows),
            make_table(("cycles a step", "least#", "mean#", "most#", "worst#"), cycles),
        )

    def seconds_a_sample(self, cycles: Cycles) -> float | None:
        """Return how long a sample takes at the record's clock; None where that is unknown."""
        clock_hz = self.chip.costs.clock_hz
        return None if clock_hz is None else cycles.mean * self.n_steps / clock_hz

    def clock_for_real_time(self, cycles: Cycles) -> float | None:
        """Return the clock in Hz at which the worst step takes no longer than a step; None where the model has no ``dt``."""
        return cycles.worst / self.dt_s if self.dt_s > 0 else None


def _price_reads(chip: Chip, kind: MemoryKind) -> float:
    return chip.find_price(ACTIONS[_WEIGHT_READS], kind) or 0.0

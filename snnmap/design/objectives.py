"""What a candidate is judged by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from snnmap.chip import Chip, MemoryKind
from snnmap.lif.profile import ACTIONS, ChipProfile
from snnmap.lif.program import MappedNetwork

__all__ = ["OBJECTIVES", "Objective", "Shape", "measure_run", "measure_shape"]


class Shape(NamedTuple):
    """What is known of a candidate before it is trained."""

    mapped: MappedNetwork
    n_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A figure of a candidate.

    Attributes:
        name: of it, units in it.
        better: in which direction.
        text: what it is.
        of_shape: measures it before training; None where that takes a run.
        of_run: measures it on the validation data; None where it is known before, or of the decisions.
        find_unknown: names fields of a chip's record without which it cannot be measured.
    """

    name: str
    better: Literal["higher", "lower"]
    text: str
    of_shape: Callable[[Shape], float] | None = None
    of_run: Callable[[ChipProfile], float | None] | None = None
    find_unknown: Callable[[Chip], tuple[str, ...]] = lambda _: ()

    def excess(self, value: float, limit: float) -> float:
        """Return by how much a value breaks a limit; 0 or less where it does not."""
        return limit - value if self.better == "higher" else value - limit


def _count_weights(shape: Shape) -> float:
    return float(sum(matrix.nnz for kind in MemoryKind for matrix in shape.mapped.weights(kind)))


def _list_missing_prices(chip: Chip) -> tuple[str, ...]:
    return tuple(f"costs.prices.{name}" for name in ACTIONS.values() if chip.find_price(name) is None)


def _list_missing_cycles(chip: Chip) -> tuple[str, ...]:
    return () if chip.costs.walker or chip.costs.average else ("costs.walker", "costs.average")


def _count_cycles(profile: ChipProfile) -> float | None:
    """Return the cycles of a sample: those of each step where the record has such a model."""
    models = sorted(profile.cycles, key=lambda cycles: cycles.model != "walker")
    return models[0].mean * profile.n_steps if models else None


def _a_sample(profile: ChipProfile, total: int) -> float:
    return total / max(1, profile.n_samples)


OBJECTIVES: Mapping[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective(
            name="accuracy",
            better="higher",
            text="share of the validation samples that the bitstream decides as labelled",
        ),
        Objective(
            name="synaptic_operations",
            better="lower",
            text="weights added to currents, a sample",
            of_run=lambda profile: _a_sample(profile, sum(p.synaptic_operations for p in profile.populations)),
        ),
        Objective(
            name="energy_j",
            better="lower",
            text="joules of a sample's actions, by the prices of the chip's record",
            of_run=lambda profile: profile.joules_a_sample,
            find_unknown=_list_missing_prices,
        ),
        Objective(
            name="cycles",
            better="lower",
            text="clock cycles of a sample, by the chip's model of each step, else by that of average activity",
            of_run=_count_cycles,
            find_unknown=_list_missing_cycles,
        ),
        Objective(
            name="words_read",
            better="lower",
            text="weight words read, a sample",
            of_run=lambda profile: _a_sample(profile, sum(profile.words_read.values())),
        ),
        Objective(
            name="latency_steps",
            better="lower",
            text="steps from the start of a sample to its decision: its own, and those by which outputs lag",
            of_shape=lambda shape: float(shape.n_steps + shape.mapped.latency_steps),
        ),
        Objective(
            name="neurons",
            better="lower",
            text="hidden and output neurons of the chip in use, relays included",
            of_shape=lambda shape: float(shape.mapped.hidden.size + shape.mapped.outputs.size),
        ),
        Objective(name="weights", better="lower", text="weights stored", of_shape=_count_weights),
    )
}
"""By name, what a space may name among its objectives and limits."""


def measure_shape(shape: Shape) -> dict[str, float]:
    """Measure all that is known before training."""
    return {name: objective.of_shape(shape) for name, objective in OBJECTIVES.items() if objective.of_shape is not None}


def measure_run(profile: ChipProfile) -> dict[str, float]:
    """Measure all that a run shows, as far as the chip's record knows what it takes."""
    found = {name: objective.of_run(profile) for name, objective in OBJECTIVES.items() if objective.of_run is not None}
    return {name: value for name, value in found.items() if value is not None}

"""What the bitstream did beside what the user's model did, on the same inputs."""

import math
from dataclasses import asdict, fields
from typing import Any, ClassVar, Literal

from snnmap.chip import Readout
from snnmap.core.errors import InputError
from snnmap.core.nouns import count_samples
from snnmap.core.record import record

__all__ = [
    "Agreement",
    "AgreementLimits",
    "Comparison",
    "Decision",
    "PopulationComparison",
    "PortComparison",
    "SilentInputs",
    "SourceOutputs",
]

Decision = Literal["count", "last", "mean", "max"]
"""How a class is read from an output's course: most spikes, or the highest last, mean or largest value."""


@record
class AgreementLimits:
    """How far a bitstream may be from the model before it is a finding.

    Attributes:
        rate_low: least spikes of a population on the chip, as a share of the model's.
        rate_high: most spikes of a population on the chip, as a share of the model's.
        excess_share: spikes in a step beyond what the model's neurons send, as a share of the population's.
        decisions: least share of samples decided as the model does.
        readout_error: largest error of a readout's values, as a share of their spread in the model.
        saturated_share: steps of a neuron in which a state is at the chip's limit, as a share of all.
        died_share: neurons that fire in the model and never on the chip, as a share of those that fire.
        conversion_error: largest error of a converted network's outputs, as a share of the spread of the source's.
        otherwise_share: potentials beyond a further threshold of neurons that were read otherwise, as a share of active pairs.

    Raises:
        InputError: a limit that is out of its range.
    """

    rate_low: float = 0.8
    rate_high: float = 1.25
    excess_share: float = 1e-3
    decisions: float = 0.95
    readout_error: float = 0.3
    saturated_share: float = 0.02
    died_share: float = 0.1
    conversion_error: float = 0.3
    otherwise_share: float = 0.05

    def __post_init__(self) -> None:
        for field in fields(self):
            value, name = getattr(self, field.name), field.name
            highest = math.inf if name in ("rate_high", "readout_error", "conversion_error") else 1.0
            lowest = 1.0 if name == "rate_high" else 0.0
            holds = isinstance(value, int | float) and lowest <= value <= highest
            InputError.require_option(self, name, holds, f"{lowest:g}..{highest:g}", of="the agreement")


@record
class PopulationComparison:
    """One population's spike counts, chip beside model, the lag taken away.

    Attributes:
        name: of the population.
        source: path of the module in the user's model.
        size: neurons.
        fires: whether its neurons can fire at all; readouts of potentials cannot.
        is_output: whether it is read by a port.
        model_spikes: spikes of the model.
        chip_spikes: spikes of the chip.
        active: pairs of neuron and step with a spike on either side.
        differing: those whose counts differ.
        died: neurons that fire several times in the model and never on the chip.
        woke: neurons that fire several times on the chip and never in the model.
        firing: neurons that fire several times in the model.
        max_count: the most spikes that a neuron of the model sends a step (of those that differ in it, the least).
        beyond: pairs in which the model's potential stayed above a further threshold, so that the chip would send more.
        excess: spikes of the chip beyond ``max_count``.
        saturated: pairs in which a state of the chip is at its limit.
        pairs: neurons times samples times steps.
        lowest_rate: least spikes of the chip over the model's in one sample, of those with enough spikes to tell; 1 without.
        highest_rate: most.
    """

    name: str
    source: str
    size: int
    fires: bool
    is_output: bool
    model_spikes: int
    chip_spikes: int
    active: int
    differing: int
    died: int
    woke: int
    firing: int
    max_count: int
    beyond: int
    excess: int
    saturated: int
    pairs: int
    lowest_rate: float
    highest_rate: float

    @property
    def rate(self) -> float:
        """Spikes of the chip over spikes of the model; 1 where neither has any."""
        if not self.model_spikes:
            return float("inf") if self.chip_spikes else 1.0
        return self.chip_spikes / self.model_spikes


@record
class Agreement:
    """Classes read in one way, chip beside model.

    Attributes:
        decision: how they are read.
        agreeing: samples in which the chip's class is the model's (or among those that the model cannot tell apart).
        undecided: samples in which all of the model's outputs are equal.
        tied: samples in which several of the model's outputs are highest; any of these agrees.
        model_correct: samples that the model reads as labelled; None without labels.
        chip_correct: likewise for the chip.
    """

    decision: Decision
    agreeing: int
    undecided: int
    tied: int = 0
    model_correct: int | None = None
    chip_correct: int | None = None


@record
class PortComparison:
    """One output port, chip beside model.

    Attributes:
        name: of the port.
        readout: what is read.
        size: outputs.
        error: root mean square of (chip - model) over the standard deviation of the model's values; of spike counts: sums.
        worst_error: the same of the one output that is furthest off.
        spikes: spikes on the chip of neurons that never fire in the model; they reset what is read.
        saturated: values of such neurons at the limit of the chip's state.
        agreements: of classes, a line for each way of reading; none where the port has one output.
    """

    name: str
    readout: Readout
    size: int
    error: float
    worst_error: float
    spikes: int
    saturated: int
    agreements: tuple[Agreement, ...]


@record
class SourceOutputs:
    """A converted network's bitstream beside the network that it was converted from.

    Attributes:
        what: that network, in words.
        error: root mean square of (bitstream - source) over the standard deviation of the source's outputs.
        agreeing: samples of which the class is the same.
        n_samples: samples compared.
    """

    what: str
    error: float
    agreeing: int
    n_samples: int


@record
class SilentInputs:
    """Channels of an input port that never come in the calibration data, and what keeping their weights costs the others.

    Attributes:
        port: its name.
        channels: of the port, by which the others are coarser by more than :attr:`LIMIT`; the one by which most, where none is.
        n_neurons: hidden neurons at which they are.
        coarser: largest weight of these channels over the largest other one onto a neuron, of the neuron where that is most.
    """

    port: str
    channels: tuple[int, ...]
    n_neurons: int
    coarser: float

    LIMIT: ClassVar[float] = 4.0
    """Two of the weights' bits."""


@record
class Comparison:
    """The image, decoded from the bytes, beside the network as the frontend read it.

    Attributes:
        drawn: whether the inputs were drawn, for want of calibration data.
        n_given: samples of the calibration data (or drawn).
        n_samples: samples compared: all, or as many, evenly chosen, as the bound on the work allows.
        n_steps: of a sample.
        held_back: whether the quantiser has not seen the samples that are compared.
        input_spikes: spikes that entered.
        is_constant: whether every input count was the same.
        clamped: input counts above what a channel of the chip carries.
        populations: a line each.
        ports: a line each.
        limits: beyond which there is a finding.
        otherwise: a choice of the user's by which the network is not the model beyond two thresholds; empty without one.
        framework: that the model is of, in whose words fixes are told.
        converted: beside the network that was converted; None where the model spikes itself.
        integers: whether the network is of the chip's own integers, of which every count should be the same.
        classifies: whether the user says that outputs are classes, by labels or by how they are read.
        silent_inputs: channels that never come in the calibration data and whose weights are the largest onto some neurons.
    """

    drawn: bool
    n_given: int
    n_samples: int
    n_steps: int
    input_spikes: int
    is_constant: bool
    clamped: int
    populations: tuple[PopulationComparison, ...]
    ports: tuple[PortComparison, ...]
    limits: AgreementLimits
    framework: str
    held_back: bool = False
    otherwise: str = ""
    converted: SourceOutputs | None = None
    integers: bool = False
    classifies: bool = False
    silent_inputs: tuple[SilentInputs, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether nothing was rounded, or nothing that was rounded made a difference."""
        return self.integers or not (any(p.differing for p in self.populations) or any(port.error for port in self.ports))

    @property
    def inputs(self) -> str:
        """Say what it was measured on."""
        kind = "drawn inputs" if self.drawn else "the calibration data"
        part = f"{self.n_samples} of " if self.n_samples < self.n_given else ""
        return f"{kind}, {part}{count_samples(max(self.n_samples, self.n_given), self.n_steps)}"

    def __str__(self) -> str:
        """Say it in five lines."""
        lines = [
            f"bitstream against the model, on {self.inputs}{self._describe_fit()}:",
            *self._describe_spikes(),
            self._describe_states(),
        ]
        return "\n  ".join([*lines, *map(self._describe_port, self.ports), *self._describe_source()])

    def _describe_fit(self) -> str:
        if self.drawn or self.integers:
            return ""
        return ", which the quantiser has not seen" if self.held_back else ", on which it was quantised too"

    def _describe_spikes(self) -> list[str]:
        fires = [p for p in self.populations if p.fires]
        if not fires:
            return ["spikes: no population fires"]
        worst = max(fires, key=lambda p: abs(math.log((p.chip_spikes + 0.5) / (p.model_spikes + 0.5))))
        chip, model = sum(p.chip_spikes for p in fires), sum(p.model_spikes for p in fires)
        differing, active = sum(p.differing for p in fires), sum(p.active for p in fires)
        silent = sum(not p.model_spikes for p in fires)
        return [
            f"spikes: {chip} of chip, {model} of model; by population {min(p.rate for p in fires):.2f} to"
            f" {max(p.rate for p in fires):.2f} times the model's, furthest '{worst.name}' {worst.rate:.2f}"
            + (f"; {silent} of {len(fires)} populations never fire in the model" if silent else ""),
            f"counts: {differing / max(1, active):.1%} of the active pairs differ; {sum(p.died for p in fires)} of"
            f" {sum(p.firing for p in fires)} neurons died; {sum(p.excess for p in fires)} spikes beyond the model's most a step",
        ]

    def _describe_states(self) -> str:
        saturated, pairs = sum(p.saturated for p in self.populations), sum(p.pairs for p in self.populations)
        return f"states: {saturated / max(1, pairs):.2%} at the chip's limit; {self.clamped} input counts clamped"

    def _describe_port(self, port: PortComparison) -> str:
        worst = f" ({port.worst_error:.1%} of the worst output)" if port.size > 1 else ""
        parts = [f"output '{port.name}', {port.readout}: error {port.error:.1%} of the spread{worst}"]
        for a in port.agreements:
            text = f"{a.decision}: same class in {a.agreeing / max(1, self.n_samples):.1%}"
            text += f", {a.tied} tied in the model" if a.tied else ""
            if a.model_correct is not None and a.chip_correct is not None:
                text += f" (right: model {a.model_correct / self.n_samples:.1%}, chip {a.chip_correct / self.n_samples:.1%})"
            parts.append(text)
        lost = f"; {port.spikes} spikes, {port.saturated} values at the limit" if port.spikes or port.saturated else ""
        return "; ".join(parts) + lost

    def _describe_source(self) -> list[str]:
        if self.converted is None:
            return []
        c = self.converted
        same = c.agreeing / max(1, c.n_samples)
        return [f"against the network that was converted: error {c.error:.1%} of the spread; same class in {same:.1%}"]

    def to_plain(self) -> dict[str, Any]:
        """Return the comparison as JSON values; what is infinite is null."""
        plain: dict[str, Any] = _to_finite({"inputs": self.inputs, **asdict(self)})
        return plain


def _to_finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_to_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

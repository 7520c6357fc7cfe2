"""What a model needs of chips: a row a chip, as numbers and as a table."""

from collections.abc import Iterable, Mapping
from typing import Any

from snnmap.core.diagnostics import Diagnostic
from snnmap.core.record import record
from snnmap.lif.profile import ChipProfile, Cycles
from snnmap.lif.program import Comparison, Occupancy

__all__ = [
    "ChipFit",
    "Fit",
    "tell_broken",
]


@record
class ChipFit:
    """A model on one chip.

    Attributes:
        chip: name; in a sweep with what was changed.
        problem: why there is no such chip, empty where there is.
        broken: violations; none where the model fits.
        occupancy: neurons and weight words, used and available, as far as the model could be folded.
        n_relays: hidden neurons that wait.
        latency_steps: steps by which outputs lag.
        profile: of the runs that bitstream and model were compared on; None where nothing was built.
        comparison: of bitstream and model; where the model was fixed, of bitstream and fixed network.
        fixes: what was changed for this chip, each with what that costs.
    """

    chip: str
    problem: str = ""
    broken: tuple[Diagnostic, ...] = ()
    occupancy: tuple[Occupancy, ...] = ()
    n_relays: int = 0
    latency_steps: int = 0
    profile: ChipProfile | None = None
    comparison: Comparison | None = None
    fixes: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the chip holds the model and does what it does, within the limits of the agreement."""
        return not self.problem and not self.broken

    @property
    def tightest(self) -> Occupancy | None:
        """The resource of which the largest part is used."""
        return max(self.occupancy, key=lambda o: o.share, default=None)

    @property
    def decisions(self) -> float | None:
        """Least share of samples, over ports, that are decided as the model does; None where no classes are read."""
        if self.comparison is None:
            return None
        ports = [max(a.agreeing for a in port.agreements) for port in self.comparison.ports if port.agreements]
        return min(ports) / max(1, self.comparison.n_samples) if ports else None

    @property
    def accuracy(self) -> float | None:
        """Least share of samples, over ports, that the bitstream decides as labelled; None without labels."""
        if self.comparison is None:
            return None
        ports = [[a.chip_correct for a in port.agreements if a.chip_correct is not None] for port in self.comparison.ports]
        return min(max(port) for port in ports if port) / max(1, self.comparison.n_samples) if any(ports) else None

    def to_plain(self) -> dict[str, Any]:
        """Return the fit as JSON values, a number or null a column."""
        profile, tightest = self.profile, self.tightest
        cycles: dict[str, Cycles] = {} if profile is None else {c.model: c for c in profile.cycles}
        return {
            "chip": self.chip,
            "fits": self.fits,
            "broken": self.problem or tell_broken(self.broken),
            "tightest": "" if tightest is None else tightest.block,
            "used": None if tightest is None else tightest.share,
            "relays": self.n_relays,
            "latency_steps": self.latency_steps,
            "walker_cycles_a_sample": _a_sample(profile, cycles, "walker"),
            "average_cycles_a_sample": _a_sample(profile, cycles, "average"),
            "synaptic_operations_a_sample": None
            if profile is None
            else sum(p.synaptic_operations for p in profile.populations) / max(1, profile.n_samples),
            "joules_a_sample": None if profile is None else profile.joules_a_sample,
            "decisions": self.decisions,
            "accuracy": self.accuracy,
            "fixes": list(self.fixes),
            "slack": {o.block: o.capacity - o.used for o in self.occupancy},
        }


def tell_broken(broken: Iterable[Diagnostic]) -> str:
    """Return violations on one line, each with what was measured and its limit."""
    return "; ".join(f"{found.rule} {found.message}, measured {found.measured}, limit {found.limit}" for found in broken)


def _a_sample(profile: ChipProfile | None, cycles: Mapping[str, Cycles], model: str) -> float | None:
    return None if profile is None or model not in cycles else cycles[model].mean * profile.n_steps


@record
class Fit:
    """A model on several chips.

    Attributes:
        model: name of the network.
        rows: a line a chip.
    """

    model: str
    rows: tuple[ChipFit, ...]

    def _repr_html_(self) -> str:
        from snnmap.core.html import heading, make_table, to_html

        return to_html(heading(f"'{self.model}' on {len(self.rows)} chips"), make_table(self.columns, self.to_cells()))

    @property
    def columns(self) -> tuple[str, ...]:
        """Heads of the table, costs a sample; ``#`` marks numbers."""
        return (
            "chip", "fits", "tightest resource", "used#", "relays#", "latency (steps)#",
            "cycles, vendor's#", "cycles, open core#", "synaptic operations#", "energy#", "decisions kept#", "accuracy#",
            "broken",
        )  # fmt: skip

    def to_cells(self) -> list[tuple[str, ...]]:
        """Return the table's rows as text; what is unknown is told as such."""
        return [_to_cells(row) for row in self.rows]


def _to_cells(row: ChipFit) -> tuple[str, ...]:
    plain = row.to_plain()
    walked, vendors = plain["walker_cycles_a_sample"], plain["average_cycles_a_sample"]
    ran = row.profile is not None
    return (
        row.chip,
        "yes" if row.fits else "no",
        plain["tightest"],
        "" if plain["used"] is None else f"{plain['used']:.0%}",
        str(row.n_relays) if row.occupancy else "",
        str(row.latency_steps) if row.occupancy else "",
        _tell(vendors, ran, ",.0f"),
        _tell(walked, ran, ",.0f"),
        _tell(plain["synaptic_operations_a_sample"], ran, ",.0f"),
        _tell(None if plain["joules_a_sample"] is None else 1e9 * plain["joules_a_sample"], ran, ",.1f", " nJ"),
        "" if row.decisions is None else f"{row.decisions:.1%}",
        "" if row.accuracy is None else f"{row.accuracy:.1%}",
        row.problem or "; ".join(f"{d.rule} {d.name}: {d.measured}, limit {d.limit}" for d in _first_of_each(row.broken)),
    )


def _first_of_each(broken: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return the first finding of each rule."""
    return list({d.rule: d for d in reversed(list(broken))}.values())[::-1]


def _tell(value: float | None, ran: bool, form: str, unit: str = "") -> str:
    if value is None:
        return "unknown" if ran else ""
    return f"{value:{form}}{unit}"

"""A model's parts and what they take of a chip, as a table, in the manner of torchinfo."""

import io
from collections import Counter
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from snnmap.chip import Chip, load_chip
from snnmap.core.html import heading, make_table, paragraph, to_html
from snnmap.lif.drc import check_mapped, check_network, find_rule
from snnmap.lif.mapping import fold_network
from snnmap.lif.program import MappedNetwork, Occupancy, measure_occupancy
from snnmap.lif.quantise import match_decays
from snnmap.loading import open_model
from snnmap.network import Network, expand_terms
from snnmap.network.summary import COLUMNS, Part, count_parts, list_parts
from snnmap.report import tables

__all__ = ["ModelSummary", "model_summary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """What a model is made of; printed, and shown in a notebook, as tables.

    Attributes:
        network: as the frontend read it.
        mapped: the network folded for the chip, with its relays; None without a chip, or where it cannot be folded.
        occupancy: what the folded network takes of the chip, against what there is.
        told: what the design rules of the network and of the folded network say, in numbers; empty without a chip.
    """

    network: Network
    mapped: MappedNetwork | None = None
    occupancy: tuple[Occupancy, ...] = ()
    told: str = ""

    def __str__(self) -> str:
        parts = tables.make_table(f"network '{self.network.name}'", self._columns, self._rows)
        whole = [parts, *([tables.occupancy_table(self.occupancy)] if self.occupancy else [])]
        return "\n".join([*map(_print, whole), *self._totals])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        shown = [heading(f"network '{self.network.name}'"), make_table(self._columns, self._rows)]
        if self.occupancy:
            rows = [(o.block, o.used, o.capacity, f"{o.share:.1%}", o.largest_fan_in or "") for o in self.occupancy]
            shown.append(make_table(("occupancy", "used#", "capacity#", "share#", "largest fan-in#"), rows))
        return to_html(*shown, paragraph("\n".join(self._totals)))

    @property
    def _columns(self) -> tuple[str, ...]:
        return (*COLUMNS, "words in") if self.mapped else COLUMNS

    @property
    def _rows(self) -> list[tuple[object, ...]]:
        mapped = self.mapped
        return [(*part.cells, *((self._tell_words(mapped, part),) if mapped else ())) for part in list_parts(self.network)]

    def _tell_words(self, mapped: MappedNetwork, part: Part) -> str:
        """Return the words that a projection takes in each memory, or the relays behind a population."""
        projection = part.projection
        if projection is None:
            relays = {name: n_relays for name, _, _, n_relays, _, _ in mapped.list_places()}.get(part.name, 0)
            return f"{relays} relays" if relays else ""
        routes = {
            (leaf, mapped.route(leaf, projection.post, projection.delay_steps))
            for leaf in expand_terms(self.network, projection.pre)
        }
        memories = Counter(route.memory.weights_name for _, route in routes)
        return ", ".join(f"{name}: {count * projection.weights.nnz}" for name, count in sorted(memories.items()))

    @property
    def _totals(self) -> list[str]:
        mapped = self.mapped
        folded = [f"folded: {mapped.n_relays} relays, latency {mapped.latency_steps} steps"] if mapped else []
        return [count_parts(self.network), *folded, *([self.told] if self.told else [])]


def model_summary(model: object, chip: Chip | str | None = None) -> ModelSummary:
    """Summarise a model: populations and projections, sizes, fan-in and synapses, and what they take of a chip.

    Args:
        model: whatever :func:`snnmap.load` takes.
        chip: a chip record, catalog name or TOML path; the model is folded for it, as in a build, so that relays count.

    Raises:
        FrontendError: the model cannot be read as a network.
        ChipError: unknown or malformed chip.

    Example:
        With the network of the example of :class:`snnmap.Network`:

        >>> summary = model_summary(network, "xylo-audio-3")
        >>> summary.occupancy[1].used, summary.occupancy[1].capacity
        (2, 992)
    """
    network = open_model(model).network
    if chip is None:
        return ModelSummary(network=network)
    record = load_chip(chip)
    report = check_network(network, record)
    where = f"design rules of {record.name}"
    if any((rule := find_rule(found)) is None or rule.stops_folding for found in report.errors):
        return ModelSummary(network=network, told=f"{where}, which cannot be folded: {report.summary}")
    mapped = fold_network(network if report.errors else match_decays(network, record)[0], record)
    told = f"{where}, before quantisation: {report.merge(check_mapped(mapped)).summary}"
    return ModelSummary(network=network, mapped=mapped, occupancy=measure_occupancy(mapped), told=told)


def _print(table: Table) -> str:
    console = Console(file=io.StringIO(), width=160, markup=False, emoji=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined]

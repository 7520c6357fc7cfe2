"""Tables for people: findings, occupancy, lags, quantisation errors, chips."""

from collections.abc import Iterable, Sequence
from typing import Literal

from rich.table import Table

from snnmap.chip import Chip, MemoryKind
from snnmap.lif.program import MappedNetwork, Occupancy, TensorError
from snnmap.lif.quantise import DecayMatch

__all__ = ["chip_table", "decay_table", "error_table", "lag_table", "make_table", "occupancy_table"]


def make_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Build a plain table; columns whose name ends in ``#`` hold numbers and are set right."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="", show_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.endswith("#") else "left"
        table.add_column(column.removesuffix("#"), justify=justify, overflow="fold")  # nothing is cut
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    return table


def occupancy_table(occupancies: Iterable[Occupancy]) -> Table:
    """Show how full each block is."""
    rows = [(o.block, o.used, o.capacity, f"{o.share:.1%}", o.largest_fan_in or "", o.largest_fan_out or "") for o in occupancies]
    return make_table("occupancy", ("block", "used#", "capacity#", "share#", "largest fan-in#", "largest fan-out#"), rows)


def lag_table(mapped: MappedNetwork) -> Table:
    """Show where each population went: neurons, relays behind them, lag, slots."""
    rows = [(*place, mapped.modules.get(place[0], "")) for place in mapped.list_places()]
    return make_table("populations", ("name", "kind", "neurons#", "relays#", "lag (steps)#", "slots", "module"), rows)


def decay_table(matches: Iterable[DecayMatch]) -> Table:
    """Show how well neurons were rebuilt whose decays the chip does not code."""
    rows = [(m.population, m.n_synapses, f"{m.input_error:.2%}", f"{m.reset_error:.2%}") for m in matches]
    return make_table("decays that are not coded", ("population", "synapses#", "error after an input#", "after a spike#"), rows)


def error_table(errors: Iterable[TensorError]) -> Table:
    """Show what quantisation did to each tensor."""
    rows = [
        (e.name, e.n_values, f"{e.relative_rms:.2%}", f"{e.largest:.2%}", e.n_lost, e.n_clipped) for e in errors if e.n_values
    ]
    return make_table("quantisation", ("tensor", "values#", "relative rms#", "largest#", "lost#", "clipped#"), rows)


def chip_table(chips: Iterable[Chip]) -> Table:
    """Show the shapes of chips."""
    rows = [
        (
            c.name,
            c.inputs.count,
            c.hidden.count,
            c.outputs.count,
            c.hidden.synapses,
            c.memory(MemoryKind.RECURRENT).max_words,
            c.description,
        )
        for c in chips
    ]
    return make_table("chips", ("name", "inputs#", "hidden#", "outputs#", "synapses#", "recurrent words#", "description"), rows)

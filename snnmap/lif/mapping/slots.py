"""The table of chip neurons and model neurons, as CSV."""

import csv
import io
from collections.abc import Iterator, Mapping

import numpy as np

from snnmap.core.errors import FormatError
from snnmap.core.record import record
from snnmap.lif.program import MappedNetwork, SlotTable

__all__ = ["Placement", "format_slot_table", "parse_slot_table"]

_COLUMNS = ("memory", "slot", "source", "neuron", "relay_hop", "lag_steps", "module")


def format_slot_table(mapped: MappedNetwork) -> str:
    """Write which chip neuron is which model neuron: CSV, one line a channel or neuron, inputs, hidden, outputs.

    ``source`` is an input port or population, ``neuron`` the index in it, ``relay_hop`` 0 for the neuron itself and k
    for its k-th relay, ``lag_steps`` how far it runs behind the source network, ``module`` the user's module.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_rows(mapped))
    return text.getvalue()


@record
class Placement:
    """What a slot table says.

    Attributes:
        table: slot of each neuron.
        lags: steps by which each source and each of its relays run behind the source network, by name and hop.
        modules: path of the user's module behind each population, by name.
    """

    table: SlotTable
    lags: Mapping[tuple[str, int], int]
    modules: Mapping[str, str]


def parse_slot_table(text: str, *, where: str = "text") -> Placement:
    """Read what :func:`format_slot_table` wrote; sources are numbered as they appear.

    Raises:
        FormatError: other columns, an unknown memory, slots that are not in order, or something else than numbers.
    """
    lines = csv.DictReader(io.StringIO(text))
    areas: dict[str, list[tuple[int, int, int]]] = {"input": [], "hidden": [], "output": []}
    numbers: dict[str, int] = {}
    lags: dict[tuple[str, int], int] = {}
    modules: dict[str, str] = {}
    try:
        for line in lines:
            name, hop, area = line["source"], int(line["relay_hop"]), areas[line["memory"]]
            _require_next(int(line["slot"]), len(area), f"{where}, line {lines.line_num}")
            area.append((numbers.setdefault(name, len(numbers)), int(line["neuron"]), hop))
            lags[name, hop], modules[name] = int(line["lag_steps"]), line["module"]
    except (KeyError, ValueError, TypeError) as error:
        raise FormatError(
            "this is no line of a slot table",
            where=f"{where}, line {lines.line_num}",
            limit=",".join(_COLUMNS),
            fix="keep the files of `snnmap build` together, as they were written",
        ) from error
    columns = {area: np.array(rows, np.int64).reshape(-1, 3).T for area, rows in areas.items()}
    table = SlotTable(
        sources=tuple(numbers),
        channel_source=columns["input"][0],
        channel_neuron=columns["input"][1],
        hidden_source=columns["hidden"][0],
        hidden_neuron=columns["hidden"][1],
        hidden_hop=columns["hidden"][2],
        output_source=columns["output"][0],
        output_neuron=columns["output"][1],
    )
    return Placement(table=table, lags=lags, modules=modules)


def _require_next(slot: int, expected: int, where: str) -> None:
    if slot != expected:
        raise FormatError(
            "slots are not in order",
            where=where,
            measured=str(slot),
            limit=str(expected),
            fix="keep the files of `snnmap build` together, as they were written",
        )


def _rows(mapped: MappedNetwork) -> Iterator[tuple[str, int, str, int, int, int, str]]:
    table = mapped.table
    areas = (
        ("input", table.channel_source, table.channel_neuron, None),
        ("hidden", table.hidden_source, table.hidden_neuron, table.hidden_hop),
        ("output", table.output_source, table.output_neuron, None),
    )
    for area, sources, neurons, hops in areas:
        for slot, (source, neuron) in enumerate(zip(sources.tolist(), neurons.tolist(), strict=True)):
            name = table.sources[source]
            hop = 0 if hops is None else int(hops[slot])
            yield area, slot, name, neuron, hop, mapped.relay_lag(name, hop), mapped.modules.get(name, "")

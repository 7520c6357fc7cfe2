"""The table of chip neurons and model neurons, as CSV."""

import csv
import io
from collections.abc import Iterator

from snnmap.lif.program import MappedNetwork

__all__ = ["format_slot_table"]

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

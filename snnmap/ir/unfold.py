"""Back from chip slots to populations: the source network as the slots, weights and lags alone tell it."""

import json
from collections.abc import Iterator

import numpy as np

from snnmap.chip import Family
from snnmap.errors import NetworkError
from snnmap.ir.csr import CsrMatrix
from snnmap.ir.mapped import MappedNetwork, NeuronParameters
from snnmap.ir.network import InputPort, Network, OutputPort, Population, Projection
from snnmap.ir.record import BoolArray, IntArray

__all__ = ["as_folded_network", "projection_name", "rebuild_projections", "unfold_network"]


def projection_name(pre: str, post: str, synapse: int, delay_steps: int) -> str:
    """Give the canonical name of the one projection between two parts with this synapse and delay.

    No two projections share one: a name that could be taken for an arrow is written as JSON writes it.
    """
    return f"{_quote(pre)}->{_quote(post)}[{synapse}]@{delay_steps}"


def _quote(name: str) -> str:
    return json.dumps(name) if "->" in name or name.startswith('"') else name


def as_folded_network(mapped: MappedNetwork) -> Network:
    """Give the folded network as it stands: one input port, one recurrent population ``hidden``, one ``outputs``."""
    chip = mapped.chip
    areas = (
        ("inputs", "hidden", mapped.input_weights, chip.input_weights.delay_steps),
        ("hidden", "hidden", mapped.recurrent_weights, chip.recurrent_weights.delay_steps),
        ("hidden", "outputs", mapped.output_weights, chip.output_weights.delay_steps),
    )
    projections = [
        Projection(name=projection_name(pre, post, s, delay), pre=pre, post=post, synapse=s, delay_steps=delay, weights=weights)
        for pre, post, matrices, delay in areas
        for s, weights in enumerate(matrices)
        if weights.nnz
    ]
    return Network(
        name=mapped.name,
        inputs=(InputPort(name="inputs", size=mapped.table.channel_source.size),),
        populations=(
            _population("hidden", mapped.hidden, slice(None), chip.family),
            _population("outputs", mapped.outputs, slice(None), chip.family),
        ),
        projections=tuple(projections),
        outputs=(OutputPort(name="outputs", populations=("outputs",)),),
        dt_s=mapped.dt_s,
    )


def unfold_network(mapped: MappedNetwork) -> Network:
    """Rebuild the lowered source network from a folded one, by its slot table, weights and lags alone.

    Raises:
        NetworkError: a relay is not wired as one, or a delay comes out negative: the folding is wrong.
    """
    _require_relay_chains(mapped)
    table = mapped.table
    channels = set(table.channel_source.tolist())
    hidden = [table.sources[s] for s in dict.fromkeys(table.hidden_source[table.hidden_hop == 0].tolist()) if s not in channels]
    outputs = [table.sources[s] for s in dict.fromkeys(table.output_source.tolist())]
    populations = [
        _population(name, mapped.hidden, table.hidden_slots(name), mapped.chip.family, mapped.modules[name]) for name in hidden
    ]
    populations += [
        _population(name, mapped.outputs, table.output_slots(name), mapped.chip.family, mapped.modules[name]) for name in outputs
    ]
    matrices = (mapped.input_weights, mapped.recurrent_weights, mapped.output_weights)
    return Network(
        name=mapped.name,
        inputs=mapped.inputs,
        populations=tuple(sorted(populations, key=lambda population: table.sources.index(population.name))),
        projections=tuple(
            sorted(rebuild_projections(mapped, *matrices), key=lambda p: (p.pre, p.post, p.synapse, p.delay_steps))
        ),
        outputs=mapped.output_ports,
        dt_s=mapped.dt_s,
    )


def rebuild_projections(
    mapped: MappedNetwork,
    input_weights: tuple[CsrMatrix, ...],
    recurrent_weights: tuple[CsrMatrix, ...],
    output_weights: tuple[CsrMatrix, ...],
) -> Iterator[Projection]:
    """Give the projections between populations that weights in slot order stand for; relays become delays.

    Args:
        mapped: whose slots and lags apply.
        input_weights: one matrix a synapse, float or integer.
        recurrent_weights: likewise.
        output_weights: likewise.

    Raises:
        NetworkError: a delay comes out negative.
    """
    table, chip = mapped.table, mapped.chip
    no_hops = np.zeros(table.channel_source.size, np.int64)
    out_hops = np.zeros(table.output_source.size, np.int64)
    ends = {
        "input": (table.channel_source, table.channel_neuron, no_hops),
        "hidden": (table.hidden_source, table.hidden_neuron, table.hidden_hop),
        "output": (table.output_source, table.output_neuron, out_hops),
    }
    for matrices, pre, post, delay in (
        (input_weights, ends["input"], ends["hidden"], chip.input_weights.delay_steps),
        (recurrent_weights, ends["hidden"], ends["hidden"], chip.recurrent_weights.delay_steps),
        (output_weights, ends["hidden"], ends["output"], chip.output_weights.delay_steps),
    ):
        for synapse, matrix in enumerate(matrices):
            yield from _rebuild_area(mapped, matrix, synapse, pre, post, delay)


def _rebuild_area(
    mapped: MappedNetwork,
    matrix: CsrMatrix,
    synapse: int,
    pre: tuple[IntArray, IntArray, IntArray],
    post: tuple[IntArray, IntArray, IntArray],
    chip_delay: int,
) -> Iterator[Projection]:
    rows, columns = matrix.rows, matrix.indices
    real = post[2][columns] == 0
    source, target, hop = pre[0][rows], post[0][columns], pre[2][rows]
    keys = np.unique(np.stack([source, target, hop])[:, real], axis=1).T
    names = mapped.table.sources
    for u, v, hops in keys.tolist():
        chosen = real & (source == u) & (target == v) & (hop == hops)
        # a relay of an input port takes the place of the hidden hop: same extra steps as for a hidden source
        first = mapped.chip.input_weights.delay_steps if names[u] in {p.name for p in mapped.inputs} else chip_delay
        delay = hops + first - mapped.lags[names[v]] + mapped.lags.get(names[u], 0)
        if delay < 0:
            raise NetworkError("a rebuilt delay is negative", where=f"{names[u]} -> {names[v]}", measured=str(delay), limit="0")
        yield Projection(
            name=projection_name(names[u], names[v], synapse, delay),
            pre=names[u],
            post=names[v],
            synapse=synapse,
            delay_steps=delay,
            weights=_gather(matrix, chosen, pre[1], post[1], (_size(mapped, u), _size(mapped, v))),
        )


def _gather(matrix: CsrMatrix, chosen: BoolArray, pre: IntArray, post: IntArray, shape: tuple[int, int]) -> CsrMatrix:
    return CsrMatrix.from_triplets(pre[matrix.rows[chosen]], post[matrix.indices[chosen]], matrix.data[chosen], shape)


def _size(mapped: MappedNetwork, source: int) -> int:
    table = mapped.table
    by_end = (table.channel_source == source).sum(), ((table.hidden_source == source) & (table.hidden_hop == 0)).sum()
    return int(max(*by_end, (table.output_source == source).sum()))


def _population(name: str, parameters: NeuronParameters, slots: IntArray | slice, family: Family, source: str = "") -> Population:
    return Population.create(
        name,
        parameters.threshold[slots].size,
        alpha=parameters.alpha[:, slots],
        beta=parameters.beta[slots],
        threshold=parameters.threshold[slots],
        bias=parameters.bias[slots],
        max_count=parameters.max_count[slots],
        reset=family.reset,
        source=source,
    )


def _require_relay_chains(mapped: MappedNetwork) -> None:
    """Check that each relay has one incoming synapse: weight 1, from the same neuron one hop before."""
    table = mapped.table
    relays = np.flatnonzero(table.hidden_hop)
    fan_in = sum(m.column_lengths[relays] for m in (*mapped.input_weights, *mapped.recurrent_weights))
    columns = mapped.recurrent_weights[0].transpose(), mapped.input_weights[0].transpose()
    for relay, inputs in zip(relays.tolist(), np.broadcast_to(fan_in, relays.shape).tolist(), strict=True):
        expected = (table.hidden_source[relay], table.hidden_neuron[relay], table.hidden_hop[relay] - 1)
        found = [
            entry for kind, matrix in enumerate(columns) for entry in _incoming(mapped, matrix, relay, from_input=bool(kind))
        ]
        if inputs != 1 or found != [(*map(int, expected), 1.0)]:
            raise NetworkError(
                "a relay does not repeat its source", where=f"hidden slot {relay}", measured=str(found), limit=str(expected)
            )


def _incoming(mapped: MappedNetwork, columns: CsrMatrix, slot: int, *, from_input: bool) -> Iterator[tuple[int, int, int, float]]:
    table = mapped.table
    for position in range(int(columns.indptr[slot]), int(columns.indptr[slot + 1])):
        pre = int(columns.indices[position])
        if from_input:
            end = (int(table.channel_source[pre]), int(table.channel_neuron[pre]), 0)
        else:
            end = (int(table.hidden_source[pre]), int(table.hidden_neuron[pre]), int(table.hidden_hop[pre]))
        yield (*end, float(columns.data[position]))

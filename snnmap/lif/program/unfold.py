"""Back from chip slots to populations: the source network as the slots, weights and lags alone tell it."""

import json
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from snnmap.chip import HIDDEN_MEMORIES, Family, MemoryKind
from snnmap.core.csr import CsrMatrix
from snnmap.core.errors import NetworkError
from snnmap.core.record import IntArray
from snnmap.lif.program.mapped import MappedNetwork, NeuronParameters
from snnmap.lif.program.program import Program
from snnmap.network.network import InputPort, Network, OutputPort, Population, Projection

__all__ = ["as_folded_network", "projection_name", "rebuild_projections", "unfold_network"]


def projection_name(pre: str, post: str, synapse: int, delay_steps: int) -> str:
    """Return the canonical name of the one projection between two parts with this synapse and delay.

    No two projections share one: a name that could be taken for an arrow is written as JSON writes it.

    Example:
        >>> projection_name("h1", "out", 0, 2)
        'h1->out[0]@2'
    """
    return f"{_quote(pre)}->{_quote(post)}[{synapse}]@{delay_steps}"


def _quote(name: str) -> str:
    return json.dumps(name) if "->" in name or name.startswith('"') else name


def as_folded_network(mapped: MappedNetwork) -> Network:
    """Return the folded network as it stands: one input port, one recurrent population ``hidden``, one ``outputs``."""
    chip = mapped.chip
    areas = (
        (
            kind.source(inputs="inputs", hidden="hidden"),
            kind.target(hidden="hidden", outputs="outputs"),
            mapped.weights(kind),
            chip.memory(kind).delay_steps,
        )
        for kind in MemoryKind
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
    return Network(
        name=mapped.name,
        inputs=mapped.inputs,
        populations=tuple(sorted(populations, key=lambda population: table.sources.index(population.name))),
        projections=tuple(sorted(rebuild_projections(mapped), key=lambda p: (p.pre, p.post, p.synapse, p.delay_steps))),
        outputs=mapped.output_ports,
        dt_s=mapped.dt_s,
    )


def rebuild_projections(mapped: MappedNetwork, program: Program | None = None) -> Iterator[Projection]:
    """Yield the projections between populations that weights in slot order stand for; relays become delays.

    Args:
        mapped: whose slots and lags apply, and whose weights where no program is given.
        program: integers in the slots of ``mapped``.

    Raises:
        NetworkError: a delay comes out negative.
    """
    table = mapped.table
    channels = (table.channel_source, table.channel_neuron, np.zeros(table.channel_source.size, np.int64))
    hidden = (table.hidden_source, table.hidden_neuron, table.hidden_hop)
    outputs = (table.output_source, table.output_neuron, np.zeros(table.output_source.size, np.int64))
    for kind in MemoryKind:
        pre, post = kind.source(inputs=channels, hidden=hidden), kind.target(hidden=hidden, outputs=outputs)
        for synapse, matrix in enumerate(mapped.weights(kind) if program is None else program.memory(kind).weights):
            yield from _rebuild_area(mapped, matrix, synapse, pre, post)


def _rebuild_area(
    mapped: MappedNetwork,
    matrix: CsrMatrix,
    synapse: int,
    pre: tuple[IntArray, IntArray, IntArray],
    post: tuple[IntArray, IntArray, IntArray],
) -> Iterator[Projection]:
    names = mapped.table.sources
    for u, v, hops, weights in _split_area(mapped, matrix, pre, post):
        delay = mapped.delay_of(names[u], names[v], hops)
        if delay < 0:
            raise NetworkError("a rebuilt delay is negative", where=f"{names[u]} -> {names[v]}", measured=str(delay), limit="0")
        yield Projection(
            name=projection_name(names[u], names[v], synapse, delay),
            pre=names[u],
            post=names[v],
            synapse=synapse,
            delay_steps=delay,
            weights=weights,
        )


def _split_area(
    mapped: MappedNetwork,
    matrix: CsrMatrix,
    pre: tuple[IntArray, IntArray, IntArray],
    post: tuple[IntArray, IntArray, IntArray],
) -> Iterator[tuple[int, int, int, CsrMatrix]]:
    """Yield source, target, hops and weights of each pair of populations; what goes onto relays is left out."""
    if matrix.nnz and _is_one(*pre) and _is_one(*post):
        u, v = int(pre[0][0]), int(post[0][0])
        if matrix.shape == (_size(mapped, u), _size(mapped, v)):
            yield u, v, 0, matrix.keep(matrix.data != 0)
            return
    goes = np.where(post[2] == 0, post[0], -1).astype(np.int32)
    for source in np.unique(pre[0]).tolist():
        yield from _split_source(mapped, matrix, source, pre, post[1], goes)


def _split_source(
    mapped: MappedNetwork,
    matrix: CsrMatrix,
    u: int,
    pre: tuple[IntArray, IntArray, IntArray],
    neurons: IntArray,
    goes: npt.NDArray[np.int32],
) -> Iterator[tuple[int, int, int, CsrMatrix]]:
    """Yield the same of one source; of each target slot are given its neuron, and its population, -1 for a relay."""
    for hops in np.unique(pre[2][pre[0] == u]).tolist():
        slots = np.flatnonzero((pre[0] == u) & (pre[2] == hops))
        mine = matrix.select(rows=slots)
        targets, is_reached = goes[mine.indices], np.zeros(len(mapped.table.sources) + 1, np.bool_)
        is_reached[targets] = True
        for v in np.flatnonzero(is_reached[:-1]).tolist():
            shape = (_size(mapped, u), _size(mapped, v))
            yield u, v, hops, CsrMatrix.join([(mine.keep(targets == v), pre[1][slots], neurons)], shape)


def _is_one(sources: IntArray, neurons: IntArray, hops: IntArray) -> bool:
    """Say whether slots are all neurons of one population, in order, and no relays."""
    return bool((sources == sources[0]).all() and not hops.any() and np.array_equal(neurons, np.arange(neurons.size)))


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
    is_relay = table.hidden_hop > 0
    relays = np.flatnonzero(is_relay)
    if not relays.size:
        return
    fan_in = sum(m.column_lengths[relays] for kind in HIDDEN_MEMORIES for m in mapped.weights(kind))
    onto = {kind: mapped.weights(kind)[0] for kind in reversed(HIDDEN_MEMORIES)}
    columns = {kind: matrix.keep(is_relay[matrix.indices]).transpose() for kind, matrix in onto.items()}
    for relay, inputs in zip(relays.tolist(), np.broadcast_to(fan_in, relays.shape).tolist(), strict=True):
        expected = (table.hidden_source[relay], table.hidden_neuron[relay], table.hidden_hop[relay] - 1)
        found = [entry for kind, matrix in columns.items() for entry in _incoming(mapped, matrix, relay, kind)]
        if inputs != 1 or found != [(*map(int, expected), 1.0)]:
            raise NetworkError(
                "a relay does not repeat its source", where=f"hidden slot {relay}", measured=str(found), limit=str(expected)
            )


def _incoming(mapped: MappedNetwork, columns: CsrMatrix, slot: int, kind: MemoryKind) -> Iterator[tuple[int, int, int, float]]:
    table = mapped.table
    for position in range(int(columns.indptr[slot]), int(columns.indptr[slot + 1])):
        pre = int(columns.indices[position])
        if kind is MemoryKind.INPUT:
            end = (int(table.channel_source[pre]), int(table.channel_neuron[pre]), 0)
        else:
            end = (int(table.hidden_source[pre]), int(table.hidden_neuron[pre]), int(table.hidden_hop[pre]))
        yield (*end, float(columns.data[position]))

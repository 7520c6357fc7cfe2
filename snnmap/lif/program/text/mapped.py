"""A folded network as text: ports and lags, a line a chip neuron with what it stands for, and weights by source."""

from collections.abc import Iterator
from typing import get_args

import numpy as np

from snnmap.chip import Chip, MemoryKind, Readout
from snnmap.core.record import IntArray
from snnmap.lif.program.mapped import MappedNetwork, NeuronParameters, SlotTable
from snnmap.lif.program.text.lines import FLOAT, INTEGER, NAME, LineReader, format_chip, format_name, parse_name, parse_names
from snnmap.lif.program.text.weights import WeightPatterns, format_weights, read_weights
from snnmap.network.network import InputPort, OutputPort

__all__ = ["format_mapped", "parse_mapped", "read_mapped"]

_FIRST_LINE = "snnmap-mapped 1"
_NUMBER = r"\d{1,10}"
_INT64 = range(-(1 << 63), 1 << 63)
_READOUTS: dict[str, Readout] = {name: name for name in get_args(Readout)}
_WEIGHTS = WeightPatterns(_NUMBER, FLOAT, float)


def format_mapped(mapped: MappedNetwork) -> str:
    """Write a folded network as text; equal networks give equal text, and floats read back to the same bits."""
    table = mapped.table
    hops = np.zeros_like(table.output_source)
    lines = [*_format_head(mapped), "channels"]
    lines += _format_places(table.sources, table.channel_source, table.channel_neuron)
    for name, parameters, source, neuron, hop in (
        ("hidden", mapped.hidden, table.hidden_source, table.hidden_neuron, table.hidden_hop),
        ("outputs", mapped.outputs, table.output_source, table.output_neuron, hops),
    ):
        lines.append(f"{name} synapses={parameters.alpha.shape[0]}")
        places = _format_places(table.sources, source, neuron)
        rows = zip(places, hop.tolist(), _format_parameters(parameters), strict=True)
        lines += [f"{place} hop={hop} {values}" for place, hop, values in rows]
    for kind in MemoryKind:
        lines += format_weights(kind, mapped.weights(kind))
    return "\n".join(lines) + "\n"


def parse_mapped(text: str, *, chip: Chip | None = None) -> MappedNetwork:
    """Read what :func:`format_mapped` wrote; empty lines and ``#`` comments are passed over.

    Args:
        text: to read.
        chip: the record to use; by default the built-in chip with the text's id.

    Raises:
        FormatError: a line is malformed or misplaced.
    """
    reader = LineReader(text, fix="compare with the output of format_mapped")
    mapped = read_mapped(reader, chip)
    reader.expect_end("weight")
    return mapped


def _format_head(mapped: MappedNetwork) -> Iterator[str]:
    yield _FIRST_LINE
    yield format_chip(mapped.chip)
    yield f"name {format_name(mapped.name)}"
    yield f"dt_s {float(mapped.dt_s)}"
    yield f"integers {'yes' if mapped.integers else 'no'}"
    yield from [f"advice {format_name(mapped.advice)}"] if mapped.advice else []
    yield from (f"input {format_name(port.name)} {port.size}" for port in mapped.inputs)
    for port in mapped.output_ports:
        yield " ".join(["output", format_name(port.name), port.readout, *map(format_name, port.populations)])
    yield from (f"lag {format_name(name)} {steps}" for name, steps in sorted(mapped.lags.items()))
    yield from (f"stretched {format_name(name)} {steps}" for name, steps in sorted(mapped.stretched.items()))
    yield from (f"module {format_name(name)} {format_name(path)}" for name, path in sorted(mapped.modules.items()))
    yield " ".join(["sources", *map(format_name, mapped.table.sources)])


def _format_places(sources: tuple[str, ...], source: IntArray, neuron: IntArray) -> list[str]:
    names = [format_name(name) for name in sources]
    rows = enumerate(zip(source.tolist(), neuron.tolist(), strict=True))
    return [f"  {number}: {names[index]} {within}" for number, (index, within) in rows]


def _format_parameters(parameters: NeuronParameters) -> Iterator[str]:
    scalars = (parameters.beta, parameters.threshold, parameters.bias, parameters.max_count)
    for alpha, *values in zip(parameters.alpha.T.tolist(), *(array.tolist() for array in scalars), strict=True):
        yield "alpha={} beta={} threshold={} bias={} max_count={}".format(",".join(map(str, alpha)), *values)


def read_mapped(reader: LineReader, chip: Chip | None) -> MappedNetwork:
    """Read a folded network from the next line on, up to its last weight."""
    reader.expect(_FIRST_LINE)
    chip = reader.expect_chip(chip)
    (name,) = reader.expect(f"name ({NAME})")
    (dt_s,) = reader.expect(f"dt_s ({FLOAT})")
    (integers,) = reader.expect("integers (yes|no)")
    advice = [parse_name(text) for (text,) in _read_all(reader, f"advice ({NAME})")]
    inputs = [InputPort(name=port, size=size) for port, size in _read_numbers(reader, "input")]
    outputs = list(_read_outputs(reader))
    lags, stretched = dict(_read_numbers(reader, "lag")), dict(_read_numbers(reader, "stretched"))
    modules = {parse_name(key): parse_name(path) for key, path in _read_all(reader, f"module ({NAME}) ({NAME})")}
    sources = parse_names(*reader.expect(f"sources((?: {NAME})*)"))
    reader.expect("channels")
    channels = _Places(reader, sources, "")
    hidden, hidden_parameters = _read_neurons(reader, "hidden", sources)
    output, output_parameters = _read_neurons(reader, "outputs", sources)
    sizes = channels.neuron.size, hidden.neuron.size, output.neuron.size
    synapses = {"hidden": hidden_parameters.alpha.shape[0], "outputs": output_parameters.alpha.shape[0]}
    weights = {kind: read_weights(reader, kind, kind.shape(*sizes), kind.target(**synapses), _WEIGHTS) for kind in MemoryKind}
    return MappedNetwork(
        name=parse_name(name),
        chip=chip,
        inputs=tuple(inputs),
        output_ports=tuple(outputs),
        table=SlotTable(
            sources=sources,
            channel_source=channels.source,
            channel_neuron=channels.neuron,
            hidden_source=hidden.source,
            hidden_neuron=hidden.neuron,
            hidden_hop=np.array([int(fields[0]) for fields in hidden.fields], np.int64),
            output_source=output.source,
            output_neuron=output.neuron,
        ),
        **{kind.weights_name: matrices for kind, matrices in weights.items()},
        hidden=hidden_parameters,
        outputs=output_parameters,
        lags=lags,
        stretched=stretched,
        dt_s=float(dt_s),
        modules=modules,
        integers=integers == "yes",
        advice="".join(advice[:1]),
    )


def _read_all(reader: LineReader, pattern: str) -> Iterator[tuple[str, ...]]:
    """Read the lines of a pattern as long as their first word comes."""
    while reader.follows(pattern.partition(" ")[0] + " .*"):
        yield reader.expect(pattern)


def _read_numbers(reader: LineReader, word: str) -> Iterator[tuple[str, int]]:
    for name, number in _read_all(reader, f"{word} ({NAME}) ({_NUMBER})"):
        yield parse_name(name), int(number)


def _read_outputs(reader: LineReader) -> Iterator[OutputPort]:
    for name, readout, populations in _read_all(reader, f"output ({NAME}) ({'|'.join(_READOUTS)})((?: {NAME})*)"):
        yield OutputPort(name=parse_name(name), populations=parse_names(populations), readout=_READOUTS[readout])


class _Places:
    """What a row of channels or neurons stands for, read line by line, and what else their lines hold."""

    def __init__(self, reader: LineReader, sources: tuple[str, ...], pattern: str) -> None:
        index = {name: index for index, name in enumerate(sources)}
        rows: list[tuple[int, int]] = []
        self.fields: list[tuple[str, ...]] = []
        while reader.follows(r"\d+:.*"):
            name, neuron, *fields = reader.expect_neuron(len(rows), rf"({_NUMBER}): ({NAME}) ({_NUMBER}){pattern}")
            source = parse_name(name)
            if source not in index:
                raise reader.error("a neuron has an unknown source", measured=name, limit=", ".join(sources), back=1)
            rows.append((index[source], int(neuron)))
            self.fields.append(tuple(fields))
        self.source, self.neuron = np.array(rows, np.int64).reshape(-1, 2).T


def _read_neurons(reader: LineReader, name: str, sources: tuple[str, ...]) -> tuple[_Places, NeuronParameters]:
    """Read a row of neurons; the first field of each is the hop, those behind it are the parameters."""
    n_synapses = int(reader.expect(rf"{name} synapses=(\d{{1,2}})")[0])
    alpha = ",".join([f"({FLOAT})"] * n_synapses)
    values = f"beta=({FLOAT}) threshold=({FLOAT}) bias=({FLOAT}) max_count=({INTEGER})"
    places = _Places(reader, sources, f" hop=({_NUMBER}) alpha={alpha} {values}")
    floats = np.array([fields[1:-1] for fields in places.fields], np.float64).reshape(-1, n_synapses + 3).T
    *alphas, beta, threshold, bias = floats
    counts = [int(fields[-1]) for fields in places.fields]
    for back, most in enumerate(reversed(counts), 1):
        if most not in _INT64:
            raise reader.error("a count has more than 64 bits", measured=str(most), back=back)
    alpha_rows = np.array(alphas).reshape(n_synapses, len(counts))
    return places, NeuronParameters(
        alpha=alpha_rows, beta=beta, threshold=threshold, bias=bias, max_count=np.array(counts, np.int64)
    )

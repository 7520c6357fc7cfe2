"""The stages, text in and text out; each text form reads back to what was written, and errors name the line."""

import re
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from random_networks import random_network
from random_programs import random_program

from snnmap.chip import MemoryKind, Readout, load_chip
from snnmap.core import CsrMatrix
from snnmap.core.errors import FormatError
from snnmap.lif.mapping import fold_network
from snnmap.lif.program import (
    MappedNetwork,
    NeuronParameters,
    QuantisedNetwork,
    SlotTable,
    TensorError,
    format_mapped,
    format_program,
    format_quantised,
    parse_mapped,
    parse_program,
    parse_quantised,
)
from snnmap.lif.quantise import quantise_network
from snnmap.network import InputPort, Network, OutputPort, Population, Projection, format_network, parse_network

CHIP = load_chip("xylo-audio-3")
FLOATS = st.floats(width=64)
COUNTS = st.integers(0, 10**9)
NAMES = st.text(max_size=8)
EXPECTED = """\
name "small"
dt_s 0.0
integers no
input "in" 1
output "y" spikes "out"
lag "h" 0
lag "k" 1
lag "out" 2
module "h" "fc \\u00231"
module "k" ""
module "out" ""
sources "in" "h" "k" "out"
channels
  0: "in" 0
hidden synapses=2
  0: "in" 0 hop=1 alpha=0.0,0.0 beta=0.0 threshold=1.0 bias=0.0 max_count=31
  1: "h" 0 hop=0 alpha=0.5,0.0 beta=0.75 threshold=1.0 bias=0.0 max_count=31
  2: "h" 1 hop=0 alpha=0.5,0.0 beta=0.75 threshold=1.0 bias=0.0 max_count=31
  3: "k" 0 hop=0 alpha=0.0,0.0 beta=0.0 threshold=1.0 bias=0.0 max_count=31
outputs synapses=1
  0: "out" 0 hop=0 alpha=0.5 beta=0.5 threshold=2.0 bias=0.0 max_count=1
input_weights 0
  0: 0=1.0 1=0.5 2=-0.25
input_weights 1
recurrent_weights 0
  0: 3=0.125
  1: 3=1.0
recurrent_weights 1
output_weights 0
  3: 0=1.5
"""


def fold_text(text: str) -> str:
    return format_mapped(fold_network(parse_network(text), CHIP))


def quantise_text(text: str) -> str:
    return format_quantised(quantise_network(parse_mapped(text), calibration=None))


SMALL = fold_text(format_network(random_network(3)))


@pytest.mark.parametrize("seed", range(5))
def test_a_stage_takes_text_and_gives_text(seed: int) -> None:
    network = random_network(seed)
    mapped = fold_network(network, CHIP)
    text = fold_text(format_network(network))
    assert parse_mapped(text) == mapped
    quantised = quantise_network(mapped, calibration=None)
    assert quantise_text(text) == format_quantised(quantised)
    read = parse_quantised(quantise_text(text))
    assert read == quantised
    assert format_quantised(read) == quantise_text(text)
    assert parse_program(format_program(quantised.program)) == quantised.program


def test_what_a_folded_network_reads_like() -> None:
    """in (1 channel) to h (2 neurons) to k, and past h, so that the channel needs a relay."""
    names = {"in->h": [[0.5, -0.25]], "h->k": [[1.0], [0.0]], "in->k": [[0.125]], "k->out": [[1.5]]}
    network = Network(
        name="small",
        inputs=(InputPort(name="in", size=1),),
        populations=(
            Population.create("h", 2, alpha=0.5, beta=0.75, source="fc #1"),
            Population.create("k", 1),
            Population.create("out", 1, alpha=0.5, beta=0.5, threshold=2.0, max_count=1),
        ),
        projections=tuple(
            Projection(name=name, pre=name.split("->")[0], post=name.split("->")[1], weights=CsrMatrix.from_dense(weights))
            for name, weights in names.items()
        ),
        outputs=(OutputPort(name="y", populations=("out",)),),
    )
    text = fold_text(format_network(network))
    assert text.partition("xylo-audio-3\n")[2] == EXPECTED


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_odd_values_survive(data: st.DataObject) -> None:
    """Names with any signs, floats of any bits, stored zeros, any number of synapses, no neurons at all."""
    mapped = draw_mapped(data.draw)
    text = format_mapped(mapped)
    read = parse_mapped(text)
    assert read == mapped
    assert format_mapped(read) == text
    assert np.array_equal(np.signbit(read.hidden.bias), np.signbit(mapped.hidden.bias) & ~np.isnan(mapped.hidden.bias))


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_quantised_networks_round_trip(data: st.DataObject) -> None:
    program = random_program(CHIP, np.random.default_rng(data.draw(st.integers(0, 99))), n_inputs=2, n_hidden=5, n_outputs=3)
    hidden, outputs = (arrays(np.float64, n, elements=FLOATS) for n in (5, 3))
    entry = st.builds(
        TensorError, name=NAMES, n_values=COUNTS, n_lost=COUNTS, n_clipped=COUNTS, relative_rms=FLOATS, largest=FLOATS
    )
    quantised = QuantisedNetwork(
        mapped=draw_mapped(data.draw),
        program=program,
        hidden_scale=data.draw(hidden),
        output_scale=data.draw(outputs),
        hidden_input_error=data.draw(hidden),
        output_input_error=data.draw(outputs),
        errors=tuple(data.draw(st.lists(entry.filter(lambda found: found == found), max_size=3))),
    )
    text = format_quantised(quantised)
    assert parse_quantised(text) == quantised
    assert format_quantised(parse_quantised(text)) == text


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("snnmap-mapped 1", "snnmap-mapped 2", "not what comes here"),
        ("dt_s 0.001", "dt_s 1ms", "not what comes here"),
        ("chip 3 9", "chip 3 8", "another chip record"),
        (r"  1: (.*) hop=", r"  2: \1 hop=", "numbered one after the other"),
        (r'  (\d): "h0" ', r'  \1: "h9" ', "unknown source"),
        (r"max_count=\d+", "max_count=9223372036854775808", "more than 64 bits"),
        (r"beta=\S+ ", "", "not what comes here"),
        (r"  0: \d+=", "  0: 999=", "not a synapse of this memory"),
        (r"  0: (\d+=\S+) (\d+=\S+)", r"  0: \2 \1", "must ascend"),
        ("recurrent_weights 0", "recurrent 0", "not what comes here"),
    ],
)
def test_a_malformed_line_is_named(before: str, after: str, message: str) -> None:
    text, count = re.subn(before, after, SMALL, count=1)
    assert count == 1
    changed = next(n for n, (a, b) in enumerate(zip(SMALL.splitlines(), text.splitlines(), strict=True), 1) if a != b)
    with pytest.raises(FormatError, match=message) as refused:
        parse_mapped(text)
    assert refused.value.where == f"line {changed}"


def test_lines_behind_the_end_are_refused() -> None:
    quantised = quantise_text(SMALL)
    for text, parse in ((SMALL, parse_mapped), (quantised, parse_quantised)):
        with pytest.raises(FormatError) as refused:
            parse(text + "more\n")
        assert refused.value.where == f"line {text.count(chr(10)) + 1}"
    with pytest.raises(FormatError, match="end of text"):
        parse_quantised(quantised.partition("output scales")[0])


def draw_mapped(draw: Callable[[st.SearchStrategy[Any]], Any]) -> MappedNetwork:
    """Draw a network that holds together in its shapes alone."""
    n_inputs, n_hidden, n_outputs, n_synapses = (draw(st.integers(low, 3)) for low in (0, 0, 0, 1))
    sources = tuple(draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)))
    steps = st.dictionaries(NAMES, st.integers(0, 10**6), max_size=2)

    def indices(n: int, below: int) -> Any:
        return draw(arrays(np.int64, n, elements=st.integers(0, below)))

    def parameters(n: int) -> NeuronParameters:
        floats = {name: draw(arrays(np.float64, n, elements=FLOATS)) for name in ("beta", "threshold", "bias")}
        alpha = draw(arrays(np.float64, (n_synapses, n), elements=FLOATS))
        return NeuronParameters(alpha=alpha, **floats, max_count=draw(arrays(np.int64, n)))

    def matrix(shape: tuple[int, int]) -> CsrMatrix:
        where = np.argwhere(draw(arrays(np.bool_, shape)))
        starts = np.searchsorted(where[:, 0], np.arange(shape[0] + 1))
        values = draw(arrays(np.float64, len(where), elements=FLOATS))
        return CsrMatrix(shape=shape, indptr=starts, indices=where[:, 1], data=values)

    sizes, last = (n_inputs, n_hidden, n_outputs), len(sources) - 1
    return MappedNetwork(
        name=draw(NAMES),
        chip=CHIP,
        inputs=tuple(InputPort(name=name, size=size) for name, size in draw(steps).items()),
        output_ports=(OutputPort(name=draw(NAMES), populations=sources, readout=draw(st.sampled_from(get_args(Readout)))),),
        table=SlotTable(
            sources=sources,
            channel_source=indices(n_inputs, last),
            channel_neuron=indices(n_inputs, 10**9),
            hidden_source=indices(n_hidden, last),
            hidden_neuron=indices(n_hidden, 10**9),
            hidden_hop=indices(n_hidden, 99),
            output_source=indices(n_outputs, last),
            output_neuron=indices(n_outputs, 10**9),
        ),
        **{kind.weights_name: tuple(matrix(kind.shape(*sizes)) for _ in range(n_synapses)) for kind in MemoryKind},
        hidden=parameters(n_hidden),
        outputs=parameters(n_outputs),
        lags=draw(steps),
        stretched=draw(steps),
        dt_s=draw(st.floats(allow_nan=False)),
        modules=draw(st.dictionaries(NAMES, NAMES, max_size=2)),
        integers=draw(st.booleans()),
        advice=draw(NAMES),
    )

"""The text of a layer graph: readable, deterministic, and read back."""

import numpy as np
import pytest
from layer_graphs import make_graph

from snnmap.core.errors import NetworkError
from snnmap.graph import fold_affine, format_graph, format_mermaid, fuse_steps, parse_graph
from snnmap.graph.operations.movement import Slice

TEXT = """\
graph 'small' from 'hand'
input input: float32 Nx2x6x5
constant bias: float32 4
constant fc.weight: float32 3x4
constant half: float32 scalar
constant mean: float32 4
constant scale: float32 4
constant variance: float32 4
constant weight: float32 4x1x3x3
conv = Conv(input, weight, bias; kernel_shape=(3, 3), pads=(1, 1, 1, 1), group=2) -> float32 Nx4x6x5
norm = BatchNormalization(conv, scale, bias, mean, variance) -> float32 Nx4x6x5
half#2 = Mul(norm, half) -> float32 Nx4x6x5
clip = Clip(half#2; min=0.0, max=6.0) -> float32 Nx4x6x5 of 'act.clip' as 'clip_1'
again = Conv(input, weight; kernel_shape=(3, 3), pads=(1, 1, 1, 1), group=2) -> float32 Nx4x6x5
sum = Add(clip, again) -> float32 Nx4x6x5
relu = Relu(sum) -> float32 Nx4x6x5
pool = GlobalAveragePool(relu) -> float32 Nx4x1x1
flat = Squeeze(pool; axes=(2, 3)) -> float32 Nx4
fc = Gemm(flat, fc.weight; trans_b=1) -> float32 Nx3
output fc
"""

FUSED = """\
clip = Fused(input, weight, bias, scale, mean, variance, half) -> float32 Nx4x6x5
  + conv = Conv(input, weight, bias; kernel_shape=(3, 3), pads=(1, 1, 1, 1), group=2)
  + norm = BatchNormalization(conv, scale, bias, mean, variance)
  + half#2 = Mul(norm, half)
  + clip = Clip(half#2; min=0.0, max=6.0) of 'act.clip' as 'clip_1'
relu = Fused(input, weight, clip) -> float32 Nx4x6x5
  + again = Conv(input, weight; kernel_shape=(3, 3), pads=(1, 1, 1, 1), group=2)
  + sum = Add(clip, again)
  + relu = Relu(sum)
"""

FOLDED = """\
half#2 = Conv(input, half#2.folded.weight, half#2.folded.bias; kernel_shape=(3, 3), pads=(1, 1, 1, 1), group=2) -> float32 Nx4x6x5
  - conv = Conv(input, weight, bias; kernel_shape=(3, 3), pads=(1, 1, 1, 1), group=2)
  - norm = BatchNormalization(conv, scale, bias, mean, variance)
  - half#2 = Mul(norm, half)
"""


def test_a_graph_as_text() -> None:
    assert format_graph(make_graph()) == TEXT


def test_what_was_fused_and_folded_is_in_the_text() -> None:
    assert FUSED in format_graph(fuse_steps(make_graph()))
    assert FOLDED in format_graph(fold_affine(make_graph()))


@pytest.mark.parametrize("change", [lambda graph: graph, fuse_steps, fold_affine])
def test_text_reads_back(change: object) -> None:
    graph = change(make_graph())  # type: ignore[operator]
    text = format_graph(graph)
    assert format_graph(parse_graph(text)) == text
    assert parse_graph(text, graph.constants) == graph
    assert parse_graph(text) != graph  # whose weights are not zeros


def test_digests_tell_other_weights_apart() -> None:
    one, other = make_graph(), make_graph(seed=1)
    assert format_graph(one) == format_graph(other)
    assert format_graph(one, digests=True) != format_graph(other, digests=True)
    assert one != other
    assert one == make_graph()


def test_every_field_reads_back() -> None:
    nodes = "part = Slice(clip; starts=(0, 5), ends=(4, 0), axes=(1, 2), steps=(2, -1)) -> float32 Nx2x5x5\noutput fc"
    graph = parse_graph(TEXT.replace("output fc", nodes))
    assert graph["part"].operation == Slice(starts=(0, 5), ends=(4, 0), axes=(1, 2), steps=(2, -1))
    assert "steps=(2, -1)" in format_graph(graph)


def test_infinite_bounds_read_back() -> None:
    text = TEXT.replace("Clip(half#2; min=0.0, max=6.0)", "Clip(half#2; min=-1.5)")
    clip = parse_graph(text)["clip"].operation
    assert (clip.min, clip.max) == (-1.5, np.inf)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("graph 'small' from", "net small", "(?s)malformed.*line 1"),
        ("Relu(sum)", "NoSuchOperator(sum)", "(?s)malformed.*line 16.*NoSuchOperator"),
        ("pads=(1, 1, 1, 1)", "no_such_field=3", "(?s)malformed.*line 10.*no_such_field"),
        ("Add(clip, again)", "Add(clip, missing)", "(?s)not known before it.*node 'sum' .Add.*missing"),
        ("output fc", "output missing", "(?s)output is not known.*missing"),
        ("relu = Relu", "sum = Relu", "(?s)given twice.*'sum'"),
    ],
)
def test_malformed_text_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        parse_graph(TEXT.replace(old, new))


def test_a_graph_as_a_picture() -> None:
    picture = format_mermaid(fuse_steps(make_graph()))
    assert picture.startswith("flowchart TD\n")
    assert '"clip<br/>Conv + BatchNormalization + Mul + Clip<br/>float32 Nx4x6x5"' in picture
    assert picture.count("-->") == 7

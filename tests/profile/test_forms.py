"""What a profile looks like: text, CSV, JSON, bars, a page."""

import csv
import io
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from layer_graphs import make_graph
from layer_networks import MobileNet

import snnmap
from snnmap.core.html import to_html
from snnmap.graph import LayerGraph, Node, TensorType
from snnmap.graph.operations.movement import Flatten
from snnmap.profile import GraphProfile, draw_bars, format_csv, format_html, format_table, profile_graph, summarise
from snnmap.profile.page import list_elements
from snnmap.profile.table import format_number


@pytest.fixture(scope="module")
def profile() -> GraphProfile:
    torch.manual_seed(0)
    frames = np.random.default_rng(0).normal(size=(2, 3, 32, 32))
    return snnmap.profile_model(MobileNet(), (3, 32, 32), data=frames)


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_table_is_whole_within_its_width(profile: GraphProfile, width: int) -> None:
    lines = format_table(profile, width).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    rows = [line.split() for line in lines if re.match(r"\s*\d+ units\.", line)]
    assert len(rows) >= 2 * 26
    (first,) = [line.split() for line in lines if line.lstrip().startswith("1 first.0  ") and line.endswith("/2")]
    assert first[2:] == ["4x16x16", "124", "27.6k", "3.07k", "24.6k", "4.1k", "108k", "7.49", "28.7k", "/2"]


def test_a_table_is_no_narrower_than_80() -> None:
    profile = profile_graph(make_graph())
    assert format_table(profile, 20) == format_table(profile, 80)


def test_small_graphs_show_all_that_they_have() -> None:
    text = str(profile_graph(make_graph()))
    assert "weights that are shared, and count once: 'again' with 'conv'" in text
    assert "3 layers that multiply, 68 parameters (48 weights, 4 biases, 16 of normalisations)" in text


def test_a_graph_without_layers_has_an_empty_profile() -> None:
    node = Node(name="flat", operation=Flatten(), inputs=("input",))
    inputs = {"input": TensorType(shape=(2, 3))}
    found = profile_graph(LayerGraph(name="none", inputs=inputs, nodes=(node,), outputs=("flat",), constants={}))
    assert (found.layers, found.peak, found.macs) == ((), None, 0)
    assert "0 layers that multiply" in str(found)
    assert draw_bars(found)
    assert format_csv(found) == "\n"
    with pytest.raises(KeyError):
        _ = found[1]


@pytest.mark.parametrize(
    ("value", "text"), [(0, "-"), (7, "7"), (999, "999"), (999.6, "1k"), (1000, "1k"), (28_836, "28.8k"), (568_740_352, "569M")]
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert format_number(value) == text


def test_csv_and_json_hold_the_same_records(profile: GraphProfile) -> None:
    rows = list(csv.DictReader(io.StringIO(format_csv(profile))))
    plain = json.loads(json.dumps(summarise(profile), allow_nan=False))
    assert len(rows) == len(plain["layers"]) == len(profile.layers)
    for row, layer in zip(rows, plain["layers"], strict=True):
        assert row == {name: "" if value is None else str(value) for name, value in layer.items()}
    assert sum(int(row["macs"]) for row in rows) == plain["totals"]["macs"] == profile.macs
    assert plain["options"] == {"input_bits": 8, "activation_bits": 4, "weight_bits": 8, "fps": 30.0, "rounded": False}
    assert plain["totals"]["samples"] == 2
    assert rows[0]["zero_weights"] == "0.0"


@pytest.mark.filterwarnings("error")
def test_bars_have_units_and_are_the_same_each_time(profile: GraphProfile) -> None:
    svg = draw_bars(profile).decode()
    assert draw_bars(profile).decode() == svg
    texts = {
        "".join(element.itertext()).strip() for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")
    }
    assert {"parameters (thousands)", "data volume (times the input's bits)", "bandwidth at 30/s (MB/s)"} <= texts
    assert {"weights", "read", "written", "weights, if read once a sample", "28"} <= texts
    assert draw_bars(profile, "png").startswith(b"\x89PNG")


def test_the_page_holds_everything_itself(profile: GraphProfile) -> None:
    page = format_html(profile)
    assert not re.findall(r"(?:src|href)\s*=\s*['\"](?!#|data:)[^'\"]*", page)
    assert "<script" not in page
    assert "@import" not in page
    assert page.count("data:image/svg+xml") == 1
    assert "on 2 samples" in page
    assert len(page) < 2_000_000
    assert all(to_html(part)[5:-6] in page for part in list_elements(profile))


def test_names_are_escaped() -> None:
    graph = make_graph()
    found = profile_graph(
        LayerGraph(name="<b>&", **{name: getattr(graph, name) for name in ("inputs", "nodes", "outputs", "constants")})
    )
    assert "<b>" not in format_html(found).replace("<body>", "")


def test_without_matplotlib_a_picture_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(snnmap.SnnmapError, match=r"snnmap\[plot\]"):
        draw_bars(profile_graph(make_graph()))

"""The graph of a network: every part is a box, every projection an arrow; arrows lead forward over no box."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from command_line import make_runner
from layer_graphs import make_graph
from random_networks import random_network
from rule_cases import feedback, residual

import snnmap
from snnmap.core.diagram import Arrow, Box, draw_diagram
from snnmap.loading import load_layers
from snnmap.network import save_network
from snnmap.report import draw_layers, draw_network

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def titles(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{SVG}title")]


def test_before_and_after_folding() -> None:
    network = residual()
    mapped = snnmap.fold_network(network, snnmap.load_chip("xylo-audio-3"))
    before, both = draw_network(network), draw_network(network, mapped)
    assert texts(before)[1:] == ["in", "3 channels", "h1", "5 neurons", "h2", "5 neurons", "out", "2 neurons", "sum", "sum"]
    assert titles(before) == ["h1 to sum", "h2 to sum", "in to h1", "h1 to h2", "sum to out"]
    assert titles(both)[len(titles(before)) :] == [
        "h1 to h1, relay 1", "in to h1 input", "h1 to h2 recurrent", "h1, relay 1 to out output", "h2 to out output",
    ]  # fmt: skip
    assert {"relay 1 of h1", "lag 0", "lag 2"} <= set(texts(both))
    assert both == draw_network(network, mapped)


@pytest.mark.parametrize("seed", range(8))
def test_random_networks_have_every_part(seed: int) -> None:
    network = random_network(seed)
    mapped = snnmap.fold_network(network, snnmap.load_chip("generic-4096"))
    svg = draw_network(network, mapped)
    parts = [*network.inputs, *network.populations]
    assert {f"{part.size} neurons" for part in network.populations} <= set(texts(svg)) | {"0 neurons"}
    assert all(texts(svg).count(part.name) >= 2 for part in parts)
    relays = {(name, hop) for name in mapped.table.sources for hop in mapped.table.hidden_hop.tolist() if hop}
    shown = [text for text in texts(svg) if text.startswith("relay ")]
    assert set(shown) <= {f"relay {hop} of {name}" for name, hop in relays}
    assert bool(shown) == bool(mapped.n_relays)


def test_delays_are_told_and_loops_run_below() -> None:
    svg = draw_network(feedback(2))
    assert "delay 2" in texts(svg)
    assert "h2 to h1 delay 2" in titles(svg)


def test_names_that_are_no_xml() -> None:
    assert "a<b> & c" in " ".join(texts(draw_network(replace(residual(), name="a<b> & c"))))


def test_arrows_cross_no_box() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        columns = generator.integers(0, 5, 9).tolist()
        boxes = [
            Box(key=str(k), lines=(f"box {k}",) * int(generator.integers(1, 3)), column=c, kind="sum")
            for k, c in enumerate(columns)
        ]
        arrows = [Arrow(source=str(a), target=str(b)) for a, b in generator.integers(0, 9, (14, 2)) if columns[b] > columns[a]]
        picture = draw_diagram(boxes, arrows)
        frames = [[float(r.get(k, 0)) for k in ("x", "y", "width", "height")] for r in picture.iter("rect")]
        for (x, y, width, height), (x2, y2, _, height2) in ((a, b) for a in frames for b in frames if a is not b):
            assert x != x2 or y + height <= y2 or y2 + height2 <= y, width
        paths = [path.get("d", "") for path in picture.iter("path") if path.get("marker-end")]
        skipped = [columns[int(arrow.target)] - columns[int(arrow.source)] - 1 for arrow in arrows]
        assert [path.count("H") for path in paths] == skipped
        for path in paths:
            for x_from, y_from, x_to in re.findall(r"([\d.]+) ([\d.]+)H([\d.]+)", path):
                for x, y, width, height in frames:
                    assert not (x + width > float(x_from) and x < float(x_to) and y < float(y_from) < y + height)


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_runner(capsys)
    save_network(residual(), tmp_path / "net.json")
    assert run("draw", tmp_path / "net.json", "-o", tmp_path / "a.svg").code == 0
    assert (tmp_path / "a.svg").read_text() == draw_network(residual())
    assert run("draw", tmp_path / "net.json", "-c", "xylo-audio-3", "-o", tmp_path / "b.svg").code == 0
    assert "relay 1 of h1" in texts((tmp_path / "b.svg").read_text())
    save_network(feedback(0), tmp_path / "loop.json")
    told = run("draw", tmp_path / "loop.json", "-c", "xylo-audio-3", "-o", tmp_path / "c.svg")
    assert "cannot be folded" in told.err
    assert "h2 to h1" in titles((tmp_path / "c.svg").read_text())


def test_the_verb_draws_layers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_runner(capsys)
    (tmp_path / "ann.py").write_text(
        "import torch\n\n\ndef make():\n    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())\n"
    )
    model = f"{tmp_path}/ann.py:make"
    assert run("draw", model, "--layers", "--shape", "4", "-o", tmp_path / "a.svg").code == 0
    assert (tmp_path / "a.svg").read_text() == draw_layers(load_layers(model, (4,)))
    for wrong, named in ((["--shape", "4"], "--input-shape"), (["--layers", "-c", "toy-4"], "--chip")):
        refused = run("draw", model, *wrong, "-o", tmp_path / "b.svg")
        assert (refused.code, named in refused.err, (tmp_path / "b.svg").exists()) == (2, True, False)


def test_layers() -> None:
    graph = make_graph()
    svg = draw_layers(graph)
    assert {"conv", "Conv", "Nx4x6x5", "float32 Nx4x6x5"} & set(texts(svg)) >= {"conv", "Conv"}
    edges = [f"{name} to {node.name}" for node in graph.nodes for name in node.inputs if name not in graph.constants]
    assert sorted(titles(svg)) == sorted(dict.fromkeys(edges))

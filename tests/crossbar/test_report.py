"""What a build tells: utilisation beside its bound, costs that add up, pictures of every element."""

import json
import re
from dataclasses import asdict, fields
from pathlib import Path
from xml.etree import ElementTree

import pytest
from crossbar_variants import GRID, PRICED, change
from quantised_networks import make_example, make_mobilenet, make_resnet, make_small

from snnmap.crossbar import Built, MappingOptions, compile_graph, list_architectures, load_architecture
from snnmap.crossbar.mapping import count_elements
from snnmap.crossbar.record.architecture import Costs
from snnmap.crossbar.report import bound_cycles, draw_crossbar, list_uses, measure_costs, measure_utilisation
from snnmap.frontends.onnx import read_layer_graph

PICTURE = Path(__file__).parents[2] / "docs" / "crossbar.svg"


@pytest.fixture(scope="module")
def example() -> Built:
    return compile_graph(read_layer_graph(make_example()), "example-16x4")


@pytest.mark.parametrize(
    ("model", "bound", "least_filled"),
    [(make_mobilenet(32), 18, 0.935), (make_resnet(18, 32), 45, 0.995)],
    ids=["mobilenet", "resnet-18"],
)
@pytest.mark.parametrize("fill", ["present", "first"])
def test_the_bound_is_reached(model: object, bound: int, least_filled: float, fill: str) -> None:
    """At small images: weights, and so elements and cycles, are those of the published networks."""
    built = compile_graph(read_layer_graph(model), "grid-128", options=MappingOptions(fill=fill))  # type: ignore[arg-type]
    use = measure_utilisation(built.mapped)
    assert use.cycles == use.bound == bound
    assert use.filled > least_filled


def test_utilisation_adds_up(built: Built) -> None:
    use, uses = measure_utilisation(built.mapped), list_uses(built.mapped)
    assert (
        use.elements
        == sum(one.elements for one in uses)
        == sum(count_elements(layer, GRID) for _, layer in built.program.matrices)
    )
    assert use.bound == bound_cycles(built.program, GRID) == 1
    assert use.per_cycle == (use.elements / (16 * 256),)
    assert [one.filled for one in uses if one.blocks == 8] == [9 / 64]


def test_costs_follow_the_record() -> None:
    graph = read_layer_graph(make_small())
    built = compile_graph(graph, PRICED)
    costs = measure_costs(built.image)
    assert costs.samples_per_second is not None
    assert costs.samples_per_second_programmed is not None
    assert costs.samples_per_second > costs.samples_per_second_programmed
    slower = compile_graph(graph, change(PRICED, "costs", drive_cycles=100, convert_pj=0.0))
    changed = measure_costs(slower.image)
    assert changed.compute_cycles is not None
    assert costs.compute_cycles is not None
    assert changed.compute_cycles > costs.compute_cycles
    assert changed.program_cycles == costs.program_cycles
    assert changed.energy_pj["convert"] == 0.0
    assert changed.energy_pj["drive"] == costs.energy_pj["drive"]
    windows = {number: layer.windows.n_windows for number, layer in built.program.matrices}
    driven = sum(windows[built.mapped.strips[tile.strip].layer] * tile.n_rows * tile.n_blocks for tile in built.mapped.tiles)
    assert costs.energy_pj["drive"] == pytest.approx(0.1 * driven)
    assert costs.traffic_bytes["inputs"] == driven


@pytest.mark.parametrize("price", [field.name for field in fields(Costs)])
def test_an_unknown_price_is_unknown_and_not_zero(price: str) -> None:
    graph, zero = read_layer_graph(make_small()), 0 if price.endswith("cycles") else 0.0
    known, unknown, free = (
        compile_graph(graph, change(PRICED, "costs", **given)) for given in ({}, {price: None}, {price: zero})
    )
    costs, changed = measure_costs(known.image), measure_costs(unknown.image)
    assert costs.unknown == ()
    assert "unknown" not in known.summary
    assert changed.unknown == (price,)
    assert f"prices that the record does not tell: {price}\n" in unknown.summary
    assert "unknown" in unknown.summary
    assert "unknown" not in free.summary
    assert unknown.data == known.data
    parts = [changed.compute_cycles, changed.program_cycles, *changed.energy_pj.values()]
    assert parts.count(None) == 1


def test_what_the_shipped_records_do_not_tell(built: Built) -> None:
    assert measure_costs(built.image).unknown == ("drive_pj", "program_cycles", "program_pj")
    for name in list_architectures():
        record = load_architecture(name)
        told = {key for key, value in asdict(record.costs).items() if value is not None}
        assert told == {key for key, text in asdict(record.sources).items() if text}


def test_the_picture_shows_every_element(example: Built) -> None:
    text = draw_crossbar(example.mapped)
    root = ElementTree.fromstring(text)
    shapes = [path for path in root.iter("{http://www.w3.org/2000/svg}path") if path.get("fill") != "none"]
    height, width = (int(re.findall(rf"{way}(\d+)", shapes[0].get("d", ""))[0]) for way in "vh")
    areas = [int(h) * int(v) for path in shapes for h, v in re.findall(r"h(\d+)v(\d+)", path.get("d", ""))]
    assert sum(areas) * 4 == 22 * height * width
    assert "22 of 48 elements" in text
    assert "conv1: 4 elements" in text
    assert "conv2: 18 elements" in text
    assert PICTURE.read_text() == text


def test_files_are_whole(example: Built, tmp_path: Path) -> None:
    example.write(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"quantised.bin", "report.html", "report.json"}
    assert (tmp_path / "out" / "quantised.bin").read_bytes() == example.data
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert told["utilisation"]["cycles"] == told["utilisation"]["bound"] == 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert "22 elements" in page
    assert not re.findall(r"(?:src|href)\s*=\s*['\"](?!#|data:)", page)

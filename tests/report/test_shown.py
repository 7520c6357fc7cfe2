"""What a notebook shows of networks, checks, builds, runs and chips."""

import subprocess
import sys
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from rule_cases import chain, feedback, residual

import snnmap
from snnmap.chip import list_chips, load_chip
from snnmap.lif.mapping import fold_network
from snnmap.lif.program.floor_plan import draw_floor_plan
from snnmap.network import InputPort, Network

AWKWARD = "a<b> & \"c\" 'd'\x01"


def rename(network: Network) -> Network:
    """Give an input port a name that is no HTML."""
    ports = tuple(InputPort(name=AWKWARD, size=port.size) for port in network.inputs)
    projections = tuple(replace(p, pre=AWKWARD) if p.pre == "in" else p for p in network.projections)
    return replace(network, name=AWKWARD, inputs=ports, projections=projections)


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    network = rename(residual())
    artifacts = snnmap.compile_model(network, "xylo-audio-3")
    raster = np.ones((1, 10, 3), np.int64)
    return {
        "network": network,
        "mapped": artifacts.mapped,
        "artifacts": artifacts,
        "check": snnmap.check_model(rename(chain(3, 5000, 4, 2)), "xylo-audio-3"),
        "early": snnmap.check_model(feedback(0), "xylo-audio-3"),
        "report": artifacts.report,
        "recording": snnmap.simulate_network(network, raster, states_of=["h1"]),
        "run": snnmap.simulate_image(artifacts.image, raster),
        "summary": snnmap.model_summary(network, "xylo-audio-3"),
        **{name: load_chip(name) for name in list_chips()},
    }


def read(value: Any) -> ElementTree.Element:
    return ElementTree.fromstring(value._repr_html_())


def texts(element: ElementTree.Element, tag: str) -> list[str]:
    return ["".join(found.itertext()) for found in element.iter(tag)]


def test_it_is_well_formed_short_and_the_same_each_time(shown: dict[str, Any]) -> None:
    for name, value in shown.items():
        made = value._repr_html_()
        ElementTree.fromstring(made)
        assert made == value._repr_html_(), name
        assert len(made) < 50_000, name
        assert AWKWARD not in made
        assert "<script" not in made


def test_a_network_is_told_part_by_part(shown: dict[str, Any]) -> None:
    rows = [texts(row, "td") for row in read(shown["network"]).iter("tr")][1:]
    name = AWKWARD.replace("\x01", "\ufffd")
    assert rows[0][:3] == [name, "input port", "3"]
    assert ["  h1 -> h2", "projection", "5 x 5", "5", "25", "0"] in rows


def test_a_finding_has_a_row_with_its_fix(shown: dict[str, Any]) -> None:
    report = shown["check"].report
    rows = [texts(row, "td") for row in read(report).iter("tr")][1:]
    assert [row[1].split()[0] for row in rows] == [found.rule for found in report.diagnostics]
    assert [row[-1] for row in rows] == [found.fix for found in report.diagnostics]
    assert texts(read(report), "div")[-1] == report.summary


def test_the_floor_plan_has_every_neuron_and_relay_in_its_place(shown: dict[str, Any]) -> None:
    mapped = shown["mapped"]
    titles = texts(draw_floor_plan(mapped), "title")
    slots = mapped.table.hidden_slots("h1", hop=1)
    assert f"h1, relay 1: {slots.min()}..{slots.max()}, lag 1" in titles
    assert "h2: " in "".join(titles)
    lengths = {"in": 3, "h1": 5, "h2": 5, "h1, relay 1": 5, "out": 2}
    for title in titles:
        what, _, where = title.rpartition(": ")
        first, last = where.split(",")[0].split("..")
        assert int(last) - int(first) + 1 == lengths.get(what, 3)


def test_bars_stay_in_the_picture_and_what_is_too_much_is_marked() -> None:
    chip = load_chip("xylo-audio-3")
    for network, over in ((chain(3, 5, 4, 2), 0), (chain(3, 5000, 4, 2), 2)):
        picture = draw_floor_plan(fold_network(network, chip))
        width, height = float(picture.get("width", 0)), float(picture.get("height", 0))
        for bar in picture.iter("rect"):
            x, y, w, h = (float(bar.get(key, -1)) for key in ("x", "y", "width", "height"))
            assert x >= 0
            assert x + w <= width
            assert 0 <= y < y + h <= height
        assert sum("too many" in title for title in texts(picture, "title")) == over


def test_a_check_that_folds_nothing_shows_its_findings(shown: dict[str, Any]) -> None:
    assert shown["early"].mapped is None
    assert not list(read(shown["early"]).iter("svg"))
    assert list(read(shown["check"]).iter("svg"))


def test_a_network_of_many_runs_is_still_a_small_picture() -> None:
    mapped = fold_network(chain(16, 900, 2), load_chip("xylo-audio-2"))
    table = replace(mapped.table, hidden_source=np.arange(900) % 2)
    assert len(ElementTree.tostring(draw_floor_plan(replace(mapped, table=table)))) < 200_000


def test_nothing_is_imported_for_it_before_it_is_shown() -> None:
    code = "import sys, snnmap.pipeline; print('snnmap.core.html' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"

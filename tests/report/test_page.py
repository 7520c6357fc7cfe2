"""A report is one file that fetches nothing, and says of a build what the build says."""

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch.nn as nn
from command_line import Run, make_runner
from random_networks import random_network
from rule_cases import chain, residual

import snnmap
from snnmap.core.errors import FormatError, InputError
from snnmap.demo.digits import make_model, read_digits
from snnmap.lif.mapping import fold_network, format_slot_table, parse_slot_table
from snnmap.network import Network
from snnmap.pipeline import Artifacts, CompileOptions
from snnmap.profile import format_html
from snnmap.report import draw_pareto, format_report
from snnmap.report.costs import list_front

RASTER = np.random.default_rng(0).poisson(1.0, (12, 15, 3)).clip(max=15)
LABELS = np.arange(12) % 2
SECTIONS = [
    "built-from", "findings-and-waivers", "model-and-chip", "floor-plan", "a-run", "what-a-sample-costs", "rounding",
    "provenance", "this-page-was-written-by",
]  # fmt: skip
_VOID = {"meta", "img"}


class Page(HTMLParser):
    """Reads a page: what it refers to, its sections and their tables; tags must be closed as they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.targets: list[str] = []
        self.rows: dict[str, list[list[str]]] = {}
        self.texts: dict[str, str] = {}
        self.section = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.targets += [
            value for name, value in given.items() if name in ("src", "href", "xlink:href", "data", "action", "srcset")
        ]
        if tag == "section":
            self.section = given["id"]
            self.rows[self.section], self.texts[self.section] = [], ""
        if tag == "tr":
            self.rows[self.section].append([])
        if tag in ("td", "th"):
            self.rows[self.section][-1].append("")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.section:
            self.texts[self.section] += data
        if self.open[-1:] in (["td"], ["th"]):
            self.rows[self.section][-1][-1] += data


def require_self_contained(text: str) -> Page:
    page = Page(text)
    assert all(target.startswith(("#", "data:image/")) for target in page.targets)
    assert {target[1:] for target in page.targets if target.startswith("#")} == set(page.rows)
    assert page.tags.isdisjoint({"script", "link", "iframe", "object", "base", "form"})
    assert not re.search(r"@import|url\(|javascript:|\son\w+=", text)
    assert "default-src 'none'" in text
    return page


def network() -> Network:
    return replace(residual(), name="a<b> & c")


@pytest.fixture(scope="module")
def artifacts() -> Artifacts:
    return snnmap.compile_model(network(), "xylo-audio-3", calibration=RASTER, options=CompileOptions(allow=("SNN6",)))


@pytest.fixture(scope="module")
def page(artifacts: Artifacts) -> Page:
    return require_self_contained(format_report(artifacts, inputs=RASTER, labels=LABELS))


@pytest.fixture
def folder(artifacts: Artifacts, tmp_path: Path) -> Path:
    artifacts.write(tmp_path / "build")
    return tmp_path / "build"


def test_every_section_is_there(page: Page) -> None:
    assert list(page.rows) == SECTIONS
    assert all(page.texts.values())


def test_findings_are_those_of_the_build(artifacts: Artifacts, page: Page) -> None:
    rows = page.rows["findings-and-waivers"][1:]
    assert rows
    assert [row[1].split()[0] for row in rows] == [found.rule for found in artifacts.report.diagnostics]
    assert [row[3] for row in rows] == [found.message for found in artifacts.report.diagnostics]
    assert artifacts.report.summary in page.texts["findings-and-waivers"]


def test_the_comparison_is_that_of_the_build(artifacts: Artifacts, page: Page) -> None:
    spikes = [row[:4] for row in page.rows["model-and-chip"]]
    for population in artifacts.comparison.populations:
        assert [population.name, str(population.size), str(population.model_spikes), str(population.chip_spikes)] in spikes
    assert artifacts.verification is not None
    assert f"0 of {artifacts.verification.n_compared} spike counts differ" in page.texts["model-and-chip"]


def test_places_costs_and_rounding_are_those_of_the_build(artifacts: Artifacts, page: Page) -> None:
    assert [list(map(str, place)) for place in artifacts.mapped.list_places()][1] in page.rows["floor-plan"]
    told = {row[0]: row for row in page.rows["what-a-sample-costs"]}
    for population in artifacts.profile(RASTER).populations:
        assert float(told[population.name][3].replace(",", "")) == pytest.approx(population.synaptic_operations / 12, abs=0.005)
    assert {error.name for error in artifacts.quantised.errors if error.n_values} <= {row[0] for row in page.rows["rounding"]}
    assert artifacts.describe_build()["sha256"] in page.texts["provenance"]
    right = int((artifacts.run(RASTER)["port"].sum(axis=1).argmax(axis=1) == LABELS).sum())
    assert f"reads {right} of 12 samples right" in page.texts["a-run"]


def test_the_files_of_a_build_give_the_page_of_its_artifacts(artifacts: Artifacts, folder: Path) -> None:
    in_memory = format_report(artifacts, inputs=RASTER, labels=LABELS, sample=3)
    (bitstream,) = folder.glob("*.bin")
    for subject in (folder, str(bitstream)):
        assert format_report(subject, inputs=RASTER, labels=LABELS, sample=3) == in_memory
    assert format_report(artifacts) == format_report(folder)
    assert format_report(artifacts) != in_memory


def test_a_bitstream_alone_says_what_is_unknown(folder: Path, tmp_path: Path) -> None:
    (bitstream,) = folder.glob("*.bin")
    alone = shutil.copy(bitstream, tmp_path / "alone.bin")
    page = require_self_contained(format_report(alone))
    assert list(page.rows) == SECTIONS
    for section in ("built-from", "findings-and-waivers", "model-and-chip", "rounding"):
        assert "unknown" in page.texts[section].lower()
    assert ["hidden", "hidden", "15", "0", "0", "0..14"] in page.rows["floor-plan"]


def test_files_of_two_builds_are_refused(folder: Path, tmp_path: Path) -> None:
    snnmap.compile_model(chain(3, 5, 4, 2), "xylo-audio-3").write(tmp_path / "other")
    (bitstream,) = folder.glob("*.bin")
    slots = (folder / "slots.csv").read_bytes()
    shutil.copy(tmp_path / "other/slots.csv", folder)
    with pytest.raises(InputError, match="slot table is of another"):
        format_report(folder)
    (folder / "slots.csv").write_bytes(slots.replace(b"hidden,1,", b"hidden,7,"))
    with pytest.raises(FormatError, match="slots are not in order"):
        format_report(folder)
    (folder / "slots.csv").write_bytes(slots.replace(b"input,0", b"imput,0"))
    with pytest.raises(FormatError, match="no line of a slot table"):
        format_report(folder)
    (folder / "slots.csv").write_bytes(slots)
    shutil.copy(tmp_path / "other/chain.bin", bitstream)
    with pytest.raises(InputError, match="of another bitstream"):
        format_report(folder)


@pytest.mark.parametrize("text", ["[]", "{", '{"bitstream": "x.bin"}'])
def test_what_no_build_wrote_is_refused(folder: Path, text: str) -> None:
    (folder / "report.json").write_text(text)
    with pytest.raises(InputError, match=r"no JSON|no build wrote"):
        format_report(folder)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"labels": LABELS}, "labels are of inputs"),
        ({"inputs": RASTER, "sample": 12}, r"12   limit: 0\.\.11"),
        ({"inputs": RASTER[:, :, :2]}, "wrong shape"),
        ({"inputs": RASTER + 1000}, "more than a channel carries"),
        ({"inputs": RASTER, "labels": LABELS + 1}, "no output stands for"),
        ({"inputs": RASTER, "labels": LABELS[:3]}, "do not fit"),
    ],
)
def test_wrong_data_are_refused(artifacts: Artifacts, given: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        format_report(artifacts, **given)


def test_slot_tables_read_back() -> None:
    for seed in range(6):
        mapped = fold_network(random_network(seed), snnmap.load_chip("generic-4096"))
        read, table = parse_slot_table(format_slot_table(mapped)), mapped.table
        assert read.table.hidden_hop.tolist() == table.hidden_hop.tolist()
        for kind in ("channel", "hidden", "output"):
            there, again = (getattr(t, f"{kind}_source").tolist() for t in (table, read.table))
            assert [read.table.sources[number] for number in again] == [table.sources[number] for number in there]
            assert getattr(read.table, f"{kind}_neuron").tolist() == getattr(table, f"{kind}_neuron").tolist()
        assert all(lag == mapped.relay_lag(*place) for place, lag in read.lags.items())


def test_a_profile_and_a_choice_of_chips_have_pages(artifacts: Artifacts) -> None:
    profile = require_self_contained(format_report(artifacts.profile(RASTER)))
    assert list(profile.rows) == ["what-a-sample-costs", "this-page-was-written-by"]
    layers = snnmap.profile_model(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), (4,))
    assert format_report(layers) == format_html(layers)
    swept = snnmap.sweep_model(
        network(),
        "generic-4096",
        "recurrent_weights.max_fan_in",
        [1, 128, 256],
        options=CompileOptions(allow=("SNN6",), decision="count"),
    )
    fit = require_self_contained(format_report(swept))
    assert list(fit.rows) == ["in-a-table", "costs", "cost-against-decisions", "this-page-was-written-by"]
    assert [row[1] for row in fit.rows["in-a-table"][1:]] == ["no", "yes", "yes"]
    assert draw_pareto(swept, ["1", "128", "256"]) is not None
    assert draw_pareto(replace(swept, rows=swept.rows[:1]), ["1"]) is None


def is_beaten(point: tuple[float, float], points: list[tuple[float, float]]) -> bool:
    return any(x <= point[0] and y >= point[1] and (x, y) != point for x, y in points)


def test_the_front_is_what_nothing_beats() -> None:
    generator = np.random.default_rng(0)
    for n_points in (1, 2, 5, 30):
        points = [(float(x), float(y)) for x, y in generator.integers(0, 8, (n_points, 2))]
        front = [points[place] for place in list_front(points)]
        assert front == sorted({point for point in points if not is_beaten(point, points)})


def test_the_verbs(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run: Run = make_runner(capsys)
    np.save(tmp_path / "counts.npy", RASTER)
    np.save(tmp_path / "labels.npy", LABELS)
    data = ("-i", tmp_path / "counts.npy", "--labels", tmp_path / "labels.npy")
    assert run("report", folder, "-o", tmp_path / "a.html", *data).code == 0
    assert (tmp_path / "a.html").read_text() == format_report(folder, inputs=RASTER, labels=LABELS)
    fit = ("fit", folder / "network.json", "-c", "generic-4096", "--allow", "SNN6", "-q", "--report", tmp_path / "b.html")
    assert run(*fit).code == 0
    require_self_contained((tmp_path / "b.html").read_text())
    lost = run("report", tmp_path / "no", "-o", tmp_path / "c.html")
    assert lost.code == 2
    assert "cannot be read" in lost.err
    assert not (tmp_path / "c.html").exists()


def test_the_page_of_the_demo_s_network_is_small() -> None:
    options = CompileOptions(allow=("SNN6",))
    model, digits = make_model(0).double().eval(), read_digits(0)
    built = snnmap.compile_model(model, "xylo-audio-3", calibration=digits.train[:32], options=options)
    text = format_report(built, inputs=digits.test, labels=digits.test_labels)
    assert "4.body.1" in require_self_contained(text).texts["floor-plan"]
    assert len(text.encode()) < 2_000_000

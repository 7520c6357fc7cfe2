"""Which chip holds a model: every chip beside the others, sweeps, the smallest record."""

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from xml.etree import ElementTree

import numpy as np
import pytest
from random_networks import random_network

import snnmap
from snnmap.chip import Chip, format_chip, list_chips, load_chip, read_chip
from snnmap.core.errors import InputError
from snnmap.lif.fixes import FixOptions
from snnmap.pipeline import CompileOptions
from snnmap.report import draw_fit, fit_csv

LAX = CompileOptions(allow=("SNN6",))


def test_every_chip_in_one_table() -> None:
    network = random_network(3)
    fit = snnmap.fit_model(network, options=LAX)
    assert [row.chip for row in fit.rows] == list_chips()
    for row in fit.rows:
        checked = snnmap.check_model(network, row.chip, options=LAX)
        assert row.fits == checked.report.is_clean
        assert row.broken == checked.report.errors
        assert (row.profile is not None) == (checked.image is not None)
    held = next(row for row in fit.rows if row.chip == "generic-4096")
    assert held.profile is not None
    assert held.to_plain()["joules_a_sample"] > 0
    vendors = next(row for row in fit.rows if row.chip == "xylo-audio-3")
    assert vendors.to_plain()["joules_a_sample"] is None  # no price is published
    assert "unknown" in dict(zip(fit.columns, fit.to_cells()[list_chips().index("xylo-audio-3")], strict=True)).values()
    assert "generic-4096" in fit._repr_html_()
    rows = list(csv.DictReader(io.StringIO(fit_csv(fit))))
    assert [row["chip"] for row in rows] == list_chips()
    ElementTree.fromstring(draw_fit(fit, list_chips(), axis="chip"))


def test_a_sweep_of_a_field_is_a_check_of_each_record() -> None:
    network, chip = random_network(4), load_chip("generic-4096")
    fit = snnmap.sweep_model(network, chip, "recurrent_weights.max_fan_in", ["1", 4, 256], options=LAX)
    for row, value in zip(fit.rows, (1, 4, 256), strict=True):
        edited = replace(chip, recurrent_weights=replace(chip.recurrent_weights, max_fan_in=value))
        assert row.broken == snnmap.check_model(network, edited, options=LAX).report.errors
    assert [row.fits for row in fit.rows] == [False, False, True]
    of_options = snnmap.sweep_model(network, chip, "quantise.second_synapse", ["never", "always"], options=LAX)
    assert [row.chip for row in of_options.rows] == [f"generic-4096, quantise.second_synapse = {v}" for v in ("never", "always")]
    impossible = snnmap.sweep_model(network, chip, "hidden.synapses", [3], options=LAX).rows[0]
    assert not impossible.fits
    assert "hidden.synapses = 3 is outside 1..2" in impossible.problem


def test_choices_of_a_conversion_are_told_with_what_they_do_to_the_network() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(300, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    values = np.random.default_rng(0).uniform(0, 1, (40, 300))
    fit = snnmap.sweep_model(model, "generic-4096", "convert.prune", ["False", "True"], options=LAX, calibration=values)
    assert [row.fits for row in fit.rows] == [False, True]
    assert [["pruned" in told for told in row.fixes] for row in fit.rows] == [[], [True]]
    none = snnmap.sweep_model(model, "toy-4", "convert.n_steps", [4, 8], options=LAX, calibration=values)
    assert ["SNN201 there are more input channels" in row.problem for row in none.rows] == [True, True]


def test_whoever_runs_the_builds_the_fit_is_the_same() -> None:
    network, chips = random_network(3), ["toy-4", "generic-4096"]
    here = snnmap.fit_model(network, chips, options=LAX)
    assert snnmap.fit_model(network, chips, options=LAX, n_workers=2) == here
    with ThreadPoolExecutor(1) as thread:
        values = [3, 4096]
        swept = snnmap.sweep_model(network, "generic-4096", "hidden.count", values, options=LAX, executor=thread)
    assert swept == snnmap.sweep_model(network, "generic-4096", "hidden.count", values, options=LAX)


@pytest.mark.parametrize(
    ("field", "values", "told"),
    [
        ("recurrent_weights.max_fanin", [1], "max_fan_in"),
        ("hidden", [1], "neither the chip's record nor"),
        ("hidden.count", ["many"], "another type"),
        ("hidden.bias", [1], "another type"),
    ],
)
def test_what_a_sweep_refuses(field: str, values: list[object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        snnmap.sweep_model(random_network(3), "generic-4096", field, values)


def test_fixes_tell_what_they_cost() -> None:
    network = random_network(4)
    without = snnmap.sweep_model(network, "generic-4096", "recurrent_weights.max_fan_in", [6], options=LAX)
    fixed = snnmap.sweep_model(
        network, "generic-4096", "recurrent_weights.max_fan_in", [6], options=LAX, fixes=FixOptions()
    )  # fmt: skip
    assert not without.rows[0].fits
    assert fixed.rows[0].fits
    assert any("prune" in told for told in fixed.rows[0].fixes)


def test_an_ann_that_fits_is_the_same_where_fixes_are_allowed() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(1, 16, 1), torch.nn.ReLU(), torch.nn.AvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(64, 3))
    model, values = torch.nn.Sequential(*layers), np.random.default_rng(0).uniform(0, 1, (8, 1, 8, 8))
    fit = snnmap.fit_model(model, ["generic-4096"], options=LAX, calibration=values)
    assert fit.rows[0].fits
    assert snnmap.fit_model(model, ["generic-4096"], options=LAX, calibration=values, fixes=FixOptions()) == fit


def shrink(chip: Chip, part: str, field: str) -> Chip:
    """Return the chip with one of its capacities one smaller; the dense memories go with what they connect."""
    held = getattr(chip, part)
    return replace(chip, **{part: replace(held, **{field: getattr(held, field) - 1})})


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["generic-4096", "xylo-audio-3"])
def test_the_smallest_record_holds_the_model_and_one_less_does_not(name: str, seed: int) -> None:
    network = random_network(seed)
    if not snnmap.check_model(network, name, options=LAX).report.is_clean:
        pytest.skip("does not fit the whole chip")
    smallest = snnmap.find_smallest_chip(network, name, options=LAX)
    assert read_chip(format_chip(smallest), where="text") == smallest
    artifacts = snnmap.compile_model(network, smallest, options=LAX)
    assert artifacts.verification is not None
    assert artifacts.verification.n_mismatches == 0
    for part in ("inputs", "hidden", "outputs"):
        if getattr(smallest, part).count > max(1, getattr(getattr(smallest, part), "reach", smallest.inputs.reach).count):
            assert not snnmap.check_model(network, shrink(smallest, part, "count"), options=LAX).report.is_clean
        reach = getattr(getattr(smallest, part), "reach", None)
        if reach is not None and reach.count > 1:
            row = getattr(smallest, part)
            shorter = replace(smallest, **{part: replace(row, reach=replace(reach, count=reach.count - 1))})
            assert not snnmap.check_model(network, shorter, options=LAX).report.is_clean
    memory = smallest.recurrent_weights
    assert memory.is_sparse
    if memory.max_words > 1:
        assert not snnmap.check_model(network, shrink(smallest, "recurrent_weights", "max_words"), options=LAX).report.is_clean


def test_nothing_is_cut_from_a_chip_that_is_too_small() -> None:
    with pytest.raises(InputError, match="does not hold this model"):
        snnmap.find_smallest_chip(random_network(3), "toy-4")


@pytest.mark.parametrize("name", ["toy-4", "xylo-audio-3"])
def test_what_a_model_needs_beyond_a_chip_is_a_record_that_holds_it(name: str) -> None:
    network = snnmap.sketch_network({"in": 20, "a": 150, "b": 140, "out": 33})
    refused = snnmap.check_model(network, name, options=LAX).report.errors
    assert {"SNN201", "SNN203"} < {error.rule for error in refused}
    needed = snnmap.find_smallest_chip(network, name, enlarge=True, options=LAX)
    assert (needed.inputs.count, needed.hidden.count, needed.outputs.count) == (20, 290, 33)
    assert needed.recurrent_weights.max_words == 150 * 140
    assert needed.name == f"{name}-for-{network.name}"
    assert read_chip(format_chip(needed), where="text") == needed
    assert snnmap.compile_model(network, needed, options=LAX).verification is not None


def test_no_size_makes_up_for_what_a_chip_does_not_do() -> None:
    network = snnmap.sketch_network({"in": 20, "a": 8, "out": 2}, bias={"a": 0.1})
    with pytest.raises(InputError, match="chip 'xylo-audio-2', even of any size, does not hold this model") as refused:
        snnmap.find_smallest_chip(network, "xylo-audio-2", enlarge=True, options=LAX)
    assert refused.value.measured == "SNN210"


@pytest.mark.parametrize("name", list_chips())
def test_records_as_toml_are_read_as_they_were(name: str) -> None:
    chip = load_chip(name)
    again = read_chip(format_chip(chip), where="text")
    assert again == chip
    assert again.costs == chip.costs
    assert all(getattr(again, field.name) == getattr(chip, field.name) for field in fields(chip))


def test_one_price_for_memories_of_all_sizes_is_told() -> None:
    chip = load_chip("generic-4096")
    assert chip.costs.prices is not None
    alone = replace(chip, costs=replace(chip.costs, prices=replace(chip.costs.prices, weight_reads=())))
    network = random_network(3)
    told, priced = (
        snnmap.sweep_model(network, one, "recurrent_weights.max_words", [4096, 2**20], options=LAX) for one in (alone, chip)
    )
    assert [len(row.fixes) for row in told.rows] == [1, 0]
    assert "recurrent_weights of 10240 bytes as of 2621440" in told.rows[0].fixes[0]
    assert [row.fixes for row in priced.rows] == [(), ()]

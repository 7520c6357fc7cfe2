from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from snnmap.chip import find_chip_by_id, list_chips, load_chip, read_chip
from snnmap.errors import ChipError


def catalog_text(name: str) -> str:
    return (resources.files("snnmap.chip") / "catalog" / f"{name}.toml").read_text()


def test_every_chip_is_found_by_name_and_by_id() -> None:
    chips = [load_chip(name) for name in list_chips()]
    assert [chip.name for chip in chips] == list_chips()
    assert all(find_chip_by_id(chip.chip_id) == chip for chip in chips)
    assert len({chip.digest for chip in chips}) == len(chips)


@pytest.mark.parametrize(
    ("name", "shape", "synapses", "fan_out", "words"),
    [
        ("xylo-audio-2", (16, 1000, 8), 2, 64, 32_000),
        ("xylo-audio-3", (16, 992, 32), 2, 1024, 31_744),
        ("xylo-imu", (16, 496, 16), 1, 512, 31_744),
    ],
)
def test_xylo_shapes_are_those_of_the_design(
    name: str, shape: tuple[int, int, int], synapses: int, fan_out: int, words: int
) -> None:
    chip = load_chip(name)
    assert (chip.inputs.count, chip.hidden.count, chip.outputs.count) == shape
    assert (chip.hidden.synapses, chip.outputs.synapses) == (synapses, 1)
    assert (chip.recurrent_weights.max_fan_out, chip.recurrent_weights.max_words) == (fan_out, words)


def test_the_generic_chip_bounds_fan_in() -> None:
    chip = load_chip("generic-4096")
    assert (chip.inputs.count, chip.hidden.count, chip.outputs.count) == (1024, 4096, 16)
    assert {memory.max_fan_in for memory in (chip.input_weights, chip.recurrent_weights, chip.output_weights)} == {256}


def test_the_single_chip_is_the_generic_one_with_one_spike_a_step() -> None:
    single, generic = load_chip("generic-4096-single"), load_chip("generic-4096")
    assert (single.hidden.max_count, single.outputs.max_count) == (1, 1)
    hidden = replace(single.hidden, max_count=generic.hidden.max_count)
    texts = {"name": generic.name, "chip_id": generic.chip_id, "description": generic.description, "source": generic.source}
    assert replace(single, hidden=hidden, **texts) == generic


def test_a_chip_of_the_users_own_is_a_toml_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(catalog_text("toy-4").replace("chip_id = 1\n", "chip_id = 900\n"))
    assert load_chip(str(path)) == replace(load_chip("toy-4"), chip_id=900)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("chip_id = 1\n", "", "missing field chip_id"),
        ("synapses = 2\n", "", "missing field hidden.synapses"),
        ("count = 4\nsynapses", "count = 3\nsynapses", "inputs.reach.count = 4 is outside 1..3"),
        ("alias = true", "alias = 1", "hidden.alias = 1 is not of type bool"),
        ("state = 16", "state = 12", "bits.threshold = 16 is outside 2..12"),
        ('"rows_by_source"', '"columns_by_target"', "max_fan_in is 0"),
        ('layout = "dense"', 'layout = "round"', "input_weights.layout = 'round' is not one of"),
        ("max_words = 8\n", "max_words = 7\n", "max_words = 7 is below 2 x 4 = 8"),
        ('readouts = ["spikes", "potential", "current"]', 'readouts = "spikes"', "outputs.readouts is not a list"),
        ("[bits]", "colour = 3\n[bits]", "unknown field output_weights.colour"),
        ("[bits]", "[bits", "not TOML"),
    ],
)
def test_a_defect_of_a_chip_file_is_named(before: str, after: str, expected: str) -> None:
    text = catalog_text("toy-4")
    assert before in text
    with pytest.raises(ChipError) as caught:
        read_chip(text.replace(before, after, 1), where="mine.toml")
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", ["no-such-chip", "no/such/file.toml"])
def test_an_unknown_chip_says_what_there_is(name: str) -> None:
    with pytest.raises(ChipError, match=r"fix: "):
        load_chip(name)

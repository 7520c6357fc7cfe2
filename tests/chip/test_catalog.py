from dataclasses import MISSING, fields, replace
from importlib import resources
from pathlib import Path
from typing import get_args

import pytest

from snnmap.chip import LAYOUTS, Bits, Chip, Layout, MemoryKind, find_chip_by_id, list_chips, load_chip, read_chip
from snnmap.core.errors import ChipError


def catalog_text(name: str) -> str:
    return (resources.files("snnmap.chip") / "catalog" / f"{name}.toml").read_text()


def test_every_chip_is_found_by_name_and_by_id() -> None:
    chips = [load_chip(name) for name in list_chips()]
    assert [chip.name for chip in chips] == list_chips()
    assert all(find_chip_by_id(chip.chip_id) == chip for chip in chips)
    assert len({chip.digest for chip in chips}) == len(chips)


DIGESTS = {
    "generic-4096": "199b3fa5aa54ab336221d27ee5cf70b45746f3802040ac9ce73e4370342c1a73",
    "generic-4096-single": "beffbfd0b61027c8ccfc6ba112d48805d5a0ef38255263eccff5c5d882565444",
    "toy-4": "65641a558e7d11273f79962749d2f720da8e97265ac52677d0cdc825368b4507",
    "xylo-audio-2": "82d94183404ffedf06dc5bfe6b7ce6a019e37123523be89994814477b5dcb915",
    "xylo-audio-3": "9f3cec6fdd7de3c82ffe3e18dec857ea482f2e09a62d187d225e5845f2f08e60",
    "xylo-imu": "95ecd5ebe375a783f05e4c9150c35b205302518afb4bd98ad7355336753d1ca8",
}
"""As first written; bitstreams out there hold them."""


@pytest.mark.parametrize("name", DIGESTS)
def test_the_digest_of_a_built_in_chip_never_changes(name: str) -> None:
    assert load_chip(name).digest.hex() == DIGESTS[name]


def test_only_later_fields_have_defaults() -> None:
    chip = load_chip("toy-4")
    parts = [chip, chip.inputs, chip.inputs.reach, chip.hidden, chip.outputs, chip.bits, chip.memory(MemoryKind.INPUT)]
    with_default = [
        f"{type(part).__name__}.{field.name}" for part in parts for field in fields(part) if field.default is not MISSING
    ]
    assert with_default == ["Chip.arithmetic", "Bits.neuron_id"]


def test_a_later_field_may_be_left_out_of_a_file() -> None:
    assert "neuron_id" not in catalog_text("toy-4")
    assert load_chip("toy-4").bits.neuron_id == 16
    said = read_chip(catalog_text("toy-4") + "neuron_id = 16\n", where="mine.toml")
    assert (said, said.digest) == (load_chip("toy-4"), load_chip("toy-4").digest)


def test_an_edited_chip_that_keeps_a_built_ins_name_is_renamed() -> None:
    edited, built_in = (
        read_chip(catalog_text("toy-4").replace("alias = true", "alias = false"), where="mine.toml"),
        load_chip("toy-4"),
    )
    digests = [chip.digest.hex()[:16] for chip in (edited, built_in)]
    assert edited.name == f"toy-4 (edited: {digests[0]}, built-in: {digests[1]})"
    assert len(set(digests)) == 2
    text = catalog_text("toy-4").replace("alias = true", "alias = false").replace('name = "toy-4"', 'name = "mine"')
    assert read_chip(text, where="mine.toml").name == "mine"


def test_every_kind_of_memory_is_found() -> None:
    chip = load_chip("xylo-audio-3")
    assert [chip.memory(kind) for kind in MemoryKind] == [chip.input_weights, chip.recurrent_weights, chip.output_weights]
    assert [chip.synapses(kind) for kind in MemoryKind] == [2, 2, 1]
    assert [chip.ends(kind) for kind in MemoryKind] == [(16, 992), (992, 992), (992, 32)]
    assert [chip.word_bits(kind) for kind in MemoryKind] == [8, 18, 8]
    reached = [chip.addresses(kind, 3, 200, 5) for kind in MemoryKind]
    assert reached == [(range(3), range(128)), (range(200), range(200)), (range(72, 200), range(5))]


def test_every_layout_that_a_record_may_name_is_known() -> None:
    assert tuple(LAYOUTS) == get_args(Layout)


def test_an_unknown_layout_is_refused_also_where_no_file_names_it() -> None:
    chip = load_chip("toy-4")
    with pytest.raises(
        ChipError, match=r"recurrent_weights\.layout = 'round' is not one of dense, rows_by_source, columns_by_target"
    ):
        replace(chip, recurrent_weights=replace(chip.recurrent_weights, layout="round"))


def widen(chip: Chip, **widths: int) -> Chip:
    bits: Bits = replace(chip.bits, **widths)
    return replace(chip, bits=bits, hidden=replace(chip.hidden, count=2**bits.neuron_id - 1))


def test_ids_are_as_wide_as_a_record_asks() -> None:
    chip = load_chip("generic-4096")
    with pytest.raises(ChipError, match=r"hidden\.count = 65536 is outside 1\.\.65535"):
        replace(chip, hidden=replace(chip.hidden, count=2**16))
    assert widen(chip, neuron_id=24).hidden.count > 10**7
    with pytest.raises(ChipError, match="a word of recurrent_weights takes 33 bits for weight and id, more than 32"):
        widen(chip, neuron_id=24, weight=9)
    with pytest.raises(ChipError, match=r"bits\.neuron_id = 31 is outside 16\.\.30"):
        widen(chip, neuron_id=31)


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


def test_a_record_and_a_path_are_chips_and_nothing_else_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(catalog_text("toy-4"))
    assert load_chip(load_chip("toy-4")) is load_chip("toy-4")
    assert load_chip(path) == load_chip(str(path))
    for wrong in (None, ["toy-4"], 4):
        with pytest.raises(ChipError, match=r"(?s)this is no chip.*name one chip"):
            load_chip(wrong)  # type: ignore[arg-type]

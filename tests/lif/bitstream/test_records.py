"""Bitstreams of edited chips, and of records that have grown since."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from lif.bitstream.make_golden import FOLDER

from snnmap.chip import Bits, Chip, load_chip, read_chip, read_record
from snnmap.core.errors import FormatError
from snnmap.lif.bitstream import assemble, decode, disassemble, encode
from snnmap.lif.program import pack, unpack

GOLDEN = sorted(path.name for path in FOLDER.glob("*.bin"))


def test_a_bitstream_of_an_edited_chip_is_not_taken_for_the_built_ins(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(read_record("toy-4").replace("max_count = 31", "max_count = 30"))
    mine, built_in = load_chip(str(tmp_path / "mine.toml")), load_chip("toy-4")
    image = pack(replace(unpack(decode((FOLDER / "toy-4.bin").read_bytes())), chip=mine))
    assert decode(encode(image), chip=mine).chip.name == mine.name
    assert (
        disassemble(image)
        .splitlines()[1]
        .endswith(f" toy-4 (edited: {mine.digest.hex()[:16]}, built-in: {built_in.digest.hex()[:16]})")
    )
    assert assemble(disassemble(image), chip=mine) == image
    with pytest.raises(FormatError, match="another record of chip 'toy-4'") as caught:
        decode(encode(image))
    assert mine.digest.hex()[:16] in str(caught.value)
    assert built_in.digest.hex()[:16] in str(caught.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooling:
    """A table that no chip has yet."""

    fan: bool = False
    channels: tuple[int, ...] = (1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrownBits(Bits):
    """Widths with one more."""

    colour: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class GrownChip(Chip):
    """A chip record with later fields."""

    bits: GrownBits
    weaving: str = "plain"
    cooling: Cooling = field(default_factory=Cooling)


@pytest.fixture
def grown_record(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the catalog read records that have grown."""
    catalog = sys.modules["snnmap.chip.catalog"]
    catalog._load_built_in.cache_clear()
    monkeypatch.setattr(catalog, "Chip", GrownChip)
    yield
    catalog._load_built_in.cache_clear()


@pytest.mark.usefixtures("grown_record")
@pytest.mark.parametrize("name", GOLDEN)
def test_old_files_are_read_and_written_with_a_record_that_has_grown(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    image = decode(data)
    assert isinstance(image.chip, GrownChip)
    assert (image.chip.weaving, image.chip.bits.colour, image.chip.cooling.fan) == ("plain", 3, False)
    assert encode(image) == data
    assert assemble((FOLDER / name).with_suffix(".txt").read_text()) == image


@pytest.mark.usefixtures("grown_record")
@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("", True),
        ('weaving = "plain"', True),
        ("[bits]\ncolour = 3", True),
        ("cooling = { fan = false }", True),
        ('weaving = "twill"', False),
        ("[bits]\ncolour = 4", False),
        ("cooling = { fan = true }", False),
        ("cooling = { channels = [1, 3] }", False),
    ],
)
def test_a_later_field_counts_where_it_does_not_hold_its_default(change: str, same: bool) -> None:
    old = load_chip("toy-4")
    table, _, line = change.rpartition("]\n")
    text = read_record("toy-4")
    text = text.replace(f"{table}]\n", f"{table}]\n{line}\n") if table else f"{line}\n{text}"
    chip = read_chip(text, where="mine.toml")
    assert (chip.digest == old.digest) is same
    assert (chip.name == old.name) is same
    if not same:
        with pytest.raises(FormatError, match="another record"):
            decode((FOLDER / "toy-4.bin").read_bytes(), chip=chip)


def test_a_later_value_changes_the_digest_and_names_do_not() -> None:
    chip = load_chip("toy-4")
    assert replace(chip, bits=replace(chip.bits, neuron_id=17)).digest != chip.digest
    assert replace(chip, name="x", description="y", source="z").digest == chip.digest

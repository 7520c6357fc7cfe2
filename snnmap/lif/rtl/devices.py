"""FPGAs that open tools route for, and whether the memories of a chip find room in one."""

from collections.abc import Iterator
from typing import NamedTuple

from snnmap.chip import Chip, MemoryKind
from snnmap.core.errors import ChipError
from snnmap.lif.rtl.parameters import list_parameters

__all__ = ["DEVICES", "Device", "count_block_rams", "require_room"]


class Device(NamedTuple):
    """An FPGA.

    Attributes:
        name: as the command line has it.
        option: of nextpnr-ecp5.
        block_rams: of 18 kbit.
    """

    name: str
    option: str
    block_rams: int


DEVICES = {
    device.name: device
    for device in (Device("ecp5-25k", "25k", 56), Device("ecp5-45k", "45k", 108), Device("ecp5-85k", "85k", 208))
}
"""By name; figures of Lattice's data sheet FPGA-DS-02012, table 1.1."""

_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
"""Words and bits of a block RAM."""
_SMALL_BITS = 1024
"""Of a memory that goes into logic cells."""


def require_room(chip: Chip, device: Device) -> None:
    """Refuse a chip whose memories take more block RAMs than a device has.

    Raises:
        ChipError: they do.
    """
    taken = count_block_rams(chip)
    if taken <= device.block_rams:
        return
    larger = [found.name for found in DEVICES.values() if found.block_rams >= taken]
    raise ChipError(
        f"the memories of the chip do not fit {device.name}",
        where=f"chip '{chip.name}'",
        measured=f"at least {taken} block RAMs",
        limit=f"{device.block_rams}",
        fix=f"give --target {larger[0]}" if larger else "make memories smaller (max_words, hidden.count) in a record of your own",
    )


def count_block_rams(chip: Chip) -> int:
    """Return the block RAMs that the memories of a chip's core take at least, each in the shape that takes fewest."""
    return sum(
        min(-(-words // deep) * -(-bits // wide) for deep, wide in _SHAPES)
        for words, bits in _list_memories(chip)
        if words * bits > _SMALL_BITS
    )


def _list_memories(chip: Chip) -> Iterator[tuple[int, int]]:
    """List words and bits of each memory of the core."""
    p = list_parameters(chip)
    n = p["N_HID"] + p["N_OUT"]
    yield from ((n, p["X"]), (n, p["D"] * (1 + p["S"])), (n, p["T"]))
    if p["HAS_BIAS"]:
        yield n, p["B"]
    if p["HAS_ALIAS"]:
        yield from ((p["N_HID"], p["AL"]), (p["N_HID"], p["CNT"]))
    for _ in range(p["S"]):
        slots, channels = 2 << (n - 1).bit_length(), 2 << (p["N_IN"] - 1).bit_length()
        yield from ((n, p["X"]), (slots, p["CNT"]), (channels, p["CNT"]))
    for kind, name in ((MemoryKind.INPUT, "IN"), (MemoryKind.RECURRENT, "REC"), (MemoryKind.OUTPUT, "OUT")):
        for _ in range(chip.synapses(kind)):
            yield p[f"{name}_WORDS"], chip.word_bits(kind)
            if p[f"{name}_LAYOUT"]:
                rows = len(chip.addresses(kind, p["N_IN"], p["N_HID"], p["N_OUT"])[p[f"{name}_LAYOUT"] - 1])
                yield from ((rows, p[f"{name}_LEN"]), (rows, p["P"]))

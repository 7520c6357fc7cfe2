"""The parameters of the core for a chip: what its Verilog is told of the record."""

from snnmap.chip import Chip, MemoryKind
from snnmap.core.errors import ChipError

__all__ = ["list_parameters"]

_LAYOUTS = {"dense": 0, "rows_by_source": 1, "columns_by_target": 2}
_MEMORIES = {MemoryKind.INPUT: "IN", MemoryKind.RECURRENT: "REC", MemoryKind.OUTPUT: "OUT"}
_LEAST_ADDRESS = 5
"""Bits of a slot: one more than those of its place in a group of the walker."""


def list_parameters(chip: Chip) -> dict[str, int]:
    """Return the parameters of the module ``lif_core`` by name, in the order of its declaration.

    Raises:
        ChipError: the core has no such layout.
    """
    inputs, hidden, outputs, bits = chip.inputs, chip.hidden, chip.outputs, chip.bits
    memories = {f"{_MEMORIES[kind]}_{name}": value for kind in MemoryKind for name, value in _describe(chip, kind).items()}
    lengths = [memories[f"{prefix}_LEN"] for prefix in _MEMORIES.values()]
    address = max(
        _LEAST_ADDRESS, (hidden.count + outputs.count).bit_length(), inputs.count.bit_length(), *lengths, chip.bits.weight_shift
    )
    most = max(hidden.max_count, outputs.max_count)
    words = max(chip.memory(kind).max_words for kind in MemoryKind)
    return {
        "N_IN": inputs.count,
        "N_HID": hidden.count,
        "N_OUT": outputs.count,
        "S": hidden.synapses,
        "SO": outputs.synapses,
        "IN_MAX": inputs.max_count,
        "HID_MAX": hidden.max_count,
        "OUT_MAX": outputs.max_count,
        "IN_REACH": inputs.reach.count,
        "IN_LAST": int(inputs.reach.anchor == "last"),
        "OUT_REACH": outputs.reach.count,
        "OUT_LAST": int(outputs.reach.anchor == "last"),
        **memories,
        "HAS_BIAS": int(hidden.bias or outputs.bias),
        "HAS_ALIAS": int(hidden.alias),
        "AL": hidden.count.bit_length(),
        "ENTERS": int(not chip.family.decays_after_input),
        "FIRE": most.bit_length(),
        "W": bits.weight,
        "T": bits.threshold,
        "B": bits.bias,
        "D": bits.decay,
        "SHB": max(1, bits.weight_shift),
        "X": bits.state,
        "A": address,
        "P": max(words.bit_length(), address),
        "CNT": max(most, inputs.max_count).bit_length(),
    }


def _describe(chip: Chip, kind: MemoryKind) -> dict[str, int]:
    """Return layout, words, widths and delay of a kind of memory; without delay where the core knows one only."""
    memory, (n_sources, n_targets) = chip.memory(kind), chip.ends(kind)
    by_target = memory.layout == "columns_by_target"
    n_named = n_sources if by_target else n_targets
    if memory.layout not in _LAYOUTS:
        raise ChipError(
            f"the core cannot walk memories that are laid out as '{memory.layout}'",
            where=f"chip '{chip.name}', {kind.weights_name}.layout",
            limit=", ".join(_LAYOUTS),
            fix="name one of these in the chip record",
        )
    delay = {} if kind is MemoryKind.RECURRENT else {"DELAY": memory.delay_steps}
    return {
        "LAYOUT": _LAYOUTS[memory.layout],
        "WORDS": memory.max_words,
        "ID": max(1, (n_named - 1).bit_length()),
        "LEN": (memory.max_fan_in if by_target else n_targets).bit_length(),
        **delay,
    }

"""A folder in which a chip's core is simulated, linted, synthesised and routed with open tools alone."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from snnmap.chip import Chip
from snnmap.core import IntArray
from snnmap.lif.rtl.devices import Device
from snnmap.lif.rtl.parameters import list_parameters
from snnmap.lif.rtl.sources import list_board, list_sources, list_waivers, read_text
from snnmap.network import Recording

__all__ = ["Check", "list_project"]


class Check(NamedTuple):
    """What the bench of a project runs, and what must come of it.

    Attributes:
        memories: contents of the memory files (``$readmemh``) by name.
        raster: ``(n_samples, n_steps, n_inputs)`` spike counts.
        expected: counts and states of ``hidden`` and ``outputs``.
    """

    memories: Mapping[str, bytes]
    raster: IntArray
    expected: Recording


def list_project(chip: Chip, device: Device, check: Check | None = None) -> dict[str, bytes]:
    """Return the files of a chip's project by name; equal arguments give equal bytes.

    Args:
        chip: whose.
        device: that it is synthesised for.
        check: of an image; without, there is no bench.

    Raises:
        ChipError: there is no Verilog of the chip's arithmetic or layouts.
    """
    sources, board = list_sources(chip), list_board(chip)
    words = {
        "CHIP": chip.name,
        "DIGEST": chip.digest.hex(),
        "SOURCES": " ".join(sources),
        "BOARD": " ".join(board),
        "DEVICE": device.option,
        "RULES": next(name for name in sources if name.startswith(chip.arithmetic.replace("-", "_"))),
        **({"BENCH": "", "FILES": "", "RUN": _NO_BENCH} if check is None else _describe_bench(chip, check)),
    }
    texts = {**sources, **board, "lint.vlt": list_waivers(sources | board)}
    texts |= {name: _fill(read_text(f"{name}.in"), words) for name in ("Makefile", "README.md")}
    files = {name: text.encode() for name, text in texts.items()}
    return files if check is None else {**files, **_list_bench(chip, check)}


_NO_BENCH = "There is no bench: `snnmap rtl CHIP --image BITSTREAM` writes one, with the image's memories.\n"
_BENCH = """
simulate: bench.vvp
	vvp -n bench.vvp | tee bench.log
	@grep -q ", 0 differ;" bench.log

bench.vvp: bench.v $(CORE)
	@$(call need,$(IVERILOG),apt-get install iverilog)
	$(IVERILOG) -g2005 {parameters} -o $@ bench.v $(CORE)
"""
_BENCH_FILES = """| `bench.v` | runs `stimulus.mem` and compares all states of every step with `expected.mem` |
| `memory/` | the image, a file a memory (`$readmemh`) |
"""
_BENCH_RUN = """`make simulate` needs Icarus Verilog alone and ends with
`{n_states} states of {n_slots} slots in {n_steps} steps compared, 0 differ`: {n_values} values.
`vvp -n bench.vvp +wave` writes `bench.vcd` for a viewer.
"""


def _fill(text: str, words: Mapping[str, str]) -> str:
    for name, word in words.items():
        text = text.replace(f"@{name}@", word)
    return text


def _describe_bench(chip: Chip, check: Check) -> dict[str, str]:
    n_samples, n_steps, n_inputs = check.raster.shape
    n_slots = sum(counts.shape[2] for counts in check.expected.counts.values())
    ours = {name: list_parameters(chip)[name] for name in ("A", "P", "S", "X", "CNT")}
    sizes = {"N_SAMPLES": n_samples, "N_STEPS": n_steps, "N_INPUTS": n_inputs, "N_SLOTS": n_slots}
    parameters = " ".join(f"-Pbench.{name}={value}" for name, value in (ours | sizes).items())
    n_states = n_samples * n_steps * n_slots
    n_values = n_states * (2 + chip.hidden.synapses)
    run = _BENCH_RUN.format(n_states=n_states, n_slots=n_slots, n_steps=n_samples * n_steps, n_values=n_values)
    return {"BENCH": _BENCH.format(parameters=parameters), "FILES": _BENCH_FILES, "RUN": run}


def _list_bench(chip: Chip, check: Check) -> dict[str, bytes]:
    bits = list_parameters(chip)
    state_bits = bits["CNT"] + (1 + bits["S"]) * bits["X"]
    return {
        "bench.v": read_text("bench.v").encode(),
        "stimulus.mem": _write_words(check.raster.reshape(-1, check.raster.shape[2]).tolist(), 8),
        "expected.mem": _write_words(_join_states(chip, check.expected), state_bits),
        **{f"memory/{name}": data.replace(b"\n", b"\n@0\n", 1) for name, data in check.memories.items()},
    }


def _join_states(chip: Chip, expected: Recording) -> list[list[int]]:
    """Return a word of count, potential and currents of each slot, a list a step."""
    bits, mask = chip.bits.state, (1 << chip.bits.state) - 1
    rows = []
    for area in ("hidden", "outputs"):
        counts, currents = expected.counts[area].astype(object), expected.currents[area].astype(object)
        words = (counts << bits) | (expected.potentials[area].astype(object) & mask)
        for synapse in reversed(range(chip.hidden.synapses)):
            words = (words << bits) | (currents[:, :, synapse] & mask if synapse < currents.shape[2] else 0)
        rows.append(words.reshape(-1, words.shape[2]))
    found: list[list[int]] = np.concatenate(rows, axis=1).tolist()
    return found


def _write_words(rows: list[list[int]], word_bits: int) -> bytes:
    digits = (word_bits + 3) // 4
    return "".join(" ".join(f"{word:0{digits}x}" for word in row) + "\n" for row in rows).encode()

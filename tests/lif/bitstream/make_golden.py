"""The programs behind the golden files in bitstreams/, and the one switch that writes them anew.

``SNNMAP_UPDATE_GOLDEN=1 .venv/bin/python tests/lif/bitstream/make_golden.py`` (refused where CI is set).
"""

import hashlib
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from golden import may_update
from random_programs import random_program

from snnmap.chip import find_relay_cell, load_chip
from snnmap.core import CsrMatrix
from snnmap.lif.bitstream import disassemble, encode
from snnmap.lif.program import NeuronCodes, Program, pack

FOLDER = Path(__file__).parents[3] / "bitstreams"


def toy_program() -> Program:
    """Four neurons by hand: an input, a recurrent neuron with a bias, a relay, and an alias of the first."""
    cell = find_relay_cell(load_chip("toy-4"))
    if cell is None:
        raise RuntimeError("the toy chip has no relay cell")
    recurrent = np.array([[-20, 60, cell.weight, 0], [0, 10, 0, 0], [0, 0, cell.self_weight, 0], [0, 0, 0, 5]])
    empty = CsrMatrix.from_dense(np.zeros((4, 4), np.int64))
    return Program(
        chip=load_chip("toy-4"),
        input_weights=(
            CsrMatrix.from_dense(np.array([[100, 0, 0, 0], [0, -50, 0, 7]])),
            CsrMatrix.from_dense(np.zeros((2, 4), np.int64)),
        ),
        recurrent_weights=(CsrMatrix.from_dense(recurrent), empty),
        output_weights=(CsrMatrix.from_dense(np.array([[0, 0], [30, 0], [0, 40], [-128, 127]])),),
        input_shift=1,
        recurrent_shift=0,
        output_shift=2,
        hidden=NeuronCodes(
            dash_syn=np.array([[2, 3, cell.dash_syn, 1], [1, 1, 1, 1]]),
            dash_mem=np.array([3, 4, cell.dash_mem, 15]),
            threshold=np.array([150, 200, cell.threshold, 32767]),
            bias=np.array([0, 12, 0, -3]),
        ),
        outputs=NeuronCodes(
            dash_syn=np.array([[1, 2]]), dash_mem=np.array([2, 5]), threshold=np.array([90, 33]), bias=np.array([0, -1])
        ),
        alias=np.array([3, -1, -1, -1]),
    )


def golden_programs() -> dict[str, Program]:
    """Give every golden program by file stem."""
    rng = np.random.default_rng(2026)
    sizes = {"xylo-audio-2": (6, 18, 4), "xylo-audio-3": (8, 20, 5), "xylo-imu": (8, 24, 4), "generic-4096": (12, 24, 6)}
    programs = {"toy-4": toy_program()}
    for name, (n_inputs, n_hidden, n_outputs) in sizes.items():
        chip = load_chip(name)
        programs[name] = random_program(
            chip, rng, n_inputs=n_inputs, n_hidden=n_hidden, n_outputs=n_outputs, density=0.15,
            shifts=(1, 0, 3), with_alias=chip.hidden.alias,
        )  # fmt: skip
    return programs


def golden_files() -> dict[str, bytes]:
    """Give the content of every golden file by name: bitstreams, text twins, manifest."""
    files: dict[str, bytes] = {}
    manifest = ["# written by tests/lif/bitstream/make_golden.py"]
    for stem, program in golden_programs().items():
        image = pack(program)
        files[f"{stem}.bin"] = encode(image)
        files[f"{stem}.txt"] = disassemble(image).encode()
        digest = hashlib.sha256(files[f"{stem}.bin"]).hexdigest()
        manifest += [
            "",
            f'["{stem}.bin"]',
            f'chip = "{program.chip.name}"',
            f"bytes = {len(files[f'{stem}.bin'])}",
            f'sha256 = "{digest}"',
        ]
    files["manifest.toml"] = ("\n".join(manifest) + "\n").encode()
    return files


if __name__ == "__main__":
    if not may_update():
        sys.exit("set SNNMAP_UPDATE_GOLDEN=1 to write golden files anew")
    for name, content in golden_files().items():
        (FOLDER / name).write_bytes(content)

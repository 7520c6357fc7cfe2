"""The programs behind the golden files in bitstreams/, and the one switch that writes them anew.

``SNNMAP_UPDATE_GOLDEN=1 .venv/bin/python tests/lif/bitstream/make_golden.py`` (refused where CI is set).
"""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from golden import may_update
from random_programs import random_program

from snnmap.chip import find_relay_cell, load_chip
from snnmap.core import CsrMatrix
from snnmap.lif.bitstream import digest_image, disassemble, encode
from snnmap.lif.compare import make_golden
from snnmap.lif.program import Image, Manifest, NeuronCodes, OutputReadout, Place, Program, WaivedRule, pack

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


def toy_manifest(image: Image) -> Manifest:
    """What the toy program says of itself: names that are hard to write, a relay, potentials, a golden sample."""
    manifest = Manifest(
        model='toy "é" # 1',
        model_digest=hashlib.sha256(b"toy").hexdigest(),
        chip="toy-4",
        chip_digest=image.chip.digest.hex(),
        image_digest=digest_image(image),
        tool="make_golden",
        edited=False,
        settle_steps=2,
        readouts=(
            OutputReadout(port="class", readout="spikes", decision="count", neurons=((1, 1, 1), (0, 1, 2)), scale=()),
            OutputReadout(port="value", readout="potential", decision="last", neurons=((0, 1, 2),), scale=((1 / 3).hex(),)),
        ),
        places=(
            Place(row="input", source="in", module="", hop=0, lag_steps=0, runs=((0, 0, 2),)),
            Place(row="hidden", source="0", module="body.1", hop=0, lag_steps=0, runs=((0, 1, 1), (1, 0, 1), (3, 2, 1))),
            Place(row="hidden", source="0", module="body.1", hop=1, lag_steps=1, runs=((2, 1, 1),)),
            Place(row="output", source="out", module="head", hop=0, lag_steps=2, runs=((0, 0, 2),)),
        ),
        waivers=(WaivedRule(rule="SNN501", place="population '0'", reason="measured on the bench"),),
        golden=(),
    )
    raster = np.array([[[31, 0], [2, 1], [0, 0], [0, 7]]])
    return replace(manifest, golden=make_golden(image, manifest, raster))


def golden_images() -> dict[str, Image]:
    """Give every golden image by file stem: of each program, and one that knows itself."""
    images = {stem: pack(program) for stem, program in golden_programs().items()}
    return {**images, "toy-4-manifest": images["toy-4"].with_manifest(toy_manifest(images["toy-4"]))}


def golden_files() -> dict[str, bytes]:
    """Give the content of every golden file by name: bitstreams, text twins, manifest."""
    files: dict[str, bytes] = {}
    manifest = ["# written by tests/lif/bitstream/make_golden.py"]
    for stem, image in golden_images().items():
        files[f"{stem}.bin"] = encode(image)
        files[f"{stem}.txt"] = disassemble(image).encode()
        digest = hashlib.sha256(files[f"{stem}.bin"]).hexdigest()
        manifest += [
            "",
            f'["{stem}.bin"]',
            f'chip = "{image.chip.name}"',
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

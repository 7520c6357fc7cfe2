"""The verbs of ``snnmap crossbar``, against the library."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command_line import Run
from crossbar_mutations import list_sections, reseal
from crossbar_variants import GRID

from snnmap.crossbar import Built, list_architectures, load_architecture
from snnmap.crossbar.container import disassemble
from snnmap.crossbar.record import format_blueprint


@pytest.fixture
def folder(small: Any, images: Any, tmp_path: Path) -> Path:
    onnx.save(small, str(tmp_path / "net.onnx"))
    np.save(tmp_path / "x.npy", images)
    return tmp_path


def test_build_run_inspect(run: Run, folder: Path, built: Built, images: Any) -> None:
    result = run("crossbar", "build", folder / "net.onnx", "-c", "grid-128", "-o", folder / "out", "--inputs", folder / "x.npy")
    assert result.code == 0, result.err
    assert "0 values of 11 tensors differ" in result.out
    assert built.summary in result.out
    assert (folder / "out" / "quantised.bin").read_bytes() == built.data
    ran = run("crossbar", "run", folder / "out" / "quantised.bin", "-i", folder / "x.npy", "-o", folder / "levels.npz")
    (name,) = built.run(images)
    tensor = next(one for one in built.image.tensors if one.name == name)
    wanted = (built.run(images)[name].reshape(3, -1).astype(np.float32) - tensor.zero) * np.float32(tensor.scale)
    assert np.array_equal(built.image.to_units(name, built.run(images)[name]).reshape(3, -1), wanted)
    assert ran.out.splitlines() == [
        f"{number}: {' '.join(f'{value:.5g}' for value in sample)}" for number, sample in enumerate(wanted)
    ]
    with np.load(folder / "levels.npz") as levels:
        assert all(np.array_equal(levels[key], values) for key, values in built.run(images, keep="all").items())
    inspected = run("crossbar", "inspect", folder / "out" / "quantised.bin")
    assert all(tensor.name in inspected.out for tensor in built.image.tensors)


def test_analog_numbers_differ_a_little(run: Run, folder: Path, built: Built) -> None:
    (folder / "a.bin").write_bytes(built.data)
    ideal = run("crossbar", "run", folder / "a.bin", "-i", folder / "x.npy")
    analog = [
        run("crossbar", "run", folder / "a.bin", "-i", folder / "x.npy", "--numerics", "analog", *more)
        for more in ((), ("--noise-lsb", "3"))
    ]
    repeated = run("crossbar", "run", folder / "a.bin", "-i", folder / "x.npy", "--numerics", "analog", "--noise-lsb", "3")
    assert len({ideal.out, *(one.out for one in analog)}) == 3
    assert repeated.out == analog[1].out
    values = [np.array([line.split()[1:] for line in one.out.splitlines()], float) for one in (ideal, analog[0])]
    assert np.abs(values[0] - values[1]).max() < 0.1 * np.ptp(values[0])


def test_text_and_back(run: Run, folder: Path, built: Built) -> None:
    (folder / "a.bin").write_bytes(built.data)
    assert run("crossbar", "disasm", folder / "a.bin", "-o", folder / "a.txt").code == 0
    assert (folder / "a.txt").read_text() == disassemble(built.image) == run("crossbar", "disasm", folder / "a.bin").out
    assert run("crossbar", "asm", folder / "a.txt", "-o", folder / "b.bin").code == 0
    assert (folder / "b.bin").read_bytes() == built.data
    (folder / "a.txt").write_text(disassemble(built.image).replace("barrier", "barier", 1))
    refused = run("crossbar", "asm", folder / "a.txt", "-o", folder / "c.bin")
    assert (refused.code, (folder / "c.bin").exists()) == (2, False)
    assert "a.txt, line" in refused.err


def test_architectures(run: Run, tmp_path: Path) -> None:
    listed = run("crossbar", "chips").out
    assert all(format_blueprint(load_architecture(name)) in listed for name in list_architectures())
    (tmp_path / "mine.toml").write_text(run("crossbar", "chips", "show", "grid-128").out)
    assert load_architecture(str(tmp_path / "mine.toml")) == GRID


def test_check_in_every_form(run: Run, folder: Path, built: Built) -> None:
    (folder / "a.bin").write_bytes(built.data)
    clean = run("crossbar", "check", folder / "net.onnx", "-c", "grid-128", "--file", folder / "a.bin")
    assert (clean.code, "0 errors, 1 warning" in clean.out) == (0, True)
    assert (
        run("crossbar", "check", folder / "net.onnx", "-c", "grid-128", "--format", "sarif", "-o", folder / "a.sarif").code == 0
    )
    told = json.loads((folder / "a.sarif").read_text())["runs"][0]
    assert [rule["id"] for rule in told["tool"]["driver"]["rules"]] == ["CIM303"]
    assert "ADC" in told["tool"]["driver"]["rules"][0]["help"]["text"]
    changed = bytearray(built.data)
    changed[list_sections(built.data)[-16][2]] ^= 1
    (folder / "b.bin").write_bytes(reseal(bytes(changed)))
    found = run("crossbar", "check", folder / "net.onnx", "-c", "grid-128", "--file", folder / "b.bin")
    assert found.code == 1
    assert "CIM401 [weights-not-once]" in found.out

"""A build and the golden images are the same bytes under every Python that make test-pythons has set up."""

import subprocess
import sys
from pathlib import Path

import pytest
from random_networks import random_network

from snnmap.network import save_network

ROOT = Path(__file__).parents[2]
PYTHONS = sorted(ROOT.glob(".venv-3.*/bin/python"))


def name_version(python: Path) -> str:
    return python.parts[-3].removeprefix(".venv-")


def build(python: Path | str, model: Path, chip: str, out: Path) -> dict[str, bytes]:
    """Build with an interpreter; give every file by its path in the folder."""
    command = [python, "-W", "ignore", "-m", "snnmap", "build", model, "--chip", chip, "-o", out]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert finished.returncode == 0, finished.stderr
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("python", PYTHONS, ids=name_version)
@pytest.mark.parametrize(("seed", "chip"), [(0, "generic-4096"), (1, "xylo-audio-2"), (2, "xylo-audio-3")])
def test_builds_are_the_same_bytes(tmp_path: Path, python: Path, chip: str, seed: int) -> None:
    model = tmp_path / "model.json"
    save_network(random_network(seed, n_synapses=1), model)
    assert build(python, model, chip, tmp_path / "other") == build(sys.executable, model, chip, tmp_path / "own")


@pytest.mark.parametrize("python", PYTHONS, ids=name_version)
def test_images_pass_their_tests(python: Path) -> None:
    tests = ["tests/lif/bitstream", "-m", "not nightly", "-p", "no:cacheprovider"]
    finished = subprocess.run([python, "-m", "pytest", *tests], capture_output=True, text=True, check=False, cwd=ROOT)
    assert finished.returncode == 0, finished.stdout

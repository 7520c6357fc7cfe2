"""Packed weights: files, their text twins, and what is refused."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipeline_cases import build, draw_inputs
from quantised_networks import make_small

from snnmap.core.errors import FormatError, InputError
from snnmap.core.fsio import write_files
from snnmap.dataflow import Pipeline, find_differences
from snnmap.dataflow.lower import Loops
from snnmap.dataflow.pack import (
    MANIFEST,
    format_words,
    list_files,
    pack_weights,
    parse_words,
    read_files,
    require_own,
    unpack_weights,
)
from snnmap.dataflow.pack.folder import digest_manifest
from snnmap.dataflow.templates import Parallelism


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return build(make_small())


@pytest.fixture
def folder(pipeline: Pipeline, tmp_path: Path) -> Path:
    write_files(tmp_path / "out", list_files(pipeline))
    return tmp_path / "out"


@pytest.mark.parametrize("factors", list(product((1, 2, 5), (1, 3), (1, 4, 9))))
def test_unpacking_is_the_inverse(factors: tuple[int, int, int]) -> None:
    weights = np.random.default_rng(0).integers(-128, 128, (2, 5, 7, 9)).astype(np.int8)
    parallelism = Parallelism(outputs=factors[0], channels=factors[1], kernel=factors[2])
    words = pack_weights(weights, parallelism)
    loops = Loops(outputs=5, channels=7, kernel=9)
    assert words.shape == (2 * parallelism.count_steps(loops), parallelism.word_weights)
    assert np.array_equal(unpack_weights(words, loops, parallelism), weights)
    assert np.array_equal(parse_words(format_words(words), words.shape[1]), words)


def test_a_word_holds_what_is_computed_at_once() -> None:
    """Outputs, then channels, then places, as in the format's words; zeros where a loop ends within a word."""
    weights = np.arange(1, 13).reshape(1, 3, 2, 2).astype(np.int8)
    words = pack_weights(weights, Parallelism(outputs=2, channels=1, kernel=2))
    assert words.tolist() == [[1, 2, 5, 6], [3, 4, 7, 8], [9, 10, 0, 0], [11, 12, 0, 0]]
    assert format_words(words).splitlines()[0] == "06050201"


def test_files_come_back_and_compute_the_same(pipeline: Pipeline, folder: Path) -> None:
    manifest, packed = read_files(folder)
    assert manifest["interval_cycles"] == pipeline.interval
    assert [one["words"] for one in manifest["buffers"]] == [buffer.depth for buffer in pipeline.buffers]
    assert not any(find_differences(pipeline, draw_inputs(pipeline), packed=packed).values())


def test_another_process_writes_the_same_bytes(pipeline: Pipeline) -> None:
    code = (
        "import hashlib; from pipeline_cases import build; from quantised_networks import make_small;"
        "from snnmap.dataflow.pack import list_files; files = list_files(build(make_small()));"
        "print(hashlib.sha256(b''.join(n.encode() + d for n, d in sorted(files.items()))).hexdigest())"
    )
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    told = {
        subprocess.run([sys.executable, "-c", code], env={**env, "PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_every_byte_that_is_changed_is_found(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for place in range(0, len(whole), max(len(whole) // 7, 1)):
            changed = bytearray(whole)
            changed[place] ^= 1
            path.write_bytes(changed)
            with pytest.raises(FormatError, match=r"another than its|manifest cannot be read|no manifest"):
                read_files(folder)
        path.write_bytes(whole)
    read_files(folder)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("interval_cycles",), 7),
        (("device", "digest"), "0" * 64),
        (("stages", 0, "template"), "dense"),
        (("buffers", 0, "reader"), "conv6"),
        (("buffers", 0, "words"), 1),
        (("streams", "conv1", "width"), 99),
    ],
)
def test_a_manifest_that_tells_otherwise_is_found(pipeline: Pipeline, folder: Path, keys: Any, value: Any) -> None:
    """By its digest, and where that was written anew, beside the pipeline."""
    manifest, _ = read_files(folder)
    part = manifest
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(FormatError, match="the manifest is another than its digest tells"):
        read_files(folder)
    with pytest.raises(InputError, match="of another pipeline") as refused:
        require_own(pipeline, manifest)
    assert refused.value.measured == json.dumps(value)[:60]
    assert str(keys[-1]) in refused.value.where


def _rewrite(folder: Path, change: Callable[[Any], object]) -> None:
    """Change a manifest, and its digest with it."""
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    manifest["sha256"] = digest_manifest(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def _drop(folder: Path) -> None:
    (folder / "00-conv1.weights").unlink()


def _escape(folder: Path) -> None:
    _rewrite(folder, lambda manifest: manifest["files"].update({"../x": {"bytes": 0, "sha256": ""}}))


def _change_twin(folder: Path) -> None:
    text = (folder / "00-conv1.hex").read_text()
    changed = ("1" if text[0] == "0" else "0") + text[1:]
    (folder / "00-conv1.hex").write_text(changed)
    digest = hashlib.sha256(changed.encode()).hexdigest()
    _rewrite(folder, lambda manifest: manifest["files"]["00-conv1.hex"].update(sha256=digest))


def _forget(folder: Path) -> None:
    _rewrite(folder, lambda manifest: manifest["stages"][0].pop("loops"))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_drop, "cannot be read"),
        (_escape, "not in the folder"),
        (_change_twin, "weights and their text differ"),
        (_forget, "does not tell what it should"),
        (lambda folder: (folder / MANIFEST).write_text("{}"), "no manifest of a pipeline"),
        (lambda folder: (folder / MANIFEST).write_text("]"), "manifest cannot be read"),
    ],
)
def test_what_is_refused(folder: Path, harm: Callable[[Path], object], said: str) -> None:
    harm(folder)
    with pytest.raises(FormatError, match=said):
        read_files(folder)


def test_a_line_that_is_no_word_is_named() -> None:
    with pytest.raises(FormatError, match="line 2"):
        parse_words("0102\n01g2\n", 2)


def test_files_of_another_parallelism_are_refused(pipeline: Pipeline, folder: Path) -> None:
    other = build(make_small(), multipliers=20)
    with pytest.raises(InputError, match="another parallelism"):
        find_differences(other, draw_inputs(other), packed=read_files(folder)[1])

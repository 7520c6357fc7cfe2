"""Verbs that ask an image what it is: inspect, selftest, where, diff."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Run
from lif.bitstream.make_golden import FOLDER
from rule_cases import CLEAN, XYLO, chain, residual, with_weights

from snnmap.lif.bitstream import decode, encode
from snnmap.lif.program import Manifest, unpack
from snnmap.network import format_network
from snnmap.pipeline import CompileOptions, compile_model


def read_manifest(path: Path) -> Manifest:
    manifest = decode(path.read_bytes()).manifest
    assert manifest is not None
    return manifest


def test_an_image_says_what_it_is(bitstream: Path) -> None:
    manifest = read_manifest(bitstream)
    build = json.loads((bitstream.parent / "build.json").read_text())
    (port,) = manifest.readouts
    assert (manifest.model, manifest.chip, manifest.edited, manifest.waivers) == ("chain", "xylo-audio-3", False, ())
    assert manifest.chip_digest == XYLO.digest.hex()
    assert (manifest.settle_steps, port.lags.tolist()) == (build["latency_steps"], [2, 2])
    assert (port.slots.tolist(), port.readout, port.decision) == (build["outputs"][0]["neurons"], "spikes", "count")
    assert [(p.row, p.source, p.module, p.size) for p in manifest.places] == [
        ("input", "in", "", 3),
        ("hidden", "h1", "model.h1", 5),
        ("hidden", "h2", "model.h2", 4),
        ("output", "out", "model.out", 2),
    ]
    assert len(manifest.golden) == 2
    assert all(np.any(golden.outputs) for golden in manifest.golden)


def test_the_digest_of_the_model_is_that_of_its_file(bitstream: Path) -> None:
    digest = hashlib.sha256((bitstream.parent / "network.json").read_bytes()).hexdigest()
    assert read_manifest(bitstream).model_digest == digest
    assert format_network(CLEAN).encode() == (bitstream.parent / "network.json").read_bytes()


def test_places_are_those_of_the_slot_table() -> None:
    built = compile_model(residual(), XYLO)
    manifest, table = built.image.manifest, built.mapped.table
    assert manifest is not None
    found = {
        (p.row, int(slot)): (p.source, int(n), p.hop) for p in manifest.places for slot, n in zip(*p.to_pairs(), strict=True)
    }
    for slot, source in enumerate(table.hidden_source.tolist()):
        expected = table.sources[source], int(table.hidden_neuron[slot]), int(table.hidden_hop[slot])
        assert found["hidden", slot] == expected
    assert len(found) == sum(built.image.sizes)


def test_inspect_says_what_an_image_is_whatever_its_name_and_chip(run: Run, bitstream: Path, tmp_path: Path) -> None:
    manifest = read_manifest(bitstream)
    (tmp_path / "noname").write_bytes(bitstream.read_bytes())
    said = run("inspect", tmp_path / "noname")
    assert said.code == 0
    mine = replace(XYLO, chip_id=77)
    built = compile_model(CLEAN, mine)
    (tmp_path / "mine.bin").write_bytes(built.bitstream)
    unknown = run("inspect", tmp_path / "mine.bin")
    assert (unknown.code, "for another chip" in unknown.err) == (2, True)
    for text, chip in ((said.out, XYLO), (unknown.out, mine)):
        assert chip.digest.hex() in text
        assert f"model chain {manifest.model_digest}" in text
        assert f"built by {manifest.tool} for xylo-audio-3" in text
        assert "output 'port': 2 values, spikes, class by the highest count, 2 steps behind the inputs" in text


@pytest.mark.parametrize("engine", ["batch", "reference", "rtl"])
def test_selftest_passes_on_all_engines(run: Run, bitstream: Path, engine: str) -> None:
    result = run("selftest", bitstream, "--engine", engine)
    assert (result.code, result.out.count("all as at the build")) == (0, 2)


def test_selftest_fails_where_an_image_does_something_else(run: Run, bitstream: Path, tmp_path: Path) -> None:
    image, manifest = decode(bitstream.read_bytes()), read_manifest(bitstream)
    first = manifest.golden[0]
    outputs = list(first.outputs)
    outputs[7] = (outputs[7][0], outputs[7][1] + 5)
    wrong = replace(manifest, golden=(replace(first, outputs=tuple(outputs)), *manifest.golden[1:]))
    (tmp_path / "wrong.bin").write_bytes(encode(image.with_manifest(wrong)))
    result = run("selftest", tmp_path / "wrong.bin")
    assert result.code == 1
    found, was = first.outputs[7][1], first.outputs[7][1] + 5
    assert (
        f"golden sample 0: 1 of {2 * len(outputs)} values differ; first in step 7, output 'port' 1, spikes: {found}, was {was}"
        in result.out
    )
    assert "this snnmap does not do what the image did when" in result.out


DRIVER = """
from pathlib import Path

import snnmap
from snnmap.lif.compare import simulate_raw


def drive(path, counts):
    image = snnmap.decode(Path(path).read_bytes())
    return simulate_raw(image, image.manifest, counts[None])[0]
"""


def test_selftest_takes_a_driver(run: Run, bitstream: Path, tmp_path: Path) -> None:
    for change, code, said in (
        ("", 0, "all as at the build"),
        (" + 1", 1, "the driver does not do"),
        ("[1:]", 2, "the driver gives something else"),
        (" * 0.5", 2, "the driver gives something else"),
        (" / None", 2, "unsupported operand"),
    ):
        (tmp_path / "driver.py").write_text(DRIVER.replace("[None])[0]", f"[None])[0]{change}"))
        result = run("selftest", bitstream, "--driver", f"{tmp_path / 'driver.py'}:drive")
        assert (result.code, said in result.out + result.err) == (code, True)


def test_a_driver_is_opened_once(run: Run, bitstream: Path, tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(f"print('opened')\n{DRIVER}")
    result = run("selftest", bitstream, "--driver", f"{tmp_path / 'driver.py'}:drive")
    assert (result.code, result.out.count("opened"), result.out.count("all as at the build")) == (0, 1, 2)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("", "names no function of its file"),
        ("driver.py", "write --driver driver.py:FUNCTION"), ("driver.py:", "write --driver driver.py:FUNCTION"),
        (":drive", "names no function of its file"), ("none.py:drive", "the Python file does not exist"),
        ("driver.py:run", "the Python file has no function 'run'"), ("driver.py:Path", "the Python file failed"),
        ("driver.txt:drive", "whose name ends in .py"),
    ],
)  # fmt: skip
def test_a_driver_that_cannot_be_called(
    run: Run, bitstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("driver.py", "driver.txt"):
        (tmp_path / name).write_text(DRIVER)
    both = run("selftest", bitstream, "--driver", named, "--engine", "reference")
    assert (both.code, "either a driver or an engine" in both.err) == (2, True)
    result = run("selftest", bitstream, "--driver", named)
    assert (result.code, said in result.err, "model" in result.err) == (2, True, False)


def test_selftest_says_where_there_is_nothing_to_test(run: Run, bitstream: Path, tmp_path: Path) -> None:
    image = decode(bitstream.read_bytes())
    none = compile_model(CLEAN, XYLO, options=CompileOptions(golden=0)).bitstream
    text = bitstream.with_suffix(".txt").read_text()
    (tmp_path / "edited.txt").write_text(text.replace("threshold=", "threshold=1", 1))
    run("asm", tmp_path / "edited.txt", "-o", tmp_path / "edited.bin")
    for data, why in (
        (encode(image.with_manifest(None)), "says nothing of itself"),
        (none, "was built with --golden 0"),
        ((tmp_path / "edited.bin").read_bytes(), "was edited"),
    ):
        (tmp_path / "a.bin").write_bytes(data)
        result = run("selftest", tmp_path / "a.bin")
        assert (result.code, why in result.err, "--golden 2" in result.err) == (2, True, True)


def test_where_goes_both_ways(run: Run, bitstream: Path) -> None:
    program = unpack(decode(bitstream.read_bytes()))
    by_slot, by_name, by_module = (run("where", bitstream, asked) for asked in ("6", "h2[1]", "model.h2[1]"))
    assert by_slot == by_name == by_module
    head, codes, count, *inputs = by_slot.out.splitlines()
    assert head == "hidden 6 is h2[1], lag 1 step, module model.h2"
    assert codes.strip().endswith(f"threshold={program.hidden.threshold[6]} bias={program.hidden.bias[6]}")
    weights = program.recurrent_weights[0].to_dense()[:, 6]
    shift = program.recurrent_shift
    assert count.strip() == f"{np.count_nonzero(weights)} inputs:"
    assert [line.strip() for line in inputs] == [
        f"h1[{n}] (hidden {n}), synapse 0: {weights[n]} << {shift} = {weights[n] << shift}" for n in np.flatnonzero(weights)
    ]
    assert run("where", bitstream, "input:2").out == "input 2 is in[2], lag 0 steps\n"
    assert run("where", bitstream, "output:1").out.startswith("output 1 is out[1], lag 2 steps, module model.out\n")
    assert run("where", bitstream, "h2").out == "h2: hidden 5..8; 4 neurons, lag 1 step, module model.h2\n"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("9", "no such hidden slot"), ("input:3", "no such input slot"), ("h2[4]", "no such neuron"), ("h3[0]", "h2"),
        ("h3", "no such population"), ("", "names no neuron"), ("99999999999", "no such population"),
        ("-1", "give 0..8"), ("input:-1", "give 0..2"), ("h2[0] relay 1", "no such relay"), ("h2 relay 1", "no such relay"),
    ],
)  # fmt: skip
def test_where_there_is_no_such_neuron(run: Run, bitstream: Path, asked: str, said: str) -> None:
    result = run("where", bitstream, asked)
    assert (result.code, said in result.err, "fix: " in result.err) == (2, True, True)


def test_where_takes_back_what_it_names(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(compile_model(residual(), XYLO).bitstream)
    names = [
        re.match(r"hidden \d+ is (.*?), lag", run("where", tmp_path / "a.bin", slot).out)
        for slot in range(decode((tmp_path / "a.bin").read_bytes()).sizes[1])
    ]
    told = [match[1] for match in names if match]
    assert len(told) == len(names)
    assert any("relay" in name for name in told)
    for slot, name in enumerate(told):
        assert run("where", tmp_path / "a.bin", name).out.startswith(f"hidden {slot} is {name}, lag")


def test_where_of_an_image_without_a_manifest(run: Run) -> None:
    assert run("where", FOLDER / "toy-4.bin", "2").out.startswith("hidden 2 is hidden[2], lag 0 steps\n")


def test_diff_names_the_layer_that_was_retrained(run: Run, bitstream: Path, raster: Path, tmp_path: Path) -> None:
    other = with_weights("h1->h2", lambda weights: weights * np.linspace(0.2, 1.0, weights.size).reshape(weights.shape))
    (tmp_path / "other.bin").write_bytes(compile_model(other, XYLO).bitstream)
    assert run("diff", bitstream, bitstream).out.startswith("the images are equal\n")
    result = run("diff", bitstream, tmp_path / "other.bin", "-i", raster)
    lines = result.out.splitlines()
    assert result.code == 0
    assert len(lines) <= 15
    assert lines[0].startswith("model: chain ")
    places = [line.partition(":")[0] for line in lines[1:-1]]
    assert places[:2] == ["h2", "h1 -> h2"]
    assert set(places[2:]) <= {"h2 -> out", "out"}  # rounded for other counts
    assert any(" of 20 weights differ, by " in line for line in lines)
    assert lines[-1].startswith("decisions of 'port': ")
    assert " of 3 differ" in lines[-1]


def test_diff_lists_every_weight_and_code_with_its_slots(run: Run, bitstream: Path, tmp_path: Path) -> None:
    text = bitstream.with_suffix(".txt").read_text()
    old = unpack(decode(bitstream.read_bytes()))
    weight, shift = int(old.recurrent_weights[0].to_dense()[0, 5]), old.recurrent_shift
    head, found, rest = text.partition("recurrent_weights 0\n")
    rest = rest.replace(f"0: 5={weight} ", "0: 5=1 ", 1)
    (tmp_path / "edited.txt").write_text(f"{head}{found}{rest}".replace("threshold=", "threshold=1", 1))
    run("asm", tmp_path / "edited.txt", "-o", tmp_path / "edited.bin")
    threshold = int(old.hidden.threshold[0])
    lines = run("diff", bitstream, tmp_path / "edited.bin", "--all").out.splitlines()
    assert lines[0] == "only the second had memories edited after its build"
    assert f"  h1[0] -> h2[0] (hidden 0 -> hidden 5): {weight << shift}, then {1 << shift}" in lines
    assert f"  h1[0] (hidden 0), thresholds: {threshold}, then 1{threshold}" in lines
    assert [line for line in lines if not line.startswith("  ")] == run(
        "diff", bitstream, tmp_path / "edited.bin"
    ).out.splitlines()


@pytest.mark.parametrize(
    ("readout", "manifest", "said"),
    [
        ({"decision": "max"}, {}, "output 'port', class by the highest: count, then max"),
        ({"neurons": ((1, 1, 2), (0, 1, 2))}, {}, "output 'port', neurons and lags differ: 1, then 2"),
        ({"port": "p"}, {}, "outputs: port, then p"),
        ({}, {"tool": "mine"}, "built by: snnmap"),
        ({}, {"golden": ()}, "golden samples differ: 2, then 0"),
        ({}, {"places": ()}, "slots of the neurons differ: 4, then 0"),
    ],
)
def test_diff_tells_what_images_with_the_same_memories_say_of_themselves(
    run: Run, bitstream: Path, tmp_path: Path, readout: dict[str, Any], manifest: dict[str, Any], said: str
) -> None:
    image, before = decode(bitstream.read_bytes()), read_manifest(bitstream)
    after = replace(before, readouts=(replace(before.readouts[0], **readout),), **manifest)
    (tmp_path / "other.bin").write_bytes(encode(image.with_manifest(after)))
    first, second, *_ = run("diff", bitstream, tmp_path / "other.bin").out.splitlines()
    assert (first.startswith(said), second) == (True, "the memories are equal")


def test_diff_runs_golden_samples_of_any_length_as_the_chip_takes_them(run: Run, bitstream: Path, tmp_path: Path) -> None:
    image, manifest = decode(bitstream.read_bytes()), read_manifest(bitstream)
    first, second = manifest.golden
    shorter = replace(second, inputs=second.inputs[:-1], outputs=second.outputs[:-1])
    cut = replace(manifest, golden=(first, shorter))
    (tmp_path / "cut.bin").write_bytes(encode(image.with_manifest(cut)))
    assert run("diff", tmp_path / "cut.bin", bitstream).out.splitlines()[-1] == "decisions of 'port': 0 of 2 differ"
    own = FOLDER / "toy-4-manifest.bin"  # whose golden sample has a count beyond the chip's
    assert run("diff", own, own).out.splitlines()[1:] == [
        "decisions of 'class': 0 of 1 differ",
        "decisions of 'value': it has one output, and no classes",
    ]


def test_diff_of_other_chips_and_of_images_that_say_nothing(run: Run, bitstream: Path, tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(compile_model(chain(3, 6, 4, 2), "xylo-audio-2").bitstream)
    told = run("diff", bitstream, tmp_path / "other.bin").out
    assert "chip: xylo-audio-3, then xylo-audio-2" in told
    assert "6 of 6 " not in told
    bare = run("diff", FOLDER / "toy-4.bin", FOLDER / "toy-4-manifest.bin").out
    assert bare.splitlines()[:2] == ["only the second says what it is", "the memories are equal"]

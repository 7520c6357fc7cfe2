"""Bad input ends in a message that says what, where, against what limit and how to fix it; nothing is half-written."""

import gzip
import json
import lzma
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from command_line import Result, Run
from rule_cases import CASES, CLEAN, XYLO, chain, set_first, with_weights

from snnmap.chip import load_chip
from snnmap.core.diagnostics import Severity
from snnmap.lif.bitstream import decode, encode
from snnmap.lif.drc import RULES
from snnmap.network import save_network
from snnmap.pipeline import check_model

CHIP = (resources.files("snnmap.chip") / "catalog" / "xylo-audio-3.toml").read_text(encoding="utf-8")
RANDOM = np.random.default_rng(0).bytes(4000)


def require_message(result: Result, code: int, *parts: str) -> None:
    assert result.code == code
    for part in parts:
        assert part in result.err
    assert "fix:" in result.err
    assert "Traceback" not in result.err


def build(run: Run, model: object, folder: Path, chip: object = "xylo-audio-3") -> Result:
    result = run("build", model, "--chip", chip, "-o", folder)
    assert not folder.exists()
    return result


def test_a_model_that_does_not_fit(run: Run, tmp_path: Path) -> None:
    save_network(chain(40, 5, 4, 2), tmp_path / "wide.json")
    result = build(run, tmp_path / "wide.json", tmp_path / "out")
    require_message(result, 1, "SNN201", "measured 40 channels, limit 16 channels", "port 'in'")


def test_all_that_does_not_fit_is_told_at_once(run: Run, tmp_path: Path) -> None:
    save_network(chain(40, 5, 1000, 40), tmp_path / "large.json")
    found = json.loads(run("check", tmp_path / "large.json", "--chip", "xylo-audio-3", "--format", "json").out)
    assert {entry["rule"] for entry in found["diagnostics"]} >= {"SNN201", "SNN202", "SNN203"}
    result = build(run, tmp_path / "large.json", tmp_path / "out")
    require_message(result, 1, f"{found['errors']} design rule violations", "SNN201", "SNN202", "SNN203")
    require_message(run("inspect", tmp_path / "large.json", "--chip", "xylo-audio-3"), 1, "SNN201", "SNN202", "SNN203")


ERRORS = [rule for rule, ((_, chip), _) in CASES.items() if chip is XYLO and RULES[rule].severity is Severity.ERROR]


@pytest.mark.parametrize("rule", ERRORS)
def test_a_network_that_breaks_a_rule_is_not_built(run: Run, tmp_path: Path, rule: str) -> None:
    (network, chip), _ = CASES[rule]
    findings = [finding for finding in check_model(network, chip).report.errors if finding.rule == rule]
    assert findings
    save_network(network, tmp_path / "bad.json")
    require_message(build(run, tmp_path / "bad.json", tmp_path / "out"), 1, *map(str, findings))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite(run: Run, tmp_path: Path, value: float) -> None:
    save_network(with_weights("h1->h2", set_first(value)), tmp_path / "bad.json")
    result = build(run, tmp_path / "bad.json", tmp_path / "out")
    require_message(result, 1, "SNN501", "projection 'h1->h2'", f"measured {value}")


@pytest.mark.parametrize("length", [0, 3, 51, 200, -1])
def test_a_truncated_bitstream(run: Run, bitstream: Path, raster: Path, tmp_path: Path, length: int) -> None:
    cut = tmp_path / "cut.bin"
    cut.write_bytes(bitstream.read_bytes()[:length])
    for command in (("inspect", cut), ("disasm", cut), ("simulate", cut, "-i", raster)):
        require_message(run(*command), 2, "snnmap: ")


@pytest.mark.parametrize("content", [b"", RANDOM, b"\x89PNG\r\n\x1a\n" + bytes(500), b"snnmap-image 1\n" * 40])
def test_a_foreign_file(run: Run, raster: Path, tmp_path: Path, content: bytes) -> None:
    foreign = tmp_path / "foreign.bin"
    foreign.write_bytes(content)
    said = f"where: {foreign}, byte 0"
    for command in (("inspect", foreign), ("disasm", foreign, "-o", tmp_path / "x"), ("simulate", foreign, "-i", raster)):
        require_message(run(*command), 2, "not a snnmap bitstream" if content else "too short", said)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("place", [0.01, 0.1, 0.3, 0.6, 0.9, 0.999])
def test_a_damaged_bitstream(run: Run, bitstream: Path, raster: Path, tmp_path: Path, place: float) -> None:
    data = bytearray(bitstream.read_bytes())
    data[int(place * len(data))] ^= 0x10
    (tmp_path / "damaged.bin").write_bytes(data)
    command = ("simulate", tmp_path / "damaged.bin", "-i", raster, "-o", tmp_path / "run.npz")
    require_message(run(*command), 2, f"where: {tmp_path / 'damaged.bin'}")
    assert not (tmp_path / "run.npz").exists()


def test_a_longer_bitstream(run: Run, bitstream: Path, tmp_path: Path) -> None:
    size = bitstream.stat().st_size
    (tmp_path / "long.bin").write_bytes(bitstream.read_bytes() + b"\0")
    require_message(run("inspect", tmp_path / "long.bin"), 2, f"measured: {size + 1}   limit: {size}", "long.bin")


@pytest.mark.parametrize("chip", ["toy-4", "xylo-audio-2"])
def test_a_bitstream_for_another_chip(run: Run, bitstream: Path, raster: Path, tmp_path: Path, chip: str) -> None:
    limit = f"measured: chip id 3   limit: chip id {load_chip(chip).chip_id} ('{chip}')"
    text, output = bitstream.with_suffix(".txt"), ("-o", tmp_path / "x")
    for command in (("inspect", bitstream), ("disasm", bitstream, *output), ("simulate", bitstream, "-i", raster, *output)):
        require_message(run(*command, "--chip", chip), 2, "for another chip", f"where: {bitstream}", limit)
    require_message(run("asm", text, "--chip", chip, *output), 2, "for another chip record", f"where: {text}", "chip 3")
    assert not (tmp_path / "x").exists()


def test_a_bitstream_for_another_record_of_its_chip(run: Run, bitstream: Path, tmp_path: Path) -> None:
    chip = change_chip(tmp_path, "max_count = 31", "max_count = 30")
    require_message(run("inspect", bitstream, "--chip", chip), 2, "another record of chip 'xylo-audio-3'", f"where: {bitstream}")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("snnmap-image 1", "snnmap-image 2", "line 1"),
        ("inputs=3", "inputs=300", "measured"),
        ("threshold=", "threshold=x", "line"),
        ("outputs\n", "", "line"),
    ],
)
def test_a_bad_text(run: Run, bitstream: Path, tmp_path: Path, old: str, new: str, said: str) -> None:
    text = bitstream.with_suffix(".txt").read_text()
    assert old in text
    (tmp_path / "bad.txt").write_text(text.replace(old, new, 1))
    require_message(run("asm", tmp_path / "bad.txt", "-o", tmp_path / "x.bin"), 2, f"where: {tmp_path / 'bad.txt'}, ", said)
    assert not (tmp_path / "x.bin").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("shift input=0 recurrent=9 output=0", "measured: 9   limit: 0..7"),
        ("  0: 0=7 3=128", "measured: 0: 3=128   limit: -128..127"),
        ("  4: dash_syn=5,16 dash_mem=3 threshold=90 bias=0", "synapses' decay codes outside 0..15"),
        ("  4: dash_syn=5,5 dash_mem=99 threshold=90 bias=0", "membranes' decay codes outside 0..15"),
        ("  4: dash_syn=5,5 dash_mem=3 threshold=32768 bias=0", "measured: 32768   limit: -32768..32767"),
        ("  4: dash_syn=5,5 dash_mem=3 threshold=90 bias=-32769", "measured: -32769   limit: -32768..32767"),
        ("  4: dash_syn=5,5 dash_mem=3 threshold=90 bias=0 alias=9", "measured: 9   limit: 0..8"),
    ],
)
def test_a_value_out_of_range_is_told_with_its_line(run: Run, bitstream: Path, tmp_path: Path, line: str, said: str) -> None:
    lines = bitstream.with_suffix(".txt").read_text().splitlines()
    start = {"  4": lines.index("hidden"), "  0": lines.index("input_weights 0")}.get(line.partition(":")[0], 0)
    number = next(n for n in range(start, len(lines)) if lines[n].startswith(line[:4]))
    (tmp_path / "bad.txt").write_text("\n".join([*lines[:number], line, *lines[number + 1 :]]))
    where = f"where: {tmp_path / 'bad.txt'}, line {number + 1}\n"
    require_message(run("asm", tmp_path / "bad.txt", "-o", tmp_path / "x.bin"), 2, where, said)


def test_a_text_where_a_bitstream_belongs(run: Run, bitstream: Path) -> None:
    text = bitstream.with_suffix(".txt")
    for verb in ("disasm", "inspect", "selftest"):
        require_message(run(verb, text), 2, "this is not a snnmap bitstream, but its text twin", f"where: {text}", "snnmap asm")


def test_a_bitstream_where_text_belongs(run: Run, bitstream: Path, tmp_path: Path) -> None:
    result = run("asm", bitstream, "-o", tmp_path / "x.bin")
    require_message(result, 2, "this is a bitstream", "not UTF-8", f"where: {bitstream}", "measured: byte 0", "output of disasm")
    assert not (tmp_path / "x.bin").exists()


def change_chip(tmp_path: Path, old: str, new: str) -> Path:
    assert old in CHIP
    (tmp_path / "mine.toml").write_text(CHIP.replace(old, new, 1))
    return tmp_path / "mine.toml"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("chip_id = 3\n", "", "chip_id"),
        ("[bits]", "[bit]", "bits"),
        ("weight = 8", "weight = 8\ncolour = 3", "colour"),
        ("weight = 8", 'weight = "eight"', "weight"),
        ("weight = 8", "weight = 99", "bits.weight = 99 is outside 2..16"),
        ("max_words = 2048", "max_words = 20", "max_words = 20 is below 16 x 128 = 2048"),
        ("weight = 8", "weight = = 8", "not TOML"),
        ("weight = 8", "weight = 8\nweight = 8", "not TOML"),
        ("weight = 8", "weight = true", "bits.weight = True is not of type int"),
        ('anchor = "first"', 'anchor = "middle"', "inputs.reach.anchor = 'middle' is not one of first, last"),
        ('layout = "dense"', 'layout = "sparse"', "input_weights.layout = 'sparse' is not one of dense, rows_by_source"),
        ('readouts = ["spikes"', 'readouts = ["spikes", "spikes"', "names a readout twice"),
        ("chip_id = 3", "chip_id = 0", "chip_id = 0 is outside 1..65535"),
        ("[bits]", "[bit]", "unknown field bit; missing field bits"),
        ("chip_id = 3", f"chip_id = {'9' * 5000}", "not TOML"),
        ("chip_id = 3", f"chip_id = 0x{'f' * 5000}", "chip_id is beyond 2147483647"),
        ("chip_id = 3", f"chip_id = {'[' * 5000}", "not TOML"),
    ],
)
def test_a_bad_chip_file(run: Run, model: Path, tmp_path: Path, old: str, new: str, said: str) -> None:
    chip = change_chip(tmp_path, old, new)
    for result in (build(run, model, tmp_path / "out", chip), run("chips", "show", chip), run("check", model, "--chip", chip)):
        require_message(result, 2, said, "mine.toml")


def test_all_defects_of_a_chip_file_are_told_at_once(run: Run, tmp_path: Path) -> None:
    text = CHIP.replace("weight = 8", "weight = 99").replace("chip_id = 3", "chip_id = -1")
    (tmp_path / "mine.toml").write_text(text)
    require_message(run("chips", "show", tmp_path / "mine.toml"), 2, "chip_id = -1 is outside", "bits.weight = 99 is outside")


@pytest.mark.parametrize(("content", "said"), [(b"", "missing field"), (b"\xff\xfe", "not UTF-8"), (RANDOM, "not UTF-8")])
def test_a_chip_file_that_is_none(run: Run, model: Path, tmp_path: Path, content: bytes, said: str) -> None:
    chip = tmp_path / "mine.toml"
    chip.write_bytes(content)
    for result in (build(run, model, tmp_path / "out", chip), run("chips", "show", chip), run("check", model, "--chip", chip)):
        require_message(result, 2, said, f"where: {chip}")


def test_a_folder_where_a_chip_file_belongs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").mkdir()
    require_message(run("chips", "show", tmp_path / "mine.toml"), 2, "Is a directory", f"where: {tmp_path / 'mine.toml'}")


def test_an_unknown_chip_names_the_known_ones(run: Run, model: Path, tmp_path: Path) -> None:
    require_message(build(run, model, tmp_path / "out", "xylo"), 2, "xylo-audio-3")
    require_message(build(run, model, tmp_path / "out", tmp_path / "none.toml"), 2, "none.toml")


@pytest.mark.parametrize("name", ["http://127.0.0.1:9/counts.txt", "counts.txt.gz", "counts.txt.xz"])
def test_inputs_are_files_and_neither_addresses_nor_archives(
    run: Run, bitstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def connect(*_: object, **__: object) -> None:
        raise AssertionError("nothing is fetched")

    monkeypatch.setattr("urllib.request.urlopen", connect)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "counts.txt.gz").write_bytes(gzip.compress(b"1 2 3\n"))
    (tmp_path / "counts.txt.xz").write_bytes(lzma.compress(b"1 2 3\n"))
    require_message(run("simulate", bitstream, "-i", name), 2, "cannot be read", name)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (np.zeros((2, 10, 5), np.int64), "measured: (2, 10, 5)   limit: (n_samples, n_steps, 3) or (n_steps, 3)"),
        (np.zeros((10, 2), np.int64), "measured: (10, 2)   limit: (n_samples, n_steps, 3) or (n_steps, 3)"),
        (np.zeros((1, 2, 10, 3), np.int64), "measured: (1, 2, 10, 3)"),
        (np.zeros(7, np.int64), "shape"),
        (np.int64(4), "shape"),
        (np.full((2, 10, 3), np.inf), "inf"),
        (np.full((2, 10, 3), 1 + 2j), "complex128"),
        (np.full((2, 10, 3), -1), "-1"),
        (np.full((2, 10, 3), 0.5), "0.5"),
        (np.full((2, 10, 3), np.nan), "nan"),
        (np.full((2, 10, 3), 1e300), "largest 1e+300   limit: integers from 0 to 2147483647"),
        (np.full((2, 10, 3), 2**63, np.uint64), "measured: uint64, smallest 9223372036854775808"),
        (np.full((2, 10, 3), 2**31), "largest 2147483648"),
        (np.array([["a", "b", "c"]]), "raster"),
        (np.zeros((0, 10, 3), np.int64), "measured: 0 samples of 10 steps   limit: at least 1 sample of 1 step"),
        (np.zeros((2, 0, 3), np.int64), "measured: 2 samples of 0 steps"),
    ],
)
def test_a_wrong_input_raster(run: Run, bitstream: Path, tmp_path: Path, counts: np.ndarray, said: str) -> None:
    np.save(tmp_path / "bad.npy", counts)
    require_message(
        run("simulate", bitstream, "-i", tmp_path / "bad.npy", "-o", tmp_path / "run.npz"),
        2,
        said,
        f"where: {tmp_path / 'bad.npy'}",
    )
    assert not (tmp_path / "run.npz").exists()


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n"])
def test_a_text_without_numbers(run: Run, bitstream: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.txt").write_text(text)
    result = run("simulate", bitstream, "-i", tmp_path / "bad.txt")
    require_message(result, 2, "the array cannot be read: it holds no numbers", f"where: {tmp_path / 'bad.txt'}")
    assert "Warning" not in result.err


def test_counts_as_csv(run: Run, bitstream: Path, raster: Path, tmp_path: Path) -> None:
    sample = np.load(raster)[0]
    for name, separator in (("counts.txt", " "), ("counts.csv", ","), ("spaced.csv", ", ")):
        np.savetxt(tmp_path / name, sample, fmt="%d", delimiter=separator)
    np.savetxt(tmp_path / "head.csv", sample, fmt="%d", delimiter=",", header="a,b,c", comments="")
    found = {run("simulate", bitstream, "-i", tmp_path / name).out for name in ("counts.txt", "counts.csv", "spaced.csv")}
    assert found == {run("simulate", bitstream, "-i", tmp_path / "counts.txt").out}
    require_message(run("simulate", bitstream, "-i", tmp_path / "head.csv"), 2, "could not convert", "and no head")


def test_labels_are_judged_before_the_run(run: Run, bitstream: Path, raster: Path, tmp_path: Path) -> None:
    command = ("simulate", bitstream, "-i", raster, "--labels", tmp_path / "labels.npy")
    result = run(*command)
    require_message(result, 2, "the array cannot be read", f"where: {tmp_path / 'labels.npy'}")
    assert "raster" not in result.err
    assert result.out == ""
    for labels, said in (
        ([0, 1], "the labels do not fit the samples"),
        ([0, 1, 2], "there are labels that no output stands for"),
    ):
        np.save(tmp_path / "labels.npy", labels)
        result = run(*command)
        require_message(result, 2, said, f"where: {tmp_path / 'labels.npy'}, labels")
        assert result.out == ""
    bare = encode(decode(bitstream.read_bytes()).with_manifest(None))
    (tmp_path / "bare.bin").write_bytes(bare)
    result = run("simulate", tmp_path / "bare.bin", "-i", raster, "--labels", tmp_path / "labels.npy")
    require_message(result, 2, "does not tell how classes are read")


@pytest.mark.parametrize("shape", [(0, 10, 3), (2, 0, 3)])
def test_every_verb_that_runs_an_image_refuses_inputs_without_steps(
    run: Run, bitstream: Path, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    np.save(tmp_path / "none.npy", np.zeros(shape, np.int64))
    none = ("-i", tmp_path / "none.npy")
    report = ("report", bitstream, *none, "-o", tmp_path / "r.html")
    for command in (("diff", bitstream, bitstream, *none), ("eval", bitstream, *none), ("profile", bitstream, *none), report):
        require_message(run(*command), 2, "the inputs hold no steps", f"where: {tmp_path / 'none.npy'}")


def test_a_record_without_a_file(run: Run, bitstream: Path, raster: Path) -> None:
    require_message(run("simulate", bitstream, "-i", raster, "-r", "hidden"), 2, "goes to a file", "add --output RUN.npz")


HEADER = b"{'descr': '<i8', 'fortran_order': False, 'shape': (%s), }"


def npy(shape: bytes) -> bytes:
    header = (HEADER % shape).ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"PK\x03\x04" + RANDOM,
        npy(b"2, 10, 3"),
        npy(b"10**9"),
        npy(b"1000000000000, 1000000000000, 3"),
        npy(b"1000000000000000, 3"),
        npy(b"("),
        npy(b"-1, 3"),
        npy(b"'a'"),
    ],
)
def test_a_damaged_npy_file(run: Run, bitstream: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.npy").write_bytes(content)
    require_message(run("simulate", bitstream, "-i", tmp_path / "bad.npy"), 2, f"where: {tmp_path / 'bad.npy'}")


def test_an_archive_under_the_name_of_an_array(run: Run, bitstream: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "several.npz", counts=np.zeros((2, 3)))
    (tmp_path / "several.npz").rename(tmp_path / "bad.npy")
    require_message(
        run("simulate", bitstream, "-i", tmp_path / "bad.npy"), 2, "archive of arrays", f"where: {tmp_path / 'bad.npy'}"
    )


def test_a_raster_that_is_no_raster(run: Run, bitstream: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("one two three\n")
    (tmp_path / "bad.npy").write_bytes(b"nothing")
    np.save(tmp_path / "objects.npy", np.array([None]), allow_pickle=True)
    np.savez(tmp_path / "several.npz", counts=np.zeros((2, 3)))
    for name in ("bad.txt", "bad.npy", "objects.npy", "several.npz", "absent.npy", "."):
        require_message(run("simulate", bitstream, "-i", tmp_path / name), 2, name)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (np.zeros((2, 10, 5), np.int64), "measured: (2, 10, 5)   limit: (n_samples, n_steps, 3)"),
        (np.full((2, 10, 3), -1), "measured: int64, smallest -1, largest -1   limit: integers from 0 to 2147483647"),
        (np.full((2, 10, 3), 0.5), "measured: float64, smallest 0.5"),
        (np.zeros((0, 10, 3), np.int64), "measured: 0 samples of 10 steps   limit: at least 1 sample of 1 step"),
        (np.zeros((2, 0, 3), np.int64), "measured: 2 samples of 0 steps"),
    ],
)
def test_a_wrong_calibration(run: Run, model: Path, tmp_path: Path, counts: np.ndarray, said: str) -> None:
    np.save(tmp_path / "bad.npy", counts)
    command = ("build", model, "--chip", "xylo-audio-3", "-o", tmp_path / "out", "--calibration")
    require_message(run(*command, tmp_path / "bad.npy"), 2, said, f"where: {tmp_path / 'bad.npy'}, input port 'in'")
    require_message(run(*command, tmp_path / "absent.npy"), 2, f"where: {tmp_path / 'absent.npy'}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "function", "said"),
    [
        ("def make(): return 3\n", "make", "measured: int"),
        ("def make(): pass\n", "make", "measured: NoneType"),
        ("def make(): yield 3\n", "make", "measured: generator"),
        ("import snnmap\ndef make(): return snnmap.Network\n", "make", "measured: type"),
        ("def make(): return make\n", "make", "measured: function"),
        ("def make(): return make()\n", "make", "RecursionError"),
        ("\n\ndef make():\n    raise ValueError('boom')\n", "make", "bad_model.py, line 4"),
        ("import snnmap\ndef make():\n    return snnmap.load_chip('none')\n", "make", "no chip is called 'none'"),
        ("1 / 0\n", "make", "bad_model.py, line 1"),
        ("def f(): pass\ndef g(): pass\n_h = f\n", "make", "limit: f, g\n"),
        ("def f(): pass\n", "f()", "measured: NoneType"),
        ("def f(): pass\n", "", "no function ''"),
        ("def make(argument): return 3\n", "make", "argument"),
        ("import no_such_module\n", "make", "no_such_module"),
        ("def make( return\n", "make", "SyntaxError"),
        ("x = 1\n", "make", "make"),
        ("import sys\nsys.exit('enough')\n", "make", "SystemExit: enough"),
        ("def make():\n    raise SystemExit\n", "make", "bad_model.py, line 2"),
        ("class E(Exception):\n    def __str__(self): return 1 / 0\ndef make(): raise E\n", "make", "E, which cannot be printed"),
        ("x = 1\ndef make( return\n", "make", "bad_model.py, line 2"),
        ("make = 1\n", "make", "make"),
    ],
)
def test_a_bad_model_file(run: Run, tmp_path: Path, text: str, function: str, said: str) -> None:
    (tmp_path / "bad_model.py").write_text(text)
    require_message(build(run, f"{tmp_path / 'bad_model.py'}:{function}", tmp_path / "out"), 2, said, "bad_model.py")


TORCH_MODELS = """
import torch
from snnmap.nn import LIF


def relu(): return torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False), torch.nn.ReLU())
def nothing(): return torch.nn.Sequential()
def no_neurons(): return torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False))
def sizes(): return torch.nn.Sequential(torch.nn.Linear(3, 5, bias=False), LIF(2))
class Failing(torch.nn.Module):
    def forward(self, x):
        raise LookupError("lost")
class Leaving(torch.nn.Module):
    def forward(self, x):
        raise SystemExit(0)
def failing(): return torch.nn.Sequential(Failing())
def leaving(): return Leaving()
def nan():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False), LIF(2, dash_syn=1, dash_mem=2))
    torch.nn.init.constant_(model[0].weight, float("nan"))
    return model
"""


@pytest.mark.parametrize(
    ("function", "code", "said"),
    [
        ("relu", 2, ["module ReLU has no counterpart", "where: module '1'"]),
        ("nothing", 2, ["not the output of neurons", "where: output 0"]),
        ("no_neurons", 2, ["not the output of neurons", "where: output 0"]),
        ("sizes", 2, ["do not fit the neurons", "measured: 5"]),
        ("failing", 2, ["cannot be followed: LookupError: lost", "models.py, line 12"]),
        ("leaving", 2, ["cannot be followed: SystemExit: 0", "models.py, line 15"]),
        ("nan", 1, ["SNN501", "measured nan"]),
    ],
)
def test_a_bad_torch_module(run: Run, tmp_path: Path, function: str, code: int, said: list[str]) -> None:
    (tmp_path / "models.py").write_text(TORCH_MODELS)
    require_message(build(run, f"{tmp_path / 'models.py'}:{function}", tmp_path / "out"), code, *said)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 9}', b"\xff\xfe", b'{"snnmap": 1}', b"[" * 100_000])
def test_a_bad_saved_network(run: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    require_message(build(run, tmp_path / "bad.json", tmp_path / "out"), 2, "bad.json")


def test_no_model_at_all(run: Run, tmp_path: Path) -> None:
    for model in (tmp_path / "none.json", f"{tmp_path / 'none.py'}:make", tmp_path / "none.py", tmp_path):
        require_message(build(run, model, tmp_path / "out"), 2, str(model).partition(":")[0])


def test_a_missing_file_is_named_by_every_verb(run: Run, raster: Path, tmp_path: Path) -> None:
    absent, output = tmp_path / "absent.bin", ("-o", tmp_path / "x")
    for command in (
        ("inspect", absent),
        ("disasm", absent, *output),
        ("asm", absent, *output),
        ("simulate", absent, "-i", raster, *output),
        ("check", absent, "--chip", "xylo-audio-3"),
        ("build", absent, "--chip", "xylo-audio-3", *output),
    ):
        require_message(run(*command), 2, "No such file or directory", f"where: {absent}")
    assert not (tmp_path / "x").exists()


def test_a_missing_raster_is_named_once(run: Run, bitstream: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent.npy"
    require_message(run("simulate", bitstream, "-i", absent), 2, "No such file or directory", f"where: {absent}\n")


def test_wrong_use(run: Run, bitstream: Path) -> None:
    for command in (
        ("biuld",),
        ("build",),
        ("build", "x.json"),
        ("build", "x.json", "--chip", "toy-4"),
        ("build", "x.json", "--chip", "toy-4", "-o", "x", "--fast"),
        ("build", "x.json", "--chip", "toy-4", "-o", bitstream),
        ("check", "x.json", "--chip", "toy-4", "--format", "xml"),
        ("simulate", bitstream),
        ("simulate", bitstream, "-i", "x.npy", "--engine", "fast"),
        ("simulate", bitstream, "-i", "x.npy", "-r", "inputs"),
        ("asm", "x.txt"),
        ("disasm",),
        ("chips", "shown"),
        ("chips", "show"),
        ("check", "x.json", "--chip"),
        ("inspect",),
        ("explain", "SNN999"),
    ):
        result = run(*command)
        assert result.code == 2
        assert result.err
    require_message(run("explain", "SNN999"), 2, "SNN999")
    require_message(run("inspect", "model.json"), 2, "model.json")


def test_the_clean_model_is_clean(run: Run, tmp_path: Path) -> None:
    save_network(CLEAN, tmp_path / "clean.json")
    assert run("check", tmp_path / "clean.json", "--chip", load_chip("toy-4").name).code == 1
    assert run("check", tmp_path / "clean.json", "--chip", "xylo-audio-3").code == 0

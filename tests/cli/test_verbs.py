"""Each verb on good input, against the library."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from command_line import Result, Run
from rule_cases import CASES, chain, feedback, residual

from snnmap.chip import list_chips, load_chip
from snnmap.core import IntArray
from snnmap.core.rules import RULES as EVERY_RULE
from snnmap.lif.bitstream import decode, encode, read_header
from snnmap.lif.drc import RULES, explain_rule
from snnmap.lif.program import unpack
from snnmap.lif.simulator import simulate_image
from snnmap.network import load_network, save_network
from snnmap.pipeline import check_model, compile_model
from snnmap.report import measure_occupancy

GOLDEN = sorted((Path(__file__).parents[2] / "bitstreams").glob("*.bin"))

MODEL_FILE = """
import torch
from snnmap.nn import LIF, LeakyIntegrator, Residual


def make() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(3, 6, bias=False),
        LIF(6, dash_syn=1, dash_mem=2, recurrent=True),
        Residual(torch.nn.Linear(6, 6, bias=False), LIF(6, dash_syn=1, dash_mem=2)),
        torch.nn.Linear(6, 2, bias=False),
        LeakyIntegrator(2, dash_syn=1, dash_mem=4),
    )
"""


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def table_rows(text: str) -> set[tuple[str, ...]]:
    """Give each table line's words, without the rules between its cells."""
    return {tuple(line.replace("│", " ").split()) for line in text.splitlines() if "│" in line}


def printed_totals(result: Result) -> list[list[int]]:
    lines = [line.split(": ") for line in result.out.splitlines()]
    assert [number for number, _ in lines] == [str(k) for k in range(len(lines))]
    return [[int(count) for count in counts.partition(" -> ")[0].split()] for _, counts in lines]


def output_totals(bitstream: Path, counts: IntArray) -> list[list[int]]:
    """Count the outputs' spikes in the steps that answer the inputs, two later."""
    padded = np.pad(counts, ((0, 0), (0, 2), (0, 0)))
    totals: list[list[int]] = simulate_image(decode(bitstream.read_bytes()), padded).counts["outputs"][:, 2:].sum(axis=1).tolist()
    return totals


def test_build_writes_what_the_library_makes(run: Run, model: Path, tmp_path: Path) -> None:
    result = run("build", model, "--chip", "xylo-audio-3", "-o", tmp_path / "a")
    assert result.code == 0
    assert "folded against source: 0 of" in result.out
    files = files_below(tmp_path / "a")
    assert {"chain.bin", "chain.txt", "slots.csv", "network.json", "build.json", "report.json"} < set(files)
    assert files["chain.bin"] == compile_model(chain(3, 5, 4, 2), "xylo-audio-3").bitstream
    assert load_network(tmp_path / "a" / "network.json") == chain(3, 5, 4, 2)
    assert json.loads(files["report.json"])["verification"]["mismatches"] == 0


def test_a_profile_of_a_build_tells_seconds_and_memory_of_each_stage(run: Run, model: Path, tmp_path: Path) -> None:
    result = run("build", model, "--chip", "xylo-audio-3", "-o", tmp_path / "a", "--profile")
    told = result.out[result.out.index("stages") :]
    assert [name for name in ("reading", "quantising", "comparing", "writing") if name not in told] == []
    assert "all of building" in told
    assert "peak memory" not in run("build", model, "--chip", "xylo-audio-3", "-o", tmp_path / "a").out


def test_two_processes_write_the_same_bytes(run: Run, bitstream: Path, model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "snnmap", "build", str(model), "--chip", "xylo-audio-3", "-o", str(tmp_path / "other")]
    environment = {"PYTHONHASHSEED": "7", "NUMBA_NUM_THREADS": "1", "PATH": ""}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert files_below(tmp_path / "other") == files_below(bitstream.parent)


def test_build_of_a_torch_module_over_an_older_build(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL_FILE)
    for _ in range(2):
        assert run("build", f"{tmp_path / 'model.py'}:make", "--chip", "xylo-audio-3", "-o", tmp_path / "a").code == 0
    assert decode((tmp_path / "a" / "Sequential.bin").read_bytes()).chip.name == "xylo-audio-3"
    assert not list((tmp_path / "a").glob(".*"))


def test_a_build_can_be_built_again_from_its_own_network_file(run: Run, tmp_path: Path) -> None:
    save_network(residual(), tmp_path / "model.json")
    assert run("build", tmp_path / "model.json", "--chip", "xylo-imu", "-o", tmp_path / "a" / "new" / "folder").code == 0
    first = tmp_path / "a" / "new" / "folder"
    assert run("build", first / "network.json", "--chip", "xylo-imu", "-o", tmp_path / "b").code == 0
    assert files_below(tmp_path / "b") == files_below(first)
    assert {path.name for path in tmp_path.iterdir()} == {"model.json", "a", "b"}


def test_the_report_of_a_build_holds_what_was_printed(run: Run, tmp_path: Path) -> None:
    save_network(residual(), tmp_path / "model.json")
    result = run("build", tmp_path / "model.json", "--chip", "xylo-audio-3", "-o", tmp_path / "a")
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    made, latency, folded, *comparison = result.out.splitlines()
    assert made == f"{tmp_path}/a/chain.bin: {(tmp_path / 'a' / 'chain.bin').stat().st_size} bytes for {report['chip']}"
    assert latency == f"latency {report['latency_steps']} steps, {report['relays']} relays, {report['warnings']} warnings"
    assert folded == f"folded against source: 0 of {report['verification']['compared']} spike counts differ"
    assert (report["relays"], report["clean"], report["errors"]) == (5, True, 0)
    build = json.loads((tmp_path / "a" / "build.json").read_text())
    assert comparison[0] == f"bitstream against the model, on {build['comparison']['inputs']}:"
    assert len(comparison) == 5
    assert build["sha256"] == hashlib.sha256((tmp_path / "a" / "chain.bin").read_bytes()).hexdigest()


def test_without_verification_the_bytes_are_the_same(run: Run, bitstream: Path, model: Path, tmp_path: Path) -> None:
    result = run("build", model, "--chip", "xylo-audio-3", "-o", tmp_path / "a", "--no-verify")
    assert (result.code, "folded against source" in result.out, "verifying" in result.err) == (0, False, False)
    assert (tmp_path / "a" / "chain.bin").read_bytes() == bitstream.read_bytes()
    assert json.loads((tmp_path / "a" / "report.json").read_text())["verification"] is None


def test_calibration_is_the_library(run: Run, model: Path, raster: Path, tmp_path: Path) -> None:
    command = ("build", model, "--chip", "xylo-audio-3", "-o", tmp_path / "a", "--calibration", raster)
    assert run(*command).code == 0
    expected = compile_model(chain(3, 5, 4, 2), "xylo-audio-3", calibration=np.load(raster))
    assert (tmp_path / "a" / "chain.bin").read_bytes() == expected.bitstream


@pytest.mark.parametrize("rule", ["SNN105", "SNN106", "SNN107", "SNN503"])
def test_a_warning_is_told_and_stops_nothing(run: Run, tmp_path: Path, rule: str) -> None:
    (network, chip), _ = CASES[rule]
    save_network(network, tmp_path / "model.json")
    checked = run("check", tmp_path / "model.json", "--chip", chip.name)
    built = run("build", tmp_path / "model.json", "--chip", chip.name, "-o", tmp_path / "a")
    assert (checked.code, built.code) == (0, 0)
    assert f"warning {rule} " in checked.out
    assert f"warning {rule} " in built.err
    assert (tmp_path / "a" / "chain.bin").is_file()


def test_check_says_how_much_was_looked_at(run: Run, model: Path) -> None:
    result = run("check", model, "--chip", "xylo-audio-3")
    advice, _, _, summary, *comparison = result.out.splitlines()
    assert advice.startswith("advice SNN607 [nothing-shown] network: what the chip does in use is not shown by drawn inputs")
    assert (result.code, summary) == (0, f"0 errors, 0 warnings, 1 advice, {len(RULES)} rules run")
    assert comparison[0] == "bitstream against the model, on drawn inputs, 10 samples of 96 steps:"


def test_check_lists_violations_as_text_and_json(run: Run, model: Path) -> None:
    text = run("check", model, "--chip", "toy-4")
    found = json.loads(run("check", model, "--chip", "toy-4", "--format", "json").out)
    assert text.code == 1
    assert [entry["rule"] for entry in found["diagnostics"]] == [
        line.split()[1] for line in text.out.splitlines() if line.startswith(("error", "warning"))
    ]
    assert {"rule", "severity", "message", "measured", "limit", "fix"} <= set(found["diagnostics"][0])
    assert "SNN201" in found["rules_run"]


def test_check_is_the_library(run: Run, model: Path) -> None:
    for chip in ("toy-4", "xylo-audio-3"):
        checked = check_model(chain(3, 5, 4, 2), chip)
        report, comparison = checked.report, checked.comparison
        told = None if comparison is None else comparison.to_plain()
        as_json, as_text = (run("check", model, "--chip", chip, "--format", form) for form in ("json", "text"))
        found, expected = json.loads(as_json.out), json.loads(json.dumps(report.to_plain()))
        (of_chip,) = found["chips"]
        assert [{**entry, "chip": chip} for entry in expected["diagnostics"]] == found["diagnostics"]
        assert (of_chip["name"], of_chip["digest"], of_chip["comparison"]) == (chip, load_chip(chip).digest.hex(), told)
        for key in expected.keys() - {"diagnostics"}:
            assert expected[key] == found[key] == of_chip[key]
        assert as_text.out.startswith("\n".join(map(str, report.diagnostics)))
        assert (as_json.code, as_text.code) == (len(report.errors) > 0, len(report.errors) > 0)


def test_simulate_is_the_library(run: Run, bitstream: Path, raster: Path, tmp_path: Path) -> None:
    result = run("simulate", bitstream, "-i", raster, "-r", "hidden", "-o", tmp_path / "run.npz")
    expected = simulate_image(
        decode(bitstream.read_bytes()), np.load(raster), counts_of=("hidden", "outputs"), states_of=("hidden",)
    )
    assert printed_totals(result) == output_totals(bitstream, np.load(raster))
    with np.load(tmp_path / "run.npz") as saved:
        found = dict(saved)
    assert set(found) == {"outputs_counts", "hidden_counts", "hidden_potentials", "hidden_currents"}
    for area in ("outputs", "hidden"):
        assert np.array_equal(found[f"{area}_counts"], expected.counts[area])
        assert expected.counts[area].any()
    assert np.array_equal(found["hidden_potentials"], expected.potentials["hidden"])
    assert np.array_equal(found["hidden_currents"], expected.currents["hidden"])


def test_simulate_says_what_the_run_cost(run: Run, bitstream: Path, raster: Path) -> None:
    profile = simulate_image(decode(bitstream.read_bytes()), np.load(raster)).profile
    assert profile is not None
    assert profile.input_spikes == np.load(raster).sum()
    said = run("simulate", bitstream, "-i", raster).err
    assert said.startswith("3 samples of 20 steps: ")
    for count in (profile.input_spikes, profile.hidden_spikes, profile.output_spikes, profile.synaptic_operations):
        assert f" {count} " in said


def test_two_axes_are_one_sample(run: Run, bitstream: Path, raster: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.load(raster)[1])
    assert printed_totals(run("simulate", bitstream, "-i", tmp_path / "one.npy")) == output_totals(
        bitstream, np.load(raster)[1:2]
    )


@pytest.mark.parametrize("count", [16, 255, 2**31 - 1])
def test_counts_above_a_channel_s_largest_are_clamped(run: Run, bitstream: Path, tmp_path: Path, count: int) -> None:
    for name, value in (("largest", load_chip("xylo-audio-3").inputs.max_count), ("above", count)):
        np.save(tmp_path / f"{name}.npy", np.full((1, 6, 3), value))
    largest, above = (run("simulate", bitstream, "-i", tmp_path / f"{name}.npy", "--clamp") for name in ("largest", "above"))
    assert above.out == largest.out
    assert above.err == largest.err.replace("0 of 18 counts clamped", "18 of 18 counts clamped")
    assert any(printed_totals(above)[0])
    refused = run("simulate", bitstream, "-i", tmp_path / "above.npy")
    assert refused.code == 2
    assert f"measured: 18 counts, largest {count}   limit: 15" in refused.err
    assert "give --clamp" in refused.err


def test_simulate_and_selftest_run_on_torch(run: Run, bitstream: Path, raster: Path) -> None:
    plain, on_torch = (run("simulate", bitstream, "-i", raster, "--engine", engine) for engine in ("batch", "torch"))
    assert on_torch == plain
    assert run("selftest", bitstream, "--engine", "torch").code == 0
    refused = run("simulate", bitstream, "-i", raster, "--engine", "torch", "--device", "tpu")
    assert (refused.code, "torch has no such device" in refused.err) == (2, True)
    unused = run("simulate", bitstream, "-i", raster, "--device", "cuda")
    assert (unused.code, "add --engine torch" in unused.err) == (2, True)


def test_simulate_tells_what_left_its_word_and_strict_refuses_it(run: Run, bitstream: Path, tmp_path: Path) -> None:
    for name, value in (("silent", 0), ("loud", 15), ("above", 16)):
        np.save(tmp_path / f"{name}.npy", np.full((2, 60, 3), value))
    silent, loud = (run("simulate", bitstream, "-i", tmp_path / f"{name}.npy") for name in ("silent", "loud"))
    assert "values that left their words: none" in silent.err
    assert run("simulate", bitstream, "-i", tmp_path / "silent.npy", "--strict") == silent
    told = next(line for line in loud.err.splitlines() if line.startswith("values that left their words: "))
    assert " of hidden" in told
    refused = run("simulate", bitstream, "-i", tmp_path / "loud.npy", "--strict")
    assert (refused.code, refused.out) == (2, "")
    assert f"measured: {told.partition(': ')[2]}   limit: none" in refused.err
    assert "2 of 2 samples, first 0" in refused.err
    both = run("simulate", bitstream, "-i", tmp_path / "above.npy", "--clamp", "--strict")
    assert (both.code, "first in sample 0, step 0, channel 0" in both.err) == (2, True)


def test_simulate_reads_text_and_all_engines_agree(run: Run, bitstream: Path, tmp_path: Path) -> None:
    (tmp_path / "counts.txt").write_text("3 0 2\n0 0 9\n15 1 0\n0 0 0\n0 0 0\n")
    engines = ("batch", "reference", "rtl")
    outs = [run("simulate", bitstream, "-i", tmp_path / "counts.txt", "--engine", engine).out for engine in engines]
    assert outs[0] == outs[1] == outs[2]
    assert outs[0].startswith("0: ")


def test_inspect_a_bitstream_and_a_model(run: Run, bitstream: Path, model: Path) -> None:
    stored = run("inspect", bitstream)
    assert (stored.code, "recurrent_weights" in stored.out, "crc-32" in stored.out) == (0, True, True)
    mapped = run("inspect", model, "--chip", "xylo-audio-3")
    assert (mapped.code, "h2" in mapped.out, "lag" in mapped.out) == (0, True, True)


@pytest.mark.parametrize("verb", ["inspect", "simulate", "selftest"])
def test_a_folder_in_the_place_of_a_bitstream_is_told_which_ones_it_holds(run: Run, bitstream: Path, verb: str) -> None:
    result = run(verb, bitstream.parent, *(["-i", "counts.npy"] if verb == "simulate" else []))
    assert (result.code, f"give one of its bitstreams: {bitstream}" in result.err) == (2, True)


def test_a_verb_that_does_not_exist_is_told_with_what_was_meant(run: Run) -> None:
    assert "Did you mean 'build'?" in run("biuld").err
    assert "See snnmap --help." in run("xyz").err


def test_a_network_is_drawn_as_svg_alone(run: Run, model: Path, tmp_path: Path) -> None:
    result = run("draw", model, "-o", tmp_path / "net.png")
    assert (result.code, "is drawn as SVG" in result.err) == (2, True)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_inspect_shows_every_block_and_memory(run: Run, path: Path) -> None:
    data = path.read_bytes()
    header, rows = read_header(data), table_rows(run("inspect", path).out)
    for block in header.blocks:
        row = (block.kind.name.lower(), block.synapse, block.offset, block.n_words, block.word_bits, f"{block.crc:08x}")
        assert tuple(map(str, row)) in rows
    for entry in measure_occupancy(unpack(decode(data))):
        found = [row for row in rows if " ".join(row).startswith(f"{entry.block} ")]
        assert [row[len(entry.block.split()) :][:3] for row in found] == [
            (str(entry.used), str(entry.capacity), f"{entry.share:.1%}")
        ]


def test_inspect_shows_where_each_population_went(run: Run, tmp_path: Path) -> None:
    save_network(residual(), tmp_path / "model.json")
    result = run("inspect", tmp_path / "model.json", "--chip", "xylo-audio-3")
    assert result.code == 0
    assert {
        ("in", "input", "3", "0", "0", "0..2"),
        ("h1", "hidden", "5", "5", "0", "0..4", "model.h1"),
        ("h2", "hidden", "5", "0", "1", "10..14", "model.h2"),
        ("out", "output", "2", "0", "2", "0..1", "model.out"),
    } <= table_rows(result.out)


def test_inspect_shows_what_does_not_fit(run: Run, model: Path) -> None:
    result = run("inspect", model, "--chip", "toy-4")
    assert result.code == 1
    assert any(row[:3] == ("h1", "hidden", "5") for row in table_rows(result.out))
    assert "SNN202" in result.err


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_golden_bitstream_goes_round(run: Run, path: Path, tmp_path: Path) -> None:
    (tmp_path / "twin.txt").write_text(run("disasm", path).out)
    assert run("asm", tmp_path / "twin.txt", "-o", tmp_path / "again.bin").code == 0
    assert (tmp_path / "again.bin").read_bytes() == path.read_bytes()


def test_a_weight_changed_by_hand_is_changed_in_the_bitstream(run: Run, bitstream: Path, tmp_path: Path) -> None:
    weight = int(unpack(decode(bitstream.read_bytes())).input_weights[0].data[0])
    text = bitstream.with_suffix(".txt").read_text()
    assert f"0: 0={weight} " in text
    (tmp_path / "edited.txt").write_text(text.replace(f"0: 0={weight} ", "0: 0=-7 ", 1))
    result = run("asm", tmp_path / "edited.txt", "-o", tmp_path / "edited.bin")
    size = (tmp_path / "edited.bin").stat().st_size
    told = f"{size} bytes of {tmp_path / 'edited.txt'}; 3 input channels, 9 hidden and 2 output neurons of xylo-audio-3"
    assert (result.code, result.out) == (0, f"{tmp_path / 'edited.bin'}: {told}; edited, without golden samples\n")
    edited = unpack(decode((tmp_path / "edited.bin").read_bytes()))
    assert edited.input_weights[0].data[0] == -7


def test_text_twin_goes_all_the_way_round(run: Run, bitstream: Path, tmp_path: Path) -> None:
    written = run("disasm", bitstream, "-o", tmp_path / "twin.txt")
    n_lines = len((tmp_path / "twin.txt").read_text().splitlines())
    assert (written.code, written.out) == (0, f"{tmp_path / 'twin.txt'}: {n_lines} lines of {bitstream}\n")
    assert run("disasm", bitstream).out == (tmp_path / "twin.txt").read_text() == bitstream.with_suffix(".txt").read_text()
    assert run("asm", tmp_path / "twin.txt", "-o", tmp_path / "again.bin").code == 0
    assert (tmp_path / "again.bin").read_bytes() == bitstream.read_bytes()


def test_explain_one_rule_and_list_all(run: Run) -> None:
    assert run("explain", "SNN205").out == explain_rule("fan-out-exceeded")
    assert [line.split() for line in run("explain").out.splitlines()] == [
        [rule.id, str(rule.severity), rule.name] for _, rule in sorted(EVERY_RULE.items())
    ]


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_rule_is_explained_by_id_and_by_name(run: Run, rule: str) -> None:
    by_id, by_name = run("explain", rule), run("explain", RULES[rule].name)
    assert by_id == by_name == Result(0, explain_rule(rule), "")
    assert by_id.out.startswith(f"{rule} {RULES[rule].name} ({RULES[rule].severity})\n")


def test_all_rules_are_explained_at_once_in_any_case_and_as_json(run: Run) -> None:
    assert run("explain", "ALL").out == "\n".join(explain_rule(rule) for rule in sorted(EVERY_RULE))
    assert run("explain", "snn205").out == run("explain", "Fan-Out-Exceeded").out == explain_rule("SNN205")
    every = json.loads(run("explain", "all", "--format", "json").out)
    assert [entry["id"] for entry in every] == sorted(EVERY_RULE)
    (one,) = json.loads(run("explain", "snn205", "--format", "json").out)
    assert one == every[sorted(EVERY_RULE).index("SNN205")]
    assert one["bad_code"] in explain_rule("SNN205").replace("\n    ", "\n")
    assert all(text for entry in every if entry["id"] in RULES for text in entry.values())


def test_the_list_of_chips_gives_their_shapes(run: Run) -> None:
    rows = {row[0]: row[1:5] for row in table_rows(run("chips").out)}
    for chip in map(load_chip, list_chips()):
        assert rows[chip.name] == tuple(
            map(str, (chip.inputs.count, chip.hidden.count, chip.outputs.count, chip.hidden.synapses))
        )


@pytest.mark.parametrize("name", list_chips())
def test_a_chip_is_shown_as_a_record_to_start_from(run: Run, name: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(run("chips", "show", name).out)
    assert load_chip(str(tmp_path / "mine.toml")) == load_chip(name)


def test_chips_and_a_chip_of_ones_own(run: Run, model: Path, tmp_path: Path) -> None:
    listed = run("chips").out
    assert all(name in listed for name in list_chips())
    shown = run("chips", "show", "xylo-imu")
    assert (shown.code, "496" in shown.out) == (0, True)
    own = (resources.files("snnmap.chip") / "catalog" / "xylo-imu.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(own.replace("xylo-imu", "mine").replace("chip_id = 4", "chip_id = 900"))
    assert "mine" in run("chips", "show", tmp_path / "mine.toml").out
    assert run("build", model, "--chip", tmp_path / "mine.toml", "-o", tmp_path / "own").code == 0
    stored, given = tmp_path / "own" / "chain.bin", ("--chip", tmp_path / "mine.toml")
    assert run("inspect", stored, *given).code == 0
    assert run("disasm", stored, *given, "-o", tmp_path / "own.txt").code == 0
    assert run("asm", tmp_path / "own.txt", *given, "-o", tmp_path / "again.bin").code == 0
    assert (tmp_path / "again.bin").read_bytes() == stored.read_bytes()
    for verb in ("inspect", "disasm"):
        assert "another chip" in run(verb, stored).err


@pytest.mark.parametrize(
    "verb",
    ["asm", "build", "check", "chips", "demo", "diff", "disasm", "explain", "export", "inspect", "selftest", "simulate", "where"],
)
def test_help(run: Run, verb: str) -> None:
    result = run(verb, "--help")
    assert (result.code, "Usage: snnmap" in result.out) == (0, True)


def test_stretching_a_loop_is_asked_for(run: Run, tmp_path: Path) -> None:
    save_network(feedback(1), tmp_path / "loop.json")
    refused = run("build", tmp_path / "loop.json", "--chip", "xylo-audio-3", "-o", tmp_path / "a")
    assert (refused.code, "SNN301" in refused.err, (tmp_path / "a").exists()) == (1, True, False)
    assert run("build", tmp_path / "loop.json", "--chip", "xylo-audio-3", "-o", tmp_path / "a", "--stretch-loops").code == 0
    assert json.loads((tmp_path / "a" / "report.json").read_text())["stretched"]


def test_inspect_says_how_decays_were_rebuilt(run: Run, tmp_path: Path) -> None:
    network = chain(3, 5, 4, 2)
    first = replace(network.populations[0], beta=np.full(5, 0.94))
    save_network(replace(network, populations=(first, *network.populations[1:])), tmp_path / "slow.json")
    result = run("inspect", tmp_path / "slow.json", "--chip", "xylo-audio-3")
    assert (result.code, "decays that are not coded" in result.out) == (0, True)
    (line,) = [line for line in result.out.splitlines() if line.strip().startswith("h1") and "%" in line]
    assert line.split("│")[1].strip() == "2"


def test_what_the_proof_did_not_show_is_told(run: Run, tmp_path: Path) -> None:
    network = chain(3, 5, 4, 2)
    silent = replace(network.populations[1], threshold=np.full(4, 1e3))
    save_network(replace(network, populations=(network.populations[0], silent, network.populations[2])), tmp_path / "m.json")
    result = run("build", tmp_path / "m.json", "--chip", "xylo-audio-3", "-o", tmp_path / "a")
    assert result.code == 0
    assert "spike counts differ; nothing was shown about h2, out, silent in these runs" in result.out
    assert "SNN607" in result.err


def test_options_of_agreement(run: Run, tmp_path: Path) -> None:
    network, raster = chain(3, 12, 8, 2), np.random.default_rng(0).poisson(3.0, (6, 40, 3)).clip(0, 15)
    single = replace(network.populations[0], max_count=np.ones(12, np.int64))
    save_network(replace(network, populations=(single, *network.populations[1:])), tmp_path / "m.json")
    np.save(tmp_path / "c.npy", raster)
    np.save(tmp_path / "l.npy", np.arange(6) % 2)
    common = (tmp_path / "m.json", "--chip", "xylo-audio-3", "--calibration", tmp_path / "c.npy", "--labels", tmp_path / "l.npy")
    refused = [run("check", *common), run("build", *common, "-o", tmp_path / "a")]
    assert [result.code for result in refused] == [1, 1]
    assert "SNN602" in refused[0].out
    assert "SNN602" in refused[1].err
    allowed = run("build", *common, "-o", tmp_path / "a", "--allow", "SNN6", "--decision", "count")
    assert allowed.code == 0
    assert "(right: model " in allowed.out
    limited = run("check", *common, "--allow", "SNN6", "--limit", "rate_low=0.999", "--limit", "rate_high=1.001")
    assert "limit 0.999..1.001" in limited.out
    for text in ("rate_low", "rate_low=high", "rate=0.7", "rate_low=nan"):
        result = run("check", *common, "--limit", text)
        assert (result.code, "--limit" in result.err) == (2, True)
    np.save(tmp_path / "l.npy", np.arange(5) % 2)
    assert "labels do not fit" in run("check", *common).err


def test_simulate_reads_outputs_as_the_build_says(run: Run, tmp_path: Path) -> None:
    network = chain(3, 5, 4, 2)
    port = replace(network.outputs[0], readout="potential")
    readout = replace(network.populations[-1], threshold=np.full(2, np.inf))
    network = replace(network, outputs=(port,), populations=(*network.populations[:-1], readout))
    raster = np.random.default_rng(0).poisson(0.5, (4, 30, 3))
    save_network(network, tmp_path / "m.json")
    np.save(tmp_path / "c.npy", raster)
    run("build", tmp_path / "m.json", "--chip", "xylo-audio-3", "-o", tmp_path / "a", "--calibration", tmp_path / "c.npy")
    told = run("simulate", tmp_path / "a" / "chain.bin", "-i", tmp_path / "c.npy")
    values = compile_model(network, "xylo-audio-3", calibration=raster).run(raster)["port"][:, -1]
    printed, classes = zip(*[line.split(": ")[1].split(" -> ") for line in told.out.splitlines()], strict=True)
    assert np.allclose([[float(value) for value in line.split()] for line in printed], values, rtol=1e-4)
    assert [int(text) for text in classes] == values.argmax(axis=1).tolist()
    (tmp_path / "a" / "build.json").unlink()
    assert run("simulate", tmp_path / "a" / "chain.bin", "-i", tmp_path / "c.npy") == told
    np.save(tmp_path / "l.npy", 1 - values.argmax(axis=1))
    assert (
        "0 of 4 right (0.00%)"
        in run("simulate", tmp_path / "a" / "chain.bin", "-i", tmp_path / "c.npy", "--labels", tmp_path / "l.npy").err
    )


def test_an_image_that_says_nothing_of_itself_is_read_as_spikes(run: Run, bitstream: Path, raster: Path, tmp_path: Path) -> None:
    image = decode(bitstream.read_bytes())
    (tmp_path / "bare.bin").write_bytes(encode(image.with_manifest(None)))
    alone = run("simulate", tmp_path / "bare.bin", "-i", raster)
    assert "does not tell how its outputs are read" in alone.err
    assert "->" not in alone.out
    assert printed_totals(alone) == simulate_image(image, np.load(raster)).counts["outputs"].sum(axis=1).tolist()

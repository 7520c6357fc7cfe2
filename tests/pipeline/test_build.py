"""The order of the stages, from library calls."""

import errno
import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_networks import random_network
from rule_cases import CASES, CLEAN, XYLO, Case, chain, check, edit, feedback, residual, set_first, with_weights

import snnmap
from snnmap.chip import list_chips, load_chip
from snnmap.convert import convert_ann
from snnmap.core.diagnostics import Severity
from snnmap.core.errors import ChipError, DesignRuleError, FormatError, FrontendError, InputError, NetworkError
from snnmap.lif.bitstream import assemble, decode, export_readmemh
from snnmap.lif.drc import RULES
from snnmap.lif.mapping import FoldOptions, Verification, folded_counts
from snnmap.lif.program import Image, QuantisedNetwork, as_folded_network
from snnmap.lif.quantise import RateTuning, SecondSynapse, match_decays
from snnmap.loading import load
from snnmap.network import format_network, load_network, parse_network, simulate_network, sketch_network
from snnmap.pipeline import (
    CompileOptions,
    StageProfile,
    check_model,
    compile_model,
    find_smallest_chip,
    fit_model,
    fix_model,
    sweep_model,
)

ALLOW = CompileOptions(allow=("SNN6",))


def test_three_lines() -> None:
    artifacts = snnmap.compile_model(CLEAN, "xylo-audio-3")
    counts = snnmap.simulate_image(artifacts.image, np.ones((2, 10, 3), np.int64)).counts["outputs"]
    assert counts.shape == (2, 10, 2)


@pytest.mark.parametrize("seed", range(6))
def test_the_image_is_what_the_bytes_say(seed: int) -> None:
    artifacts = compile_model(random_network(seed, biases=False), "generic-4096")
    assert decode(artifacts.bitstream) == artifacts.image
    assert artifacts.verification is not None
    assert artifacts.verification.n_mismatches == 0
    assert artifacts.verification.n_compared > 0


def test_the_same_call_gives_the_same_bytes() -> None:
    network = random_network(5)
    first, second = (compile_model(network, "xylo-audio-3") for _ in range(2))
    assert first.bitstream == second.bitstream
    assert first.to_plain() == second.to_plain()


def test_the_model_is_not_changed() -> None:
    before = snnmap.simulate_network(CLEAN, np.ones((1, 9, 3), np.int64), counts_of=["h1"]).counts["h1"]
    compile_model(CLEAN, "xylo-audio-3", calibration=np.ones((1, 9, 3), np.int64))
    after = snnmap.simulate_network(CLEAN, np.ones((1, 9, 3), np.int64), counts_of=["h1"]).counts["h1"]
    assert np.array_equal(before, after)


def test_stretched_loops_are_compared_with_the_stretched_source() -> None:
    options = CompileOptions(fold=FoldOptions(stretch_loops=True))
    artifacts = compile_model(feedback(1), "xylo-audio-3", options=options)
    assert sum(artifacts.mapped.stretched.values()) == 1
    assert artifacts.verification is not None
    assert artifacts.verification.n_mismatches == 0
    with pytest.raises(DesignRuleError, match="SNN301"):
        compile_model(feedback(1), "xylo-audio-3")


def test_lags_are_the_hops() -> None:
    mapped = compile_model(residual(), "xylo-audio-3").mapped
    raster = np.random.default_rng(0).poisson(2.0, (1, 12, 3))
    source = simulate_network(residual(), raster, counts_of=["h1", "h2"])
    folded = simulate_network(as_folded_network(mapped), np.pad(raster, ((0, 0), (0, 3), (0, 0))), counts_of=["hidden"])
    assert (mapped.lags["h1"], mapped.lags["h2"], mapped.latency_steps) == (0, 1, 2)
    for name in ("h1", "h2"):
        assert np.array_equal(folded_counts(folded, mapped, name)[:, :12], source.counts[name])
        assert source.counts[name].any()


@pytest.mark.parametrize("call", [check_model, compile_model, fix_model])
@pytest.mark.parametrize(
    ("data", "labels", "what"),
    [
        (np.ones((2, 9, 5), np.int64), None, r"\(2, 9, 5\)"),
        (np.full((2, 9, 3), 0.5), None, "smallest 0.5"),
        (np.ones((0, 9, 3), np.int64), None, "0 samples"),
        (np.ones((2, 9, 3), np.int64), np.eye(2), r"one-hot rows labels\.argmax"),
        (np.ones((2, 9, 3), np.int64), [0, 7], r"0\.\.7"),
        (None, [0, 1], "give calibration data too"),
    ],
)
def test_data_that_do_not_suit_a_network_are_refused_whatever_else_is_found_of_it(
    call: Callable[..., object], data: object, labels: object, what: str
) -> None:
    broken = with_weights("h1->h2", set_first(np.inf))
    assert not check_model(broken, "xylo-audio-3").report.is_clean
    with pytest.raises(InputError, match=what):
        call(broken, "xylo-audio-3", calibration=data, labels=labels)


def test_a_dict_is_no_options_of_a_build() -> None:
    with pytest.raises(InputError, match=r"(?s)dict.*give CompileOptions\(\.\.\.\)"):
        check_model(CLEAN, "xylo-audio-3", options={"decision": "last"})  # type: ignore[arg-type]


def test_labels_are_of_all_calibration_data_that_an_ann_is_converted_on() -> None:
    ann = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
    values = np.random.default_rng(0).random((20, 4))
    assert compile_model(ann, "generic-4096", calibration=values, labels=np.zeros(20, np.int64), options=ALLOW).bitstream
    for n_labels in (19, 21):
        with pytest.raises(InputError, match=r"\(20,\)"):
            compile_model(ann, "generic-4096", calibration=values, labels=np.zeros(n_labels, np.int64), options=ALLOW)


def test_calibration_of_the_wrong_shape() -> None:
    with pytest.raises(InputError, match="3"):
        compile_model(CLEAN, "xylo-audio-3", calibration=np.ones((1, 9, 5), np.int64))


def test_samples_are_held_back_from_the_quantiser_and_compared_on() -> None:
    raster = np.random.default_rng(3).poisson(0.6, (64, 20, 3)).clip(max=15)
    held = np.arange(64) % 4 == 3
    loud = np.where(held[:, np.newaxis, np.newaxis], 15, raster)
    built, other = (compile_model(CLEAN, "xylo-audio-3", calibration=part, options=ALLOW) for part in (raster, loud))
    assert built.image.memories == other.image.memories
    assert (built.comparison.held_back, built.comparison.n_samples, built.comparison.n_given) == (True, 16, 64)
    assert built.comparison.input_spikes == raster[held].sum()
    assert "16 of 64 samples of 20 steps, which the quantiser has not seen:" in str(built.comparison)
    seen = compile_model(CLEAN, "xylo-audio-3", calibration=loud, options=replace(ALLOW, hold_back=0.0))
    assert seen.bitstream != built.bitstream
    assert (seen.comparison.held_back, seen.comparison.n_samples) == (False, 64)


def test_of_few_samples_none_are_held_back_and_it_is_said() -> None:
    few = np.random.default_rng(3).poisson(0.6, (63, 20, 3)).clip(max=15)
    comparison = compile_model(CLEAN, "xylo-audio-3", calibration=few, options=ALLOW).comparison
    assert not comparison.held_back
    assert "63 samples of 20 steps, on which it was quantised too:" in str(comparison)
    assert "quantise" not in str(compile_model(CLEAN, "xylo-audio-3").comparison)
    with pytest.raises(InputError, match="hold_back"):
        CompileOptions(hold_back=1.0)


def test_every_rule_is_run_and_every_stage_is_told() -> None:
    stages: list[str] = []
    artifacts = compile_model(chain(3, 5, 4, 2), "xylo-audio-3", on_stage=stages.append)
    assert set(artifacts.report.rules_run) == set(RULES)
    assert len(stages) == 8


@pytest.mark.parametrize("model", [3, None, object()])
def test_what_is_not_a_model(model: object) -> None:
    with pytest.raises(FrontendError, match=type(model).__name__):
        check_model(model, "toy-4")


@pytest.mark.parametrize("chip", list_chips())
def test_every_chip_is_built_for(chip: str) -> None:
    most, reset, network = load_chip(chip).hidden.max_count, load_chip(chip).family.reset, chain(2, 2, 2, 2)
    network = replace(
        network, populations=tuple(replace(p, max_count=np.minimum(p.max_count, most), reset=reset) for p in network.populations)
    )
    artifacts = compile_model(network, chip)
    assert artifacts.image.chip.name == chip
    assert assemble(snnmap.lif.bitstream.disassemble(artifacts.image)) == artifacts.image


def test_a_chip_is_named_or_given() -> None:
    assert compile_model(CLEAN, XYLO).bitstream == compile_model(CLEAN, "xylo-audio-3").bitstream
    assert compile_model(CLEAN, replace(XYLO, chip_id=900)).image.chip.chip_id == 900
    for run in (check_model, compile_model):
        with pytest.raises(ChipError, match="no chip is called 'xylo'"):
            run(CLEAN, "xylo")


ERRORS = [(rule, case) for rule, (case, _) in CASES.items() if RULES[rule].severity is Severity.ERROR]


@pytest.mark.parametrize(("rule", "case"), ERRORS, ids=[rule for rule, _ in ERRORS])
def test_a_build_refuses_with_all_that_the_check_finds(rule: str, case: Case) -> None:
    network, chip = case
    with pytest.raises(DesignRuleError) as refused:
        compile_model(network, chip)
    assert refused.value.diagnostics == check(case).errors
    assert rule in {diagnostic.rule for diagnostic in refused.value.diagnostics}
    assert all(str(diagnostic) in str(refused.value) for diagnostic in refused.value.diagnostics)


def test_a_check_goes_as_far_as_the_network_lets_it() -> None:
    reached = {
        name: [stage for stage in ("matched", "mapped", "quantised") if getattr(check_model(network, chip), stage) is not None]
        for name, (network, chip) in {
            "broken": (replace(CLEAN, outputs=()), "xylo-audio-3"),
            "too large": (CLEAN, "toy-4"),
            "clean": (CLEAN, "xylo-audio-3"),
        }.items()
    }
    assert reached == {"broken": [], "too large": ["mapped"], "clean": ["matched", "mapped", "quantised"]}


def test_a_refused_build_tells_the_warnings_about_its_places_and_counts_the_others() -> None:
    """Of a bias that no word holds and a decay in two layers, of which one has the bias."""
    sizes = {"in": 2, "a": 3, "b": 3, "c": 3, "out": 2}
    network = sketch_network(sizes, beta={"a": 0.9, "c": 0.9}, bias={"a": [1e5, 0.0, 0.0]})
    with pytest.raises(snnmap.DesignRuleError) as refused:
        snnmap.compile_model(network, "xylo-audio-3")
    assert {found.rule for found in refused.value.diagnostics} == {"SNN505"}
    told = str(refused.value)
    assert "warning SNN503 [decay-not-codable] population 'a'" in told
    assert "population 'c'" not in told
    n_more = sum(found.location.population != "a" for found in refused.value.warnings)
    assert n_more >= 1
    assert f"{n_more} warning" in told.splitlines()[-1]
    assert "`snnmap check`" in told.splitlines()[-1]
    copied = pickle.loads(pickle.dumps(refused.value))
    assert (str(copied), copied.warnings) == (told, refused.value.warnings)


def test_later_rules_still_measure_after_a_first_violation() -> None:
    found = check_model(with_weights("h1->h2", set_first(np.nan), chain(3, 600, 600, 2)), "xylo-audio-3").report
    assert {"SNN501", "SNN202"} <= {diagnostic.rule for diagnostic in found.errors}


def test_stages_are_told_in_order_and_verification_only_where_asked_for() -> None:
    stages: dict[bool, list[str]] = {True: [], False: []}
    for verify, told in stages.items():
        artifacts = compile_model(CLEAN, "xylo-audio-3", options=CompileOptions(verify=verify), on_stage=told.append)
        assert (artifacts.verification is not None) == verify
    assert [stage.split()[0] for stage in stages[True]] == [
        "checking",
        "folding",
        "quantising",
        "packing",
        "comparing",
        "verifying",
        "describing",
        "writing",
    ]
    assert stages[False] == [stage for stage in stages[True] if not stage.startswith("verifying")]


@pytest.mark.parametrize("much_work", [0, 1_000_000])
def test_a_folded_network_that_differs_is_refused(much_work: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnmap.pipeline.ways._MUCH_WORK", much_work)
    differs = Verification(n_compared=9, mismatches={"h1": 0, "h2": 3}, spikes={"h1": 5, "h2": 5})
    monkeypatch.setattr("snnmap.pipeline.ways.verify_fold", lambda *_: differs)
    with pytest.raises(NetworkError, match="differs from its source") as refused:
        compile_model(CLEAN, "xylo-audio-3")
    assert (refused.value.measured, refused.value.limit) == ("{'h2': 3}", "0")
    assert compile_model(CLEAN, "xylo-audio-3", options=CompileOptions(verify=False)).bitstream


def test_what_is_found_out_beside_quantising_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    after = compile_model(CLEAN, "xylo-audio-3")
    monkeypatch.setattr("snnmap.pipeline.ways._MUCH_WORK", 0)
    beside = compile_model(CLEAN, "xylo-audio-3")
    assert beside.verification == after.verification is not None
    assert beside.bitstream == after.bitstream


def test_a_bitstream_that_reads_back_differently_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = compile_model(chain(3, 4, 4, 2), "xylo-audio-3").image

    def misread(data: bytes, **_: object) -> Image:
        return other

    monkeypatch.setattr("snnmap.pipeline.ways.decode", misread)
    with pytest.raises(FormatError, match="does not decode to the image"):
        compile_model(CLEAN, "xylo-audio-3")


def test_files_are_what_the_artifacts_hold(tmp_path: Path) -> None:
    artifacts = compile_model(residual(), "xylo-audio-3")
    artifacts.write(tmp_path / "out")
    memories = export_readmemh(artifacts.image)
    assert {path.name for path in (tmp_path / "out" / "readmemh").iterdir()} == set(memories)
    assert all((tmp_path / "out" / "readmemh" / name).read_bytes() == data for name, data in memories.items())
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}
    assert set(files) == {"chain.bin", "chain.txt", "slots.csv", "network.json", "build.json", "report.json"}
    assert files["chain.bin"] == artifacts.bitstream
    assert assemble(files["chain.txt"].decode()) == artifacts.image
    assert parse_network(files["network.json"].decode()) == residual()
    assert json.loads(files["build.json"]) == json.loads(json.dumps(artifacts.describe_build()))
    assert json.loads(files["report.json"]) == json.loads(json.dumps(artifacts.to_plain()))


def test_the_slot_table_has_a_line_for_each_channel_and_neuron(tmp_path: Path) -> None:
    artifacts = compile_model(residual(), "xylo-audio-3")
    artifacts.write(str(tmp_path))
    _, *rows = [line.split(",") for line in (tmp_path / "slots.csv").read_text().splitlines()]
    program = artifacts.quantised.program
    counted = {area: sum(row[0] == area for row in rows) for area in ("input", "hidden", "output")}
    assert counted == {"input": program.n_inputs, "hidden": program.hidden.size, "output": program.outputs.size}
    assert sum(row[4] != "0" for row in rows) == artifacts.mapped.n_relays == 5


def test_a_failing_write_leaves_the_older_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_model(CLEAN, "xylo-audio-3").write(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    for folder in (tmp_path, tmp_path / "new" / "folder"):
        with pytest.raises(OSError, match="full"):
            compile_model(chain(3, 6, 4, 2), "xylo-audio-3").write(folder)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("net", "net"),
        ("my net.v2-a_b", "my_net.v2-a_b"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("a/b\\c\0d", "a_b_c_d"),
        ("Netz-ü", "Netz-ü"),
        ("", "network"),
    ],
)
def test_files_stay_in_their_folder_whatever_the_network_s_name(tmp_path: Path, name: str, stem: str) -> None:
    artifacts = replace(compile_model(CLEAN, "xylo-audio-3"), network=replace(CLEAN, name=name))
    assert artifacts.file_stem == stem
    artifacts.write(tmp_path / "out")
    assert (tmp_path / "out" / f"{stem}.bin").read_bytes() == artifacts.bitstream
    assert load_network(tmp_path / "out" / "network.json").name == name
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_stages_are_measured_all_their_turns_together() -> None:
    profile = StageProfile()
    for text in ("folding", "quantising", "folding", "comparing it"):
        profile(text)
    block = np.ones(40_000_000)  # 320 MB, in the last stage alone
    stages = profile.finish()
    assert [stage.name for stage in stages] == ["folding", "quantising", "comparing it"]
    assert [stage.is_check for stage in stages] == [False, False, True]
    assert stages[2].peak_bytes - stages[1].peak_bytes > 0.9 * block.nbytes
    assert profile.finish() == stages


def test_decays_are_rebuilt_for_runs_as_long_as_the_calibration_data() -> None:
    network, chip = edit("populations", "h1", CLEAN, beta=np.full(5, 0.95)), load_chip("xylo-audio-3")
    raster = np.random.default_rng(0).poisson(0.5, (8, 20, network.inputs[0].size))
    checked = check_model(network, chip, calibration=raster, options=CompileOptions(allow=("SNN6",)))
    ways: tuple[SecondSynapse, ...] = ("decays", "always", "never")
    in_runs, for_ever = (
        [match_decays(network, chip, second_synapse=way, n_steps=n_steps)[1] for way in ways] for n_steps in (20, None)
    )
    assert checked.matches in in_runs
    assert checked.matches not in for_ever


def test_choices_of_the_frontend_are_given_to_a_build() -> None:
    nir = pytest.importorskip("nir")
    ones = np.ones(2)
    nodes = {
        "in": nir.Input(np.array([2])),
        "n": nir.CubaLIF(0.02 * ones, 0.004 * ones, 4 * ones, 0 * ones, ones, 0 * ones, w_in=2 * ones),
        "out": nir.Output(np.array([2])),
    }
    graph = nir.NIRGraph(nodes, [("in", "n"), ("n", "out")])
    read = {"like": "norse", "dt_s": 1e-3, "w_in": "given"}
    network = load(graph, **read)
    assert check_model(graph, "generic-4096-single", read=read) == check_model(network, "generic-4096-single")
    assert fix_model(graph, "generic-4096-single", read=read).source == network
    assert fit_model(graph, ["generic-4096-single"], read=read) == fit_model(network, ["generic-4096-single"])
    sweep: tuple[Any, ...] = ("generic-4096-single", "hidden.count", [1, 8])
    assert sweep_model(graph, *sweep, read=read) == sweep_model(network, *sweep)
    with pytest.raises(InputError, match="does not hold this model"):
        find_smallest_chip(graph, "generic-4096-single", read=read)
    with pytest.raises(FrontendError, match="NIR does not say"):
        check_model(graph, "generic-4096-single")
    with pytest.raises(InputError, match="has no options"):
        check_model(network, "generic-4096-single", read=read)


def test_artifacts_count_what_left_its_word_and_strict_refuses_it() -> None:
    artifacts = compile_model(CLEAN, "xylo-audio-3")
    silent, loud = np.zeros((2, 60, 3), np.int64), np.full((2, 60, 3), 15)
    assert str(artifacts.count_saturation(silent)) == "none"
    assert artifacts.count_saturation(loud).by_sample.min() > 0
    assert artifacts.run(silent, strict=True).keys() == artifacts.run(loud).keys()
    with pytest.raises(InputError, match="values left their words"):
        artifacts.run(loud, strict=True)


def test_inputs_that_relays_cut_off_are_refused_where_the_build_has_not_seen_them() -> None:
    plain = sketch_network({"in": 3, "h": 8, "out": 2}, alpha={"h": 0.0, "out": 0.0}, max_count={"h": 1, "out": 1})
    raster = np.random.default_rng(0).integers(0, 2, (20, 30, 3))
    fixed = fix_model(plain, "generic-4096-single", calibration=raster)
    artifacts = compile_model(fixed.network, "generic-4096-single", calibration=raster, options=CompileOptions(allow=("SNN6",)))
    artifacts.run(raster)
    with pytest.raises(InputError, match="more spikes a step than the relays repeat"):
        artifacts.run(raster + 1)


def test_ways_that_give_the_same_network_are_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snnmap.pipeline.ways._may_gain", lambda _: True)
    stages: list[str] = []
    once = check_model(chain(3, 5, 2), "xylo-audio-3", on_stage=stages.append)
    assert stages.count("quantising") == 2  # rates brought back and not, of eight ways: no second synapse could be faster
    slow = edit("populations", "h1", chain(3, 5, 2), alpha=np.full((1, 5), 0.875))
    check_model(slow, "xylo-audio-3", on_stage=stages.append)
    assert stages.count("quantising") == 2 + 4  # with a second synapse and without
    monkeypatch.undo()
    assert once.bitstream == check_model(chain(3, 5, 2), "xylo-audio-3").bitstream


def test_the_rates_of_a_conversion_are_left_whosever_the_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned: list[QuantisedNetwork] = []

    def keep_rates(quantised: QuantisedNetwork, *_: object) -> tuple[QuantisedNetwork, tuple[RateTuning, ...]]:
        tuned.append(quantised)
        return quantised, ()

    monkeypatch.setattr("snnmap.pipeline.ways.tune_rates", keep_rates)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    conversion = convert_ann(model, np.random.default_rng(0).uniform(0, 1, (20, 6)))
    for calibration in (None, conversion.calibration):
        check_model(conversion, "generic-4096", calibration=calibration)
    assert not tuned
    check_model(parse_network(format_network(conversion.network)), "generic-4096", calibration=conversion.calibration)
    assert not tuned
    check_model(replace(conversion.network, provenance={}), "generic-4096", calibration=conversion.calibration)
    assert tuned

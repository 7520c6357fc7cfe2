"""snnmap check --fix and --diff: what is told, what is written and what is not."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Run
from rule_cases import CASES, chain, limit

from snnmap.chip import load_chip
from snnmap.core import CsrMatrix
from snnmap.network import load_network, save_network

XYLO = ("-c", "xylo-audio-3")


@pytest.fixture
def dead(tmp_path: Path) -> Path:
    """A network with one dead neuron."""
    save_network(CASES["SNN106"][0][0], tmp_path / "m.json")
    return tmp_path / "m.json"


def test_a_fixed_network_is_written_beside_the_model_and_is_clean(run: Run, dead: Path) -> None:
    before = dead.read_bytes()
    result = run("check", dead, *XYLO, "--fix", "--strict", "--ignore", "SNN6")
    assert (result.code, dead.read_bytes()) == (0, before)
    assert "fixed: drop-neurons (exact): neurons that change nothing are gone: 1 of 4 of 'h2'; 0 of " in result.err
    fixed = dead.with_name("m.fixed.json")
    assert load_network(fixed).population("h2").size == 3
    assert run("check", fixed, *XYLO, "--strict", "--ignore", "SNN6").code == 0
    assert run("check", dead, *XYLO, "--fix", "-q").code == 0  # over its own file


def test_a_preview_writes_nothing(run: Run, dead: Path) -> None:
    result = run("check", dead, *XYLO, "--diff", "-q")
    assert '-      "size": 4,\n' in result.out
    assert '+      "size": 3,\n' in result.out
    assert result.out.startswith(f"--- {dead}\n+++ {dead}, fixed\n")
    assert [path.name for path in dead.parent.iterdir()] == ["m.json"]


def test_a_preview_of_many_numbers_is_short(run: Run, tmp_path: Path) -> None:
    network = chain(3, 50, 4, 2)
    weights = network.projections[0].weights.to_dense()
    weights[:, 7] = 0.0
    first = replace(network.projections[0], weights=CsrMatrix.from_dense(weights))
    save_network(replace(network, projections=(first, *network.projections[1:])), tmp_path / "m.json")
    result = run("check", tmp_path / "m.json", *XYLO, "--diff", "-q")
    lines = result.out.splitlines()
    assert any(line.endswith(" characters)") for line in lines)
    assert max(map(len, lines)) < 150


def test_a_file_that_is_no_fixed_network_is_not_written_over(run: Run, dead: Path) -> None:
    other = dead.with_name("m.fixed.json")
    other.write_text("mine")
    refused = run("check", dead, *XYLO, "--fix")
    assert (refused.code, "is not one that --fix wrote" in refused.err, other.read_text()) == (2, True, "mine")
    save_network(load_network(dead), other)
    assert run("check", dead, *XYLO, "--fix").code == 2
    itself = run("check", dead, *XYLO, "--fix", "--fixed", dead)
    assert (itself.code, load_network(dead).population("h2").size) == (2, 4)


def test_what_is_not_told_is_not_fixed(run: Run, dead: Path) -> None:
    result = run("check", dead, *XYLO, "--fix", "--ignore", "SNN106")
    assert (result.code, "nothing was fixed" in result.err) == (0, True)
    (dead.parent / "snnmap.toml").write_text('[[waivers]]\nrule = "SNN106"\npopulation = "h2"\nvalue = 1\nreason = "r"\n')
    assert "nothing was fixed" in run("check", dead, *XYLO, "--fix").err
    assert not dead.with_name("m.fixed.json").exists()


def test_fixes_are_chosen_by_name(run: Run, dead: Path) -> None:
    assert "nothing was fixed" in run("check", dead, *XYLO, "--fix", "--fix-only", "prune").err
    unknown = run("check", dead, *XYLO, "--fix", "--fix-only", "drop-neuron")
    assert (unknown.code, "did you mean 'drop-neurons'?" in unknown.err) == (2, True)


def test_weights_are_pruned_with_what_that_costs(run: Run, tmp_path: Path) -> None:
    network, chip = CASES["SNN204"][0]
    save_network(network, tmp_path / "m.json")
    record = tmp_path / "chip.toml"
    text = (Path(load_chip.__code__.co_filename).parent / "catalog" / "generic-4096.toml").read_text()
    head, _, tail = text.partition("[recurrent_weights]")
    limited = tail.replace(f"max_fan_in = {load_chip('generic-4096').recurrent_weights.max_fan_in}", "max_fan_in = 4", 1)
    record.write_text(f"{head}[recurrent_weights]{limited}")
    assert chip == limit(load_chip("generic-4096"), "recurrent_weights", max_fan_in=4)
    assert run("check", tmp_path / "m.json", "-c", record).code == 1
    result = run("check", tmp_path / "m.json", "-c", record, "--fix", "--fix-only", "prune", "--format", "json")
    assert (result.code, json.loads(result.out)["model"]["name"]) == (0, str(tmp_path / "m.fixed.json"))
    assert "fixed: prune (inexact): weights that contribute least are gone" in result.err
    assert "4 of 20 onto 'h2'; outputs are " in result.err
    exact = run("check", tmp_path / "m.json", "-c", record, "--diff", "--exact-only", "--fix-only", "prune")
    assert (exact.code, exact.out) == (1, "")


def test_a_network_is_fixed_for_one_chip_and_lies_somewhere(
    run: Run, dead: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    several = run("check", dead, *XYLO, "-c", "toy-4", "--fix")
    assert (several.code, "a network is fixed for one chip" in several.err) == (2, True)
    monkeypatch.setattr("sys.stdin", io.StringIO(dead.read_text()))
    unnamed = run("check", "-", *XYLO, "--fix")
    assert (unnamed.code, "--fixed FILE" in unnamed.err) == (2, True)
    monkeypatch.setattr("sys.stdin", io.StringIO(dead.read_text()))
    assert run("check", "-", *XYLO, "--fix", "--fixed", tmp_path / "f.json").code == 0


def test_a_python_model_stays_and_its_fixed_network_is_named_after_its_function(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(
        "from snnmap.network import load_network\n\ndef make(name):\n    return load_network(name)\n"
    )
    save_network(CASES["SNN106"][0][0], tmp_path / "m.json")
    assert run("check", f"{tmp_path}/model.py:make('{tmp_path}/m.json')", *XYLO, "--fix").code == 0
    assert load_network(tmp_path / "model.make.fixed.json").population("h2").size == 3

"""N defects of different rules in one network are N findings, in the same order in every run and process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from defects import CHIP, DEFECTS, branches, describe_defects, seed_defects

from snnmap.lif.drc import RULES, check_network
from snnmap.network import Network
from snnmap.pipeline import check_model

SEEDS = range(60)
DESCRIBE = """
import sys; sys.path[:0] = sys.argv[1:]
from defects import describe_defects
print("\\n\\n".join(describe_defects(seed) for seed in range(60)))
"""


def test_without_defects_nothing_is_found() -> None:
    assert check_model(branches(), CHIP).report.errors == ()
    assert check_network(branches(), CHIP).diagnostics == ()


@pytest.mark.parametrize("rule", DEFECTS)
def test_a_defect_is_one_finding(rule: str) -> None:
    assert [found.rule for found in check_network(DEFECTS[rule](branches()), CHIP).diagnostics] == [rule]


@pytest.mark.parametrize("seed", SEEDS)
def test_so_many_defects_are_so_many_findings(seed: int) -> None:
    network, rules = seed_defects(seed)
    found = check_network(network, CHIP)
    assert sorted(diagnostic.rule for diagnostic in found.diagnostics) == sorted(rules)
    if any(RULES[rule].stops_folding for rule in rules):
        assert check_model(network, CHIP).report.diagnostics == found.diagnostics


def test_most_rules_of_a_network_are_seeded() -> None:
    """All but those that leave no graph to follow, and those on counts of outputs."""
    assert set(DEFECTS) | {"SNN101", "SNN102", "SNN103", "SNN104", "SNN203"} == {
        r.id for r in RULES.values() if r.subject is Network
    }
    assert max(len(seed_defects(seed)[1]) for seed in SEEDS) >= 18


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_tells_them_in_the_same_order(hash_seed: str) -> None:
    command = [sys.executable, "-c", DESCRIBE, str(Path(__file__).parents[2])]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    text = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert text == "\n\n".join(map(describe_defects, SEEDS)) + "\n"

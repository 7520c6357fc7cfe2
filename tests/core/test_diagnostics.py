"""Findings: places, what is told as one, and what stays the same of them."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnmap.core.diagnostics import Diagnostic, Location, Severity, join_ranges
from snnmap.core.rules import Amount, Finding, Rule

PLACE = Location(population="h1", source="model.h1")


def make_rule() -> Rule:
    return Rule(id="X1", name="name", severity=Severity.ERROR, subject=int, check=lambda _: (), text="")


def find_at(*runs: tuple[int, int], measured: Amount | str = "3", **fields: object) -> list[Finding]:
    made = [Finding(location=replace(PLACE, neurons=run), message="m", measured=measured, limit=Amount(2)) for run in runs]
    return [replace(finding, **fields) for finding in made]  # type: ignore[arg-type]


def sign(*findings: Finding) -> list[Diagnostic]:
    return list(make_rule().sign(findings))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), min_size=1))
def test_joined_ranges_hold_the_same_numbers_and_do_not_touch(pairs: list[tuple[int, int]]) -> None:
    ranges = [(first, first + length) for first, length in pairs]
    joined = join_ranges(ranges)
    assert {n for run in joined for n in range(*run)} == {n for run in ranges for n in range(*run)}
    assert all(left[1] < right[0] for left, right in pairwise(joined))


def test_alike_findings_are_one_with_the_worst_or_the_sum() -> None:
    (worst,) = sign(*find_at((4, 6), measured=Amount(3)), *find_at((0, 1), measured=Amount(9)))
    assert (worst.location.runs, worst.measured_value, worst.limit_value) == (((0, 1), (4, 6)), 9, 2)
    (total,) = sign(*find_at((4, 6), measured=Amount(2, adds=True)), *find_at((0, 1), measured=Amount(1, adds=True)))
    assert total.measured_value == 3


def test_a_number_that_is_none_is_the_worst() -> None:
    (worst,) = sign(*find_at((0, 1), measured=Amount(9)), *find_at((2, 3), measured=Amount(float("nan"))))
    assert worst.measured == "nan"
    assert json.loads(json.dumps(worst.to_plain(), allow_nan=False))["measured_value"] is None


@pytest.mark.parametrize("other", [{"message": "another"}, {"fix": "another"}, {"severity": Severity.WARNING}, {"measured": "4"}])
def test_what_differs_is_told_apart(other: dict[str, object]) -> None:
    assert len(sign(*find_at((0, 1)), *find_at((2, 3), **other))) == 2


def test_places_without_neurons_stay_apart() -> None:
    places = [Finding(location=PLACE, message="m", measured=Amount(value), limit=Amount(2)) for value in (3, 4)]
    assert [found.measured for found in sign(*places)] == ["3", "4"]


def test_a_fingerprint_is_of_rule_place_and_words() -> None:
    (found,) = sign(*find_at((0, 1), measured=Amount(3), message="12 of alpha[0] at 1.5%"))
    same = replace(found, location=replace(found.location, neurons=(7, 9), file="m.py", line=3), measured_value=4, measured="4")
    assert replace(same, message="99 of alpha[0] at 2%").fingerprint == found.fingerprint
    others = [
        replace(found, rule="X2"),
        replace(found, message="12 of alpha[1] at 1.5%"),
        replace(found, location=replace(found.location, population="h2")),
        replace(found, location=replace(found.location, population="", port="h1")),
    ]
    assert len({found.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_a_place_in_a_file_is_printed() -> None:
    assert str(replace(PLACE, file="net.py", line=12)) == "population 'h1' (module model.h1, net.py:12)"
    assert str(Location(file="net.py")) == "(net.py)"
